//! The transmission control block of one connection: two cache lines (RFC 9293 3.3.1).
//!
//! ```text
//!  line 0: who, and all that the established, in-order path touches
//!  line 1: queues, congestion, round-trip time: touched when there is something in flight
//! ```
//!
//! No pointers: queues are block numbers of the pool, the neighbour and the local address are
//! indices. What the block does not hold is not remembered: an idle connection owns nothing else.

use crate::seq::Seq;
use crate::wheel::WheelMark;
use crate::wire_key::Endpoints;
use core::ops::{BitAnd, BitOr, Not};
use crore_mem::{BlockId, Slot};
use crore_wire::tcp;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The control block. Zeroed bytes are a valid, closed one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Tcb {
    /// The peer's address; IPv4 in its mapped form `::ffff:a.b.c.d`.
    pub remote: u128,
    /// The peer's port.
    pub remote_port: u16,
    /// Our port.
    pub local_port: u16,
    /// Our address, as the interface numbers it.
    pub local_id: u16,
    /// The next hop, as the neighbour table numbers it; checked by address before use.
    pub neighbour: u16,
    /// SND.UNA: the oldest octet not acknowledged.
    pub snd_una: Seq,
    /// SND.NXT: the next octet never sent yet.
    pub snd_nxt: Seq,
    /// RCV.NXT: the next octet expected.
    pub rcv_nxt: Seq,
    /// SND.WND, in octets, scaled (RFC 9293 MUST-1, REC-1).
    pub snd_wnd: u32,
    /// The right edge we advertised last: RCV.NXT + RCV.WND of that moment. It is kept itself, so
    /// that nothing it let in is refused later (RFC 7323-2.4a, RFC 7323-2.4b).
    pub rcv_adv: Seq,
    /// TS.Recent (RFC 7323 4.3).
    pub ts_recent: u32,
    /// Tick at which the retransmission, persist or state timer runs out, when `TIMED` is set.
    pub deadline: u32,
    /// Where the timing wheel has entries for this connection.
    pub mark: WheelMark,
    /// The state in the low four bits, see [`State`]; [`Sign`]s in the high four.
    pub state: u8,
    /// Window scale shifts: the peer's in the high four bits, ours in the low four.
    pub scales: u8,
    /// The most payload octets in one segment we send, options taken off.
    pub mss: u16,
    /// See [`Flags`].
    pub flags: Flags,

    /// Odd while the slot is in use.
    pub generation: u32,
    /// The sequence number after the last octet queued; a FIN comes after it. In a free slot: the
    /// next free one.
    pub snd_end: Seq,
    /// First block of the send queue: holds SND.UNA.
    pub snd_head: BlockId,
    /// Last block of the send queue.
    pub snd_tail: BlockId,
    /// The block that holds SND.NXT, when something is unsent.
    pub snd_unsent: BlockId,
    /// Congestion window, in octets.
    pub cwnd: u32,
    /// What is remembered while the connection is busy: see `tcp::extension`. None on most.
    pub extension: BlockId,
    /// Smoothed round-trip time, in eighths of a microsecond; 0 before the first sample.
    pub srtt_us8: u32,
    /// Round-trip time variation, in quarters of a microsecond.
    pub rttvar_us4: u32,
    /// Received octets not consumed, and those out of order: blocks sorted by sequence number.
    pub rcv_queue: BlockId,
    /// Octets in `rcv_queue` that are in order.
    pub rcv_unread: u32,
    /// RCV.NXT in the last segment we sent (Last.ACK.sent of RFC 7323).
    pub last_ack_sent: Seq,
    /// SND.WL1: the segment that last changed SND.WND.
    pub snd_wl1: Seq,
    /// Slow-start threshold, in segments.
    pub ssthresh_segments: u16,
    /// The largest window the peer offered, in units of its scale.
    pub snd_wnd_max: u16,
    /// Low half of the tick at which a delayed acknowledgment is due.
    pub ack_deadline: u16,
    /// When the peer was last heard, in ticks of 1024 ms.
    pub heard_at: u16,
    /// When the application's timer runs out, in ticks of 64 ms.
    pub app_deadline: u16,
    /// Duplicate acknowledgments in a row.
    pub dup_acks: u8,
    /// Timeouts in a row of the present timer.
    pub backoff: u8,
}

