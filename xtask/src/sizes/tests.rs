use super::*;

fn file(path: &str, text: &str) -> RustFile {
    RustFile { path: path.to_owned(), text: text.to_owned() }
}

/// A function of exactly so many lines.
fn function(name: &str, lines: usize) -> String {
    format!("fn {name}() {{\n{}}}\n", "    // A line.\n".repeat(lines - 2))
}

#[test]
fn a_function_is_measured_from_fn_to_brace() {
    let text = format!("/// Text.\n#[inline]\npub {}", function("seventy", 70));
    assert_eq!(functions(&file("a.rs", &text)).unwrap(), [("seventy".to_owned(), 70)]);
}

#[test]
fn braces_in_strings_and_comments_do_not_count() {
    let text = "fn f() {\n    let s = \"}}\";\n    /* } */\n    let c = '{';\n}\nfn g() {}\n";
    let found = functions(&file("a.rs", text)).unwrap();
    assert_eq!(found, [("f".to_owned(), 5), ("g".to_owned(), 1)]);
}

#[test]
fn functions_are_named_by_the_way_to_them() {
    let text = "mod m { impl T { fn f() { fn inner() {} } } trait U { fn g() {} fn bare(); } }
        impl From<u8> for &T { fn from() {} }
        impl From<u16> for &T { fn from() {} }";
    let found: Vec<String> =
        functions(&file("a.rs", text)).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, ["m::T::f", "m::T::f::inner", "m::U::g", "T::from", "T::from#2"]);
}

#[test]
fn at_the_limit_is_within_it_and_one_more_is_over() {
    let at = format!("{}{}", function("f", 70), "// A line.\n".repeat(530));
    let wide = format!("// {}\n", "x".repeat(98));
    for (text, over) in [(at.clone(), 0), (format!("{at}\n"), 1), (function("f", 71), 1), (wide, 1)]
    {
        let excess = excess(&[file("crates/x/src/a.rs", &text)]).unwrap();
        assert_eq!(excess.values().map(BTreeMap::len).sum::<usize>(), over);
    }
}

#[test]
fn columns_are_characters_and_not_bytes() {
    assert_eq!(wide_lines(&format!("// {}", "─".repeat(97))), 0);
    assert_eq!(wide_lines(&format!("// {}", "─".repeat(98))), 1);
}

#[test]
fn the_length_of_test_files_is_free_but_not_of_their_functions() {
    let text = format!("{}{}", function("scenario", 71), "// A line.\n".repeat(600));
    for path in ["crates/x/src/a/tests.rs", "crates/x/tests/a.rs"] {
        let excess = excess(&[file(path, &text)]).unwrap();
        assert_eq!(excess[&Kind::Files].len(), 0, "{path}");
        assert_eq!(excess[&Kind::Functions].len(), 1, "{path}");
    }
    let harness = excess(&[file("tests/netns/src/a.rs", &text)]).unwrap();
    assert_eq!(harness[&Kind::Files].len(), 1);
}

#[test]
fn a_file_that_is_not_rust_is_named() {
    let error = functions(&file("crates/x/src/a.rs", "fn {")).unwrap_err();
    assert!(format!("{error}").contains("crates/x/src/a.rs"));
}
