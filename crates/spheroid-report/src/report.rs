use std::path::Path;

use ndarray::Array2;
use spheroid_core::{Day, Group, PlateFormat, Warning, WellId, atomic};

use crate::{ReportError, check, page};

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
    /// One row a treatment, in any order; at least one, and each treatment once.
    pub ranking: Vec<RankingRow>,
    /// Format of the plates.
    pub format: PlateFormat,
    /// Scored wells; those of the format that are absent are drawn as not scored.
    pub wells: Vec<WellScore>,
    /// Images; empty leaves the section out.
    pub thumbnails: Vec<Thumbnail>,
    /// Training loss by increasing epoch; empty leaves the section out.
    pub training: Vec<LossPoint>,
    /// Forecast skill of every predictor tried.
    pub predictors: Vec<PredictorSkill>,
    /// Other figures worth a row, such as Kendall's tau of the method and of a baseline.
    pub comparisons: Vec<Comparison>,
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossPoint {
    /// Number of the epoch.
    pub epoch: usize,
    /// Its loss.
    pub loss: f64,
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
            ranking: Vec::new(),
            format,
            wells: Vec::new(),
            thumbnails: Vec::new(),
            training: Vec::new(),
            predictors: Vec::new(),
            comparisons: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// The page as text.
    ///
    /// # Errors
    /// This returns an error when:
    /// * the ranking is empty, or a treatment, a well or an image occurs twice;
    /// * a number is not finite (or beyond 1e100), or the ends of an interval are swapped;
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
}
