//! Views of one thing, one at a time: radio buttons that the style sheet turns into tabs.

use maud::{Markup, html};

/// The first of `panels` is shown until a reader chooses another; on paper all are shown in turn.
///
/// `name` is for the page's own use and once on it; at most four panels, which the style sheet knows.
pub(crate) fn tabs(name: &str, question: &str, panels: &[(&str, Markup)]) -> Markup {
    if let [(_, only)] = panels {
        return only.clone();
    }
    html! {
        fieldset class="tabs" {
            legend { (question) }
            @for (index, (title, _)) in panels.iter().enumerate() {
                @let id = format!("{name}-{index}");
                input type="radio" name=(name) id=(id)
                    checked=[(index == 0).then_some("checked")];
                label for=(id) { (title) }
            }
            @for (title, body) in panels {
                div class="panel" {
                    h4 { (title) }
                    (body)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_is_checked_and_one_alone_has_no_tab() {
        let panel = |title| (title, html! { p { (title) } });
        assert_eq!(tabs("t", "By", &[panel("a")]).into_string(), "<p>a</p>");
        let html = tabs("t", "By", &[panel("a"), panel("b")]).into_string();
        let first = "id=\"t-0\" checked=\"checked\"><label for=\"t-0\">a</label>";
        assert!(html.contains(first), "{html}");
        assert_eq!(html.matches("checked").count(), 2);
        assert_eq!(html.matches("name=\"t\"").count(), 2);
    }
}
