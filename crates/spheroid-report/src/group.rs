//! How the groups of an experiment are told apart: by word, shape and colour.

use maud::{Markup, html};
use spheroid_core::Group;

use crate::shape::Shape;

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

/// The shape of the group's marks.
pub(crate) fn shape(group: Group) -> Shape {
    match group {
        Group::Untreated => Shape::Circle,
        Group::SingleDose => Shape::Diamond,
        Group::DrugScreened => Shape::Square,
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
    shape(group).mark(class(group), None, (x, y), 1.0)
}

/// Symbols and names of all groups for a legend.
pub(crate) fn legend() -> impl Iterator<Item = (Markup, String)> {
    ALL.into_iter()
        .map(|group| (marker(group, 0.0, 0.0), label(group).to_owned()))
}
