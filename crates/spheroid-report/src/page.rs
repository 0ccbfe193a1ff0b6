//! The page: its sections in order of what a reader asks first.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use spheroid_core::{Group, Warning};

use crate::{
    Comparison, PredictorSkill, RankingRow, Report, WellScore, axis::Axis, forest::forest, group,
    loss_curve::loss_curve, number::Place, plate_map::plate_map, thumbnails::thumbnails,
};

/// The browser may show what stands in the file and may fetch or run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Renders a report that has passed its checks.
pub(crate) fn render(report: &Report) -> Markup {
    let mut ranking: Vec<&RankingRow> = report.ranking.iter().collect();
    ranking.sort_by_key(|row| row.rank);
    let has_methods = !(report.predictors.is_empty() && report.comparisons.is_empty());
    let sections = [
        ("summary", "Summary", Some(summary(report))),
        (
            "ranking",
            "Ranking",
            Some(ranking_section(report, &ranking)),
        ),
        (
            "plate",
            "Plate map",
            (!report.wells.is_empty()).then(|| plates(report)),
        ),
        (
            "images",
            "Images",
            (!report.thumbnails.is_empty()).then(|| thumbnails(&report.thumbnails, &ranking)),
        ),
        (
            "training",
            "Training",
            (!report.training.is_empty()).then(|| training(report)),
        ),
        (
            "methods",
            "Predictors and comparisons",
            has_methods.then(|| methods(report)),
        ),
        (
            "settings",
            "Settings",
            (!report.settings.is_empty()).then(|| settings(report)),
        ),
    ];
    let sections = sections
        .iter()
        .filter_map(|(id, title, body)| Some((id, title, body.as_ref()?)));

    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (report.title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    h1 { (report.title) }
                    p class="facts" {
                        (report.plate) " · " (usize::from(report.format)) "-well format · "
                        (counted(report.ranking.len(), "treatment")) " · "
                        (counted(report.wells.len(), "scored well"))
                    }
                    nav aria-label="Sections" {
                        @for (id, title, _) in sections.clone() {
                            a href={ "#" (id) } { (title) }
                        }
                    }
                }
                main {
                    @for (id, title, body) in sections {
                        section id=(id) {
                            h2 { (title) }
                            (body)
                        }
                    }
                }
                footer { "Made by spheroid-report " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}

fn summary(report: &Report) -> Markup {
    html! {
        @for (index, sentence) in report.verdict.iter().enumerate() {
            p class=[(index == 0).then_some("lead")] { (sentence) }
        }
        @if report.warnings.is_empty() {
            p class="quiet" { "No warnings." }
        } @else {
            div class="warnings" {
                h3 { (counted(report.warnings.len(), "warning")) }
                ul { @for warning in &report.warnings { li { (warning_item(warning)) } } }
            }
        }
    }
}

/// A warning with all that it concerns; a long list is folded.
fn warning_item(warning: &Warning) -> Markup {
    const SHOWN: usize = 10;
    let items = warning.items.join(", ");
    html! {
        @if warning.items.len() <= SHOWN {
            (warning.items.len()) " × " (warning.what) ": " span class="items" { (items) }
        } @else {
            details {
                summary { (warning.items.len()) " × " (warning.what) }
                span class="items" { (items) }
            }
        }
    }
}

fn ranking_section(report: &Report, ranking: &[&RankingRow]) -> Markup {
    let has_intervals = ranking.iter().any(|row| row.interval.is_some());
    let has_rank_intervals = ranking.iter().any(|row| row.rank_interval.is_some());
    let ends = ranking
        .iter()
        .flat_map(|row| row.interval)
        .flat_map(|(low, high)| [low, high]);
    let place = Place::of(ranking.iter().map(|row| row.score).chain(ends), 4);
    html! {
        figure {
            (forest(ranking, &report.wells, &report.score_name))
            figcaption {
                p class="key" {
                    @for group in group::ALL {
                        span { (group::glyph(group)) " " (group::label(group)) }
                    }
                }
                p {
                    "Large mark: score of the treatment"
                    @if has_intervals { "; bar: " (report.interval_name) }
                    @if !report.wells.is_empty() { "; small dots: its wells" }
                    @if ranking.iter().any(|row| row.group == Group::Untreated) {
                        "; dashed line: untreated"
                    }
                    ". Farther right is farther from untreated growth."
                }
            }
        }
        div class="scroll" role="region" aria-label="Ranking table" tabindex="0" {
            table {
                caption { "Treatments by " (report.score_name) ", strongest effect first" }
                thead {
                    tr {
                        th scope="col" class="number" {
                            "Rank" @if has_rank_intervals { small { "range" } }
                        }
                        th scope="col" { "Treatment" }
                        th scope="col" class="number" {
                            "Score" @if has_intervals { small { (report.interval_name) } }
                        }
                        th scope="col" class="number" { "Wells" }
                    }
                }
                tbody {
                    @for row in ranking {
                        tr {
                            td class="number" {
                                (row.rank)
                                @if let Some((best, worst)) = row.rank_interval {
                                    small { (best) "–" (worst) }
                                }
                            }
                            th scope="row" {
                                (row.treatment)
                                small {
                                    (group::glyph(row.group)) " " (group::label(row.group))
                                    @if !row.doses.is_empty() { " · " (row.doses) }
                                }
                            }
                            td class="number" {
                                (place.show(row.score))
                                @if let Some((low, high)) = row.interval {
                                    small { (place.show(low)) " to " (place.show(high)) }
                                }
                            }
                            td class="number" { (row.wells) }
                        }
                    }
                }
            }
        }
    }
}

fn plates(report: &Report) -> Markup {
    let mut wells: Vec<&WellScore> = report.wells.iter().collect();
    wells.sort_by_key(|well| (&well.plate, well.well));
    let plates: Vec<&[&WellScore]> = wells.chunk_by(|a, b| a.plate == b.plate).collect();
    let scores = || wells.iter().map(|well| well.score);
    let scale = Axis::within(scores(), 8);
    let place = Place::of(scores(), 4);
    html! {
        @for &wells in &plates {
            @if plates.len() > 1 { h3 { (wells[0].plate) } }
            figure {
                (plate_map(report.format, wells, &scale))
                figcaption {
                    p class="key" {
                        @for group in group::ALL {
                            span {
                                i class={ "swatch " (group::class(group)) } {}
                                " " (group::label(group))
                            }
                        }
                        span { i class="swatch absent" {} " not scored" }
                    }
                    p {
                        "Colour: " (report.score_name)
                        @if plates.len() > 1 { "; one scale for all plates" }
                        "."
                    }
                }
            }
        }
        details {
            summary { "Scores of all wells" }
            table {
                caption { "Wells by plate and position" }
                thead {
                    tr {
                        th scope="col" { "Well" }
                        th scope="col" { "Treatment" }
                        th scope="col" class="number" { "Score" }
                    }
                }
                tbody {
                    @for well in &wells {
                        tr {
                            th scope="row" { (well.plate) " " (well.well) }
                            td { (well.treatment) small { (group::label(well.group)) } }
                            td class="number" { (place.show(well.score)) }
                        }
                    }
                }
            }
        }
    }
}

fn training(report: &Report) -> Markup {
    html! {
        figure {
            (loss_curve(&report.training))
            figcaption { p { "Mean loss of each training epoch." } }
        }
    }
}

fn methods(report: &Report) -> Markup {
    html! {
        @if !report.predictors.is_empty() {
            (figures(
                "Forecast of untreated wells that the predictor did not see. Skill is 1 − error / \
                 error of persistence: 1 is perfect, 0 is no better than to say that nothing \
                 changes.",
                ["Predictor", "Skill"],
                report.predictors.iter().map(|PredictorSkill { name, skill }| {
                    (name, Place(-3).show(*skill))
                }),
            ))
        }
        @if !report.comparisons.is_empty() {
            (figures(
                "Comparisons",
                ["Figure", "Value"],
                report.comparisons.iter().map(|Comparison { name, value }| {
                    (name, Place::of([*value], 3).show(*value))
                }),
            ))
        }
    }
}

/// A table of names and values.
fn figures<'a>(
    caption: &str,
    heads: [&str; 2],
    rows: impl Iterator<Item = (&'a String, String)>,
) -> Markup {
    html! {
        table class="pairs" {
            caption { (caption) }
            thead {
                tr {
                    th scope="col" { (heads[0]) }
                    th scope="col" class="number" { (heads[1]) }
                }
            }
            tbody {
                @for (name, value) in rows {
                    tr {
                        th scope="row" { (name) }
                        td class="number" { (value) }
                    }
                }
            }
        }
    }
}

fn settings(report: &Report) -> Markup {
    html! {
        table class="pairs settings" {
            caption { "Settings and seeds of the run that made this report" }
            thead {
                tr {
                    th scope="col" { "Setting" }
                    th scope="col" { "Value" }
                }
            }
            tbody {
                @for (name, value) in &report.settings {
                    tr {
                        th scope="row" { (name) }
                        td { (value) }
                    }
                }
            }
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
