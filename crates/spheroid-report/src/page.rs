//! The page: its sections in order of what a reader asks first.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use spheroid_core::{Group, Warning, WellId};

use crate::{
    CombinationRow, Comparison, EmbeddingMap, PredictorSkill, RankingRow, Report, WellScore,
    audit::{audit, listed},
    combinations,
    dose_response::{dose_response, score_axis},
    embedding_map::{Colour, embedding_map},
    forest::forest,
    group,
    loss_curve::{loss_curve, sign_curves},
    number::{Place, p_text},
    plate_map::PlateMaps,
    plot,
    quality::{banner, quality},
    ranking,
    tabs::tabs,
    thumbnails::thumbnails,
};

/// The browser may show what stands in the file and may fetch or run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Renders a report that has passed its checks.
pub(crate) fn render(report: &Report) -> Markup {
    let mut ranking: Vec<&RankingRow> = report.ranking.iter().collect();
    ranking.sort_by_key(|row| row.rank);
    let has_quality = !(report.quality.is_empty() && report.position.is_empty());
    let has_wells = !(report.wells.is_empty() && report.failed.is_empty());
    let has_methods = !(report.predictors.is_empty() && report.comparisons.is_empty());
    let sections = [
        ("summary", "Summary", Some(summary(report))),
        (
            "quality",
            "Plate quality",
            has_quality.then(|| quality(&report.quality, &report.position)),
        ),
        (
            "ranking",
            "Ranking",
            Some(ranking_section(report, &ranking)),
        ),
        ("plate", "Plate map", has_wells.then(|| plates(report))),
        (
            "doses",
            "Dose response",
            (!report.dose_responses.is_empty()).then(|| doses(report)),
        ),
        (
            "combinations",
            "Combinations",
            (!report.combinations.is_empty()).then(|| combination_section(&report.combinations)),
        ),
        (
            "map",
            "Embedding map",
            report
                .embedding_map
                .as_ref()
                .filter(|map| !map.points.is_empty())
                .map(map_section),
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
            "audit",
            "Audit trail",
            (!report.audit.is_empty()).then(|| audit(&report.audit)),
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
                style { (PreEscaped(plot::STYLE)) (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (banner(&report.quality))
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
    html! {
        figure {
            (forest(ranking, &report.wells, &report.score_name).inline())
            figcaption {
                p {
                    "Large mark: score of the treatment"
                    @if has_intervals { "; bar: " (report.interval_name) }
                    @if !report.wells.is_empty() { "; small dots: its wells" }
                    @if ranking.iter().any(|row| row.group == Group::Untreated) {
                        "; dashed line: untreated"
                    }
                    @if ranking.iter().any(|row| row.tier.is_some()) {
                        "; shaded and plain bands: tiers, whose treatments cannot be told apart"
                    }
                    ". Farther right is farther from untreated growth."
                }
            }
        }
        (ranking::table(ranking, &report.score_name, &report.interval_name))
    }
}

fn plates(report: &Report) -> Markup {
    let mut wells: Vec<&WellScore> = report.wells.iter().collect();
    wells.sort_by_key(|well| (&well.plate, well.well));
    let maps = PlateMaps::new(report);
    let measures = maps.measures();
    let panels: Vec<(&str, Markup)> = measures
        .into_iter()
        .map(|measure| {
            let drawn = html! {
                @for plate in maps.plates() { figure { (maps.draw(plate, measure).inline()) } }
            };
            (measure.label(), drawn)
        })
        .collect();
    html! {
        @if maps.plates().len() > 1 {
            p class="quiet" { "Colours have one scale for all plates." }
        }
        (tabs("plates", "Colour wells by", &panels))
        @if !wells.is_empty() {
            details {
                summary { "Scores of all wells" }
                (well_table(&wells, &report.area_name))
            }
        }
        @if !report.failed.is_empty() { (failed(report)) }
    }
}

fn well_table(wells: &[&WellScore], area_name: &str) -> Markup {
    let place = Place::of(wells.iter().map(|well| well.score), 4);
    let area_place = Place::of(wells.iter().filter_map(|well| well.area), 4);
    let has_area = wells.iter().any(|well| well.area.is_some());
    let has_p = wells.iter().any(|well| well.p_value.is_some());
    let has_flags = wells.iter().any(|well| !well.flags.is_empty());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    html! {
        div class="scroll" role="region" aria-label="Wells" tabindex="0" {
            table {
                caption { span { "Wells by plate and position" } }
                thead {
                    tr {
                        th scope="col" { "Well" }
                        th scope="col" { "Treatment" }
                        th scope="col" class="number" { "Score" }
                        @if has_p { th scope="col" class="number" { "p" } }
                        @if has_area { th scope="col" class="number" { (area_name) } }
                        @if has_flags { th scope="col" { "Flags" } }
                    }
                }
                tbody {
                    @for well in wells {
                        tr {
                            th scope="row" { (well.plate) " " (well.well) }
                            td { (well.treatment) small { (group::label(well.group)) } }
                            td class="number" { (place.show(well.score)) }
                            @if has_p { td class="number" { (or_dash(well.p_value.map(p_text))) } }
                            @if has_area {
                                td class="number" {
                                    (or_dash(well.area.map(|area| area_place.show(area))))
                                }
                            }
                            @if has_flags { td { (well.flags.join(", ")) } }
                        }
                    }
                }
            }
        }
    }
}

/// The wells that were not ranked, by reason.
fn failed(report: &Report) -> Markup {
    let mut reasons: BTreeMap<&str, Vec<(&str, WellId)>> = BTreeMap::new();
    for well in &report.failed {
        let wells = reasons.entry(&well.reason).or_default();
        wells.push((&well.plate, well.well));
    }
    let names = |wells: &mut Vec<(&str, WellId)>| -> Vec<String> {
        wells.sort_unstable();
        let names = wells.iter().map(|(plate, well)| format!("{plate} {well}"));
        names.collect()
    };
    html! {
        table class="audit failed" {
            caption { (counted(report.failed.len(), "well")) " not ranked" }
            thead {
                tr {
                    th scope="col" { "Reason" }
                    th scope="col" { "Wells" }
                }
            }
            tbody {
                @for (reason, wells) in &mut reasons {
                    tr {
                        th scope="row" { (reason) }
                        td { (listed(&names(wells))) }
                    }
                }
            }
        }
    }
}

fn doses(report: &Report) -> Markup {
    let scores = score_axis(&report.dose_responses);
    html! {
        p class="quiet" {
            "Score: " (report.score_name) ", on one axis for all drugs. Dots: wells; curve: the fit; \
             dashed line: the EC50, the concentration of half the effect; shaded: its interval, \
             which has no edge on a side that the data leave open."
        }
        div class="multiples" {
            @for response in &report.dose_responses {
                figure {
                    (dose_response(response, &scores).inline())
                    figcaption {
                        @if !response.figures.is_empty() {
                            p class="key" {
                                @for (name, value) in &response.figures {
                                    span { (name) " " (Place::of([*value], 3).show(*value)) }
                                }
                            }
                        }
                        @for note in &response.notes { p { (note) } }
                    }
                }
            }
        }
    }
}

fn combination_section(rows: &[CombinationRow]) -> Markup {
    let place = combinations::place(rows);
    let has_intervals = rows.iter().any(|row| row.interval.is_some());
    html! {
        figure {
            (combinations::combinations(rows).inline())
            figcaption {
                p {
                    "Above 0 the combination does more than its drugs alone lead to expect, below 0 \
                     less. What is expected depends on the model."
                }
            }
        }
        table class="combined" {
            caption { "Effect of combinations beyond the expected one" }
            thead {
                tr {
                    th scope="col" { "Combination" }
                    th scope="col" { "Model" }
                    th scope="col" class="number" {
                        "Excess" @if has_intervals { small { "interval" } }
                    }
                }
            }
            @for (treatment, rows) in combinations::by_treatment(rows) {
                tbody {
                    @for (index, row) in rows.iter().enumerate() {
                        tr {
                            @if index == 0 {
                                th scope="rowgroup" rowspan=(rows.len()) { (treatment) }
                            }
                            td { (row.model) }
                            td class="number" {
                                (place.show(row.excess))
                                @if let Some((low, high)) = row.interval {
                                    small { (place.show(low)) " to " (place.show(high)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn map_section(map: &EmbeddingMap) -> Markup {
    let panels: Vec<(&str, Markup)> = Colour::of(map)
        .into_iter()
        .map(|colour| {
            let plot = embedding_map(map, colour);
            (colour.label(), html! { figure { (plot.inline()) } })
        })
        .collect();
    html! {
        p class="quiet" {
            "Each mark is a well on one day; wells that look alike lie close together. One unit is \
             as long along both axes."
        }
        (tabs("map", "Colour points by", &panels))
    }
}

fn training(report: &Report) -> Markup {
    let signs = sign_curves(&report.training);
    html! {
        figure {
            (loss_curve(&report.training).inline())
            figcaption { p { "Mean loss of each training epoch." } }
        }
        @if !signs.is_empty() {
            h3 { "Signs of collapse" }
            div class="multiples" {
                @for (_, plot) in &signs { figure { (plot.inline()) } }
            }
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
