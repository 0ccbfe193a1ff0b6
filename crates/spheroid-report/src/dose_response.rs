//! Score against concentration: a small plot a drug, with one axis of scores for all.

use std::fmt::Write;

use maud::{Markup, html};

use crate::{
    DoseResponse,
    axis::{Axis, LogAxis},
    number::Place,
    plot::{Frame, Plot, px, shortened},
};

const SIZE: (f64, f64) = (320.0, 268.0);
const FRAME: Frame = Frame {
    left: 56.0,
    right: 306.0,
    top: 46.0,
    bottom: 216.0,
};
/// Width at the left end for the concentration 0, which a logarithmic axis does not have.
const ZERO: f64 = 46.0;
/// Longest name of a drug and longest title, in characters.
const NAME: usize = 36;
const TITLE: usize = 42;

/// The axis of scores that fits all of `responses`.
pub(crate) fn score_axis(responses: &[DoseResponse]) -> Axis {
    let all = responses
        .iter()
        .flat_map(|r| r.points.iter().chain(&r.curve));
    Axis::around(all.map(|&(_, score)| score), 4)
}

/// Draws a response that has passed its checks.
pub(crate) fn dose_response(response: &DoseResponse, scores: &Axis) -> Plot {
    let DoseResponse {
        drug, unit, points, ..
    } = response;
    let doses = dose_axis(response);
    let has_zero = points.iter().any(|&(dose, _)| dose == 0.0);
    // The part of the frame that the logarithmic axis takes.
    let log = Frame {
        left: FRAME.left + if has_zero { ZERO } else { 0.0 },
        ..FRAME
    };
    let zero = FRAME.left + 14.0;
    let x = |dose: f64| {
        if dose == 0.0 {
            zero
        } else {
            log.x(doses.position(dose))
        }
    };
    let y = |score: f64| FRAME.y(scores.position(score));
    let place = Place::of(points.iter().map(|p| p.1), 3);
    let body = html! {
        text class="name" x="8" y="18" { (shortened(drug, NAME)) }
        text class="axis" x="8" y="36" { (shortened(&ec50_text(response), TITLE)) }
        (FRAME.y_grid(&scores.marks()))
        (log.x_marks(&doses.marks(5)))
        @if has_zero {
            text class="tick" x=(zero) y=(FRAME.bottom + 22.0) text-anchor="middle" { "0" }
            // The axis stops, two strokes say that something is left out, and it goes on.
            path class="base" d=(format!(
                "M{} {bottom}h28m-3 5l6 -10m6 0l-6 10m3 -5H{}",
                FRAME.left, FRAME.right, bottom = FRAME.bottom,
            )) {}
        } @else {
            (FRAME.base())
        }
        (FRAME.titles(
            (44.0, &shortened(&format!("concentration ({unit})"), TITLE)),
            (14.0, "score"),
        ))
        (half_effect(response, &doses, &log))
        @for &(dose, score) in points {
            circle class="measured" cx=(x(dose)) cy=(y(score)) r="3.5" {
                title { (concentration(dose, unit)) ": " (place.show(score)) }
            }
        }
        @if !response.curve.is_empty() {
            path class="curve" d=(curve(&response.curve, x, y)) {}
        }
    };
    Plot {
        class: "dose small",
        size: SIZE,
        label: format!(
            "Score of {drug} against its concentration in {} wells. {}.",
            points.len(),
            ec50_text(response),
        ),
        body,
    }
}

/// Spans the positive concentrations of points and curve.
fn dose_axis(response: &DoseResponse) -> LogAxis {
    let doses = response.points.iter().chain(&response.curve);
    LogAxis::within(doses.map(|&(dose, _)| dose).filter(|&dose| dose > 0.0))
}

fn curve(points: &[(f64, f64)], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
        .iter()
        .enumerate()
        .fold(String::new(), |mut path, (index, &(dose, score))| {
            let command = if index == 0 { 'M' } else { 'L' };
            write!(path, "{command}{:.2} {:.2}", x(dose), y(score))
                .expect("a String takes every write");
            path
        })
}

