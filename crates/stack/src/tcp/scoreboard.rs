//! Which octets in flight were delivered and which are lost: marks in the send queue's blocks
//! (RFC 2018, 6675), with their sums in [`Extension`].

use super::extension::{self, Bits, Extension};
use super::send_queue::{self, Marks, Segment};
use super::timers::rto_ms;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};
use crore_mem::{BlockId, Pool};

/// What one acknowledgment delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    /// Octets that were not known to be delivered before.
    pub(super) octets: u32,
    /// Round-trip time of the latest of them that was sent once.
    pub(super) rtt_us: Option<u32>,
    /// A segment that this recovery did not send again, and should have had to.
    pub(super) original: bool,
    /// A segment that was sent again.
    pub(super) resent: bool,
    /// The highest end that was delivered before it.
    pub(super) fack: Seq,
    /// SACK reported something new.
    pub(super) reported: bool,
    /// The duplicate that the peer reports (RFC 2883).
    pub(super) duplicate: Option<(Seq, Seq)>,
    /// Blocks looked at for its reports.
    pub(super) steps: u32,
}

/// The moment of an acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now_us: u32,
    pub(super) srtt_us: u32,
    /// How old the timestamp that it echoes is, in milliseconds.
    pub(super) echo_age_ms: Option<u32>,
}

/// Takes `ack` in: blocks before it are given back. SND.UNA is the caller's to move.
pub(super) fn acknowledge(
    tcb: &mut Tcb,
    pool: &mut Pool<Segment>,
    loss: &mut Extension,
    ack: Seq,
    moment: Moment,
    seen: &mut Delivered,
) {
    let (reported, mut held_up) = (seen.rtt_us, false);
    loss.places.forget_before(pool, ack);
    while tcb.snd_head != BlockId::NONE {
        let id = tcb.snd_head;
        let segment = *pool.header(id);
        let end = segment.seq + u32::from(segment.len);
        if segment.seq.ge(ack) {
            break;
        }
        let octets = end.earlier(ack).since(segment.seq);
        if segment.marks & Marks::SACKED != 0 {
            loss.sacked -= octets;
        } else {
            seen.octets += octets;
        }
        // The sum counts whole blocks: the rest of one that went in part is no longer lost either.
        let settled = if ack == tcb.snd_nxt { u32::from(segment.len) } else { octets };
        loss.lost -= if segment.marks & Marks::LOST != 0 { settled } else { 0 };
        if end.gt(ack) {
            send_queue::cut_front(pool.header_mut(id), ack, tcb.snd_nxt);
            break;
        }
        held_up |= segment.marks & Marks::RESENT != 0;
        if segment.marks & Marks::SACKED == 0 {
            note_delivered(loss, &segment, end, moment, seen);
        }
        if tcb.snd_unsent == id {
            tcb.snd_unsent = segment.next;
        }
        tcb.snd_head = segment.next;
        send_queue::release(pool, id);
    }
    if held_up {
        // What lies above a block that was sent again has waited for it at the peer: the time of
        // a recovery is not that of a round trip.
        seen.rtt_us = reported;
    }
}

/// Marks what the peer reports to have. It reports what came last first (RFC 2018 4), so what is
/// new is near what was reported last. The work is bounded: what lies further away in a long queue
/// is found by a later report, when the queue's head has moved on (CVE-2019-11478).
pub(super) fn mark_reported(
    tcb: &Tcb,
    pool: &mut Pool<Segment>,
    loss: &mut Extension,
    ranges: &[(Seq, Seq)],
    moment: Moment,
    seen: &mut Delivered,
) {
    let Some(&(mut left, mut right)) = ranges.first() else { return };
    for range in &ranges[1..] {
        left = left.earlier(range.0);
        right = right.later(range.1);
    }
    let known = loss.fack.gt(tcb.snd_una) && loss.cursor != BlockId::NONE;
    let (fack, cursor) = (loss.fack, loss.cursor);
    let near = loss.places.reported;
    let near = near != BlockId::NONE && pool.header(near).seq.le(left);
    let start = if near { loss.places.reported } else { tcb.snd_head };
    loss.places.reported = BlockId::NONE;
    let mut mark = |mut id: BlockId, until: Seq| {
        let mut visits = WALK_MAX;
        while id != BlockId::NONE && visits > 0 {
            let segment = pool.header_mut(id);
            if segment.marks & Marks::SENT == 0 || segment.seq.ge(until) {
                break;
            }
            if loss.places.reported == BlockId::NONE && segment.seq.ge(left) {
                loss.places.reported = id;
            }
            if segment.marks & Marks::SACKED != 0 {
                id = after_run(pool, id, &mut visits);
                continue;
            }
            let (seq, end) = (segment.seq, segment.seq + u32::from(segment.len));
            let covered = |&(left, right): &(Seq, Seq)| seq.ge(left) && end.le(right);
            if ranges.iter().any(covered) {
                loss.lost -= if segment.marks & Marks::LOST != 0 { end.since(seq) } else { 0 };
                loss.sacked += end.since(seq);
                segment.marks = segment.marks & !Marks::LOST | Marks::SACKED;
                seen.octets += end.since(seq);
                seen.reported = true;
                note_delivered(loss, segment, end, moment, seen);
                segment.sent_at_us = zerocopy::transmute!(id);
                if loss.fack == end {
                    loss.cursor = id;
                }
            }
            id = segment.next;
            visits -= 1;
        }
        seen.steps += WALK_MAX - visits;
    };
    if known {
        if left.lt(fack) {
            mark(start, right.earlier(fack));
        }
        if right.gt(fack) {
            mark(cursor, right);
        }
    } else {
        mark(tcb.snd_head, right);
    }
}

