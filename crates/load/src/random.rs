//! Luck: which connection is next.

use crate::pattern::{STEP, mixed};

/// `SplitMix64`: fast, and even enough to pick connections with. Not for secrets.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    #[inline]
    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mixed(self.state)
    }

    /// A number below `bound`; every one as likely, to one part in 2^32. 0 for a bound of 0.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.word() >> 32) * u64::from(bound)) >> 32) as u32
    }
}
