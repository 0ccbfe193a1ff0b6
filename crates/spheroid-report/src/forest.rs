//! Forest plot: the score of every treatment with its interval and its wells.

use maud::{Markup, html};
use spheroid_core::Group;

use crate::{
    RankingRow, WellScore,
    axis::Axis,
    group,
    number::Place,
    plot::{Frame, Plot, legend, legend_height, px, shortened},
    ranking::tiers,
};

const WIDTH: f64 = 640.0;
/// Left and right end of the axis.
const PLOT: (f64, f64) = (256.0, 628.0);
const TOP: f64 = 6.0;
const ROW: f64 = 34.0;
/// Longest name of a treatment, in characters, that stands beside the plot on a phone.
const NAME: usize = 22;

/// Rows from top to bottom as in `ranking`, which has at least one.
pub(crate) fn forest(ranking: &[&RankingRow], wells: &[WellScore], score_name: &str) -> Plot {
    let dots = |row| well_scores(wells, row);
    let axis = Axis::around(
        ranking.iter().copied().flat_map(|row| {
            let ends = row.interval.into_iter().flat_map(|(low, high)| [low, high]);
            ends.chain([row.score]).chain(dots(row)).collect::<Vec<_>>()
        }),
        6,
    );
    let frame = Frame {
        left: PLOT.0,
        right: PLOT.1,
        top: TOP,
        bottom: TOP + ROW * ranking.len() as f64,
    };
    let x = |value: f64| frame.x(axis.position(value));
    let bottom = frame.bottom;
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

    let groups: Vec<_> = group::legend().collect();
    let body = html! {
        (tier_bands(ranking))
        (frame.x_grid(&axis.marks()))
        text class="axis" x=(PLOT.1) y=(bottom + 48.0) text-anchor="end" {
            (shortened(score_name, 66))
        }
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
        (frame.base())
        (legend(&groups, (28.0, WIDTH), bottom + 58.0, 3))
    };
    Plot {
        class: "forest",
        size: (WIDTH, bottom + 64.0 + legend_height(groups.len(), 3)),
        label: summary,
        body,
    }
}

/// Every other tier as a shaded band, and a rule between neighbouring tiers.
fn tier_bands(ranking: &[&RankingRow]) -> Markup {
    let mut from = 0;
    let runs = tiers(ranking).map(|rows| {
        let run = (from, rows.len());
        from += rows.len();
        run
    });
    html! {
        @for (index, (first, rows)) in runs.enumerate() {
            @let y = TOP + ROW * first as f64;
            @if index % 2 == 1 {
                rect class="tier-band" x="0" y=(y) width=(WIDTH) height=(ROW * rows as f64) {}
            }
            @if index > 0 { line class="tier-rule" x1="0" x2=(WIDTH) y1=(y) y2=(y) {} }
        }
    }
}

fn well_scores<'a>(wells: &'a [WellScore], row: &'a RankingRow) -> impl Iterator<Item = f64> {
    wells
        .iter()
        .filter(|well| well.treatment == row.treatment)
        .map(|well| well.score)
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
        let svg = forest(&rows.each_ref(), &[], "score")
            .inline()
            .into_string();
        // 0 and 10 are the ends of the axis, 5 is half way: 256, 628 and 442.
        assert!(svg.contains("M442.00 19.00v8m0 -4H628.00m0 -4v8"), "{svg}");
        assert!(svg.contains("transform=\"translate(256 57)\""), "{svg}");
        assert!(svg.contains("Top: 1. treatment 1: 10.00, interval 5.00 to 10.00."));
    }

    #[test]
    fn one_row_is_enough() {
        let svg = forest(&[&row(1, 3.0, None)], &[], "score")
            .inline()
            .into_string();
        assert!(!svg.contains("NaN") && !svg.contains("class=\"interval"));
    }

    #[test]
    fn tiers_are_set_apart() {
        let mut rows = [row(1, 3.0, None), row(2, 2.0, None), row(3, 1.0, None)];
        for (row, tier) in rows.iter_mut().zip([1, 2, 2]) {
            row.tier = Some(tier);
        }
        let svg = forest(&rows.each_ref(), &[], "score")
            .inline()
            .into_string();
        assert_eq!(svg.matches("tier-rule").count(), 1);
        assert!(
            svg.contains("class=\"tier-band\" x=\"0\" y=\"40\" width=\"640\" height=\"68\""),
            "{svg}"
        );
    }
}