const _: () = assert!(size_of::<Tcb>() == 128);
const _: () = assert!(core::mem::offset_of!(Tcb, generation) == 64);
const _: () = assert!(Sign::Echo as u8 == tcp::Flags::ECE.0);
const _: () = assert!(Sign::Reduced as u8 == tcp::Flags::CWR.0);

impl Slot for Tcb {
    fn link(&self) -> u32 {
        self.snd_end.0
    }
    fn set_link(&mut self, link: u32) {
        self.snd_end = Seq(link);
    }
    fn generation(&self) -> u32 {
        self.generation
    }
    fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }
}

/// The states of RFC 9293 3.3.2 that need a control block. LISTEN is the port table's,
/// SYN-RECEIVED of a passive open and TIME-WAIT have compact records of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum State {
    /// No connection; the slot waits for the application's last call.
    Closed = 0,
    /// Active open: our SYN is out.
    SynSent,
    /// SYN-RECEIVED of a passive open with Fast Open (RFC 7413; RFC 9293 MUST-11): octets pass, the
    /// peer is not proven.
    FastOpened,
    /// SYN-RECEIVED of a simultaneous open: both SYNs are out.
    SynReceived,
    /// Data both ways.
    Established,
    /// The peer closed, we did not.
    CloseWait,
    /// We closed, our FIN is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged, the peer did not close.
    FinWait2,
    /// Both closed at once; our FIN is not acknowledged.
    Closing,
    /// The peer closed first; our FIN is not acknowledged.
    LastAck,
}

/// More of the kind of [`Flags`], which has no bit left: they share an octet with the state.
/// Two of them lie where the header has their control bits, so that they are or-ed into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Sign {
    /// The deadline is the tail loss probe's (RFC 8985 7).
    Probe = 1 << 4,
    /// Both ends agreed on ECN (RFC 3168 6.1.1); in SYN-SENT: our SYN offers it.
    Ecn = 1 << 5,
    /// The network marked what the peer sent: ECE goes with every acknowledgment. ECE's own bit.
    Echo = 1 << 6,
    /// The window was reduced: CWR goes with the next new octets. CWR's own bit.
    Reduced = 1 << 7,
}

/// What is true of a connection, a bit each.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Flags(pub u32);

impl Flags {
    /// Both ends use timestamps.
    pub const TIMESTAMPS: Self = Self(1);
    /// Both ends use selective acknowledgments.
    pub const SACK: Self = Self(1 << 1);
    /// The lowest bit of the differentiated services code point; the others are in the mark.
    const DSCP_LOW: Self = Self(1 << 2);
    /// Nagle's algorithm is off.
    pub const NODELAY: Self = Self(1 << 3);
    /// In the list of connections with something to send.
    pub const IN_OUTPUT: Self = Self(1 << 4);
    /// An acknowledgment is owed, may wait.
    pub const ACK_OWED: Self = Self(1 << 5);
    /// An acknowledgment is owed now.
    pub const ACK_NOW: Self = Self(1 << 6);
    /// The delayed acknowledgment's deadline is set.
    pub const ACK_TIMED: Self = Self(1 << 7);
    /// `deadline` is set.
    pub const TIMED: Self = Self(1 << 8);
    /// The timer is the persist timer (RFC 9293 3.8.6.1).
    pub const PERSIST: Self = Self(1 << 9);
    /// The application's timer is set.
    pub const APP_TIMED: Self = Self(1 << 10);
    /// The application closed: a FIN follows the last queued octet.
    pub const FIN_QUEUED: Self = Self(1 << 11);
    /// Our FIN was sent.
    pub const FIN_SENT: Self = Self(1 << 12);
    /// Our FIN must be sent again.
    pub const FIN_LOST: Self = Self(1 << 13);
    /// The peer's FIN is in order.
    pub const PEER_FIN: Self = Self(1 << 14);
    /// The application was told of the peer's FIN.
    pub const PEER_FIN_TOLD: Self = Self(1 << 15);
    /// Fast recovery (RFC 6582).
    pub const RECOVERY: Self = Self(1 << 16);
    /// Recovery after a timeout.
    pub const LOSS: Self = Self(1 << 17);
    /// `send` took less than it was offered: tell when there is room.
    pub const WANT_WRITABLE: Self = Self(1 << 18);
    /// The application asked to be offered its unread octets.
    pub const RESUME: Self = Self(1 << 19);
    /// The application aborted: a RST goes out, then the slot is free.
    pub const ABORT: Self = Self(1 << 20);
    /// Keepalive probes were sent and not answered.
    pub const PROBING: Self = Self(1 << 21);
    /// The application closed both ways: it reads no more, and what still comes is answered with a
    /// reset.
    pub const GONE: Self = Self(1 << 22);
    /// The application gives up by itself: what is in flight is sent again without end.
    pub const PATIENT: Self = Self(1 << 23);
    /// A segment found no room in the pool or the transmit ring: try again soon.
    pub const STARVED: Self = Self(1 << 24);

