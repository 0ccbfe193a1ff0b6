//! Training loss against epoch.

use std::fmt::Write;

use maud::{Markup, html};

use crate::{
    LossPoint,
    axis::Axis,
    number::{Place, px},
};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 618.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 234.0;

/// `points` by increasing epoch, at least one.
pub(crate) fn loss_curve(points: &[LossPoint]) -> Markup {
    let epochs = Axis::within(points.iter().map(|p| p.epoch as f64), 8).whole();
    let losses = Axis::around(points.iter().map(|p| p.loss), 5);
    let x = |epoch: f64| LEFT + epochs.position(epoch) * (RIGHT - LEFT);
    let y = |loss: f64| BOTTOM - losses.position(loss) * (BOTTOM - TOP);
    let line = points
        .iter()
        .enumerate()
        .fold(String::new(), |mut line, (index, point)| {
            let command = if index == 0 { 'M' } else { 'L' };
            let (x, y) = (x(point.epoch as f64), y(point.loss));
            write!(line, "{command}{x:.2} {y:.2}").expect("a String takes every write");
            line
        });
    let (first, last) = (&points[0], &points[points.len() - 1]);
    let place = Place::of(points.iter().map(|p| p.loss), 4);
    let summary = format!(
        "Training loss from {} at epoch {} to {} at epoch {}",
        place.show(first.loss),
        first.epoch,
        place.show(last.loss),
        last.epoch,
    );

    html! {
        svg class="loss" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(summary) {
            @for (value, label) in losses.ticks() {
                line class="grid" x1=(LEFT) x2=(RIGHT) y1=(px(y(value))) y2=(px(y(value))) {}
                text class="tick" x=(LEFT - 8.0) y=(px(y(value) + 4.5)) text-anchor="end" {
                    (label)
                }
            }
            @for (value, label) in epochs.ticks() {
                line class="base" x1=(px(x(value))) x2=(px(x(value)))
                    y1=(BOTTOM) y2=(BOTTOM + 5.0) {}
                text class="tick" x=(px(x(value))) y=(BOTTOM + 22.0) text-anchor="middle" {
                    (label)
                }
            }
            line class="base" x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
            text class="axis" x=(RIGHT) y=(BOTTOM + 50.0) text-anchor="end" { "epoch" }
            text class="axis" text-anchor="end"
                transform=(format!("translate(16 {TOP}) rotate(-90)")) {
                "loss"
            }
            path class="line" d=(line) {}
            circle class="end" cx=(px(x(last.epoch as f64))) cy=(px(y(last.loss))) r="4" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_spans_the_axes() {
        let points = [(1, 5.0), (2, 3.0), (3, 0.0)].map(|(epoch, loss)| LossPoint {
            epoch,
            loss,
            signs: Vec::new(),
        });
        let svg = loss_curve(&points).into_string();
        assert!(
            svg.contains(r#"d="M76.00 14.00L347.00 102.00L618.00 234.00""#),
            "{svg}"
        );
        assert!(svg.contains("from 5.000 at epoch 1 to 0.000 at epoch 3"));
    }

    #[test]
    fn a_single_epoch_is_a_dot() {
        let svg = loss_curve(&[LossPoint {
            epoch: 0,
            loss: 2.0,
            signs: Vec::new(),
        }])
        .into_string();
        assert!(svg.contains("circle") && !svg.contains("NaN"));
    }
}
