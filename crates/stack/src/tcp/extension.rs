//! What a connection remembers while it is busy: from the first sign of loss, or of a bulk
//! transfer, until it falls idle.
//!
//! It does not fit into the control block and most connections never need it, so it is in a block
//! of the pool. When none is free the connection goes without: it takes no notice of reports,
//! waits for the retransmission timer and goes on by slow start, which needs no memory.

use super::congestion::{Avoidance, HyStart};
use super::fast_open::Opening;
use super::pacing::Pacing;
use super::scoreboard;
use super::send_queue::{Marks, Segment};
use super::tuning::Tuning;
use crate::budget::charge;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};
use core::mem::size_of;
use crore_mem::{BlockId, Pool};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// The extension of a control block.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Extension {
    /// SND.NXT when the present or last recovery began (RFC 6582).
    pub(super) recover: Seq,
    /// Octets in blocks marked [`Marks::SACKED`].
    pub(super) sacked: u32,
    /// Octets in blocks marked [`Marks::LOST`].
    pub(super) lost: u32,
    /// The end of the highest block that was delivered (`RACK.fack` of RFC 8985).
    pub(super) fack: Seq,
    /// That block, while `fack` is beyond SND.UNA.
    pub(super) cursor: BlockId,
    /// Where walks over the queue go on, so that they need not begin at its head. Each is a block
    /// that was sent, or none.
    pub(super) places: Places,
    /// When the latest sent of all delivered segments was sent (`RACK.xmit_ts`), in microseconds.
    pub(super) rack_sent_us: u32,
    /// Its end (`RACK.end_seq`).
    pub(super) rack_end: Seq,
    /// Its round-trip time (`RACK.rtt`).
    pub(super) rack_rtt_us: u32,
    /// The least round-trip time seen since this block was taken; `u32::MAX`: none was.
    pub(super) min_rtt_us: u32,
    /// SND.NXT when the reordering window was widened last (RFC 8985 6.2).
    pub(super) dsack_round: Seq,
    /// SND.NXT at the tail loss probe that is under way (`TLP.end_seq`).
    pub(super) probe_end: Seq,
    /// Octets delivered and sent since recovery began, and in flight then (RFC 6937). When it is
    /// over the first and the last of them are sequence numbers: see [`Extension::is_used`], and
    /// until SND.UNA gets to the last it can be undone.
    pub(super) prr_delivered: u32,
    pub(super) prr_out: u32,
    pub(super) prr_flight: u32,
    /// Our timestamp in the first retransmission of this recovery (RFC 3522).
    pub(super) retransmit_ts: u32,
    /// Window and threshold before this recovery, if it turns out to have been for nothing.
    pub(super) prior_cwnd: u32,
    pub(super) prior_ssthresh_segments: u16,
    /// Retransmissions of this recovery that the peer did not report as duplicates.
    pub(super) undo_retransmits: u16,
    /// `RACK.reo_wnd_mult` and `RACK.reo_wnd_persist`.
    pub(super) reorder_steps: u8,
    pub(super) reorder_persists: u8,
    /// Step of F-RTO (RFC 5682), or [`MENDS`]; 0: neither.
    pub(super) course: u8,
    /// See [`Bits`].
    pub(super) bits: u8,
    pub(super) avoidance: Avoidance,
    /// See `tcp::rare`.
    pub(super) rare: BlockId,
    /// Of an opening with Fast Open.
    pub(super) opening: Opening,
    pub(super) steering: Steering,
    pub(super) tuning: Tuning,
    pub(super) hystart: HyStart,
    pub(super) pacing: Pacing,
}

/// Places in the send queue. None: the head.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Places {
    /// The first block of the lowest range that was reported last.
    pub(super) reported: BlockId,
    /// The first block that RACK did not get to look at.
    pub(super) judged: BlockId,
    /// No block before this one is marked [`Marks::LOST`].
    pub(super) lost: BlockId,
}

impl Places {
    pub(super) const HEAD: Self =
        Self { reported: BlockId::NONE, judged: BlockId::NONE, lost: BlockId::NONE };

    /// What ends at `ack` or before will be given back.
    pub(super) fn forget_before(&mut self, pool: &Pool<Segment>, ack: Seq) {
        for place in [&mut self.reported, &mut self.judged, &mut self.lost] {
            if *place != BlockId::NONE {
                let segment = pool.header(*place);
                if (segment.seq + u32::from(segment.len)).le(ack) {
                    *place = BlockId::NONE;
                }
            }
        }
    }
}

