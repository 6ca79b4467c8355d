//! Targets to paths, and the paths that must not be.

use proptest::prelude::*;

use super::{decode, path_of};

fn decoded(path: &str) -> Option<String> {
    let mut relative = b"left from the last request".to_vec();
    decode(path, &mut relative).then(|| String::from_utf8_lossy(&relative).into_owned())
}

#[test]
fn targets_name_paths_in_origin_and_absolute_form() {
    for (target, path) in [
        ("/", Some("/")),
        ("/a/b?c=/d", Some("/a/b")),
        ("/?", Some("/")),
        ("http://example.org", Some("/")),
        ("http://example.org?q", Some("/")),
        ("HTTP://example.org:80/a?b", Some("/a")),
        ("http:///a", None),
        ("https://example.org/", None),
        ("example.org:443", None),
        ("*", None),
        ("a", None),
        ("/a#b", None),
        ("http://é", Some("/")),
    ] {
        assert_eq!(path_of(target), path, "{target}");
    }
}

#[test]
fn paths_are_decoded_and_made_plain() {
    for (path, relative) in [
        ("/", ""),
        ("/a", "a"),
        ("/a/", "a/"),
        ("//a///b//", "a/b/"),
        ("/./a/.", "a/"),
        ("/a%20b%2Fc", "a b/c"),
        ("/%2e", ""),
        ("/...", "..."),
        ("/..a/b..", "..a/b.."),
        ("/a\\..\\b", "a\\..\\b"),
        ("/%25%32%65", "%2e"),
    ] {
        assert_eq!(decoded(path).as_deref(), Some(relative), "{path}");
    }
}

#[test]
fn paths_that_climb_or_break_are_refused() {
    for path in [
        "/..",
        "/../",
        "/a/../b",
        "/a/..",
        "/%2e%2e",
        "/%2E./x",
        "/.%2e",
        "/a/%2e%2e/%2e%2e/x",
        "/a%2f..%2fb",
        "/..%2f",
        "/%2f..",
        "/a%00",
        "/%00",
        "/%",
        "/%2",
        "/%2x",
        "/%zz",
        "/a%",
    ] {
        assert_eq!(decoded(path), None, "{path}");
    }
}

proptest! {
    #[test]
    fn no_path_climbs(path in "/([./%2eEfFa]|%2e|%2f|\\.\\./){0,24}") {
        if let Some(relative) = decoded(&path) {
            prop_assert!(!relative.starts_with('/'));
            prop_assert!(relative.split('/').all(|segment| segment != ".." && segment != "."));
        }
    }
}