/// The EC50 as an upright line in a band; the band has an edge only where its interval ends.
fn half_effect(response: &DoseResponse, doses: &LogAxis, frame: &Frame) -> Markup {
    let edge = |end: Option<f64>| end.filter(|&dose| doses.contains(dose));
    let upright = |class: &str, dose: f64| {
        let x = frame.x(doses.position(dose));
        html! { line class=(class) x1=(x) x2=(x) y1=(frame.top) y2=(frame.bottom) {} }
    };
    html! {
        @if let Some((low, high)) = response.ec50_interval {
            @let left = low.map_or(frame.left, |dose| frame.x(doses.position(dose)));
            @let right = high.map_or(frame.right, |dose| frame.x(doses.position(dose)));
            rect class="half-band" x=(left) y=(frame.top) width=(px(right - left))
                height=(frame.bottom - frame.top) {}
            @for dose in [edge(low), edge(high)].into_iter().flatten() {
                (upright("half-end", dose))
            }
        }
        @if let Some(dose) = edge(response.ec50) { (upright("half", dose)) }
    }
}

fn ec50_text(response: &DoseResponse) -> String {
    let shown = |dose: f64| Place::of([dose], 3).show(dose);
    let Some(ec50) = response.ec50 else {
        return "no EC50".to_owned();
    };
    let interval = match response.ec50_interval {
        Some((Some(low), Some(high))) => format!(" ({} to {})", shown(low), shown(high)),
        Some((Some(low), None)) => format!(" ({} to open)", shown(low)),
        Some((None, Some(high))) => format!(" (open to {})", shown(high)),
        Some((None, None)) => " (open)".to_owned(),
        None => String::new(),
    };
    let outside = if dose_axis(response).contains(ec50) {
        ""
    } else {
        ", not on the axis"
    };
    format!("EC50 {} {}{interval}{outside}", shown(ec50), response.unit)
}

fn concentration(dose: f64, unit: &str) -> String {
    format!("{} {unit}", Place::of([dose], 3).show(dose))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response() -> DoseResponse {
        DoseResponse {
            drug: "drug".into(),
            unit: "µM".into(),
            points: vec![(0.1, 0.0), (10.0, 4.0)],
            curve: vec![(10.0, 4.0), (0.1, 0.0), (1.0, 2.0)],
            ec50: Some(1.0),
            ec50_interval: Some((Some(0.1), None)),
            notes: Vec::new(),
            figures: Vec::new(),
        }
    }

    fn drawn(response: &DoseResponse) -> String {
        let axis = score_axis(std::slice::from_ref(response));
        dose_response(response, &axis).inline().into_string()
    }

    #[test]
    fn concentrations_lie_in_proportion_to_their_logarithm() {
        let svg = drawn(&response());
        // 0.1 and 10 are the ends of the axis, 1 is half way: 56, 306 and 181.
        assert!(
            svg.contains("d=\"M56.00 216.00L181.00 131.00L306.00 46.00\""),
            "{svg}"
        );
        assert!(svg.contains("class=\"half\" x1=\"181\" x2=\"181\""));
        assert!(svg.contains("EC50 1.00 µM (0.100 to open)"));
        // The lower end of the interval has an edge, the open one has none.
        assert_eq!(svg.matches("class=\"half-end\"").count(), 1);
        assert!(svg.contains("class=\"half-band\" x=\"56\" y=\"46\" width=\"250\""));
    }

    #[test]
    fn zero_stands_left_of_the_break() {
        let mut response = response();
        response.points.push((0.0, 1.0));
        let svg = drawn(&response);
        assert!(
            svg.contains("cx=\"70\"") && svg.contains(">0</text>"),
            "{svg}"
        );
        assert!(svg.contains("M102.00 216.00L204.00 131.00L306.00 46.00"));
    }

    #[test]
    fn an_ec50_beyond_the_doses_is_said_and_not_drawn() {
        let mut response = response();
        response.ec50 = Some(1e4);
        let svg = drawn(&response);
        assert!(svg.contains("not on the axis") && !svg.contains("class=\"half\""));
        response.ec50 = None;
        response.ec50_interval = None;
        let svg = drawn(&response);
        assert!(svg.contains("no EC50") && !svg.contains("half"));
    }
}
