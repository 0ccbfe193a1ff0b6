//! The way from the images on disk to the ranked wells.

use maud::{Markup, html};

use crate::AuditStep;

/// Longest list that is not folded.
const SHOWN: usize = 10;

/// One row a step, in order.
pub(crate) fn audit(steps: &[AuditStep]) -> Markup {
    html! {
        table class="audit" {
            caption { "From the images on disk to the ranked wells: what each step left and dropped" }
            thead {
                tr {
                    th scope="col" { "Step" }
                    th scope="col" class="number" { "Kept" }
                    th scope="col" { "Dropped" }
                }
            }
            tbody {
                @for step in steps {
                    tr {
                        th scope="row" { (step.step) }
                        td class="number" { (step.kept) }
                        td { (listed(&step.dropped)) }
                    }
                }
            }
        }
    }
}

/// How many `items` there are, then their names; many are folded.
pub(crate) fn listed(items: &[String]) -> Markup {
    let names = items.join(", ");
    html! {
        @if items.is_empty() {
            span class="quiet" { "none" }
        } @else if items.len() <= SHOWN {
            (items.len()) ": " span class="items" { (names) }
        } @else {
            details {
                summary { (items.len()) }
                span class="items" { (names) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_folded_and_whole() {
        let items: Vec<String> = (0..=SHOWN).map(|index| format!("P1:A{index:02}")).collect();
        let short = listed(&items[1..]).into_string();
        assert!(short.starts_with("10: ") && !short.contains("<details>"));
        let long = listed(&items).into_string();
        assert!(long.contains("<summary>11</summary>"));
        assert!(items.iter().all(|item| long.contains(item)));
    }
}
