//! Heat maps of plates.

use std::{collections::BTreeMap, f64::consts::FRAC_1_SQRT_2};

use maud::{Markup, html};
use spheroid_core::{Group, PlateFormat, WellId};

use crate::{
    DroppedWell, Report, WellScore,
    axis::Axis,
    colour::viridis,
    colour_bar::{self, colour_bar},
    group,
    number::Place,
    plot::{Plot, legend, legend_height, px, shortened},
};

const WIDTH: f64 = 640.0;
/// Space for the names of rows.
const MARGIN: f64 = 30.0;
/// Space for the names of the plate and of columns.
const TOP: f64 = 54.0;
/// Longest name of a plate and longest title of a colour bar, in characters.
const TITLE: usize = 62;
/// Largest distance of wells, for plates with few columns.
const PITCH: f64 = 88.0;
/// Longest value that fits into a well, in characters.
const VALUE: usize = 6;

/// What the colour of a well says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Score,
    /// Rank of the well's treatment; the first has the colour of a high score.
    Rank,
    Area,
    /// Number of flags.
    Flags,
}

impl Measure {
    /// The heading of its tab, and in lower case the end of its file's name.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Score => "Score",
            Self::Rank => "Rank",
            Self::Area => "Area",
            Self::Flags => "Flags",
        }
    }
}

/// The wells of a report by plate, and the scales that all its plates share.
pub(crate) struct PlateMaps<'a> {
    report: &'a Report,
    ranks: BTreeMap<&'a str, usize>,
    plates: BTreeMap<&'a str, BTreeMap<WellId, Well<'a>>>,
    score: Place,
    area: Place,
}

