use std::path::{Path, PathBuf};

use ndarray::Array2;
use spheroid_core::{Day, Group, PlateFormat, Warning, WellId, atomic};

use crate::{ReportError, check, page, svg_files};

/// Everything that a report shows.
///
/// [`Report::new`] makes an empty one; fill the public fields. All numbers must be finite. Text may
/// hold any character.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// Name of the plate, or of the plates.
    pub plate: String,
    /// The findings, one sentence an entry; the first one is set larger.
    pub verdict: Vec<String>,
    /// What was left out or is doubtful.
    pub warnings: Vec<Warning>,
    /// What a score is, as the title of an axis: `Mahalanobis distance to the prediction`.
    pub score_name: String,
    /// What an interval is, as the head of a column: `95 % interval`.
    pub interval_name: String,
    /// What an area is, with its day and unit: `area on day 10 (px²)`.
    pub area_name: String,
    /// Whether each plate can carry a ranking, one row a plate.
    pub quality: Vec<PlateQualityRow>,
    /// How much of the scores' spread the position on the plate explains.
    pub position: Vec<PositionRow>,
    /// One row a treatment, in any order; at least one, and each treatment once.
    pub ranking: Vec<RankingRow>,
    /// Format of the plates.
    pub format: PlateFormat,
    /// Scored wells; those of the format that are absent are drawn as not scored.
    pub wells: Vec<WellScore>,
    /// Wells that were not ranked; none of them is in `wells`.
    pub failed: Vec<DroppedWell>,
    /// Score against concentration, each drug once.
    pub dose_responses: Vec<DoseResponse>,
    /// How far combinations exceed what their drugs alone lead to expect.
    pub combinations: Vec<CombinationRow>,
    /// The wells in two dimensions.
    pub embedding_map: Option<EmbeddingMap>,
    /// Images; empty leaves the section out.
    pub thumbnails: Vec<Thumbnail>,
    /// Training loss by increasing epoch; empty leaves the section out.
    pub training: Vec<LossPoint>,
    /// Forecast skill of every predictor tried.
    pub predictors: Vec<PredictorSkill>,
    /// Other figures worth a row, such as Kendall's tau of the method and of a baseline.
    pub comparisons: Vec<Comparison>,
    /// From the images on disk to the ranked wells, in order.
    pub audit: Vec<AuditStep>,
    /// Names and values of all settings and seeds.
    pub settings: Vec<(String, String)>,
}

/// A treatment's place in the ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct RankingRow {
    /// Place, from 1 for the treatment farthest from untreated growth.
    pub rank: usize,
    /// Name of the treatment.
    pub treatment: String,
    /// What its wells are in the experiment.
    pub group: Group,
    /// Doses as text, such as `10 µM`; may be empty.
    pub doses: String,
    /// Score of the treatment, on the scale of [`WellScore::score`]; larger is a stronger effect.
    pub score: f64,
    /// Lower and upper end of the score's interval.
    pub interval: Option<(f64, f64)>,
    /// Best and worst rank that the data allow.
    pub rank_interval: Option<(usize, usize)>,
    /// Number of wells behind the score.
    pub wells: usize,
    /// P-value of its difference from untreated wells, 0 to 1.
    pub p_value: Option<f64>,
    /// The p-value adjusted for the number of treatments (false discovery rate), 0 to 1.
    pub q_value: Option<f64>,
    /// Treatments of one tier cannot be told apart; tiers count from 1 at the strongest effect.
    pub tier: Option<usize>,
}

/// The score of one well.
#[derive(Debug, Clone, PartialEq)]
pub struct WellScore {
    /// Name of its plate.
    pub plate: String,
    /// Its position.
    pub well: WellId,
    /// Name of its treatment.
    pub treatment: String,
    /// What it is in the experiment.
    pub group: Group,
    /// Larger is a stronger effect.
    pub score: f64,
    /// Area of the spheroid in the unit of [`Report::area_name`], not negative.
    pub area: Option<f64>,
    /// P-value of its difference from untreated wells, 0 to 1.
    pub p_value: Option<f64>,
    /// What is doubtful about it, such as `fragmented` or `touches the border`.
    pub flags: Vec<String>,
}

