//! Forest plot: the score of every treatment with its interval and its wells.

use maud::{Markup, html};
use spheroid_core::Group;

use crate::{
    RankingRow, WellScore,
    axis::Axis,
    group,
    number::{Place, px},
};

const WIDTH: f64 = 640.0;
/// Left and right end of the axis.
const PLOT: (f64, f64) = (256.0, 628.0);
const TOP: f64 = 6.0;
const ROW: f64 = 34.0;
/// Longest name of a treatment, in characters, that stands beside the plot on a phone.
const NAME: usize = 22;

/// Rows from top to bottom as in `ranking`, which has at least one.
pub(crate) fn forest(ranking: &[&RankingRow], wells: &[WellScore], score_name: &str) -> Markup {
    let dots = |row| well_scores(wells, row);
    let axis = Axis::around(
        ranking.iter().copied().flat_map(|row| {
            let ends = row.interval.into_iter().flat_map(|(low, high)| [low, high]);
            ends.chain([row.score]).chain(dots(row)).collect::<Vec<_>>()
        }),
        6,
    );
    let x = |value: f64| PLOT.0 + axis.position(value) * (PLOT.1 - PLOT.0);
    let bottom = TOP + ROW * ranking.len() as f64;
    let place = Place::of(ranking.iter().map(|row| row.score), 4);
    let describe = |row: &RankingRow| {
        let score = place.show(row.score);
        let interval = row.interval.map_or_else(String::new, |(low, high)| {
            format!(", interval {} to {}", place.show(low), place.show(high))
        });
        format!("{}. {}: {score}{interval}", row.rank, row.treatment)
    };
    let summary = format!(
        "Forest plot of {} treatments by {score_name}. Top: {}. Bottom: {}.",
        ranking.len(),
        describe(ranking[0]),
        describe(ranking[ranking.len() - 1]),
    );

    html! {
        svg class="forest" viewBox=(format!("0 0 {WIDTH} {}", bottom + 62.0)) role="img"
            aria-label=(summary) {
            @for (value, label) in axis.ticks() {
                line class="grid" x1=(px(x(value))) x2=(px(x(value))) y1=(TOP) y2=(bottom) {}
                text class="tick" x=(px(x(value))) y=(bottom + 20.0) text-anchor="middle" {
                    (label)
                }
            }
            text class="axis" x=(PLOT.1) y=(bottom + 48.0) text-anchor="end" { (score_name) }
            @for row in ranking.iter().filter(|row| row.group == Group::Untreated) {
                line class="reference" x1=(px(x(row.score))) x2=(px(x(row.score)))
                    y1=(TOP) y2=(bottom) {}
            }
            @for (index, row) in ranking.iter().copied().enumerate() {
                @let y = TOP + ROW * (index as f64 + 0.5);
                g {
                    title { (describe(row)) }
                    // An invisible band, so that the title shows anywhere in the row.
                    rect x="0" y=(y - ROW / 2.0) width=(WIDTH) height=(ROW) fill="transparent" {}
                    text class="rank" x="24" y=(y + 4.5) text-anchor="end" { (row.rank) }
                    text x="34" y=(y + 4.5) { (shortened(&row.treatment, NAME)) }
                    @for score in dots(row) {
                        circle class={ "dot " (group::class(row.group)) }
                            cx=(px(x(score))) cy=(y + 10.0) r="2.8" {}
                    }
                    @if let Some((low, high)) = row.interval {
                        path class={ "interval " (group::class(row.group)) }
                            d=(format!(
                                "M{:.2} {:.2}v8m0 -4H{:.2}m0 -4v8", x(low), y - 4.0, x(high)
                            )) {}
                    }
                    (group::marker(row.group, x(row.score), y))
                }
            }
            line class="base" x1=(PLOT.0) x2=(PLOT.1) y1=(bottom) y2=(bottom) {}
        }
    }
}

fn well_scores<'a>(wells: &'a [WellScore], row: &'a RankingRow) -> impl Iterator<Item = f64> {
    wells
        .iter()
        .filter(|well| well.treatment == row.treatment)
        .map(|well| well.score)
}

/// `name` with its middle left out when longer than `most` characters: names of doses and
/// combinations often differ at their ends.
fn shortened(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let tail = (most - 1) / 2;
    let head: String = name.chars().take(most - 1 - tail).collect();
    let end: String = name.chars().skip(length - tail).collect();
    format!("{}…{}", head.trim_end(), end.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rank: usize, score: f64, interval: Option<(f64, f64)>) -> RankingRow {
        RankingRow {
            rank,
            treatment: format!("treatment {rank}"),
            group: Group::DrugScreened,
            doses: String::new(),
            score,
            interval,
            rank_interval: None,
            wells: 1,
            p_value: None,
            q_value: None,
            tier: None,
        }
    }

    #[test]
    fn scores_lie_in_proportion_on_the_axis() {
        let rows = [row(1, 10.0, Some((5.0, 10.0))), row(2, 0.0, None)];
        let svg = forest(&rows.each_ref(), &[], "score").into_string();
        // 0 and 10 are the ends of the axis, 5 is half way: 256, 628 and 442.
        assert!(svg.contains("M442.00 19.00v8m0 -4H628.00m0 -4v8"), "{svg}");
        assert!(svg.contains("M251.50 52.50h9v9h-9z"), "{svg}");
        assert!(svg.contains("Top: 1. treatment 1: 10.00, interval 5.00 to 10.00."));
    }

    #[test]
    fn one_row_is_enough() {
        let svg = forest(&[&row(1, 3.0, None)], &[], "score").into_string();
        assert!(!svg.contains("NaN") && !svg.contains("class=\"interval"));
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("cisplatin", 9), "cisplatin");
        assert_eq!(shortened("cisplatin 10 µM", 9), "cisp…0 µM");
        assert_eq!(shortened("ab", 1), "…");
    }
}
