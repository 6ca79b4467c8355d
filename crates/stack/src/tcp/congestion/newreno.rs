//! `NewReno`'s window (RFC 5681 3.1).

use super::Step;

/// Half of what was in flight.
pub(super) fn reduced(flight: u32) -> u32 {
    flight / 2
}

/// One segment a round trip: its share of this acknowledgment, at least an octet.
#[inline]
pub(super) fn growth(step: &Step) -> u32 {
    let newly = u64::from(step.newly.min(step.cwnd));
    ((u64::from(step.mss) * newly / u64::from(step.cwnd.max(1))) as u32).max(1)
}
