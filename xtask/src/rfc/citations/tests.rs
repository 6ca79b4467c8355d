use super::*;
use crate::rfc::requirements;

fn rfcs() -> Vec<Rfc> {
    let text = "rfc = 6298\ntitle = \"RTO\"\n".to_owned()
        + &["2.2", "2.3"]
            .map(|section| {
                format!(
                    "[[requirement]]\nid = \"6298-{section}\"\nsection = \"{section}\"\n\
                     strength = \"MUST\"\nstatement = \"x\"\nstatus = \"done\"\n"
                )
            })
            .concat();
    vec![requirements::parse(&text).unwrap()]
}

#[track_caller]
fn assert_ids(comment: &str, expected: &[&str]) {
    assert_eq!(ids(comment, &rfcs()), expected, "{comment}");
}

#[test]
fn numbered_requirements_are_cited_by_their_numbers() {
    assert_ids(
        "RFC 9293 MUST-14, SHLD-5, MAY-3: the option is sent.",
        &["MAY-3", "MUST-14", "SHLD-5"],
    );
    assert_ids("as long as it likes (MUST-37).", &["MUST-37"]);
    assert_ids("We MUST-have this, and MUST- that.", &[]);
}

#[test]
fn others_are_cited_by_rfc_and_section() {
    assert_ids("RFC 6298-5.7: three seconds. RFC 5961-3.2a.", &["5961-3.2a", "6298-5.7"]);
    assert_ids("Karn (RFC 6298 2.2, 2.3) and 2.4 others", &["6298-2.2", "6298-2.3"]);
    assert_ids("RFC 6298 2.2 and 2.3", &["6298-2.2", "6298-2.3"]);
    assert_ids("RFC 6298 9.9 is where to read on, RFC 6298 2.2b a claim", &["6298-2.2b"]);
    assert_ids("Two 802.1-2 and RFC names", &[]);
}

#[test]
fn a_citation_belongs_to_the_function_around_it() {
    let text = "\
//! RFC 6298-2.2 at the head.

/// One.
/// RFC 9293
/// MUST-1.
struct A;
impl A {
    // RFC 9293 MUST-2.
    fn f() {
        let text = \"RFC 9293 MUST-9\";
        // RFC 9293 MUST-3.
        g();
    }
}
#[cfg(test)]
mod tests {
    /// RFC 9293 MUST-4.
    #[test]
    fn t() {}
}
"
    .to_owned();
    let file = RustFile { path: "crates/x/src/a.rs".to_owned(), text };
    let found: Vec<(String, String, usize, bool)> = of_rust(&file, &rfcs())
        .unwrap()
        .into_iter()
        .map(|c| (c.id, c.item, c.line, c.is_test))
        .collect();
    let expected = [
        ("6298-2.2", "", 1, false),
        ("MUST-1", "A", 3, false),
        ("MUST-2", "A::f", 8, false),
        ("MUST-3", "A::f", 11, false),
        ("MUST-4", "t", 17, true),
    ];
    let expected =
        expected.map(|(id, item, line, is_test)| (id.into(), item.into(), line, is_test));
    assert_eq!(found, expected);
}
