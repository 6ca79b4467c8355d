//! The connections that may have something to send: a ring with a place for each.

use crate::tcb::Flags;
use crore_mem::{Memory, MemoryError, Table};

/// First in, first out. A flag in the control block keeps a connection from being in it twice.
#[derive(Debug)]
pub(crate) struct OutputList {
    ring: Table<u32>,
    first: u32,
    len: u32,
}

impl OutputList {
    pub(crate) fn new(memory: &mut Memory, conns_max: u32) -> Result<Self, MemoryError> {
        Ok(Self { ring: memory.table("output list", 1, conns_max)?, first: 0, len: 0 })
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Adds a connection, whose flags say that it is there, unless it is.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "for nearly every segment")]
    pub(crate) fn add(&mut self, index: u32, flags: &mut Flags) {
        if !flags.any(Flags::IN_OUTPUT) {
            flags.set(Flags::IN_OUTPUT);
            self.push(index);
        }
    }

    #[inline]
    fn push(&mut self, index: u32) {
        debug_assert!(self.len < self.ring.len());
        let at = self.at(self.len);
        self.ring[at] = index;
        self.len += 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let index = self.ring[self.first];
        self.first = self.at(1);
        self.len -= 1;
        Some(index)
    }

    /// The entry `ahead` places behind the next one, for prefetching.
    #[inline]
    pub(crate) fn peek(&self, ahead: u32) -> Option<u32> {
        (ahead < self.len).then(|| self.ring[self.at(ahead)])
    }

    /// The place `ahead` of the first one. There are fewer than 2^30 connections.
    #[inline]
    fn at(&self, ahead: u32) -> u32 {
        let (at, len) = (self.first + ahead, self.ring.len());
        if at >= len { at - len } else { at }
    }
}
