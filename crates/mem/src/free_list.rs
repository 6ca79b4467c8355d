//! Which slots are free: a chain of those that were used before, and a count of those never used.
//!
//! ```text
//!   0 ........................ used ................. capacity
//!   | handed out, or in the chain |  never touched    |
//!        head ─> slot ─> slot ─> end (links in the slots)
//! ```
//!
//! Handing out the slot last given back keeps it in the cache; the count makes start-up touch
//! nothing.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::NO_SLOT;

/// The state of a set of slots. It lives in the region, so that whoever adopts the region has it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct FreeList {
    used: u32,
    head: u32,
    live: u32,
}

impl FreeList {
    /// All slots free and never used.
    pub(crate) const fn new() -> Self {
        Self { used: 0, head: NO_SLOT, live: 0 }
    }

    /// How many slots are handed out.
    #[inline]
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// How many slots were ever handed out: those from here on were never touched.
    #[inline]
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// The slot that the next [`FreeList::take`] hands out.
    #[inline]
    pub(crate) fn next(&self, capacity: u32) -> Option<u32> {
        if self.head != NO_SLOT {
            return Some(self.head);
        }
        (self.used < capacity).then_some(self.used)
    }

    /// The slot that [`FreeList::take`] hands out after `nth` others, where that is known; it may
    /// be beyond the last.
    #[inline]
    pub(crate) fn nth(&self, nth: u32) -> Option<u32> {
        match self.head {
            NO_SLOT => self.used.checked_add(nth),
            head => (nth == 0).then_some(head),
        }
    }

    /// Hands out `index`, which [`FreeList::next`] gave; `link` is what its slot says comes after.
    ///
    /// # Panics
    /// When `link` names a slot that was never used: somebody wrote into a free slot.
    #[inline]
    pub(crate) fn take(&mut self, index: u32, link: u32) {
        if index == self.head {
            assert!(link == NO_SLOT || link < self.used, "a free slot was written to");
            self.head = link;
        } else {
            self.used += 1;
        }
        self.live += 1;
    }

    /// Takes `index` back; the answer belongs into its slot's link.
    #[inline]
    pub(crate) fn give_back(&mut self, index: u32) -> u32 {
        self.live -= 1;
        core::mem::replace(&mut self.head, index)
    }
}