#[derive(Clone, Copy)]
enum Well<'a> {
    Scored(&'a WellScore),
    Dropped(&'a DroppedWell),
}

impl<'a> PlateMaps<'a> {
    pub(crate) fn new(report: &'a Report) -> Self {
        let mut plates: BTreeMap<&str, BTreeMap<WellId, Well<'_>>> = BTreeMap::new();
        for well in &report.wells {
            let plate = plates.entry(&well.plate).or_default();
            plate.insert(well.well, Well::Scored(well));
        }
        for well in &report.failed {
            let plate = plates.entry(&well.plate).or_default();
            plate.insert(well.well, Well::Dropped(well));
        }
        let ranks = report.ranking.iter();
        Self {
            report,
            ranks: ranks
                .map(|row| (row.treatment.as_str(), row.rank))
                .collect(),
            plates,
            score: Place::of(report.wells.iter().map(|well| well.score), 3),
            area: Place::of(report.wells.iter().filter_map(|well| well.area), 3),
        }
    }

    /// Names of the plates, ascending.
    pub(crate) fn plates(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.plates.keys().copied()
    }

    /// Score, and what else the wells have.
    pub(crate) fn measures(&self) -> Vec<Measure> {
        let has = |measure| self.values(measure).next().is_some();
        [Measure::Score, Measure::Rank, Measure::Area, Measure::Flags]
            .into_iter()
            .filter(|&measure| match measure {
                Measure::Score => true,
                Measure::Rank | Measure::Area => has(measure),
                Measure::Flags => self.report.wells.iter().any(|well| !well.flags.is_empty()),
            })
            .collect()
    }

    fn values(&self, measure: Measure) -> impl Iterator<Item = f64> + '_ {
        let wells = self.report.wells.iter();
        wells.filter_map(move |well| self.value(measure, well))
    }

    fn value(&self, measure: Measure, well: &WellScore) -> Option<f64> {
        match measure {
            Measure::Score => Some(well.score),
            Measure::Rank => {
                let rank = self.ranks.get(well.treatment.as_str())?;
                Some(*rank as f64)
            }
            Measure::Area => well.area,
            Measure::Flags => Some(well.flags.len() as f64),
        }
    }

    fn show(&self, measure: Measure, value: f64) -> String {
        match measure {
            Measure::Score => self.score.show(value),
            Measure::Area => self.area.show(value),
            Measure::Rank | Measure::Flags => Place(0).show(value),
        }
    }

    /// The scale of colours that all plates share.
    fn scale(&self, measure: Measure) -> Axis {
        match measure {
            Measure::Score | Measure::Area => Axis::within(self.values(measure), 8),
            Measure::Rank => Axis::within(self.values(measure), 8).whole(),
            Measure::Flags => Axis::within(self.values(measure).chain([0.0]), 8).whole(),
        }
    }

    fn title(&self, measure: Measure) -> &str {
        match measure {
            Measure::Score => &self.report.score_name,
            Measure::Rank => "rank of the treatment",
            Measure::Area => &self.report.area_name,
            Measure::Flags => "number of flags",
        }
    }

    /// Draws `plate`, one of [`PlateMaps::plates`].
    pub(crate) fn draw(&self, plate: &str, measure: Measure) -> Plot {
        let format = self.report.format;
        let wells = &self.plates[plate];
        let pitch = ((WIDTH - MARGIN) / format.columns() as f64).min(PITCH);
        let radius = pitch * 0.44;
        let centre = |index: usize| px(MARGIN + pitch * (index as f64 + 0.5));
        let middle = |row: usize| px(TOP + pitch * (row as f64 + 0.5));
        let bottom = TOP + pitch * format.rows() as f64;
        // Names are left out where they would overlap.
        let every = (28.0 / pitch).ceil() as usize;
        let positions = (0..format.rows())
            .flat_map(|row| (0..format.columns()).filter_map(move |c| WellId::new(row, c)));
        let scale = self.scale(measure);
        let scored: Vec<&WellScore> = wells
            .values()
            .filter_map(|well| match well {
                Well::Scored(well) => Some(*well),
                Well::Dropped(_) => None,
            })
            .collect();
        let along = |position: f64| match measure {
            Measure::Rank => 1.0 - position,
            _ => position,
        };
        let paint = |value: f64| viridis(along(scale.position(value)));
        let mut marks = scale.marks();
        for (position, _) in &mut marks {
            *position = along(*position);
        }
        let edges = (
            MARGIN + 0.06 * pitch,
            WIDTH.min(centre(format.columns()) - pitch / 2.0) - 6.0,
        );
        let entries = self.legend();
        let below = bottom
            + 12.0
            + if scored.is_empty() {
                0.0
            } else {
                colour_bar::HEIGHT
            };

        let body = html! {
            text class="name" x="6" y="18" { (shortened(plate, TITLE)) }
            @for column in (0..format.columns()).step_by(every) {
                text class="tick" x=(centre(column)) y=(TOP - 9.0) text-anchor="middle" {
                    (column + 1)
                }
            }
            @for first in (0..format.rows()).step_by(every).filter_map(|row| WellId::new(row, 0)) {
                text class="tick" x=(MARGIN - 8.0) y=(px(middle(first.row()) + 4.5))
                    text-anchor="end" { (first.row_name()) }
            }
            @for id in positions {
                @let (x, y) = (centre(id.column()), middle(id.row()));
                g {
                    title { (id) " · " (self.describe(wells.get(&id))) }
                    @match wells.get(&id) {
                        Some(Well::Scored(well)) => {
                            @let value = self.value(measure, well);
                            @match value.map(paint) {
                                Some(fill) => {
                                    circle class={ "well " (group::class(well.group)) }
                                        cx=(x) cy=(y) r=(px(radius)) fill=(fill) {}
                                    @if let Some(text) = value.and_then(|v| self.inside(measure, v)) {
                                        g fill=(fill.ink()) {
                                            text class="value" x=(x) y=(y + 4.0)
                                                text-anchor="middle" { (text) }
                                        }
                                    }
                                }
                                None => circle class={ "well " (group::class(well.group)) }
                                    cx=(x) cy=(y) r=(px(radius)) fill="#f3f5f6" {},
                            }
                            @if !well.flags.is_empty() { (flag((x, y), radius)) }
                        }
                        Some(Well::Dropped(_)) => (dropped((x, y), radius)),
                        None => (absent((x, y), radius)),
                    }
                }
            }
            @if !scored.is_empty() {
                @let title = shortened(self.title(measure), TITLE);
                (colour_bar(edges, bottom + 12.0, &marks, &title))
            }
            (legend(&entries, (MARGIN, WIDTH), below + 4.0, 3))
        };
        Plot {
            class: "plate",
            size: (WIDTH, below + 10.0 + legend_height(entries.len(), 3)),
            label: format!(
                "Heat map of plate {plate} by {}: {} of {} wells scored{}",
                self.title(measure),
                scored.len(),
                format.wells(),
                self.extremes(&scored, measure),
            ),
            body,
        }
    }

    /// A value's text where it fits into a well.
    fn inside(&self, measure: Measure, value: f64) -> Option<String> {
        let text = self.show(measure, value);
        let fits = self.report.format.columns() <= PlateFormat::W96.columns()
            && text.chars().count() <= VALUE;
        fits.then_some(text)
    }

    /// All that is known of a well, whatever its colour says.
    fn describe(&self, well: Option<&Well<'_>>) -> String {
        let well = match well {
            None => return "not scored".to_owned(),
            Some(Well::Dropped(well)) => return format!("not ranked: {}", well.reason),
            Some(Well::Scored(well)) => well,
        };
        let mut parts = vec![
            format!("{} ({})", well.treatment, group::label(well.group)),
            format!("score {}", self.score.show(well.score)),
        ];
        if let Some(rank) = self.ranks.get(well.treatment.as_str()) {
            parts.push(format!("rank {rank}"));
        }
        if let Some(area) = well.area {
            parts.push(format!(
                "{} {}",
                self.report.area_name,
                self.area.show(area)
            ));
        }
        if !well.flags.is_empty() {
            parts.push(format!("flags: {}", well.flags.join(", ")));
        }
        parts.join(" · ")
    }

    fn legend(&self) -> Vec<(Markup, String)> {
        let sample = |group: Group| {
            html! {
                circle class={ "well " (group::class(group)) } r="8" fill="#5dc963" {}
            }
        };
        let mut entries: Vec<_> = group::ALL
            .map(|group| (sample(group), group::label(group).to_owned()))
            .into();
        entries.push((absent((0.0, 0.0), 8.0), "not scored".to_owned()));
        if !self.report.failed.is_empty() {
            entries.push((dropped((0.0, 0.0), 8.0), "not ranked".to_owned()));
        }
        if self.report.wells.iter().any(|well| !well.flags.is_empty()) {
            let symbol = html! { circle r="8" fill="#5dc963" {} (flag((0.0, 0.0), 11.0)) };
            entries.push((symbol, "flagged".to_owned()));
        }
        entries
    }

    /// The wells with the least and the greatest value, in words.
    fn extremes(&self, wells: &[&WellScore], measure: Measure) -> String {
        let of = |well: &&&WellScore| self.value(measure, well);
        let name = |well: &&WellScore| {
            let value = self
                .value(measure, well)
                .map(|value| self.show(measure, value));
            format!(
                "{} in {} ({})",
                value.unwrap_or_default(),
                well.well,
                well.treatment
            )
        };
        let mut wells: Vec<&&WellScore> = wells.iter().filter(|well| of(well).is_some()).collect();
        wells.sort_by(|a, b| of(a).partial_cmp(&of(b)).expect("values were checked"));
        match (wells.first(), wells.last()) {
            (Some(least), Some(most)) => format!(", from {} to {}", name(least), name(most)),
            _ => String::new(),
        }
    }
}

