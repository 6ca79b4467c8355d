//! What the load keeps for each connection: 16 bytes beside its control block.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a connection was asked and has not answered.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Asked {
    /// Requests so far, those sent at once counted as one: which pattern is awaited.
    pub requests: u32,
    /// Octets of the present reply (echo) or of its content (HTTP) that are still to come.
    pub left_bytes: u32,
    /// When the request was due, in [`Asked::STAMP_TICKS`] of the clock.
    pub due_at: u32,
    /// Octets of the request that found no room in the send queue.
    pub unsent_bytes: u16,
    /// Replies awaited.
    pub awaited: u8,
    /// What is true of the connection.
    pub marks: Marks,
}

/// What is true of a connection, a bit each.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Marks(pub u8);

const _: () = assert!(size_of::<Asked>() == 16);

impl Asked {
    /// Clock ticks in one unit of `due_at`: with it, 32 bits last for a minute and more.
    pub const STAMP_TICKS: u64 = 64;

    /// The stamp of a clock's reading.
    #[inline]
    pub(crate) fn stamp(ticks: u64) -> u32 {
        (ticks / Self::STAMP_TICKS) as u32
    }

    /// Ticks since the request was due.
    #[inline]
    pub(crate) fn ticks_since_due(&self, now: u64) -> u64 {
        u64::from(Self::stamp(now).wrapping_sub(self.due_at)) * Self::STAMP_TICKS
    }

    /// True when a request can be sent: it stands, and has answered all.
    #[inline]
    pub(crate) fn is_free(&self) -> bool {
        self.marks.has(Marks::OPENED) && self.awaited == 0
    }
}

impl Marks {
    /// The connection was established.
    pub const OPENED: Self = Self(1);
    /// We closed it.
    pub const CLOSING: Self = Self(1 << 1);
    /// The present reply is bad already; its content is not compared.
    pub const BAD_REPLY: Self = Self(1 << 2);

    /// The connection is opened for one request.
    pub const SHORT: Self = Self(1 << 3);

    /// True when the bit of `other` is set.
    #[inline]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets or clears the bit of `other`.
    #[inline]
    pub fn put(&mut self, other: Self, on: bool) {
        self.0 = if on { self.0 | other.0 } else { self.0 & !other.0 };
    }
}
