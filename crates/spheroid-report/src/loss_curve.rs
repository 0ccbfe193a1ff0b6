//! Training loss and signs of collapse against epoch.

use std::fmt::Write;

use maud::html;

use crate::{
    LossPoint,
    axis::Axis,
    number::Place,
    plot::{Frame, Plot, shortened},
};

/// Longest name of a sign over its chart, in characters.
const NAME: usize = 36;

/// `points` by increasing epoch, at least one.
pub(crate) fn loss_curve(points: &[LossPoint]) -> Plot {
    let line: Vec<(usize, f64)> = points.iter().map(|p| (p.epoch, p.loss)).collect();
    chart("Training loss", &line, &LARGE)
}

/// A small chart of every sign, in the order in which the epochs first name them.
pub(crate) fn sign_curves(points: &[LossPoint]) -> Vec<(&str, Plot)> {
    let mut lines: Vec<(&str, Vec<(usize, f64)>)> = Vec::new();
    for point in points {
        for (name, value) in &point.signs {
            match lines.iter_mut().find(|(known, _)| known == name) {
                Some((_, line)) => line.push((point.epoch, *value)),
                None => lines.push((name, vec![(point.epoch, *value)])),
            }
        }
    }
    let charts = lines.into_iter();
    charts
        .map(|(name, line)| (name, chart(name, &line, &SMALL)))
        .collect()
}

/// Sizes of a chart.
struct Layout {
    class: &'static str,
    size: (f64, f64),
    frame: Frame,
    /// Most intervals between the ticks of either axis.
    intervals: (usize, usize),
    /// Whether the name stands over the chart; it names the upright axis otherwise.
    headed: bool,
}

const LARGE: Layout = Layout {
    class: "loss",
    size: (640.0, 300.0),
    frame: Frame {
        left: 76.0,
        right: 618.0,
        top: 14.0,
        bottom: 234.0,
    },
    intervals: (8, 5),
    headed: false,
};

const SMALL: Layout = Layout {
    class: "loss small",
    size: (320.0, 196.0),
    frame: Frame {
        left: 56.0,
        right: 304.0,
        top: 32.0,
        bottom: 146.0,
    },
    intervals: (4, 3),
    headed: true,
};

fn chart(name: &str, points: &[(usize, f64)], layout: &Layout) -> Plot {
    let frame = layout.frame;
    let epochs = Axis::within(points.iter().map(|p| p.0 as f64), layout.intervals.0).whole();
    let values = Axis::around(points.iter().map(|p| p.1), layout.intervals.1);
    let x = |epoch: usize| frame.x(epochs.position(epoch as f64));
    let y = |value: f64| frame.y(values.position(value));
    let line =
        points
            .iter()
            .enumerate()
            .fold(String::new(), |mut line, (index, &(epoch, value))| {
                let command = if index == 0 { 'M' } else { 'L' };
                write!(line, "{command}{:.2} {:.2}", x(epoch), y(value))
                    .expect("a String takes every write");
                line
            });
    let (first, last) = (points[0], points[points.len() - 1]);
    let place = Place::of(points.iter().map(|p| p.1), 4);
    let body = html! {
        @if layout.headed { text class="name" x="8" y="18" { (shortened(name, NAME)) } }
        (frame.y_grid(&values.marks()))
        (frame.x_marks(&epochs.marks()))
        (frame.base())
        @let y_title = if layout.headed { "" } else { "loss" };
        (frame.titles((if layout.headed { 42.0 } else { 50.0 }, "epoch"), (16.0, y_title)))
        path class="line" d=(line) {}
        circle class="end" cx=(x(last.0)) cy=(y(last.1)) r="4" {}
    };
    Plot {
        class: layout.class,
        size: layout.size,
        label: format!(
            "{name} from {} at epoch {} to {} at epoch {}",
            place.show(first.1),
            first.0,
            place.show(last.1),
            last.0,
        ),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(epoch: usize, loss: f64) -> LossPoint {
        LossPoint {
            epoch,
            loss,
            signs: Vec::new(),
        }
    }

    #[test]
    fn the_line_spans_the_axes() {
        let points = [point(1, 5.0), point(2, 3.0), point(3, 0.0)];
        let svg = loss_curve(&points).inline().into_string();
        assert!(
            svg.contains(r#"d="M76.00 14.00L347.00 102.00L618.00 234.00""#),
            "{svg}"
        );
        assert!(svg.contains("from 5.000 at epoch 1 to 0.000 at epoch 3"));
    }

    #[test]
    fn a_single_epoch_is_a_dot() {
        let svg = loss_curve(&[point(0, 2.0)]).inline().into_string();
        assert!(svg.contains("circle") && !svg.contains("NaN"));
    }

    #[test]
    fn a_sign_that_starts_late_has_its_own_epochs() {
        let mut points = [point(1, 1.0), point(2, 1.0), point(3, 1.0)];
        points[0].signs = vec![("rank".into(), 8.0)];
        points[1].signs = vec![("spread".into(), 0.5), ("rank".into(), 6.0)];
        points[2].signs = vec![("rank".into(), 4.0), ("spread".into(), 0.25)];
        let charts = sign_curves(&points);
        let labels: Vec<&str> = charts.iter().map(|(_, plot)| plot.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "rank from 8.000 at epoch 1 to 4.000 at epoch 3",
                "spread from 0.5000 at epoch 2 to 0.2500 at epoch 3",
            ]
        );
    }
}
