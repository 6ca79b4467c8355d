//! What happened to connections in a turn, for the engine to tell the application.

/// What happened, a bit each; several can be in one event, told in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct What(pub u16);

impl What {
    /// A peer opened the connection.
    pub const ACCEPTED: Self = Self(1);
    /// The connection that we opened stands.
    pub const CONNECTED: Self = Self(1 << 1);
    /// Octets in order, in the frame.
    pub const DATA: Self = Self(1 << 2);
    /// Octets in order, in the receive queue.
    pub const QUEUED: Self = Self(1 << 3);
    /// The peer's FIN is in order.
    pub const PEER_CLOSED: Self = Self(1 << 4);
    /// There is room in the send queue again.
    pub const WRITABLE: Self = Self(1 << 5);
    /// The application's timer ran out.
    pub const TIMER: Self = Self(1 << 6);
    /// The connection is over.
    pub const CLOSED: Self = Self(1 << 7);
    /// Something is wrong that need not be the end; told before what ends.
    pub const TROUBLE: Self = Self(1 << 8);
    /// The peer has urgent data ahead; told before octets.
    pub const URGENT: Self = Self(1 << 9);

    /// True when any bit of `other` is in it.
    #[inline]
    pub fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Takes the bits of `other` away.
    pub(crate) fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Adds the bits of `other`.
    #[inline]
    pub fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl core::ops::BitOr for What {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why a connection is over: closed, or aborted by whom (RFC 9293 MUST-12).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Closed {
    /// Both sides closed and all was acknowledged.
    #[default]
    Finished,
    /// The peer reset it.
    Reset,
    /// The peer did not answer any more.
    TimedOut,
    /// The peer refused the opening.
    Refused,
    /// The network reported that the peer cannot be reached.
    Unreachable,
    /// We aborted it.
    Aborted,
    /// We ended it because memory was short: it held much, and its peer took next to nothing.
    Evicted,
}

impl Closed {
    /// The reason with this number.
    pub(crate) fn of(number: u8) -> Self {
        const ALL: [Closed; 7] = [
            Closed::Finished,
            Closed::Reset,
            Closed::TimedOut,
            Closed::Refused,
            Closed::Unreachable,
            Closed::Aborted,
            Closed::Evicted,
        ];
        ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

/// What is wrong, and need not be the end of the connection (RFC 9293 3.9.1.8, soft errors).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trouble {
    /// What we sent was sent again several times, and the peer did not acknowledge it yet
    /// (RFC 9293 3.8.3, R1).
    #[default]
    Unanswered,
    /// The network says that the peer cannot be reached now.
    Unreachable,
    /// A segment travelled for too long: there may be a loop on the way.
    Expired,
    /// A host or router did not understand a segment's header.
    NotUnderstood,
}

/// One connection's news.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    /// The connection's slot.
    pub index: u32,
    /// Its generation: an event for an older one is void.
    pub generation: u32,
    /// With [`What::DATA`]: the sequence number of the first octet.
    pub seq: u32,
    /// With [`What::DATA`]: the frame in the receive burst, and where in it.
    pub frame: u16,
    /// First octet in the frame.
    pub start: u16,
    /// Octets.
    pub len: u16,
    /// What happened.
    pub what: What,
    /// With [`What::CLOSED`]: why.
    pub why: Closed,
    /// With [`What::TROUBLE`]: which.
    pub trouble: Trouble,
}

/// The most events that one stage of a turn can have.
pub const EVENTS_MAX: usize = 512;

/// The events of one stage, in order.
#[derive(Debug)]
pub struct Events {
    list: [Event; EVENTS_MAX],
    count: usize,
}

impl Events {
    /// None.
    pub fn new() -> Self {
        Self { list: [Event::default(); EVENTS_MAX], count: 0 }
    }

    /// How many more fit.
    #[inline]
    pub fn room(&self) -> usize {
        EVENTS_MAX - self.count
    }

    /// Adds one; the stages see to it that there is room.
    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        debug_assert!(self.count < EVENTS_MAX);
        if self.count < EVENTS_MAX {
            self.list[self.count] = event;
            self.count += 1;
        }
    }

    /// Number of events.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when nothing happened.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Event `i`.
    #[inline]
    pub fn get(&self, i: usize) -> Event {
        self.list[i]
    }

    /// Puts another one in place of event `i`.
    pub(crate) fn replace(&mut self, i: usize, event: Event) {
        self.list[i] = event;
    }

    /// Forgets all.
    #[inline]
    pub fn clear(&mut self) {
        self.count = 0;
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}
