//! Shapes of marks, which tell apart what colour alone must not.

use maud::{Markup, html};

use crate::{colour::Rgb, plot::px};

/// The outline of a mark about 10 units wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Circle,
    Diamond,
    Square,
    Up,
    Down,
    Plus,
}

impl Shape {
    pub(crate) const ALL: [Self; 6] = [
        Self::Circle,
        Self::Diamond,
        Self::Square,
        Self::Up,
        Self::Down,
        Self::Plus,
    ];

    /// A path around the origin.
    fn outline(self) -> &'static str {
        match self {
            Self::Circle => "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
            Self::Diamond => "M0 -6l6 6l-6 6l-6 -6z",
            Self::Square => "M-4.5 -4.5h9v9h-9z",
            Self::Up => "M0 -6l5.5 10h-11z",
            Self::Down => "M0 6l5.5 -10h-11z",
            Self::Plus => "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
        }
    }

    /// The shape at (x, y), `scale` times its size; the style sheet colours `class` unless `fill` does.
    pub(crate) fn mark(
        self,
        class: &str,
        fill: Option<Rgb>,
        (x, y): (f64, f64),
        scale: f64,
    ) -> Markup {
        let mut place = format!("translate({} {})", px(x), px(y));
        if scale != 1.0 {
            place.push_str(&format!(" scale({scale})"));
        }
        // A style and not an attribute: a rule of the style sheet wins over an attribute.
        let style = fill.map(|fill| format!("fill:{fill}"));
        html! {
            path class={ "marker " (class) } d=(self.outline()) transform=(place) style=[style] {}
        }
    }
}
