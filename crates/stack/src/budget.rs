//! The memory budget: how the pool's bytes are shared out among connections.
//!
//! ```text
//!   0 ............. low ......... pressure ...... high ........ all
//!     windows grow | (on the way   | they do not,  | nothing is kept
//!     queues grow  |  back: still  | new ones are  | of what arrives;
//!                  |  pressure)    | small         | for sending
//! ```
//!
//! Two kinds of claims are made on the pool. What is queued to be sent is there, and counts as the
//! blocks it is in. What a window lets in may come or not: windows that grew are *granted*, and
//! the sum of all grants stays below the pressure mark. In both cases a connection gets four fifths
//! of what all others leave, so that one alone can fill a long path and there is always something
//! left for one that comes late; a window gets its part of the whole in any case, and who has more
//! than that makes room within a round trip.
//!
//! The windows that connections begin with are no grants: ten million of them could not be kept,
//! and need not be. Nothing that was acknowledged is ever thrown away for want of room.

use crate::config::StackConfig;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};

/// How short the pool is of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum Pressure {
    /// Connections get what they can use.
    #[default]
    None = 0,
    /// Windows do not grow, and new connections begin with small ones.
    Some,
    /// What arrives is not kept, unless the application takes it at once.
    High,
}

/// The shares of one pool.
#[derive(Debug)]
pub(crate) struct Budget {
    pressure: Pressure,
    /// Bytes of the pool in use at which each level begins, and at which pressure ends.
    low: u64,
    pressing: u64,
    high: u64,
    /// Bytes that windows which grew may fill.
    granted: u64,
    /// How many such windows there are.
    grants: u32,
}

impl Budget {
    /// The budget of a pool of `bytes`.
    pub(crate) fn new(config: &StackConfig, bytes: usize) -> Self {
        let part = |percent: u8| bytes as u64 * u64::from(percent) / 100;
        let marks = &config.pool_marks;
        Self {
            pressure: Pressure::None,
            low: part(marks.low_percent),
            pressing: part(marks.pressure_percent),
            high: part(marks.high_percent),
            granted: 0,
            grants: 0,
        }
    }

    #[inline]
    pub(crate) fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// Bytes that windows which grew may fill.
    pub(crate) fn granted(&self) -> u64 {
        self.granted
    }

    /// True when so many bytes in use leave nothing for what arrives.
    #[inline]
    pub(crate) fn is_high(&self, in_use: usize) -> bool {
        in_use as u64 >= self.high
    }

    /// Looks at the bytes in use. Pressure that began ends at a lower mark, so that it does not
    /// come and go with each block.
    #[inline]
    fn level_at(&self, in_use: usize) -> Pressure {
        let in_use = in_use as u64;
        let begins_at = if self.pressure == Pressure::None { self.pressing } else { self.low };
        if in_use < begins_at {
            Pressure::None
        } else if in_use < self.high {
            Pressure::Some
        } else {
            Pressure::High
        }
    }

    /// Changes a window's grant from `old` octets towards `wanted`; 0: it had none. Says what it
    /// is now.
    pub(crate) fn regrant(&mut self, in_use: usize, old: u32, wanted: u32) -> u32 {
        self.revoke(old);
        let free = self.pressing.saturating_sub(in_use as u64);
        let part = free / u64::from(self.grants + 1);
        let share = free.saturating_sub(self.granted).max(part) * 4 / 5;
        // Under pressure windows do not grow.
        let most = if self.pressure == Pressure::None { wanted } else { wanted.min(old) };
        let new = most.min(uncharged(share));
        self.granted += charge(new);
        self.grants += u32::from(new > 0);
        new
    }

    /// Takes a grant back.
    pub(crate) fn revoke(&mut self, octets: u32) {
        self.granted -= charge(octets);
        self.grants -= u32::from(octets > 0);
    }

    /// What one send queue may hold when so many bytes are in use: four times what is left for
    /// sending. A queue that is the only one gets four fifths of the pool that way.
    #[inline]
    fn queue_share(&self, in_use: usize) -> u32 {
        let left = self.pressing.saturating_sub(in_use as u64);
        (left * 4).min(u64::from(u32::MAX)) as u32
    }
}

/// The bytes that a window of so many octets can fill: blocks are longer than segments.
pub(crate) fn charge(octets: u32) -> u64 {
    u64::from(octets) + u64::from(octets / 2)
}

/// The octets of a window that can fill so many bytes.
fn uncharged(bytes: u64) -> u32 {
    (bytes * 2 / 3).min(u64::from(u32::MAX)) as u32
}

impl Stack {
    /// How short the pool was of bytes when the turn began.
    pub fn pressure(&self) -> Pressure {
        self.budget.pressure()
    }

    /// Bytes of the pool in use, and in all.
    pub fn pool_bytes(&self) -> (u64, u64) {
        (self.pool.bytes_in_use() as u64, self.pool.bytes() as u64)
    }

    /// Bytes that receive windows which grew may fill.
    pub fn bytes_granted(&self) -> u64 {
        self.budget.granted()
    }

    /// The level of this turn.
    #[inline]
    pub(crate) fn look_at_budget(&mut self) {
        let level = self.budget.level_at(self.pool.bytes_in_use());
        if level != self.budget.pressure {
            self.change_pressure(level);
        }
    }

    #[cold]
    fn change_pressure(&mut self, level: Pressure) {
        let before = core::mem::replace(&mut self.budget.pressure, level);
        self.counters.pressure_entered += u64::from(before == Pressure::None);
        self.counters.pressure_high += u64::from(level == Pressure::High);
    }

    /// Octets that a connection may have queued, sent or not: twice its congestion window, so that
    /// there is a next flight while one is under way; not more than its share of the pool; in any
    /// case a little, and one segment when next to nothing is left, so that who has some lets go
    /// of it for those who have none.
    #[inline]
    pub(crate) fn snd_limit(&self, tcb: &Tcb) -> u32 {
        let config = &self.config;
        let wanted = tcb.cwnd.saturating_mul(2).clamp(config.snd_buf_bytes, config.snd_buf_most());
        let in_use = self.pool.bytes_in_use();
        let share = self.budget.queue_share(in_use);
        if wanted <= share {
            return wanted;
        }
        let is_high = self.budget.is_high(in_use);
        let least = if is_high { u32::from(tcb.mss) } else { config.buf_min(tcb.mss) };
        share.max(least.min(wanted))
    }

    /// Octets that may be queued now.
    #[inline]
    pub(crate) fn snd_room(&self, tcb: &Tcb) -> u32 {
        self.snd_limit(tcb).saturating_sub(tcb.queued())
    }

    /// True when a connection that waits for room should go on: with less than a third of its
    /// limit to fill it would be told for every segment.
    pub(crate) fn is_writable(&self, tcb: &Tcb) -> bool {
        let limit = self.snd_limit(tcb);
        tcb.flags.any(Flags::WANT_WRITABLE) && limit.saturating_sub(tcb.queued()) >= limit / 3
    }
}

#[cfg(test)]
mod tests;
