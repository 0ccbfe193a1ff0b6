//! The bar that says which colour is which value.

use maud::{Markup, html};

use crate::{colour::viridis, plot::px};

/// Height of the bar with its labels and title.
pub(crate) const HEIGHT: f64 = 66.0;
/// Steps of the colour bar.
const STEPS: usize = 64;

/// A bar between the `edges`, `marks` at positions from 0 to 1 along it, and a title below.
pub(crate) fn colour_bar(
    edges: (f64, f64),
    top: f64,
    marks: &[(f64, String)],
    title: &str,
) -> Markup {
    let at = |position: f64| edges.0 + position * (edges.1 - edges.0);
    html! {
        @for step in 0..STEPS {
            @let (from, to) = (step as f64, step as f64 + 1.0);
            // Neighbours overlap by a unit, or the background shines through between them.
            @let overlap = if step + 1 < STEPS { 1.0 } else { 0.0 };
            rect x=(px(at(from / STEPS as f64))) y=(px(top)) height="14"
                width=(px((edges.1 - edges.0) / STEPS as f64 + overlap))
                fill=(viridis((from + to) / 2.0 / STEPS as f64)) {}
        }
        @for (position, label) in marks {
            @let x = px(at(*position));
            line class="base" x1=(x) x2=(x) y1=(px(top + 14.0)) y2=(px(top + 19.0)) {}
            text class="tick" x=(x) y=(px(top + 36.0)) text-anchor="middle" { (label) }
        }
        text class="axis" x=(px(edges.1)) y=(px(top + 60.0)) text-anchor="end" { (title) }
    }
}
