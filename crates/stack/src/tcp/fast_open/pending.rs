//! `PendingFastOpenRequests` of RFC 7413 4.2, and those of them that were reset (5.1).
//!
//! Resets are counted in two halves of the time that they count for, so that forgetting them takes
//! neither a list nor a timer:
//!
//! ```text
//!   ... forgotten | before | now ...
//!                 ^        ^ began_at
//! ```

/// How many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pending {
    open: u32,
    resets_before: u32,
    resets_now: u32,
    /// The tick at which the present half began.
    began_at: u32,
}

impl Pending {
    /// All that count at `tick`; a reset does for `life_ms` at least.
    pub(super) fn count(&self, tick: u32, life_ms: u32) -> u32 {
        let mut then = *self;
        then.forget(tick, life_ms);
        then.open.saturating_add(then.resets_before).saturating_add(then.resets_now)
    }

    /// RFC 7413 4.2.2, step 4: one more.
    pub(super) fn opened(&mut self) {
        self.open += 1;
    }

    /// The handshake of one is over.
    pub(crate) fn proven(&mut self) {
        debug_assert!(self.open > 0, "what ends was counted");
        self.open = self.open.saturating_sub(1);
    }

    /// One was reset before its handshake was over.
    pub(crate) fn was_reset(&mut self, tick: u32, life_ms: u32) {
        self.proven();
        self.forget(tick, life_ms);
        self.resets_now = self.resets_now.saturating_add(1);
    }

    fn forget(&mut self, tick: u32, life_ms: u32) {
        let age = tick.wrapping_sub(self.began_at);
        if age < life_ms {
            return;
        }
        self.resets_before = if age < life_ms.saturating_mul(2) { self.resets_now } else { 0 };
        self.resets_now = 0;
        self.began_at = tick;
    }
}

#[cfg(test)]
mod tests;