/// The block behind the run of reported blocks that `id` is in. What a flight of thousands has
/// delivered behind one hole is one run: nobody asks any more when its blocks were sent, so each of
/// them says in that place how far its run was known to go, and what is looked at is holes.
///
/// ```text
///   [hole] ──> [reported] ──> [reported] ──> [reported] ──> [hole]
///                 └─────────────────────────────^
/// ```
pub(super) fn after_run(pool: &mut Pool<Segment>, id: BlockId, visits: &mut u32) -> BlockId {
    let (mut last, mut next) = (id, id);
    while next != BlockId::NONE && *visits > 0 {
        let segment = pool.header(next);
        if segment.marks & Marks::SACKED == 0 {
            break;
        }
        *visits -= 1;
        let further: BlockId = zerocopy::transmute!(segment.sent_at_us);
        last = next;
        next = if further == next { segment.next } else { further };
    }
    pool.header_mut(id).sent_at_us = zerocopy::transmute!(last);
    next
}

/// Each reported block knows a reported one of its run, itself or further on; for the simulator.
pub(super) fn check_runs(tcb: &Tcb, pool: &Pool<Segment>) {
    let (mut id, mut known) = (tcb.snd_head, BlockId::NONE);
    while id != BlockId::NONE {
        let segment = pool.header(id);
        if segment.marks & Marks::SACKED != 0 {
            let further: BlockId = zerocopy::transmute!(segment.sent_at_us);
            let ahead = pool.header(further).seq.ge(segment.seq);
            known = if known == BlockId::NONE || known == id { further } else { known };
            assert!(ahead, "a run goes on");
        } else {
            assert_eq!(known, BlockId::NONE, "a run has no hole");
        }
        known = if known == id { BlockId::NONE } else { known };
        id = segment.next;
    }
}

/// One segment is known to be delivered (RFC 8985 6.2, steps 1 to 3).
fn note_delivered(
    loss: &mut Extension,
    segment: &Segment,
    end: Seq,
    moment: Moment,
    seen: &mut Delivered,
) {
    let rtt_us = moment.now_us.wrapping_sub(segment.sent_at_us);
    let resent = segment.marks & Marks::RESENT != 0;
    if resent {
        seen.resent = true;
    } else {
        seen.rtt_us = Some(seen.rtt_us.map_or(rtt_us, |other| other.min(rtt_us)));
        seen.original |= end.le(loss.recover);
    }
    if end.gt(loss.fack) {
        loss.fack = end;
    } else if end.lt(seen.fack) && !resent {
        // Step 3 goes through an acknowledgment's segments in their order: one that delivers the
        // first and, by SACK, the last shows no reordering.
        loss.set(Bits::REORDERS, true);
    }
    if resent {
        // It may be an earlier copy that was delivered: then this says nothing of the last one.
        // The echoed timestamp would not help: out of order it is an older segment's.
        let known = loss.min_rtt_us != u32::MAX;
        let least_us = if known { loss.min_rtt_us } else { moment.srtt_us / 2 };
        if rtt_us < least_us {
            return;
        }
    }
    loss.min_rtt_us = loss.min_rtt_us.min(rtt_us);
    let later = sent_after(segment.sent_at_us, end, loss.rack_sent_us, loss.rack_end);
    if later || !loss.has(Bits::RACK) {
        loss.set(Bits::RACK, true);
        loss.rack_sent_us = segment.sent_at_us;
        loss.rack_end = end;
        loss.rack_rtt_us = rtt_us;
    }
}

/// `RACK_sent_after` of RFC 8985 6.2: the first was sent after the second.
pub(super) fn sent_after(sent_us: u32, end: Seq, other_us: u32, other_end: Seq) -> bool {
    match sent_us.wrapping_sub(other_us) as i32 {
        0 => end.gt(other_end),
        ahead => ahead > 0,
    }
}

