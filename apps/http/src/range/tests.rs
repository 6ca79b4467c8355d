//! Range arithmetic: by table, and against a slow model.

use proptest::prelude::*;

use super::{Part, part};

#[test]
fn parts_of_ten_thousand_bytes_as_rfc_9110_14_1_2_lists_them() {
    let bytes = |first, last| Part::Bytes { first, last };
    for (value, expected) in [
        ("bytes=0-499", bytes(0, 499)),
        ("bytes=500-999", bytes(500, 999)),
        ("bytes=-500", bytes(9_500, 9_999)),
        ("bytes=9500-", bytes(9_500, 9_999)),
        ("bytes=0-0", bytes(0, 0)),
        ("bytes=-1", bytes(9_999, 9_999)),
        ("BYTES= 0-1 ", bytes(0, 1)),
        ("bytes=0-99999999999999999999999999", bytes(0, 9_999)),
        ("bytes=-99999999999999999999999999", bytes(0, 9_999)),
        ("bytes=10000-", Part::Unsatisfiable),
        ("bytes=99999999999999999999999999-", Part::Unsatisfiable),
        ("bytes=10000-20000", Part::Unsatisfiable),
        ("bytes=-0", Part::Unsatisfiable),
        ("bytes=5-4", Part::Whole),
        ("bytes=0-1,5-6", Part::Whole),
        ("bytes=-", Part::Whole),
        ("bytes=", Part::Whole),
        ("bytes=a-b", Part::Whole),
        ("bytes=1--2", Part::Whole),
        ("bytes=+1-2", Part::Whole),
        ("bytes 0-1", Part::Whole),
        ("lines=0-1", Part::Whole),
        ("", Part::Whole),
    ] {
        assert_eq!(part(value.as_bytes(), 10_000), expected, "{value}");
    }
}

#[test]
fn an_empty_file_has_no_range() {
    assert_eq!(part(b"bytes=0-", 0), Part::Unsatisfiable);
    assert_eq!(part(b"bytes=0-0", 0), Part::Unsatisfiable);
    assert_eq!(part(b"bytes=-5", 0), Part::Whole);
}

/// The offsets that a range names, one by one.
fn model(first: Option<u64>, last: Option<u64>, size: u64) -> Vec<u64> {
    let is_in = |offset: &u64| match (first, last) {
        (Some(first), last) => *offset >= first && last.is_none_or(|last| *offset <= last),
        (None, last) => size - offset <= last.unwrap_or(0),
    };
    (0..size).filter(is_in).collect()
}

proptest! {
    #[test]
    fn a_part_is_what_the_range_names_byte_by_byte(
        first in proptest::option::of(0_u64..60),
        last in proptest::option::of(0_u64..60),
        size in 0_u64..50,
    ) {
        let text = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
        let value = format!("bytes={}-{}", text(first), text(last));
        let named = model(first, last, size);
        match part(value.as_bytes(), size) {
            Part::Bytes { first, last } => {
                prop_assert_eq!((first..=last).collect::<Vec<_>>(), named);
            }
            Part::Unsatisfiable => prop_assert!(named.is_empty()),
            Part::Whole => {
                let is_invalid = matches!((first, last), (Some(a), Some(b)) if a > b);
                prop_assert!(is_invalid || first.is_none() && (last.is_none() || size == 0));
            }
        }
    }

    #[test]
    fn no_value_leads_outside_of_the_file(
        value in proptest::collection::vec(any::<u8>(), 0..40),
        size: u64,
    ) {
        for value in [value.clone(), [b"bytes=".as_slice(), &value].concat()] {
            if let Part::Bytes { first, last } = part(&value, size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