/// A well that holds nothing: one stroke through it.
fn absent((x, y): (f64, f64), radius: f64) -> Markup {
    let reach = radius * FRAC_1_SQRT_2;
    html! {
        circle class="absent" cx=(x) cy=(y) r=(px(radius)) {}
        path class="absent" d=(format!(
            "M{:.2} {:.2}l{:.2} {:.2}",
            x - reach, y + reach, 2.0 * reach, -2.0 * reach,
        )) {}
    }
}

/// A well that was not ranked: crossed.
fn dropped((x, y): (f64, f64), radius: f64) -> Markup {
    let reach = radius * FRAC_1_SQRT_2;
    html! {
        circle class="failed" cx=(x) cy=(y) r=(px(radius)) {}
        path class="failed" d=(format!(
            "M{:.2} {:.2}l{span:.2} {span:.2}m0 -{span:.2}l-{span:.2} {span:.2}",
            x - reach, y - reach, span = 2.0 * reach,
        )) {}
    }
}

/// The mark of a flagged well: a pennant at its upper right.
fn flag((x, y): (f64, f64), radius: f64) -> Markup {
    let size = radius * 0.75;
    html! {
        path class="flag" d=(format!(
            "M{:.2} {:.2}h{size:.2}v{size:.2}z",
            x + radius - size, y - radius,
        )) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RankingRow;

    fn well(id: &str, score: f64) -> WellScore {
        WellScore {
            plate: "P1".into(),
            well: id.parse().unwrap(),
            treatment: "drug".into(),
            group: Group::DrugScreened,
            score,
            area: None,
            p_value: None,
            flags: Vec::new(),
        }
    }

    fn report(format: PlateFormat, wells: Vec<WellScore>) -> Report {
        Report {
            wells,
            ..Report::new("title", "P1", format)
        }
    }

    fn drawn(report: &Report, measure: Measure) -> String {
        let maps = PlateMaps::new(report);
        maps.draw("P1", measure).inline().into_string()
    }

    fn ranked(rank: usize, treatment: &str) -> RankingRow {
        RankingRow {
            rank,
            treatment: treatment.into(),
            group: Group::DrugScreened,
            doses: String::new(),
            score: 1.0,
            interval: None,
            rank_interval: None,
            wells: 1,
            p_value: None,
            q_value: None,
            tier: None,
        }
    }

    /// The part of `svg` after the title of `well`.
    fn of<'a>(svg: &'a str, well: &str) -> &'a str {
        let from = svg.find(&format!("<title>{well} ")).unwrap();
        let rest = &svg[from..];
        &rest[..rest[1..].find("<title>").map_or(rest.len(), |end| end + 1)]
    }

    #[test]
    fn every_well_of_every_format_is_drawn_once() {
        for format in PlateFormat::ALL {
            let svg = drawn(
                &report(format, vec![well("A01", 0.0), well("B03", 2.0)]),
                Measure::Score,
            );
            assert_eq!(svg.matches("<title>").count(), format.wells(), "{format:?}");
            let unscored = svg.matches("· not scored</title>").count();
            assert_eq!(unscored, format.wells() - 2, "{format:?}");
            assert_eq!(
                svg.matches("class=\"value\"").count(),
                if format.columns() <= 12 { 2 } else { 0 }
            );
        }
    }

    #[test]
    fn colours_span_the_scale() {
        let svg = drawn(
            &report(
                PlateFormat::W6,
                vec![well("A01", 0.0), well("A02", 1.0), well("A03", 2.0)],
            ),
            Measure::Score,
        );
        for (title, fill) in [("A01", "#440154"), ("A02", "#21908c"), ("A03", "#fde725")] {
            assert!(
                of(&svg, title).contains(&format!("fill=\"{fill}\"")),
                "{title}"
            );
        }
        assert!(svg.contains("from 0.00 in A01 (drug) to 2.00 in A03 (drug)"));
    }

    #[test]
    fn equal_scores_have_the_middle_colour() {
        let wells = vec![well("B02", 5.0), well("B03", 5.0)];
        let svg = drawn(&report(PlateFormat::W96, wells), Measure::Score);
        assert_eq!(
            svg.matches("r=\"22.37\" fill=\"#21908c\"").count(),
            2,
            "{svg}"
        );
    }

    #[test]
    fn the_first_rank_has_the_colour_of_a_high_score() {
        let mut report = report(PlateFormat::W6, vec![well("A01", 9.0), well("A02", 1.0)]);
        report.wells[1].treatment = "weak".into();
        report.ranking = vec![ranked(1, "drug"), ranked(2, "weak")];
        let svg = drawn(&report, Measure::Rank);
        assert!(of(&svg, "A01").contains("fill=\"#fde725\""), "{svg}");
        assert!(of(&svg, "A02").contains("fill=\"#440154\""));
        assert!(of(&svg, "A01").contains("score 9.00 · rank 1<"));
    }

    #[test]
    fn measures_without_values_are_left_out() {
        let mut report = report(PlateFormat::W6, vec![well("A01", 9.0), well("A02", 1.0)]);
        let measures = |report: &Report| PlateMaps::new(report).measures();
        assert_eq!(measures(&report), [Measure::Score]);
        report.wells[0].area = Some(5.0);
        report.wells[0].flags = vec!["fragmented".into()];
        assert_eq!(
            measures(&report),
            [Measure::Score, Measure::Area, Measure::Flags]
        );
        let svg = drawn(&report, Measure::Area);
        assert!(
            of(&svg, "A02").contains("fill=\"#f3f5f6\""),
            "a well without an area"
        );
    }

    #[test]
    fn flags_and_failures_are_marked_by_shape() {
        let mut report = report(PlateFormat::W6, vec![well("A01", 9.0), well("A02", 1.0)]);
        report.wells[0].flags = vec!["fragmented".into(), "touches the border".into()];
        report.failed = vec![DroppedWell {
            plate: "P1".into(),
            well: "B01".parse().unwrap(),
            reason: "no image on day 10".into(),
        }];
        for measure in [Measure::Score, Measure::Flags] {
            let svg = drawn(&report, measure);
            assert!(of(&svg, "A01").contains("class=\"flag\""));
            assert!(of(&svg, "A01").contains("flags: fragmented, touches the border<"));
            assert!(!of(&svg, "A02").contains("class=\"flag\""));
            assert!(of(&svg, "B01").starts_with("<title>B01 · not ranked: no image on day 10<"));
            assert!(of(&svg, "B01").contains("<path class=\"failed\""));
        }
    }

    #[test]
    fn a_plate_of_failures_has_no_colour_bar() {
        let mut report = report(PlateFormat::W6, Vec::new());
        report.failed = vec![DroppedWell {
            plate: "P1".into(),
            well: "B01".parse().unwrap(),
            reason: "empty".into(),
        }];
        let svg = drawn(&report, Measure::Score);
        assert!(svg.contains("0 of 6 wells scored") && !svg.contains("<rect"));
    }
}
