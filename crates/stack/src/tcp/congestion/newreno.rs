//! `NewReno`'s window (RFC 5681 3.1).

use super::{Signal, Step, scaled};

/// Half of what was in flight; four fifths of it after a mark (RFC 8511-3a).
pub(super) fn reduced(signal: Signal, flight: u32) -> u32 {
    match signal {
        Signal::Loss => flight / 2,
        Signal::Mark => scaled(flight, 4, 5),
    }
}

/// One segment a round trip: its share of this acknowledgment, at least an octet.
#[inline]
pub(super) fn growth(step: &Step) -> u32 {
    let newly = u64::from(step.newly.min(step.cwnd));
    ((u64::from(step.mss) * newly / u64::from(step.cwnd.max(1))) as u32).max(1)
}