    /// Closed, and `backoff` holds why. Only connections that are not closed are probed.
    pub const ENDED: Self = Self::PROBING;
    /// The extension holds what few connections have: urgent pointers, a search for the
    /// path's segment size.
    pub const RARE: Self = Self(1 << 25);

    /// In the list of timers set a moment ago; the wheel does not know of them yet.
    pub const RECENT: Self = Self(1 << 26);
    /// A segment without data was answered only to say where we are, in this unit of `heard_at`.
    pub const CORRECTED: Self = Self(1 << 27);
    /// Two were.
    pub const CORRECTED_TWICE: Self = Self(1 << 28);

    /// The last segment waits for more octets although it might go: the application says that
    /// they come.
    pub const HELD: Self = Self(1 << 29);
    /// Each segment is acknowledged at once: the peer may be in slow start and wait for it.
    pub const QUICK: Self = Self(1 << 30);

    /// The application wants to know when the peer is gone (RFC 9293 3.8.4).
    pub const KEEPALIVE: Self = Self(1 << 31);

    /// True when any bit of `other` is set.
    #[inline]
    pub fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets the bits of `other`.
    #[inline]
    pub fn set(&mut self, other: Self) {
        let whole = self.0 | other.0;
        crore_mem::store_whole(&mut self.0, whole);
    }

