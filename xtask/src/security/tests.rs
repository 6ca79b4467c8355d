use super::{Found, problems_of};

const SOURCE: &str = "
    pub half_open_max: u32,
    \"bad_cookie\",
    #[test]
    fn a_flood_is_survived() {
    fn no_test() {
";

fn problems(row: &str) -> Vec<String> {
    let mut found = Found::default();
    found.take_in(SOURCE);
    let page = format!("| attack | setting | counter | test |\n|---|---|---|---|\n{row}\n");
    problems_of(&page, &found)
}

#[test]
fn a_row_whose_names_exist_is_in_order() {
    let row = "| flood | `half_open_max` | `bad_cookie` | `a_flood_is_survived` |";
    assert_eq!(problems(row), Vec::<String>::new());
}

#[test]
fn names_that_do_not_exist_are_found() {
    let expected = [
        ("| flood | `nothing` | | `a_flood_is_survived` |", "no setting `nothing`"),
        ("| flood | | `nothing` | `a_flood_is_survived` |", "no counter `nothing`"),
        ("| flood | | | `no_test` |", "no test `no_test`"),
        ("| flood | | | |", "no test"),
        ("| flood | | `a_flood_is_survived` |", "3 cells, not 4"),
    ];
    for (row, complaint) in expected {
        let problems = problems(row);
        assert!(problems.len() == 1 && problems[0].contains(complaint), "{row}: {problems:?}");
    }
}

#[test]
fn a_page_without_tables_is_no_page() {
    assert_eq!(problems_of("nothing", &Found::default()).len(), 1);
}
