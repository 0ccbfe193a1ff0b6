//! The table of the ranking.

use maud::{Markup, html};

use crate::{
    RankingRow, group,
    number::{Place, p_text},
};

/// Rows in the order of `ranking`; neighbours of one tier stand behind one bracket.
pub(crate) fn table(ranking: &[&RankingRow], score_name: &str, interval_name: &str) -> Markup {
    let has = |of: fn(&RankingRow) -> bool| ranking.iter().any(|row| of(row));
    let has_intervals = has(|row| row.interval.is_some());
    let has_rank_intervals = has(|row| row.rank_interval.is_some());
    let has_p = has(|row| row.p_value.is_some());
    let has_q = has(|row| row.q_value.is_some());
    let has_tiers = has(|row| row.tier.is_some());
    let ends = ranking
        .iter()
        .flat_map(|row| row.interval)
        .flat_map(|(low, high)| [low, high]);
    let place = Place::of(ranking.iter().map(|row| row.score).chain(ends), 4);
    html! {
        div class="scroll" role="region" aria-label="Ranking table" tabindex="0" {
            table class="ranking" {
                caption {
                    span {
                        "Treatments by " (score_name) ", strongest effect first."
                        @if has_tiers {
                            " A bracket on the left holds one tier: the data cannot tell its treatments \
                             apart, so their order within the tier means little."
                        }
                        @if has_p { " p: against untreated wells." }
                        @if has_q { " q: the same, adjusted for the number of treatments." }
                    }
                }
                thead {
                    tr {
                        @if has_tiers { th scope="col" class="tier" { "Tier" } }
                        th scope="col" class="number" {
                            "Rank" @if has_rank_intervals { small { "range" } }
                        }
                        th scope="col" { "Treatment" }
                        th scope="col" class="number" {
                            "Score" @if has_intervals { small { (interval_name) } }
                        }
                        @if has_p { th scope="col" class="number" { "p" } }
                        @if has_q { th scope="col" class="number" { "q (FDR)" } }
                        th scope="col" class="number" { "Wells" }
                    }
                }
                @for rows in tiers(ranking) {
                    tbody {
                        @for (index, row) in rows.iter().enumerate() {
                            tr {
                                @if has_tiers && index == 0 { (bracket(row.tier, rows.len())) }
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
                                @if has_p { td class="number" { (shown(row.p_value)) } }
                                @if has_q { td class="number" { (shown(row.q_value)) } }
                                td class="number" { (row.wells) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Runs of neighbours of one tier.
pub(crate) fn tiers<'a, 'b>(
    ranking: &'a [&'b RankingRow],
) -> impl Iterator<Item = &'a [&'b RankingRow]> {
    ranking.chunk_by(|a, b| a.tier == b.tier)
}

fn bracket(tier: Option<usize>, rows: usize) -> Markup {
    html! {
        @match tier {
            Some(tier) => th scope="rowgroup" rowspan=(rows) class="tier bracket" { (tier) },
            None => td rowspan=(rows) class="tier" { "–" },
        }
    }
}

fn shown(p: Option<f64>) -> String {
    p.map_or("–".to_owned(), p_text)
}

#[cfg(test)]
mod tests {
    use spheroid_core::Group;

    use super::*;

    fn row(rank: usize, tier: Option<usize>) -> RankingRow {
        RankingRow {
            rank,
            treatment: format!("treatment {rank}"),
            group: Group::DrugScreened,
            doses: String::new(),
            score: 1.0,
            interval: None,
            rank_interval: None,
            wells: 1,
            p_value: (rank == 1).then_some(0.0004),
            q_value: None,
            tier,
        }
    }

    #[test]
    fn a_bracket_spans_its_tier() {
        let rows = [
            row(1, Some(1)),
            row(2, Some(1)),
            row(3, Some(2)),
            row(4, None),
        ];
        let html = table(&rows.each_ref(), "score", "interval").into_string();
        assert_eq!(html.matches("<tbody>").count(), 3);
        for (rows, tier) in [(2, 1), (1, 2)] {
            let bracket =
                format!("<th scope=\"rowgroup\" rowspan=\"{rows}\" class=\"tier bracket\">{tier}<");
            assert_eq!(html.matches(&bracket).count(), 1, "{html}");
        }
        assert!(html.contains("cannot tell its treatments apart"));
    }

    #[test]
    fn columns_without_values_are_left_out() {
        let rows = [row(1, None), row(2, None)];
        let html = table(&rows.each_ref(), "score", "interval").into_string();
        assert!(html.contains(">p</th>") && html.contains("&lt;0.001") && html.contains(">–<"));
        assert!(!html.contains("q (FDR)") && !html.contains("tier"));
    }
}
