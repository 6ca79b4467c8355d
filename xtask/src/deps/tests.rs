use super::*;

const WORKSPACE: &str = r#"
[workspace.dependencies]
fast-hash = { package = "foldhash", version = "0.2" }
libc = "0.2"
"#;

fn check(package: &str, rest: &str) -> Vec<String> {
    let manifest = format!("[package]\nname = \"{package}\"\n[lints]\nworkspace = true\n{rest}");
    let manifest = parse("crates/x/Cargo.toml", &manifest).unwrap();
    manifest_problems("crates/x/Cargo.toml", &manifest, &parse("Cargo.toml", WORKSPACE).unwrap())
}

#[test]
fn what_the_picture_draws_is_allowed() {
    let allowed = "[dependencies]\ncrore-wire.workspace = true\ncrore-mem.workspace = true\n\
                   [dev-dependencies]\nproptest.workspace = true\n";
    assert_eq!(check("crore-stack", allowed), Vec::<String>::new());
}

#[test]
fn an_edge_upwards_is_refused_by_name() {
    let problems = check("crore-stack", "[dependencies]\ncrore-driver.workspace = true\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("crore-stack may not depend on crore-driver"), "{problems:?}");
    assert!(problems[0].contains("dependencies go down only"), "{problems:?}");
}

#[test]
fn an_edge_upwards_is_refused_in_tests_as_well() {
    let problems = check("crore-mem", "[dev-dependencies]\ncrore-stack.workspace = true\n");
    assert!(problems[0].contains("(dev-dependencies)"), "{problems:?}");
}

#[test]
fn a_crate_for_tests_is_refused_in_the_product() {
    assert_eq!(check("crore-wire", "[dependencies]\nproptest.workspace = true\n").len(), 1);
    assert_eq!(check("crore-wire", "[dev-dependencies]\nproptest.workspace = true\n").len(), 0);
}

#[test]
fn a_renamed_crate_is_seen_under_its_own_name() {
    for line in ["libc = { package = \"nix\", version = \"0.31\" }", "fast-hash.workspace = true"] {
        let problems = check("crore-driver", &format!("[dependencies]\n{line}\n"));
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
    }
}

#[test]
fn a_dependency_for_one_target_only_is_seen() {
    let problems = check("crore-wire", "[target.'cfg(loom)'.dependencies]\nloom = \"0.7\"\n");
    assert!(problems[0].contains("crore-wire may not depend on loom"), "{problems:?}");
    let allowed = check("crore-mem", "[target.'cfg(loom)'.dependencies]\nloom = \"0.7\"\n");
    assert_eq!(allowed, Vec::<String>::new());
}

#[test]
fn a_build_script_has_nothing_to_build_with() {
    let problems = check("crore-driver", "[build-dependencies]\nlibc.workspace = true\n");
    assert!(problems[0].contains("the build runs no code of its own"), "{problems:?}");
}

#[test]
fn a_new_package_needs_a_row_and_the_lints() {
    assert!(check("crore-quic", "")[0].contains("has no row"));
    let bare = parse("x", "[package]\nname = \"crore-wire\"\n").unwrap();
    assert!(manifest_problems("x", &bare, &Table::new())[0].contains("[lints]"));
}
