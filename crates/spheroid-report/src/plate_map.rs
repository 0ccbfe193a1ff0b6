//! Heat map of a plate.

use maud::{Markup, html};
use spheroid_core::{PlateFormat, WellId};

use crate::{
    WellScore,
    axis::Axis,
    colour::viridis,
    group,
    number::{Place, px},
};

const WIDTH: f64 = 640.0;
/// Space for the names of rows (left) and columns (above).
const MARGIN: f64 = 30.0;
/// Largest distance of wells, for plates with few columns.
const PITCH: f64 = 88.0;
/// Steps of the colour bar.
const STEPS: usize = 64;

/// Draws `wells`, at least one and all of one plate, on the `scale` that all plates share.
pub(crate) fn plate_map(format: PlateFormat, wells: &[&WellScore], scale: &Axis) -> Markup {
    let pitch = ((WIDTH - MARGIN) / format.columns() as f64).min(PITCH);
    let radius = pitch * 0.44;
    let centre = |index: usize| MARGIN + pitch * (index as f64 + 0.5);
    let bottom = MARGIN + pitch * format.rows() as f64;
    // Names and values are left out where they would overlap.
    let every = (28.0 / pitch).ceil() as usize;
    let shows_values = format.columns() <= PlateFormat::W96.columns();
    let place = Place::of(wells.iter().map(|well| well.score), 3);
    let at = |id: WellId| wells.iter().find(|well| well.well == id);
    let positions = (0..format.rows())
        .flat_map(|row| (0..format.columns()).filter_map(move |c| WellId::new(row, c)));
    let bar = (
        MARGIN + 0.06 * pitch,
        WIDTH.min(centre(format.columns()) - pitch / 2.0) - 6.0,
    );
    let bar_x = |position: f64| bar.0 + position * (bar.1 - bar.0);

    html! {
        svg class="plate" viewBox=(format!("0 0 {WIDTH} {:.2}", bottom + 58.0)) role="img"
            aria-label=(format!(
                "Heat map of plate {}: {} of {} wells scored, {}",
                wells[0].plate,
                wells.len(),
                format.wells(),
                extremes(wells, place),
            )) {
            @for column in (0..format.columns()).step_by(every) {
                text class="tick" x=(px(centre(column))) y=(MARGIN - 9.0) text-anchor="middle" {
                    (column + 1)
                }
            }
            @for first in (0..format.rows()).step_by(every).filter_map(|row| WellId::new(row, 0)) {
                text class="tick" x=(MARGIN - 8.0) y=(px(centre(first.row()) + 4.5))
                    text-anchor="end" { (first.row_name()) }
            }
            @for id in positions {
                @let (x, y) = (px(centre(id.column())), px(centre(id.row())));
                g {
                    @if let Some(well) = at(id) {
                        @let fill = viridis(scale.position(well.score));
                        title {
                            (id) " · " (well.treatment) " (" (group::label(well.group)) ") · "
                            (place.show(well.score))
                        }
                        circle class={ "well " (group::class(well.group)) }
                            cx=(x) cy=(y) r=(px(radius)) fill=(fill) {}
                        @if shows_values {
                            text class="value" x=(x) y=(y + 4.0) text-anchor="middle"
                                fill=(fill.ink()) { (place.show(well.score)) }
                        }
                    } @else {
                        title { (id) " · not scored" }
                        circle class="absent" cx=(x) cy=(y) r=(px(radius)) {}
                        @let reach = radius * std::f64::consts::FRAC_1_SQRT_2;
                        path class="absent" d=(format!(
                            "M{:.2} {:.2}l{:.2} {:.2}",
                            x - reach, y + reach, 2.0 * reach, -2.0 * reach,
                        )) {}
                    }
                }
            }
            @for step in 0..STEPS {
                @let (from, to) = (step as f64, step as f64 + 1.0);
                // Neighbours overlap by a unit, or the background shines through between them.
                @let overlap = if step + 1 < STEPS { 1.0 } else { 0.0 };
                rect x=(px(bar_x(from / STEPS as f64))) y=(px(bottom + 12.0)) height="14"
                    width=(px((bar.1 - bar.0) / STEPS as f64 + overlap))
                    fill=(viridis((from + to) / 2.0 / STEPS as f64)) {}
            }
            @for (value, label) in scale.ticks() {
                @let x = px(bar_x(scale.position(value)));
                line class="base" x1=(x) x2=(x) y1=(px(bottom + 26.0)) y2=(px(bottom + 31.0)) {}
                text class="tick" x=(x) y=(px(bottom + 48.0)) text-anchor="middle" { (label) }
            }
        }
    }
}

/// The wells with the least and the greatest score, in words.
fn extremes(wells: &[&WellScore], place: Place) -> String {
    let mut wells = wells.to_vec();
    wells.sort_by(|a, b| a.score.total_cmp(&b.score));
    let name = |well: &WellScore| {
        format!(
            "{} in {} ({})",
            place.show(well.score),
            well.well,
            well.treatment
        )
    };
    format!(
        "from {} to {}",
        name(wells[0]),
        name(wells[wells.len() - 1])
    )
}

#[cfg(test)]
mod tests {
    use spheroid_core::Group;

    use super::*;

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

    fn drawn(format: PlateFormat, wells: &[WellScore]) -> String {
        let wells: Vec<&WellScore> = wells.iter().collect();
        let scale = Axis::within(wells.iter().map(|well| well.score), 8);
        plate_map(format, &wells, &scale).into_string()
    }

    #[test]
    fn every_well_of_every_format_is_drawn_once() {
        for format in PlateFormat::ALL {
            let svg = drawn(format, &[well("A01", 0.0), well("B03", 2.0)]);
            let count = |text| svg.matches(text).count();
            assert_eq!(count("<circle class=\"well"), 2, "{format:?}");
            assert_eq!(
                count("<circle class=\"absent"),
                format.wells() - 2,
                "{format:?}"
            );
            assert_eq!(
                count("class=\"value\""),
                if format.columns() <= 12 { 2 } else { 0 }
            );
        }
    }

    #[test]
    fn colours_span_the_scale() {
        let svg = drawn(
            PlateFormat::W6,
            &[well("A01", 0.0), well("A02", 1.0), well("A03", 2.0)],
        );
        for (title, fill) in [("A01", "#440154"), ("A02", "#21908c"), ("A03", "#fde725")] {
            let from = svg.find(&format!("<title>{title} ")).unwrap();
            assert!(
                svg[from..from + 250].contains(&format!("fill=\"{fill}\"")),
                "{title}"
            );
        }
        assert!(svg.contains("from 0.00 in A01 (drug) to 2.00 in A03 (drug)"));
    }

    #[test]
    fn equal_scores_have_the_middle_colour() {
        let svg = drawn(PlateFormat::W96, &[well("B02", 5.0), well("B03", 5.0)]);
        assert_eq!(
            svg.matches("r=\"22.37\" fill=\"#21908c\"").count(),
            2,
            "{svg}"
        );
    }
}
