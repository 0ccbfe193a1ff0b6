//! What an augmentation does to the tones of an image, as a picture.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use crate::plot::px;

/// One image and one augmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct ToneAuditPanel {
    /// Heading.
    pub title: String,
    /// Share of the pixels in bins of equal width from black to full scale, before.
    pub before: Vec<f64>,
    /// The same after one draw, such as the worst.
    pub after: Vec<f64>,
    /// For every draw the number of distinct values after it, as a multiple of that before.
    pub kept: Vec<f64>,
}

const WIDTH: f64 = 760.0;
const PANEL: f64 = 230.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 180.0;
/// Left and right edges of the histogram, and of the curve.
const HISTOGRAM: (f64, f64) = (60.0, 390.0);
const CURVE: (f64, f64) = (470.0, 740.0);
/// Powers of ten on the logarithmic axes: shares of the pixels, and multiples of distinct values.
const SHARES: (i32, i32) = (-6, 0);
const MULTIPLES: (i32, i32) = (-4, 4);

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1b2127}.tick{fill:#59636d}\
    .title{font-weight:600;font-size:14px}.grid{stroke:#e6eaed}.before{fill:#b9c2ca}\
    .after{fill:none;stroke:#c24e00;stroke-width:1.5}.kept{fill:none;stroke:#0072b2;stroke-width:2}\
    .same{stroke:#59636d;stroke-dasharray:4 4}";

/// An SVG picture of its own: a row a panel, on the left the histograms before and after one draw, on
/// the right the draws by how many distinct values they left. Both upright axes are logarithmic.
///
/// # Example
/// ```
/// use spheroid_report::{ToneAuditPanel, tone_audit_svg};
///
/// let panel = ToneAuditPanel {
///     title: "8 bits".into(),
///     before: vec![0.2, 0.8],
///     after: vec![1.0, 0.0],
///     kept: vec![0.5, 0.9],
/// };
/// assert!(tone_audit_svg(&[panel]).starts_with("<svg"));
/// ```
pub fn tone_audit_svg(panels: &[ToneAuditPanel]) -> String {
    let height = PANEL * panels.len() as f64;
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}"))
            width=(WIDTH) height=(height) {
            style { (PreEscaped(STYLE)) }
            rect width="100%" height="100%" fill="#fff" {}
            @for (index, panel) in panels.iter().enumerate() {
                g transform=(format!("translate(0 {})", PANEL * index as f64)) { (draw(panel)) }
            }
        }
    };
    picture.into_string()
}

/// Where a value lies on a logarithmic axis, from the bottom.
fn height(value: f64, powers: (i32, i32)) -> f64 {
    let (low, high) = (f64::from(powers.0), f64::from(powers.1));
    // Nothing at all lies at the bottom.
    let share = (value.max(f64::MIN_POSITIVE).log10() - low) / (high - low);
    BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
}

fn draw(panel: &ToneAuditPanel) -> Markup {
    let mut kept = panel.kept.clone();
    kept.sort_by(f64::total_cmp);
    let across = |edges: (f64, f64), share: f64| edges.0 + share * (edges.1 - edges.0);
    let same = height(1.0, MULTIPLES);
    html! {
        text class="title" x=(HISTOGRAM.0) y="20" { (panel.title) }
        (grid(HISTOGRAM, SHARES))
        path class="before" d=(steps(&panel.before, true)) {}
        path class="after" d=(steps(&panel.after, false)) {}
        @for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            text class="tick" x=(px(across(HISTOGRAM, share))) y=(BOTTOM + 18.0)
                text-anchor="middle" { (share) }
        }
        text class="tick" x=(HISTOGRAM.1) y=(BOTTOM + 36.0) text-anchor="end" {
            "tone; pixels before (grey), after one draw"
        }
        (grid(CURVE, MULTIPLES))
        line class="same" x1=(CURVE.0) x2=(CURVE.1) y1=(px(same)) y2=(px(same)) {}
        path class="kept" d=(curve(&kept)) {}
        @for share in [0.0, 0.5, 1.0] {
            text class="tick" x=(px(across(CURVE, share))) y=(BOTTOM + 18.0)
                text-anchor="middle" { (format!("{} %", 100.0 * share)) }
        }
        text class="tick" x=(CURVE.1) y=(BOTTOM + 36.0) text-anchor="end" {
            "draws; distinct values, before = 1"
        }
    }
}

fn grid(edges: (f64, f64), powers: (i32, i32)) -> Markup {
    html! {
        @for power in (powers.0..=powers.1).step_by(2) {
            @let y = height(10_f64.powi(power), powers);
            line class="grid" x1=(edges.0) x2=(edges.1) y1=(px(y)) y2=(px(y)) {}
            text class="tick" x=(edges.0 - 8.0) y=(px(y + 4.0)) text-anchor="end" {
                (format!("1e{power}"))
            }
        }
    }
}

/// The outline of a histogram, closed at the bottom or not.
fn steps(shares: &[f64], closed: bool) -> String {
    let width = (HISTOGRAM.1 - HISTOGRAM.0) / shares.len() as f64;
    let mut path = format!("M{} {BOTTOM}", HISTOGRAM.0);
    for (bin, share) in shares.iter().enumerate() {
        let left = HISTOGRAM.0 + width * bin as f64;
        let y = height(*share, SHARES);
        write!(path, "L{left:.2} {y:.2}L{:.2} {y:.2}", left + width)
            .expect("a String takes every write");
    }
    write!(
        path,
        "L{} {BOTTOM}{}",
        HISTOGRAM.1,
        if closed { "Z" } else { "" }
    )
    .expect("a String takes every write");
    path
}

/// Ascending values, drawn by their rank; as many points as can be told apart.
fn curve(kept: &[f64]) -> String {
    const POINTS: usize = 300;
    let points = kept.len().min(POINTS);
    (0..points).fold(String::new(), |mut path, point| {
        let share = point as f64 / (points - 1).max(1) as f64;
        let value = kept[(share * (kept.len() - 1) as f64).round() as usize];
        let x = CURVE.0 + share * (CURVE.1 - CURVE.0);
        let command = if point == 0 { 'M' } else { 'L' };
        write!(path, "{command}{x:.2} {:.2}", height(value, MULTIPLES))
            .expect("a String takes every write");
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_and_curves_stand_where_they_should() {
        assert_eq!(
            steps(&[1.0, 0.0], true),
            "M60 180L60.00 40.00L225.00 40.00L225.00 180.00L390.00 180.00L390 180Z"
        );
        assert_eq!(
            curve(&[1e-4, 1.0, 1e4]),
            "M470.00 180.00L605.00 110.00L740.00 40.00"
        );
        assert_eq!(curve(&[1.0]), "M470.00 110.00");
    }

    #[test]
    fn titles_are_escaped() {
        let panel = ToneAuditPanel {
            title: "<script>".into(),
            before: vec![1.0],
            after: vec![1.0],
            kept: vec![1.0],
        };
        let svg = tone_audit_svg(&[panel]);
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"));
    }
}