/// A well that was not ranked.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedWell {
    /// Name of its plate.
    pub plate: String,
    /// Its position.
    pub well: WellId,
    /// Why it was not ranked.
    pub reason: String,
}

/// Whether a plate can carry a ranking, and the figures behind the verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct PlateQualityRow {
    /// Name of the plate.
    pub plate: String,
    /// Whether it can carry a ranking.
    pub able: bool,
    /// Why, as a sentence.
    pub reason: String,
    /// Number of untreated wells.
    pub untreated: usize,
    /// Number of wells with the reference treatment.
    pub reference: usize,
    /// Names and values of figures such as Z′ or SSMD; `None` where it cannot be had.
    pub figures: Vec<(String, Option<f64>)>,
}

/// How much of the scores' spread on a plate one kind of position explains.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionRow {
    /// Name of the plate.
    pub plate: String,
    /// Kind of position: `row`, `column` or `edge`.
    pub position: String,
    /// Share of the spread that it explains, 0 to 1.
    pub share: f64,
    /// P-value of that share where position has no effect, 0 to 1.
    pub p_value: Option<f64>,
}

/// One step from the images on disk to the ranked wells.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditStep {
    /// What the step is, with what it counts: `wells with an image on day 10`.
    pub step: String,
    /// How many are left after it.
    pub kept: usize,
    /// Names of those that it dropped.
    pub dropped: Vec<String>,
}

/// Wells in two dimensions, such as the first two principal components of their embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingMap {
    /// Title of the horizontal axis.
    pub x_name: String,
    /// Title of the vertical axis.
    pub y_name: String,
    /// One point a well and day; none leaves the section out.
    pub points: Vec<MapPoint>,
}

/// A well on one day as a point of an [`EmbeddingMap`].
#[derive(Debug, Clone, PartialEq)]
pub struct MapPoint {
    /// Name of its plate.
    pub plate: String,
    /// Its position on the plate.
    pub well: WellId,
    /// Name of its treatment.
    pub treatment: String,
    /// What it is in the experiment.
    pub group: Group,
    /// Concentration of its drug, not negative; zero is drawn like `None`, as without a dose.
    pub dose: Option<f64>,
    /// When it was imaged.
    pub day: Day,
    /// Horizontal coordinate.
    pub x: f64,
    /// Vertical coordinate, in the unit of `x`.
    pub y: f64,
}

/// Score of one drug against its concentration.
#[derive(Debug, Clone, PartialEq)]
pub struct DoseResponse {
    /// Name of the drug.
    pub drug: String,
    /// Unit of all concentrations.
    pub unit: String,
    /// Concentration (zero or positive) and score of each well.
    pub points: Vec<(f64, f64)>,
    /// Concentration (positive) and score along the fitted curve, in any order.
    pub curve: Vec<(f64, f64)>,
    /// Concentration of half the effect.
    pub ec50: Option<f64>,
    /// Lower and upper end of its interval; an end that the data leave open is `None`.
    pub ec50_interval: Option<(Option<f64>, Option<f64>)>,
    /// Sentences for under the plot.
    pub notes: Vec<String>,
    /// Other figures of the fit, such as GR50.
    pub figures: Vec<(String, f64)>,
}

/// A combination beside what a model of no interaction expects of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CombinationRow {
    /// Name of the combination.
    pub treatment: String,
    /// Name of the model, such as `Bliss`, `HSA` or `Loewe`.
    pub model: String,
    /// Effect beyond the expected one; above 0 is more than expected.
    pub excess: f64,
    /// Lower and upper end of the excess's interval.
    pub interval: Option<(f64, f64)>,
}