/// Takes a block in flight to be lost, unless the peer has it.
pub(super) fn mark_lost(
    tcb: &mut Tcb,
    pool: &mut Pool<Segment>,
    loss: &mut Extension,
    id: BlockId,
) {
    if id == BlockId::NONE {
        // Only the FIN is in flight.
        tcb.flags.set(Flags::FIN_LOST);
        return;
    }
    let segment = pool.header_mut(id);
    if segment.marks & Marks::SENT != 0 && segment.marks & (Marks::SACKED | Marks::LOST) == 0 {
        segment.marks |= Marks::LOST;
        let octets = u32::from(segment.len);
        loss.note_lost(pool, id, octets);
    }
}

/// Takes all that is in flight and not reported to be lost. A reported head means that the peer
/// does not keep what it reports: then nothing of it counts (RFC 2018 8), and the head goes again
/// in any case (RFC 2018-5c, RFC 6675-5.1a).
pub(super) fn mark_all_lost(tcb: &Tcb, pool: &mut Pool<Segment>, now_us: u32) -> (u32, u32) {
    let (mut id, mut sacked, mut lost) = (tcb.snd_head, 0, 0);
    let reneged = id != BlockId::NONE && pool.header(id).marks & Marks::SACKED != 0;
    while id != BlockId::NONE {
        let segment = pool.header_mut(id);
        if segment.marks & Marks::SENT == 0 {
            break;
        }
        if segment.marks & Marks::SACKED != 0 && !reneged {
            sacked += u32::from(segment.len);
        } else {
            if segment.marks & Marks::SACKED != 0 {
                // When it was sent is not known any more: no sample, then.
                segment.marks |= Marks::RESENT;
                segment.sent_at_us = now_us;
            }
            segment.marks = segment.marks & !Marks::SACKED | Marks::LOST;
            lost += u32::from(segment.len);
        }
        id = segment.next;
    }
    (sacked, lost)
}

/// Nothing is taken to be lost any more.
pub(super) fn clear_lost(tcb: &Tcb, pool: &mut Pool<Segment>) {
    let mut id = tcb.snd_head;
    while id != BlockId::NONE {
        let segment = pool.header_mut(id);
        segment.marks &= !Marks::LOST;
        id = segment.next;
    }
}

impl Stack {
    /// True when the first part of a lost block, for whose rest no block is free, went less than a
    /// timeout ago: it would go in each turn.
    #[cold]
    pub(super) fn went_lately(&self, index: u32, id: BlockId) -> bool {
        let segment = self.pool.header(id);
        let age_us = (self.now.us as u32).wrapping_sub(segment.sent_at_us);
        let waits_us = rto_ms(&self.config, &self.tcbs[index]).saturating_mul(1000);
        segment.marks & Marks::RESENT != 0 && age_us < waits_us
    }

    /// Where to look for the first lost block.
    pub(super) fn first_lost(&self, index: u32) -> BlockId {
        let tcb = &self.tcbs[index];
        if tcb.extension == BlockId::NONE {
            return tcb.snd_head;
        }
        let place = extension::of(&self.pool, tcb.extension).places.lost;
        if place == BlockId::NONE { tcb.snd_head } else { place }
    }

    /// No block before `at` is lost.
    pub(super) fn note_first_lost(&mut self, index: u32, at: BlockId) {
        let sent = at != BlockId::NONE && self.pool.header(at).marks & Marks::SENT != 0;
        let id = self.tcbs[index].extension;
        if id != BlockId::NONE {
            let places = &mut extension::of_mut(&mut self.pool, id).places;
            places.lost = if sent { at } else { BlockId::NONE };
        }
    }

    /// Octets in the network, as far as we know (RFC 6675-4, "pipe").
    #[inline]
    pub(super) fn pipe(&self, tcb: &Tcb) -> u32 {
        // A FIN takes no room: counted, it would keep a window of one segment shut.
        let mut gone = u32::from(tcb.flags.any(Flags::FIN_SENT));
        if tcb.extension != BlockId::NONE {
            let loss = extension::of(&self.pool, tcb.extension);
            gone += loss.sacked + loss.lost;
        } else if tcb.flags.any(Flags::LOSS) {
            // Bounded: what was not looked at counts as in the network.
            let (sacked, lost) = extension::marked(tcb, &self.pool, WALK_MAX);
            gone += sacked + lost;
        }
        if !tcb.flags.any(Flags::SACK) {
            // Each duplicate acknowledgment says that a segment has left the network.
            gone += u32::from(tcb.dup_acks) * u32::from(tcb.mss);
        }
        tcb.in_flight().saturating_sub(gone)
    }
}

/// Blocks that one acknowledgment makes us look at, in each of its passes.
pub(super) const WALK_MAX: u32 = 512;
