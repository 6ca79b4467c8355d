use std::path::PathBuf;

use crate::{deps, ratchet, rfc, rules, run, security, sources};

#[track_caller]
fn assert_in_order(what: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{what}:\n  {}\n", problems.join("\n  "));
}

fn root() -> PathBuf {
    sources::workspace_root()
}

#[test]
fn dependencies_go_down_only() {
    assert_in_order("dependencies", &deps::problems(&root()).unwrap());
}

#[test]
fn sizes_only_shrink() {
    assert_in_order("sizes", &ratchet::problems(&root()).unwrap());
}

#[test]
fn names_unsafe_and_heads_follow_the_house_rules() {
    assert_in_order("house rules", &rules::problems(&root()).unwrap());
}

#[test]
fn requirements_are_cited_and_their_pages_up_to_date() {
    assert_in_order("requirements", &rfc::problems(&root()).unwrap());
}

#[test]
fn what_the_page_on_security_names_exists() {
    assert_in_order("security", &security::problems(&root()).unwrap());
}

#[test]
fn the_sources_that_are_checked_are_all_found() {
    let found = sources::rust_files(&root()).unwrap();
    for known in ["crates/mem/src/frames.rs", "xtask/src/tests.rs", "apps/echo/src/lib.rs"] {
        assert!(found.iter().any(|file| file.path == known), "{known} was not found");
    }
    assert!(found.iter().all(|file| !file.path.contains("target/")));
}

#[test]
fn an_unknown_chore_is_refused_with_the_list_of_chores() {
    let refusal = run(&["ratchet", "--wirte"]).unwrap_err().to_string();
    assert!(refusal.contains("no such chore: ratchet --wirte"), "{refusal}");
    assert!(refusal.contains("cargo xtask ratchet --write"), "{refusal}");
}
