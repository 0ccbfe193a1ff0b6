//! Whether each plate can carry a ranking, and what position on the plate explains.

use maud::{Markup, html};

use crate::{
    PlateQualityRow, PositionRow,
    number::{Place, p_text},
};

/// What the top of the page says of plates that cannot carry a ranking; nothing when all can.
pub(crate) fn banner(quality: &[PlateQualityRow]) -> Markup {
    html! {
        @if quality.iter().any(|row| !row.able) {
            aside class="banner" aria-label="Plates that cannot carry a ranking" {
                @for row in quality.iter().filter(|row| !row.able) {
                    p { strong { "✕ Plate " (row.plate) " cannot carry a ranking." } " " (row.reason) }
                }
            }
        }
    }
}

/// The table of verdicts and figures, and that of positions.
pub(crate) fn quality(quality: &[PlateQualityRow], position: &[PositionRow]) -> Markup {
    html! {
        @if !quality.is_empty() { (verdicts(quality)) }
        @if !position.is_empty() { (positions(position)) }
    }
}

fn verdicts(quality: &[PlateQualityRow]) -> Markup {
    // Columns in the order in which the plates first name them.
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in quality.iter().flat_map(|row| &row.figures) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let figure = |row: &PlateQualityRow, name: &str| {
        let found = row.figures.iter().find(|(of, _)| of == name);
        match found.and_then(|(_, value)| *value) {
            Some(value) => Place::of([value], 3).show(value),
            None => "–".to_owned(),
        }
    };
    html! {
        div class="scroll" role="region" aria-label="Quality of plates" tabindex="0" {
            table class="quality" {
                caption {
                    span { "Plates, and whether untreated and reference wells lie far enough apart" }
                }
                thead {
                    tr {
                        th scope="col" { "Plate" }
                        th scope="col" { "Verdict" }
                        th scope="col" class="number" { "Untreated" small { "wells" } }
                        th scope="col" class="number" { "Reference" small { "wells" } }
                        @for name in &names { th scope="col" class="number" { (name) } }
                    }
                }
                tbody {
                    @for row in quality {
                        tr {
                            th scope="row" { (row.plate) }
                            td class={ "verdict " (if row.able { "able" } else { "unable" }) } {
                                b {
                                    @if row.able { "✓ can carry a ranking" }
                                    @else { "✕ cannot carry a ranking" }
                                }
                                small { (row.reason) }
                            }
                            td class="number" { (row.untreated) }
                            td class="number" { (row.reference) }
                            @for name in &names { td class="number" { (figure(row, name)) } }
                        }
                    }
                }
            }
        }
    }
}

fn positions(position: &[PositionRow]) -> Markup {
    let has_p = position.iter().any(|row| row.p_value.is_some());
    html! {
        table class="pairs" {
            caption {
                "How much of the spread of scores the position on the plate explains: near 0 when \
                 position does not matter"
            }
            thead {
                tr {
                    th scope="col" { "Plate" }
                    th scope="col" { "Position" }
                    th scope="col" class="number" { "Share" }
                    @if has_p { th scope="col" class="number" { "p" } }
                }
            }
            tbody {
                @for row in position {
                    tr {
                        th scope="row" { (row.plate) }
                        td { (row.position) }
                        td class="number" { (format!("{:.1} %", 100.0 * row.share)) }
                        @if has_p {
                            td class="number" { (row.p_value.map_or("–".to_owned(), p_text)) }
                        }
                    }
                }
            }
        }
    }
}
