//! Forest plot of combinations: how far each exceeds what its drugs alone lead to expect.

use maud::{Markup, html};

use crate::{
    CombinationRow,
    axis::Axis,
    number::Place,
    plot::{Frame, Plot, px, shortened},
    shape::Shape,
};

const WIDTH: f64 = 640.0;
/// Left and right end of the axis.
const PLOT: (f64, f64) = (256.0, 628.0);
const TOP: f64 = 6.0;
const HEAD: f64 = 30.0;
const ROW: f64 = 27.0;
/// Longest name of a combination and of a model, in characters.
const NAME: usize = 60;
const MODEL: usize = 20;

/// The rows of each treatment, in the order in which treatments first occur.
pub(crate) fn by_treatment(rows: &[CombinationRow]) -> Vec<(&str, Vec<&CombinationRow>)> {
    let mut groups: Vec<(&str, Vec<&CombinationRow>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(name, _)| *name == row.treatment) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((&row.treatment, vec![row])),
        }
    }
    groups
}

/// The decimals that all excesses share.
pub(crate) fn place(rows: &[CombinationRow]) -> Place {
    Place::of(values(rows), 3)
}

fn values(rows: &[CombinationRow]) -> impl Iterator<Item = f64> + '_ {
    rows.iter().flat_map(|row| {
        let ends = row.interval.into_iter().flat_map(|(low, high)| [low, high]);
        ends.chain([row.excess])
    })
}

/// Draws `rows`, at least one.
pub(crate) fn combinations(rows: &[CombinationRow]) -> Plot {
    let groups = by_treatment(rows);
    let axis = Axis::around(values(rows).chain([0.0]), 6);
    let frame = Frame {
        left: PLOT.0,
        right: PLOT.1,
        top: TOP,
        bottom: TOP + HEAD * groups.len() as f64 + ROW * rows.len() as f64,
    };
    let x = |value: f64| frame.x(axis.position(value));
    let place = place(rows);
    let mut y = TOP;
    let mut drawn: Vec<Markup> = Vec::new();
    for (treatment, rows) in &groups {
        y += HEAD;
        drawn.push(html! {
            text class="name" x="8" y=(y - 8.0) { (shortened(treatment, NAME)) }
        });
        for row in rows {
            drawn.push(drawn_row(row, y + ROW / 2.0, place, x));
            y += ROW;
        }
    }
    let zero = x(0.0);
    Plot {
        class: "combinations",
        size: (WIDTH, frame.bottom + 62.0),
        label: format!(
            "Excess of {} over what their drugs alone lead to expect; {} of {} rows lie above 0",
            groups
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", "),
            rows.iter().filter(|row| row.excess > 0.0).count(),
            rows.len(),
        ),
        body: html! {
            (frame.x_grid(&axis.marks()))
            line class="reference" x1=(zero) x2=(zero) y1=(frame.top) y2=(frame.bottom) {}
            @for row in &drawn { (row) }
            (frame.base())
            text class="axis" x=(PLOT.1) y=(frame.bottom + 48.0) text-anchor="end" {
                "effect beyond the expected one"
            }
        },
    }
}

fn drawn_row(row: &CombinationRow, y: f64, place: Place, x: impl Fn(f64) -> f64) -> Markup {
    html! {
        g {
            title { (row.treatment) " · " (row.model) ": " (excess_text(row, place)) }
            rect x="0" y=(px(y - ROW / 2.0)) width=(WIDTH) height=(ROW) fill="transparent" {}
            text x="24" y=(px(y + 4.5)) { (shortened(&row.model, MODEL)) }
            @if let Some((low, high)) = row.interval {
                path class="interval single" d=(format!(
                    "M{:.2} {:.2}v8m0 -4H{:.2}m0 -4v8", x(low), y - 4.0, x(high)
                )) {}
            }
            (Shape::Circle.mark("single", None, (x(row.excess), y), 1.0))
        }
    }
}

fn excess_text(row: &CombinationRow, place: Place) -> String {
    let interval = row.interval.map_or_else(String::new, |(low, high)| {
        format!(", interval {} to {}", place.show(low), place.show(high))
    });
    format!("{}{interval}", place.show(row.excess))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treatments_stay_together_and_zero_is_on_the_axis() {
        let row = |treatment: &str, model: &str, excess| CombinationRow {
            treatment: treatment.into(),
            model: model.into(),
            excess,
            interval: Some((excess - 1.0, excess + 1.0)),
        };
        let rows = [
            row("b", "Bliss", 2.0),
            row("a", "Bliss", 3.0),
            row("b", "HSA", 4.0),
        ];
        let names: Vec<(&str, usize)> = by_treatment(&rows)
            .iter()
            .map(|(name, rows)| (*name, rows.len()))
            .collect();
        assert_eq!(names, [("b", 2), ("a", 1)]);
        let svg = combinations(&rows).inline().into_string();
        // The axis runs from 0 to 5; 2 and its interval 1 to 3 lie in proportion.
        assert!(svg.contains("class=\"reference\" x1=\"256\""), "{svg}");
        assert!(svg.contains("M330.40 45.50v8m0 -4H479.20m0 -4v8"), "{svg}");
        assert!(svg.contains("3 of 3 rows lie above 0"));
    }
}