    /// Clears the bits of `other`.
    #[inline]
    pub fn clear(&mut self, other: Self) {
        let whole = self.0 & !other.0;
        crore_mem::store_whole(&mut self.0, whole);
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Flags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Flags {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl Tcb {
    /// The state.
    #[inline]
    pub fn state(&self) -> State {
        match self.state & 15 {
            0 => State::Closed,
            1 => State::SynSent,
            2 => State::FastOpened,
            3 => State::SynReceived,
            4 => State::Established,
            5 => State::CloseWait,
            6 => State::FinWait1,
            7 => State::FinWait2,
            8 => State::Closing,
            _ => State::LastAck,
        }
    }

    /// Sets the state.
    #[inline]
    pub fn set_state(&mut self, state: State) {
        self.state = self.state & !15 | state as u8;
    }

    /// True when the sign is set.
    #[inline]
    pub fn is(&self, sign: Sign) -> bool {
        self.state & sign as u8 != 0
    }

    /// Sets or clears a sign.
    #[inline]
    pub fn put(&mut self, sign: Sign, on: bool) {
        self.state = if on { self.state | sign as u8 } else { self.state & !(sign as u8) };
    }

    /// How far the peer's window field is shifted.
    #[inline]
    pub fn snd_scale(&self) -> u8 {
        self.scales >> 4
    }

    /// How far our window field is shifted.
    #[inline]
    pub fn rcv_scale(&self) -> u8 {
        self.scales & 15
    }

    /// Octets sent and not acknowledged, a FIN counted.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.snd_nxt.since(self.snd_una)
    }

    /// Octets queued and never sent.
    #[inline]
    pub fn unsent(&self) -> u32 {
        if self.snd_nxt.lt(self.snd_end) { self.snd_end.since(self.snd_nxt) } else { 0 }
    }

    /// Octets queued, sent or not, and not acknowledged.
    #[inline]
    pub fn queued(&self) -> u32 {
        if self.snd_una.lt(self.snd_end) { self.snd_end.since(self.snd_una) } else { 0 }
    }

    /// True when our FIN was acknowledged.
    #[inline]
    pub fn fin_acked(&self) -> bool {
        self.flags.any(Flags::FIN_SENT) && self.snd_una.gt(self.snd_end)
    }

    /// True when the connection sends over IPv6.
    #[inline]
    pub fn is_v6(&self) -> bool {
        self.remote >> 32 != 0xffff
    }

    /// The differentiated services code point of its segments (RFC 2474, RFC 1122-3.2.1.6).
    #[inline]
    pub fn dscp(&self) -> u8 {
        self.mark.spare() << 1 | u8::from(self.flags.any(Flags::DSCP_LOW))
    }

    /// Sets it; what is above six bits is cut off.
    pub fn set_dscp(&mut self, dscp: u8) {
        self.mark.set_spare(dscp >> 1);
        self.flags.clear(Flags::DSCP_LOW);
        if dscp & 1 != 0 {
            self.flags.set(Flags::DSCP_LOW);
        }
    }

    /// States every invariant of a live control block; the simulator calls it after each event.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check(&self) {
        let state = self.state();
        assert!(self.generation & 1 == 1, "a live slot has an odd generation");
        assert!(self.snd_una.le(self.snd_nxt), "una {:?} <= nxt {:?}", self.snd_una, self.snd_nxt);
        let fin = u32::from(self.flags.any(Flags::FIN_SENT));
        if state > State::SynReceived {
            assert!(self.snd_nxt.le(self.snd_end + fin), "nothing beyond the queue was sent");
            assert!(self.rcv_adv.ge(self.rcv_nxt) || self.flags.any(Flags::PEER_FIN));
            assert!(self.cwnd >= u32::from(self.mss), "a window of one segment at least");
            assert!(self.mss > 0);
            assert_eq!(self.queued() == 0, self.snd_head == BlockId::NONE, "blocks as queued");
            let recovering = self.flags.any(Flags::RECOVERY);
            assert!(!recovering || self.extension != BlockId::NONE, "recovery needs its block");
        }
        if state == State::FastOpened {
            assert!(self.flags.any(Flags::TIMED), "the SYN-ACK is timed");
            assert!(!self.flags.any(Flags::FIN_SENT), "our FIN waits for ESTABLISHED");
        }
        if self.in_flight() > 0 && state != State::Closed {
            assert!(self.flags.any(Flags::TIMED | Flags::ABORT), "what is in flight is timed");
        }
        if self.rcv_unread > 0 {
            assert!(self.rcv_queue != BlockId::NONE, "unread octets are in blocks");
        }
        if matches!(state, State::FinWait1 | State::Closing | State::LastAck | State::FinWait2) {
            assert!(self.flags.any(Flags::FIN_QUEUED), "these states come after our close");
        }
        if matches!(state, State::CloseWait | State::Closing | State::LastAck) {
            assert!(self.flags.any(Flags::PEER_FIN), "these states come after the peer's FIN");
        }
        if state == State::FinWait2 {
            assert!(self.fin_acked());
        }
    }
}

impl Tcb {
    /// Changes whenever the layout does.
    pub const LAYOUT: u32 = 2;

    #[inline]
    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints {
            remote: self.remote,
            remote_port: self.remote_port,
            local_port: self.local_port,
            local_id: self.local_id,
        }
    }
}