/// What is remembered of how the window was moved, besides by losses.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Steering {
    /// SND.NXT when the window was reduced last, for a mark or a loss (RFC 3168 6.1.2).
    pub(super) cut_until: Seq,
}

/// Bits of [`Extension::bits`].
pub(super) struct Bits;

impl Bits {
    /// `rack_sent_us` and its companions are set.
    pub(super) const RACK: u8 = 1;
    /// The path was seen to reorder.
    pub(super) const REORDERS: u8 = 1 << 1;
    /// `dsack_round` is set.
    pub(super) const DSACK_ROUND: u8 = 1 << 2;
    /// A tail loss probe is under way.
    pub(super) const PROBE: u8 = 1 << 3;
    /// It was a retransmission.
    pub(super) const PROBE_REPEATS: u8 = 1 << 4;
    /// `prior_cwnd` is set.
    pub(super) const UNDO: u8 = 1 << 5;
    /// `retransmit_ts` is set.
    pub(super) const STAMPED: u8 = 1 << 6;
    /// The deadline is the reordering timer's.
    pub(super) const REORDER_TIMER: u8 = 1 << 7;
}

/// [`Extension::course`]: the recovery under way mends a probe of the path, and takes nothing off
/// the window.
pub(super) const MENDS: u8 = 3;

const _: () = assert!(size_of::<Extension>() <= 160, "fits the smallest blocks");

impl Extension {
    #[inline]
    pub(super) fn has(&self, bits: u8) -> bool {
        self.bits & bits != 0
    }

    /// True for the end of a segment that a probe under way repeats.
    pub(super) fn is_repeated_probe(&self, end: Seq) -> bool {
        self.has(Bits::PROBE) && self.has(Bits::PROBE_REPEATS) && self.probe_end == end
    }

    #[inline]
    pub(super) fn set(&mut self, bits: u8, on: bool) {
        self.bits = if on { self.bits | bits } else { self.bits & !bits };
    }

    /// A block was sent again; `lost` octets of it were taken to be lost.
    pub(super) fn note_repeat(&mut self, lost: u16, ts_now: u32) {
        self.lost -= u32::from(lost);
        self.undo_retransmits = self.undo_retransmits.saturating_add(1);
        if !self.has(Bits::STAMPED) {
            self.set(Bits::STAMPED, true);
            self.retransmit_ts = ts_now;
        }
    }

    /// A block of `octets` was marked as lost.
    pub(super) fn note_lost(&mut self, pool: &Pool<Segment>, id: BlockId, octets: u32) {
        let place = self.places.lost;
        let before = |place: BlockId| pool.header(id).seq.lt(pool.header(place).seq);
        if self.lost == 0 || place != BlockId::NONE && before(place) {
            self.places.lost = id;
        }
        self.lost += octets;
    }

    /// Half of the window or more was in flight when SND.NXT was this. Outside of recovery only.
    #[inline]
    pub(super) fn note_used(&mut self, snd_nxt: Seq) {
        self.prr_delivered = snd_nxt.0;
    }

    /// True when what ends here went in a window that was used. Outside of recovery only.
    #[inline]
    pub(super) fn is_used(&self, end: Seq) -> bool {
        end.le(Seq(self.prr_delivered))
    }

    fn new(tcb: &Tcb) -> Self {
        let mut loss = Self::new_zeroed();
        // RFC 6582-3.2a, and anew with each block: before what is in flight.
        loss.recover = tcb.snd_una.back(1);
        loss.steering.cut_until = loss.recover;
        loss.note_used(loss.recover);
        loss.hystart = HyStart::new(tcb.snd_nxt);
        loss.fack = tcb.snd_una;
        loss.cursor = BlockId::NONE;
        loss.places = Places::HEAD;
        loss.rare = BlockId::NONE;
        loss.min_rtt_us = u32::MAX;
        loss.reorder_steps = 1;
        loss
    }
}

