//! Timers set a moment ago, before they go into the wheel.
//!
//! Most retransmission timers are set and stopped again within a round trip: on a short path the
//! acknowledgment is back before the wheel would ever be looked at. So a deadline that is far
//! enough away waits here first, in the order it was set. When its turn comes, a few milliseconds
//! later, the control block is still in the cache; if the timer still runs, it goes into the
//! wheel, and if not, the wheel is spared an entry and the memory a visit.

use alloc::boxed::Box;
use alloc::vec;

/// Connections whose timers were set less than [`RECENT_MS`] ago: first in, first out.
#[derive(Debug)]
pub(crate) struct Recent {
    ring: Box<[(u32, u32); RECENT_MAX as usize]>,
    first: u32,
    len: u32,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let ring = vec![(0, 0); RECENT_MAX as usize].into_boxed_slice();
        let Ok(ring) = ring.try_into() else { unreachable!("as many as were asked for") };
        Self { ring, first: 0, len: 0 }
    }

    /// Takes a connection in; false when there is no room.
    #[inline]
    pub(crate) fn push(&mut self, index: u32, tick: u32) -> bool {
        if self.len == RECENT_MAX {
            return false;
        }
        let at = (self.first + self.len) % RECENT_MAX;
        self.ring[at as usize] = (index, tick);
        self.len += 1;
        true
    }

    /// The connection at place `ahead`, if it has waited long enough at `tick`.
    #[inline]
    pub(crate) fn due(&self, ahead: u32, tick: u32) -> Option<u32> {
        if ahead >= self.len {
            return None;
        }
        let (index, since) = self.ring[((self.first + ahead) % RECENT_MAX) as usize];
        (tick.wrapping_sub(since) >= RECENT_MS).then_some(index)
    }

    /// The connection at place `ahead`.
    #[inline]
    pub(crate) fn at(&self, ahead: u32) -> u32 {
        self.ring[((self.first + ahead) % RECENT_MAX) as usize].0
    }

    /// Forgets the first `count`.
    #[inline]
    pub(crate) fn forget(&mut self, count: u32) {
        self.first = (self.first + count) % RECENT_MAX;
        self.len -= count;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// How long a timer waits here. Shorter ones go into the wheel at once.
pub(crate) const RECENT_MS: u32 = 2;

/// Places; a power of two.
const RECENT_MAX: u32 = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_out_in_order_after_their_wait() {
        let mut recent = Recent::new();
        assert!(recent.push(7, u32::MAX) && recent.push(8, 1));
        assert_eq!(recent.due(0, 0), None);
        assert_eq!(recent.due(0, 1), Some(7));
        assert_eq!(recent.due(1, 1), None);
        recent.forget(1);
        assert_eq!(recent.due(0, 3), Some(8));
        assert_eq!(recent.due(1, 3), None);
    }

    #[test]
    fn a_full_ring_takes_no_more() {
        let mut recent = Recent::new();
        assert!((0..RECENT_MAX).all(|i| recent.push(i, 0)));
        assert!(!recent.push(0, 0));
        recent.forget(RECENT_MAX);
        assert!(recent.is_empty() && recent.push(0, 0));
    }
}
