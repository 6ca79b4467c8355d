//! How large the receive window is: small at first, and larger while a bulk transfer fills it
//! (dynamic right-sizing, after Fisk and Feng).
//!
//! ```text
//!   octets taken by the application in a round trip, as the receiver sees both
//!
//!   more than half of the window:  the sender may be waiting for it; four times as many octets
//!                                  as were taken are its new size, budget permitting
//!   less:                          it is not what limits the sender, and stays
//! ```
//!
//! A sender in slow start doubles its flight each round trip, so the window is kept ahead by two.
//! The state is in the extension, which a connection has when it is in bulk, and gives back when it
//! falls idle. Then its window is the first one again, but no edge that was advertised moves back
//! (RFC 9293 SHLD-14, RFC 7323 2.4).

use super::extension;
use crate::arrival::Arrival;
use crate::budget::Pressure;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};
use crore_mem::BlockId;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What is remembered of a bulk transfer to us. All zeros: there is none.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Tuning {
    /// Octets that may be received and not consumed; 0: as the settings say.
    pub(crate) limit: u32,
    /// What the application had taken when the present interval began: all before this.
    taken: Seq,
    /// When that was, in microseconds.
    began_us: u32,
    /// The round-trip time as the receiver sees it, in microseconds; 0: not known yet.
    rtt_us: u32,
}

const _: () = assert!(size_of::<Tuning>() == 16);

/// The room for what arrives, in octets.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// What may be received and not consumed.
    pub(super) buffer: u32,
    /// The most that is offered at once.
    pub(super) window: u32,
}

impl Room {
    /// How far ahead of RCV.NXT the right edge is that we would like to offer.
    #[inline]
    pub(super) fn offer(self, tcb: &Tcb) -> u32 {
        self.buffer.saturating_sub(tcb.rcv_unread).min(self.window)
    }

    /// That edge.
    #[inline]
    pub(super) fn edge(self, tcb: &Tcb) -> Seq {
        tcb.rcv_nxt + self.offer(tcb)
    }

    /// RFC 9293 3.8.6.2.2: by how much the edge must move to be worth a word, in units of
    /// `segments`, and of half of what there is to offer.
    #[inline]
    pub(super) fn step(self, tcb: &Tcb, segments: u32) -> u32 {
        (self.buffer.min(self.window) / 2).min(segments * u32::from(tcb.mss))
    }
}

impl Stack {
    /// The room of a connection for what arrives.
    #[inline]
    pub(super) fn rcv_room(&self, index: u32) -> Room {
        let (first, tcb) = (self.rcv_buf_of(index), &self.tcbs[index]);
        if tcb.extension == BlockId::NONE && self.budget.pressure() == Pressure::None {
            return Room { buffer: first, window: first };
        }
        self.unusual_room(tcb, first)
    }

    /// The same when the window may have grown, or when the pool runs short. Then who leaves octets
    /// unread is offered little at a time, so that what is under way can be kept.
    fn unusual_room(&self, tcb: &Tcb, first: u32) -> Room {
        let mut buffer = first;
        if tcb.extension != BlockId::NONE {
            buffer = buffer.max(extension::of(&self.pool, tcb.extension).tuning.limit);
        }
        let short = self.budget.pressure() > Pressure::None && tcb.rcv_queue != BlockId::NONE;
        let window = if short { self.config.buf_min(tcb.mss).min(buffer) } else { buffer };
        Room { buffer, window }
    }

    /// The window of a SYN that we send: not shifted (RFC 7323-2.2c), and small when the pool runs
    /// short.
    pub(super) fn opening_window(&self, mss: u16) -> u32 {
        let first = self.config.first_window();
        if self.budget.pressure() == Pressure::None {
            return first;
        }
        self.config.buf_min(mss).min(first)
    }

    /// Octets came in bulk, and a window's worth of them since this was asked last: from now on it
    /// is looked at how fast they come. Without a free block, or under pressure, it is not.
    #[cold]
    pub(super) fn maybe_begin_tuning(&mut self, index: u32) {
        let first = self.config.rcv_buf_bytes;
        let tcb = &self.tcbs[index];
        if self.rcv_buf_most(tcb) <= first || self.budget.pressure() > Pressure::None {
            return;
        }
        let known = tcb.extension != BlockId::NONE && self.tuning_of(tcb.extension).limit > 0;
        if known || !self.open_extension(index) {
            return;
        }
        let granted = self.budget.regrant(self.pool.bytes_in_use(), 0, first);
        let (now_us, tcb) = (self.now.us as u32, &self.tcbs[index]);
        let taken = taken_by_user(tcb);
        let rtt_us = tcb.srtt_us8 >> 3;
        let id = tcb.extension;
        extension::of_mut(&mut self.pool, id).tuning =
            Tuning { limit: granted, taken, began_us: now_us, rtt_us };
        if !self.tcbs[index].flags.any(Flags::TIMED) {
            // It looks whether the extension is still needed.
            self.start_rto(index);
        }
    }