impl Stack {
    /// Sees to it that the connection has its extension; false when no block is free.
    pub(super) fn open_extension(&mut self, index: u32) -> bool {
        let tcb = &mut self.tcbs[index];
        if tcb.extension != BlockId::NONE {
            return true;
        }
        let Some(id) = self.pool.alloc(size_of::<Extension>()) else { return false };
        let mut loss = Extension::new(tcb);
        if tcb.flags.any(Flags::LOSS) {
            // A timeout had to do without: its marks are in the queue already.
            (loss.sacked, loss.lost) = marked(tcb, &self.pool, u32::MAX);
            loss.recover = tcb.snd_nxt;
        }
        tcb.extension = id;
        *of_mut(&mut self.pool, id) = loss;
        true
    }

    /// Gives the extension back.
    pub(super) fn close_extension(&mut self, index: u32) {
        self.forget_wait(index);
        let tcb = &mut self.tcbs[index];
        if tcb.extension == BlockId::NONE {
            return;
        }
        let Extension { rare, tuning, .. } = *of(&self.pool, tcb.extension);
        self.budget.revoke(tuning.limit);
        if tcb.flags.any(Flags::RARE) {
            // What is not of loss outlives the flight.
            *of_mut(&mut self.pool, tcb.extension) = Extension { rare, ..Extension::new(tcb) };
            return;
        }
        if rare != BlockId::NONE {
            self.pool.free(rare);
        }
        self.pool.free(tcb.extension);
        tcb.extension = BlockId::NONE;
    }

    /// The connection sent nothing for a while: what was remembered of losses is old. Its window
    /// goes on growing as long as it receives; else the extension is given back.
    pub(super) fn idle_extension(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        if tcb.extension == BlockId::NONE {
            return;
        }
        let Extension { rare, tuning, .. } = *of(&self.pool, tcb.extension);
        if !self.still_receives(tcb, &tuning) {
            return self.close_extension(index);
        }
        self.forget_wait(index);
        let tcb = &self.tcbs[index];
        let anew = Extension { rare, tuning, ..Extension::new(tcb) };
        *of_mut(&mut self.pool, tcb.extension) = anew;
    }

    /// Checks the sums against the queue, for the simulator. Returns what its window may fill.
    pub(crate) fn check_extension(&self, tcb: &Tcb) -> u64 {
        if tcb.extension == BlockId::NONE {
            return 0;
        }
        let loss = of(&self.pool, tcb.extension);
        assert_eq!(
            (loss.sacked, loss.lost),
            marked(tcb, &self.pool, u32::MAX),
            "octets reported and lost"
        );
        let cursor = loss.fack.gt(tcb.snd_una) && loss.cursor != BlockId::NONE;
        if cursor {
            let segment = self.pool.header(loss.cursor);
            assert_eq!(segment.seq + u32::from(segment.len), loss.fack, "the cursor's end");
        }
        let mut id = tcb.snd_head;
        while loss.places.lost != BlockId::NONE && id != loss.places.lost {
            let segment = self.pool.header(id);
            assert_eq!(segment.marks & Marks::LOST, 0, "before the place of the first lost one");
            id = segment.next;
        }
        scoreboard::check_runs(tcb, &self.pool);
        charge(loss.tuning.limit)
    }
}

/// The extension in block `id`.
#[inline]
pub(super) fn of(pool: &Pool<Segment>, id: BlockId) -> &Extension {
    let bytes = &pool.payload(id)[..size_of::<Extension>()];
    Extension::ref_from_bytes(bytes).expect("payloads are aligned and long enough")
}

/// The same, to be changed.
#[inline]
pub(super) fn of_mut(pool: &mut Pool<Segment>, id: BlockId) -> &mut Extension {
    let bytes = &mut pool.payload_mut(id)[..size_of::<Extension>()];
    Extension::mut_from_bytes(bytes).expect("payloads are aligned and long enough")
}

/// Octets in blocks that the peer reported, and in those taken to be lost, of the first `most`.
pub(super) fn marked(tcb: &Tcb, pool: &Pool<Segment>, most: u32) -> (u32, u32) {
    let (mut id, mut sacked, mut lost) = (tcb.snd_head, 0, 0);
    let mut left = most;
    while id != BlockId::NONE && left > 0 {
        left -= 1;
        let segment = pool.header(id);
        if segment.marks & Marks::SENT == 0 {
            break;
        }
        sacked += if segment.marks & Marks::SACKED != 0 { u32::from(segment.len) } else { 0 };
        lost += if segment.marks & Marks::LOST != 0 { u32::from(segment.len) } else { 0 };
        id = segment.next;
    }
    (sacked, lost)
}
