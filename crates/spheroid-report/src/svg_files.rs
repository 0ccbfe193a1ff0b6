//! Every plot of a report under the name of its file.

use std::collections::HashSet;

use crate::{
    RankingRow, Report,
    combinations::combinations,
    dose_response::{dose_response, score_axis},
    embedding_map::{Colour, embedding_map},
    forest::forest,
    loss_curve::{loss_curve, sign_curves},
    plate_map::PlateMaps,
    plot::Plot,
};

/// Longest part of a file's name that comes from the report's text, in bytes.
const LONGEST: usize = 80;

/// Names of files, each once, and what they hold; `report` has passed its checks.
pub(crate) fn plots(report: &Report) -> Vec<(String, Plot)> {
    let mut names = Names::default();
    let mut plots = Vec::new();
    let mut add = |parts: &[&str], plot| plots.push((names.unique(parts), plot));

    let mut ranking: Vec<&RankingRow> = report.ranking.iter().collect();
    ranking.sort_by_key(|row| row.rank);
    add(
        &["ranking"],
        forest(&ranking, &report.wells, &report.score_name),
    );
    let maps = PlateMaps::new(report);
    for plate in maps.plates() {
        for measure in maps.measures() {
            add(
                &["plate", plate, &measure.label().to_lowercase()],
                maps.draw(plate, measure),
            );
        }
    }
    let scores = score_axis(&report.dose_responses);
    for response in &report.dose_responses {
        add(&["dose", &response.drug], dose_response(response, &scores));
    }
    if !report.combinations.is_empty() {
        add(&["combinations"], combinations(&report.combinations));
    }
    if let Some(map) = report
        .embedding_map
        .as_ref()
        .filter(|map| !map.points.is_empty())
    {
        for colour in Colour::of(map) {
            add(
                &["embedding", &colour.label().to_lowercase()],
                embedding_map(map, colour),
            );
        }
    }
    if !report.training.is_empty() {
        add(&["training"], loss_curve(&report.training));
        for (sign, plot) in sign_curves(&report.training) {
            add(&["training", sign], plot);
        }
    }
    plots
}

/// Names of files that were given away, in lower case: some file systems know no other.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// The `parts`, made safe and joined by hyphens; numbered when that name is taken.
    fn unique(&mut self, parts: &[&str]) -> String {
        let stem = parts
            .iter()
            .map(|part| safe(part))
            .collect::<Vec<_>>()
            .join("-");
        let numbered = (2..).map(|number| format!("{stem}-{number}.svg"));
        std::iter::once(format!("{stem}.svg"))
            .chain(numbered)
            .find(|name| self.0.insert(name.to_lowercase()))
            .expect("there are more numbers than plots")
    }
}

/// `text` with everything but ASCII letters and digits as single hyphens.
fn safe(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(LONGEST);
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_collide_are_numbered() {
        let mut names = Names::default();
        let given = ["../x", "a/b", "A b", "a-b-2", "a:b", "", "µ"];
        let given = given.map(|name| names.unique(&["dose", name]));
        assert_eq!(
            given,
            [
                "dose-x.svg",
                "dose-a-b.svg",
                "dose-A-b-2.svg",
                "dose-a-b-2-2.svg",
                "dose-a-b-3.svg",
                "dose-unnamed.svg",
                "dose-unnamed-2.svg",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_a_plain_file_name(texts in prop::collection::vec(".*", 1..8)) {
            let mut names = Names::default();
            let mut seen = HashSet::new();
            for text in &texts {
                let name = names.unique(&["plate", text, "score"]);
                let stem = name.strip_suffix(".svg").expect("the ending is fixed");
                prop_assert!(stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
                prop_assert!(name.len() < 120);
                prop_assert!(seen.insert(name.to_lowercase()));
            }
        }
    }
}
