use super::*;

fn recorded(text: &str) -> Excess {
    parse(text).unwrap()
}

const LONG: &str = "[functions]\n\"crates/x/src/a.rs::f\" = 80\n";

#[test]
fn the_same_size_as_recorded_is_no_problem() {
    assert_eq!(growth(&recorded(LONG), &recorded(LONG)), Vec::<String>::new());
    assert_eq!(shrinkage(&recorded(LONG), &recorded(LONG)), Vec::<String>::new());
}

#[test]
fn a_new_excess_is_a_problem() {
    let problems = growth(&recorded(""), &recorded(LONG));
    assert_eq!(
        problems,
        ["crates/x/src/a.rs::f: 80 lines; a function is split into named steps before 70"]
    );
}

#[test]
fn an_entry_that_grew_is_a_problem() {
    let problems = growth(&recorded(LONG), &recorded(&LONG.replace("80", "81")));
    assert!(problems[0].ends_with("it was recorded with 80"), "{problems:?}");
}

#[test]
fn an_entry_that_shrank_must_be_written_down() {
    let problems = shrinkage(&recorded(LONG), &recorded(&LONG.replace("80", "79")));
    assert!(problems[0].contains("has 79 now: `cargo xtask ratchet --write`"), "{problems:?}");
}

#[test]
fn an_entry_that_vanished_must_be_removed() {
    let problems = shrinkage(&recorded(LONG), &recorded(""));
    assert!(problems[0].contains("is within the limit now"), "{problems:?}");
}

#[test]
fn one_kind_does_not_excuse_another() {
    let problems = growth(&recorded(&LONG.replace("functions", "files")), &recorded(LONG));
    assert_eq!(problems.len(), 1);
}

#[test]
fn what_is_written_is_read_back_as_it_was() {
    let excess = recorded(&format!("{LONG}[files]\n\"a.rs\" = 700\n[wide_lines]\n\"b.rs\" = 2\n"));
    assert_eq!(parse(&render(&excess)).unwrap(), excess);
}

#[test]
fn a_table_that_nobody_reads_is_an_error() {
    assert!(parse("[widelines]\n\"a.rs\" = 1\n").unwrap_err().to_string().contains("[widelines]"));
}