    /// Octets arrived in order on a connection with an extension: at the end of each round trip the
    /// window follows what came in it.
    #[inline(never)]
    pub(super) fn tune(&mut self, index: u32, arrival: &Arrival) {
        let now_us = self.now.us as u32;
        let tcb = &self.tcbs[index];
        let id = tcb.extension;
        let tuning = self.tuning_of(id);
        if tuning.limit == 0 {
            return;
        }
        let elapsed_us = now_us.wrapping_sub(tuning.began_us);
        let taken = taken_by_user(tcb);
        let octets = taken.since(tuning.taken);
        let over = match tuning.rtt_us {
            0 => octets >= tuning.limit,
            rtt_us => elapsed_us >= rtt_us,
        };
        if !over {
            return;
        }
        let sample_us = self.rtt_sample_us(tcb, arrival).unwrap_or(match tuning.rtt_us {
            0 => elapsed_us.max(1),
            rtt_us => rtt_us,
        });
        let rtt_us = match tuning.rtt_us {
            0 => sample_us,
            rtt_us => rtt_us - rtt_us / 4 + sample_us / 4,
        };
        let in_a_trip = u64::from(octets) * u64::from(rtt_us) / u64::from(elapsed_us.max(1));
        let first = self.config.rcv_buf_bytes;
        let wanted =
            size_after(tuning.limit, in_a_trip).clamp(first, self.rcv_buf_most(tcb).max(first));
        let limit = self.budget.regrant(self.pool.bytes_in_use(), tuning.limit, wanted);
        self.counters.windows_grown += u64::from(limit > tuning.limit.max(first));
        extension::of_mut(&mut self.pool, id).tuning =
            Tuning { limit, taken, began_us: now_us, rtt_us: rtt_us.max(1) };
    }

    /// The round-trip time by the timestamp that this segment echoes: it was on our last
    /// acknowledgment, and the segment is one that it let go (Linux measures it like that).
    fn rtt_sample_us(&self, tcb: &Tcb, arrival: &Arrival) -> Option<u32> {
        if !tcb.flags.any(Flags::TIMESTAMPS) || !arrival.has_timestamps {
            return None;
        }
        match self.ts_now().wrapping_sub(arrival.ts_echo) {
            // Below the clock's grain the handshake's measurement says more.
            0 => Some((tcb.srtt_us8 >> 3).clamp(100, 1000)),
            ms if ms <= RTT_MAX_MS => Some(ms * 1000),
            _ => None,
        }
    }

    /// True when the receive window is one that grows.
    pub(super) fn is_tuned(&self, index: u32) -> bool {
        let id = self.tcbs[index].extension;
        id != BlockId::NONE && self.tuning_of(id).limit > 0
    }

    /// True while octets still come in bulk. A hole may hold them up for a while.
    pub(super) fn still_receives(&self, tcb: &Tcb, tuning: &Tuning) -> bool {
        let quiet_us = (self.now.us as u32).wrapping_sub(tuning.began_us);
        let held_up = tcb.rcv_queue != BlockId::NONE;
        let least_us = if held_up { HELD_UP_MAX_US } else { QUIET_MIN_US };
        tuning.limit > 0 && quiet_us < tuning.rtt_us.saturating_mul(2).max(least_us)
    }

    #[inline]
    fn tuning_of(&self, id: BlockId) -> Tuning {
        extension::of(&self.pool, id).tuning
    }

    /// The largest window that this connection can have: what its scale can say.
    fn rcv_buf_most(&self, tcb: &Tcb) -> u32 {
        self.config.rcv_buf_most().min(65_535 << tcb.rcv_scale())
    }
}

/// All octets before this one are the application's. Those of the present burst count although it
/// only gets them in a moment.
fn taken_by_user(tcb: &Tcb) -> Seq {
    tcb.rcv_nxt.back(tcb.rcv_unread)
}

/// A longer round-trip time is a peer's lie, or its leisure.
const RTT_MAX_MS: u32 = 4_000;

/// The size of a window of `limit` octets of which so many were used in a round trip. What is used
/// by an eighth only is given up little by little: others may want it.
fn size_after(limit: u32, in_a_trip: u64) -> u32 {
    let (half, eighth) = (u64::from(limit / 2), u64::from(limit / 8));
    if in_a_trip > half {
        (in_a_trip * 4).min(1 << 30) as u32
    } else if in_a_trip < eighth {
        limit - limit / 8
    } else {
        limit
    }
}

/// A transfer that pauses for less than this goes on.
const QUIET_MIN_US: u32 = 200_000;

/// One that waits for a segment to be sent again, or for the application, for less than this.
const HELD_UP_MAX_US: u32 = 3_000_000;
