//! How the groups of an experiment are told apart: by word, shape and colour.

use maud::{Markup, html};
use spheroid_core::Group;

/// The groups in the order of legends.
pub(crate) const ALL: [Group; 3] = [Group::Untreated, Group::SingleDose, Group::DrugScreened];

/// The name for readers.
pub(crate) fn label(group: Group) -> &'static str {
    match group {
        Group::Untreated => "untreated",
        Group::SingleDose => "single dose",
        Group::DrugScreened => "drug screened",
    }
}

/// The class that the style sheet colours.
pub(crate) fn class(group: Group) -> &'static str {
    match group {
        Group::Untreated => "untreated",
        Group::SingleDose => "single",
        Group::DrugScreened => "screened",
    }
}

/// The character of the group's shape, for text.
pub(crate) fn glyph(group: Group) -> Markup {
    let shape = match group {
        Group::Untreated => "●",
        Group::SingleDose => "◆",
        Group::DrugScreened => "■",
    };
    html! { span class={ "glyph " (class(group)) } aria-hidden="true" { (shape) } }
}

/// The group's shape as part of a plot, centred on (`x`, `y`).
pub(crate) fn marker(group: Group, x: f64, y: f64) -> Markup {
    let outline = match group {
        Group::Untreated => format!("M{:.2} {y:.2}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z", x - 5.0),
        Group::SingleDose => format!("M{x:.2} {:.2}l6 6l-6 6l-6 -6z", y - 6.0),
        Group::DrugScreened => format!("M{:.2} {:.2}h9v9h-9z", x - 4.5, y - 4.5),
    };
    html! { path class={ "marker " (class(group)) } d=(outline) {} }
}
