//! What all plots share: the picture around them, axes, legends.

use maud::{Markup, PreEscaped, html};

/// Looks of the plots, for the page and for files of their own.
pub(crate) const STYLE: &str = include_str!("plot.css");

/// Distance of the rows of a legend.
const LEGEND_ROW: f64 = 27.0;

/// A drawing that stands in the page or in a file of its own.
pub(crate) struct Plot {
    /// The class that the style sheet of the page sizes.
    pub class: &'static str,
    /// Width and height in units of about a pixel.
    pub size: (f64, f64),
    /// What it shows, in words.
    pub label: String,
    pub body: Markup,
}

impl Plot {
    /// For the page.
    pub(crate) fn inline(&self) -> Markup {
        html! {
            svg class=(self.class) viewBox=(self.view_box()) role="img" aria-label=(self.label) {
                (self.body)
            }
        }
    }

    /// A whole file: white background, its own style sheet, text as text.
    pub(crate) fn file(&self) -> String {
        let (width, height) = self.size;
        let picture = html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(format!("{height:.2}"))
                viewBox=(self.view_box()) role="img" aria-label=(self.label)
                font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12" {
                style { (PreEscaped(STYLE)) }
                rect width="100%" height="100%" fill="#fff" {}
                (self.body)
            }
        };
        // HTML shows control characters somehow; XML with them is not XML.
        picture.into_string().replace(
            |c: char| {
                (c < ' ' && !matches!(c, '\t' | '\n' | '\r'))
                    || matches!(c, '\u{fffe}' | '\u{ffff}')
            },
            "\u{fffd}",
        )
    }

    fn view_box(&self) -> String {
        format!("0 0 {} {:.2}", self.size.0, self.size.1)
    }
}

/// The rectangle between the axes of a plot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    /// Where `position`, 0 at the left to 1 at the right, lies.
    pub(crate) fn x(&self, position: f64) -> f64 {
        px(self.left + position * (self.right - self.left))
    }

    /// Where `position`, 0 at the bottom to 1 at the top, lies.
    pub(crate) fn y(&self, position: f64) -> f64 {
        px(self.bottom - position * (self.bottom - self.top))
    }

    /// Labels below the frame at positions from 0 to 1, each under a short mark.
    pub(crate) fn x_marks(&self, marks: &[(f64, String)]) -> Markup {
        html! {
            @for (position, label) in marks {
                @let x = self.x(*position);
                line class="base" x1=(x) x2=(x) y1=(self.bottom) y2=(self.bottom + 5.0) {}
                text class="tick" x=(x) y=(self.bottom + 22.0) text-anchor="middle" { (label) }
            }
        }
    }

    /// Upright lines across the frame at positions from 0 to 1, with labels below it.
    pub(crate) fn x_grid(&self, marks: &[(f64, String)]) -> Markup {
        html! {
            @for (position, label) in marks {
                @let x = self.x(*position);
                line class="grid" x1=(x) x2=(x) y1=(self.top) y2=(self.bottom) {}
                text class="tick" x=(x) y=(self.bottom + 20.0) text-anchor="middle" { (label) }
            }
        }
    }

    /// Level lines across the frame at positions from 0 to 1, with labels on the left.
    pub(crate) fn y_grid(&self, marks: &[(f64, String)]) -> Markup {
        html! {
            @for (position, label) in marks {
                @let y = self.y(*position);
                line class="grid" x1=(self.left) x2=(self.right) y1=(y) y2=(y) {}
                text class="tick" x=(self.left - 8.0) y=(px(y + 4.5)) text-anchor="end" { (label) }
            }
        }
    }

    /// The lower edge.
    pub(crate) fn base(&self) -> Markup {
        html! {
            line class="base" x1=(self.left) x2=(self.right) y1=(self.bottom) y2=(self.bottom) {}
        }
    }

    /// Titles of the axes: one `below` the frame by that much, one along the left edge at `left`.
    pub(crate) fn titles(
        &self,
        (below, x_title): (f64, &str),
        (left, y_title): (f64, &str),
    ) -> Markup {
        html! {
            text class="axis" x=(self.right) y=(self.bottom + below) text-anchor="end" { (x_title) }
            text class="axis" text-anchor="end"
                transform=(format!("translate({left} {}) rotate(-90)", self.top)) { (y_title) }
        }
    }
}

/// Symbols, each drawn around the origin, and what they mean; in `columns` columns.
pub(crate) fn legend(
    entries: &[(Markup, String)],
    frame: (f64, f64),
    top: f64,
    columns: usize,
) -> Markup {
    let step = (frame.1 - frame.0) / columns as f64;
    html! {
        @for (index, (symbol, text)) in entries.iter().enumerate() {
            @let x = px(frame.0 + step * (index % columns) as f64 + 10.0);
            @let y = px(top + LEGEND_ROW * ((index / columns) as f64 + 0.5));
            g transform=(format!("translate({x} {y})")) {
                (symbol)
                text x="16" y="4.5" { (text) }
            }
        }
    }
}

/// Height of a legend of `entries` in `columns`.
pub(crate) fn legend_height(entries: usize, columns: usize) -> f64 {
    LEGEND_ROW * entries.div_ceil(columns) as f64
}

/// `name` with its middle left out when longer than `most` characters: names of doses and
/// combinations often differ at their ends.
pub(crate) fn shortened(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let tail = (most - 1) / 2;
    let head: String = name.chars().take(most - 1 - tail).collect();
    let end: String = name.chars().skip(length - tail).collect();
    format!("{}…{}", head.trim_end(), end.trim_start())
}

/// A coordinate to the hundredth of a unit, which no screen resolves.
pub(crate) fn px(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("cisplatin", 9), "cisplatin");
        assert_eq!(shortened("cisplatin 10 µM", 9), "cisp…0 µM");
        assert_eq!(shortened("ab", 1), "…");
    }

    #[test]
    fn a_file_holds_no_character_that_xml_forbids() {
        let plot = Plot {
            class: "any",
            size: (10.0, 20.0),
            label: "a\0b\u{1b}c\td".into(),
            body: html! { text { "\u{ffff}<script>" } },
        };
        let file = plot.file();
        assert!(file.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\""));
        assert!(
            file.contains("\"a\u{fffd}b\u{fffd}c\td\"") && file.contains(">\u{fffd}&lt;script")
        );
    }
}
