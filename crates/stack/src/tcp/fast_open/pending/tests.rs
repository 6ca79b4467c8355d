//! Counting what is not proven.

use super::Pending;

#[test]
fn what_is_proven_counts_no_more() {
    let mut pending = Pending::default();
    pending.opened();
    pending.opened();
    assert_eq!(pending.count(0, 1000), 2);
    pending.proven();
    assert_eq!(pending.count(0, 1000), 1);
}

/// RFC 7413-5.1a: a reset makes no room before its time.
#[test]
fn a_reset_counts_for_its_time_and_not_for_ever() {
    let mut pending = Pending::default();
    let mut last = 0;
    for tick in [5, 900, 1500, 2700] {
        pending.opened();
        pending.was_reset(tick, 1000);
        last = tick;
        assert!(pending.count(tick + 999, 1000) > 0, "at {tick}");
    }
    assert_eq!(pending.count(last + 2000, 1000), 0);
    // Over the end of the clock's circle.
    pending.opened();
    pending.was_reset(u32::MAX - 3, 1000);
    assert_eq!(pending.count(500, 1000), 1);
    assert_eq!(pending.count(2000, 1000), 0);
}
