use super::*;

fn problems_of(path: &str, text: &str) -> Vec<String> {
    file_problems(&RustFile { path: path.to_owned(), text: text.to_owned() }).unwrap()
}

#[test]
fn names_are_cut_into_words_in_either_spelling() {
    assert_eq!(words("RxBurst"), ["rx", "burst"]);
    assert_eq!(words("rx_burst_max"), ["rx", "burst", "max"]);
    assert_eq!(words("Ipv4Addr"), ["ipv4", "addr"]);
}

#[test]
fn hollow_names_are_found_wherever_they_are_given() {
    for text in [
        "struct BufferManager;",
        "enum EventHandler {}",
        "type Util = u8;",
        "trait Helpers {}",
        "mod common;",
        "fn helper() {}",
        "impl T { fn packet_handler() {} }",
        "mod m { fn f() { fn parse_util() {} } }",
    ] {
        let problems = problems_of("crates/x/src/a.rs", &format!("//! X.\n{text}\n"));
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with("crates/x/src/a.rs:2: "), "{problems:?}");
    }
}

#[test]
fn names_that_only_contain_the_letters_are_fine() {
    let text = "//! X.\nfn utilization() {}\nfn handle() {}\nstruct Commons;\n\
                impl Foreign for T { fn set_handler() {} }\nfn f() { set_handler(); }\n";
    assert_eq!(problems_of("crates/x/src/a.rs", text), Vec::<String>::new());
}

#[test]
fn unsafe_is_found_in_code_and_in_macro_calls_but_not_in_text() {
    for text in ["unsafe fn f() {}", "unsafe impl Send for T {}", "m! { unsafe { f() } }"] {
        let text = format!("//! X.\n{text}\n");
        assert_eq!(problems_of("crates/crore/src/a.rs", &text).len(), 1, "{text}");
        assert_eq!(problems_of("crates/mem/src/a.rs", &text).len(), 0, "{text}");
    }
    let text = "//! unsafe\n#![forbid(unsafe_code)]\n/// unsafe\nconst S: &str = \"unsafe\";\n";
    assert_eq!(problems_of("crates/wire/src/a.rs", text), Vec::<String>::new());
}

#[test]
fn a_place_for_unsafe_is_a_folder_or_one_file() {
    assert!(unsafe_is_allowed("crates/driver/src/xdp/ring.rs"));
    assert!(!unsafe_is_allowed("crates/driverless/src/lib.rs"));
}

#[test]
fn a_file_says_what_it_is_for() {
    assert!(problems_of("crates/x/src/a.rs", "fn f() {}\n")[0].contains("no `//!`"));
    assert_eq!(problems_of("crates/x/src/tests.rs", "fn f() {}\n"), Vec::<String>::new());
}
