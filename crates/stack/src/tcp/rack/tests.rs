//! The reordering window, in numbers.

use super::*;
use zerocopy::FromZeros;

/// RFC 8985-3.3a, RFC 8985-3.3b, RFC 8985-3.3d: nothing in recovery, else a quarter of the least
/// round trip for each step, and never more than a smoothed one.
#[test]
fn the_reordering_window_has_bounds() {
    let (mut tcb, mut loss) = (Tcb::new_zeroed(), Extension::new_zeroed());
    tcb.mss = 1448;
    tcb.srtt_us8 = 48_000 * 8;
    loss.min_rtt_us = 40_000;
    loss.reorder_steps = 1;
    assert_eq!(window_us(&tcb, &loss), 10_000);
    loss.reorder_steps = REORDER_STEPS_MAX;
    assert_eq!(window_us(&tcb, &loss), 48_000);
    tcb.flags.set(Flags::RECOVERY);
    assert_eq!(window_us(&tcb, &loss), 0);
    loss.set(Bits::REORDERS, true);
    assert_eq!(window_us(&tcb, &loss), 48_000);
}

/// RFC 8985-3.3c: a step for a round trip with duplicates, back to one after enough recoveries.
#[test]
fn duplicates_widen_the_window_for_a_while() {
    let (tcb, mut loss) = (Tcb::new_zeroed(), Extension::new_zeroed());
    loss.reorder_steps = 1;
    widen(&tcb, &mut loss);
    assert_eq!(loss.reorder_steps, 2);
    for _ in 0..REORDER_PERSISTS {
        assert_eq!(loss.reorder_steps, 2);
        recovered(&mut loss);
    }
    assert_eq!(loss.reorder_steps, 1);
}
