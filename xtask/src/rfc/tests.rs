use super::*;

fn rfc(toml: &str) -> Vec<Rfc> {
    vec![requirements::parse(toml).unwrap()]
}

fn citation(id: &str, is_test: bool) -> Citation {
    let (path, item) = ("crates/x/src/a.rs".to_owned(), "f".to_owned());
    Citation { id: id.to_owned(), path, line: 7, item, is_test }
}

const TWO: &str = r#"
rfc = 9293
title = "TCP"
[[requirement]]
id = "MUST-1"
section = "3.1"
strength = "MUST"
statement = "Windows are unsigned."
status = "done"
[[requirement]]
id = "MUST-30"
section = "3.8.5"
strength = "MUST"
statement = "Urgent data."
status = "not done"
because = "of RFC 6093"
"#;

#[test]
fn what_is_done_and_cited_is_in_order() {
    assert_eq!(disagreements(&rfc(TWO), &[citation("MUST-1", false)]), Vec::<String>::new());
}

#[test]
fn what_is_done_needs_a_citation_in_the_code() {
    let problems = disagreements(&rfc(TWO), &[citation("MUST-1", true)]);
    assert_eq!(problems, ["MUST-1 is said to be done, but no line of code cites it"]);
}

#[test]
fn a_citation_names_what_exists_and_is_done() {
    let cited = ["MUST-1", "MUST-99", "MUST-30"].map(|id| citation(id, false));
    let problems = disagreements(&rfc(TWO), &cited);
    assert_eq!(problems[0], "crates/x/src/a.rs:7: there is no requirement MUST-99");
    assert!(problems[1].contains("MUST-30 is cited as obeyed"), "{problems:?}");
    assert_eq!(problems.len(), 2);
}

#[test]
fn the_list_of_untested_requirements_only_shrinks() {
    let measured = untested::of(&rfc(TWO), &[citation("MUST-1", false)]);
    assert!(measured.contains("MUST-1") && measured.len() == 1);
    let none = std::collections::BTreeSet::new();
    assert_eq!(untested::growth(&none, &measured).len(), 1);
    assert_eq!(untested::growth(&measured, &measured), Vec::<String>::new());
    assert!(untested::shrinkage(&measured, &none)[0].contains("MUST-1"));
    assert!(untested::of(&rfc(TWO), &[citation("MUST-1", true)]).is_empty());
}

#[test]
fn a_table_says_why_something_is_not_done() {
    let silent = TWO.replace("because = \"of RFC 6093\"\n", "");
    assert!(format!("{:#}", requirements::parse(&silent).unwrap_err()).contains("because"));
    let misspelt = TWO.replace("because", "becuase");
    assert!(requirements::parse(&misspelt).is_err());
    let twice = TWO.replace("MUST-30", "MUST-1");
    assert!(requirements::parse(&twice).unwrap_err().to_string().contains("twice"));
}

#[test]
fn the_page_links_functions_and_gives_reasons() {
    let cited = [citation("MUST-1", false), citation("MUST-1", true)];
    let pages = pages::all(&rfc(TWO), &cited);
    let (path, text) = &pages[1];
    assert_eq!(path, "docs/rfc/rfc9293.md");
    assert!(
        text.contains(
            "| MUST-1 | 3.1 | MUST: Windows are unsigned. | [`f`](../../crates/x/src/a.rs)"
        )
    );
    assert!(text.contains("**not done**, because of RFC 6093"));
    assert!(pages[0].1.contains("| [9293](rfc9293.md) | TCP | 1 | 1 | 1 | 0 | 0 | 0 |"));
}
