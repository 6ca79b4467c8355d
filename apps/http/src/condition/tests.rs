//! Lists of entity tags.

use super::{Compare, lists};

#[test]
fn a_list_holds_a_tag_by_the_comparison_asked_for() {
    let etag = "\"a,b\"";
    for (list, weak, strong) in [
        ("*", true, true),
        ("\"a,b\"", true, true),
        ("W/\"a,b\"", true, false),
        ("\"x\", \"a,b\"", true, true),
        ("\"x\" ,, W/\"a,b\" , \"y\"", true, false),
        ("\"x\",\"y\"", false, false),
        ("a,b", false, false),
        ("\"a,b", false, false),
        ("w/\"a,b\"", false, false),
        ("\"a\",b\"", false, false),
        ("", false, false),
        (",", false, false),
    ] {
        assert_eq!(lists(list.as_bytes(), etag, Compare::Weak), weak, "weak {list}");
        assert_eq!(lists(list.as_bytes(), etag, Compare::Strong), strong, "strong {list}");
    }
}