/// One image of a well, small enough for a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail {
    /// Name of the treatment.
    pub treatment: String,
    /// What the well is in the experiment; untreated wells are shown first.
    pub group: Group,
    /// Name of the plate.
    pub plate: String,
    /// The well.
    pub well: WellId,
    /// When the image was taken.
    pub day: Day,
    /// Intensity relative to the background, whose value is 1.
    ///
    /// # Shapes
    /// `[row, column]`, each side 1 to 1024 pixels; about 100 is enough.
    pub pixels: Array2<f32>,
}

/// Mean training loss of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct LossPoint {
    /// Number of the epoch.
    pub epoch: usize,
    /// Its loss.
    pub loss: f64,
    /// Names and values of the signs of collapse, such as the embeddings' effective rank.
    pub signs: Vec<(String, f64)>,
}

/// How well a predictor forecasts untreated wells that it did not see.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictorSkill {
    /// Name of the predictor.
    pub name: String,
    /// 1 − error / error of persistence: 1 is perfect, 0 is as good as "nothing changes".
    pub skill: f64,
}

/// A named figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: f64,
}

impl Report {
    /// A report without content, to be filled.
    pub fn new(title: impl Into<String>, plate: impl Into<String>, format: PlateFormat) -> Self {
        Self {
            title: title.into(),
            plate: plate.into(),
            verdict: Vec::new(),
            warnings: Vec::new(),
            score_name: "score".into(),
            interval_name: "interval".into(),
            area_name: "area".into(),
            quality: Vec::new(),
            position: Vec::new(),
            ranking: Vec::new(),
            format,
            wells: Vec::new(),
            failed: Vec::new(),
            dose_responses: Vec::new(),
            combinations: Vec::new(),
            embedding_map: None,
            thumbnails: Vec::new(),
            training: Vec::new(),
            predictors: Vec::new(),
            comparisons: Vec::new(),
            audit: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// The page as text.
    ///
    /// # Errors
    /// This returns an error when:
    /// * the ranking is empty;
    /// * something occurs twice: a treatment, a well, an image, a plate's verdict, a drug, a
    ///   combination by one model, or a named figure of one of them;
    /// * a number is not finite (or beyond 1e100), or the ends of an interval are swapped;
    /// * a p-value, q-value or share lies outside 0 to 1, or an area or dose is negative;
    /// * a concentration on a logarithmic axis is not positive, or a drug has none that is;
    /// * a well lies outside the plate format;
    /// * epochs do not increase;
    /// * a thumbnail has no pixels or more than 1024 along a side.
    pub fn to_html(&self) -> Result<String, ReportError> {
        check::check(self)?;
        Ok(page::render(self).into_string())
    }

    /// Writes the page to `path`; a failure leaves what stood there before.
    ///
    /// # Errors
    /// Those of [`Report::to_html`], and [`CoreError::Io`](spheroid_core::CoreError::Io) when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        Ok(atomic::write_bytes(path, self.to_html()?.as_bytes())?)
    }

    /// Writes every plot as an SVG file of its own into `folder`, which is created, and returns the
    /// paths: `ranking.svg`, `plate-P1-score.svg`, `dose-cisplatin.svg` and so on.
    ///
    /// Names of plates and drugs enter names of files by their ASCII letters and digits alone; names
    /// that collide get numbers. Files of earlier reports are not removed.
    ///
    /// # Errors
    /// Those of [`Report::to_html`], and [`CoreError::Io`](spheroid_core::CoreError::Io) when a file cannot be written.
    pub fn write_svgs(&self, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
        check::check(self)?;
        let plots = svg_files::plots(self).into_iter();
        plots
            .map(|(name, plot)| {
                let path = folder.join(name);
                atomic::write_bytes(&path, plot.file().as_bytes())?;
                Ok(path)
            })
            .collect()
    }
}
