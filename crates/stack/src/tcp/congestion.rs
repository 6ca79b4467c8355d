//! Congestion control: `NewReno` (RFC 5681, 6582) with the scoreboard in the send queue's blocks.
//!
//! A block that is taken to be lost carries a mark; output sends marked blocks first, as the
//! window allows. What counts against the window is what is still in the network: sent, not lost,
//! not reported by SACK, and not vouched for by a duplicate acknowledgment.

use super::send_queue::{Marks, Segment};
use crate::arrival::Arrival;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};
use crore_mem::{BlockId, Pool};
use crore_wire::tcp;

impl Stack {
    /// `newly` octets were acknowledged, of `flight_before` that were in flight.
    #[inline]
    pub(super) fn congestion_on_ack(&mut self, index: u32, newly: u32, flight_before: u32) {
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::RECOVERY | Flags::LOSS) {
            return self.recovery_on_ack(index, newly);
        }
        // A window that was not used is not proven: it does not grow (RFC 7661 4.3).
        if flight_before < tcb.cwnd / 2 {
            return;
        }
        grow(tcb, newly, self.config.snd_buf_bytes);
    }

    /// RFC 6582 3.2 step 3: a full acknowledgment ends recovery, a partial one shows the next loss.
    fn recovery_on_ack(&mut self, index: u32, newly: u32) {
        let tcb = &mut self.tcbs[index];
        if tcb.snd_una.ge(tcb.recover) {
            if tcb.flags.any(Flags::RECOVERY) {
                tcb.cwnd = tcb.ssthresh_octets();
            }
            tcb.flags.clear(Flags::RECOVERY | Flags::LOSS);
            return;
        }
        if tcb.flags.any(Flags::LOSS) {
            // RFC 5681 3.1: slow start after a timeout.
            grow(tcb, newly, self.config.snd_buf_bytes);
            return;
        }
        mark_lost(tcb, &mut self.pool, tcb.snd_head);
        self.queue_output(index);
    }

    /// A duplicate acknowledgment: the third one in a row says that a segment is lost.
    pub(super) fn congestion_on_duplicate(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        tcb.dup_acks = tcb.dup_acks.saturating_add(1);
        if tcb.flags.any(Flags::RECOVERY) {
            self.queue_output(index);
        } else if tcb.dup_acks == DUP_ACKS_LOSS && !tcb.flags.any(Flags::LOSS) {
            self.enter_recovery(index);
        }
    }

    /// RFC 6582 3.2 step 2.
    fn enter_recovery(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        tcb.set_ssthresh(tcb.in_flight() / 2);
        tcb.cwnd = tcb.ssthresh_octets();
        tcb.recover = tcb.snd_nxt;
        tcb.flags.set(Flags::RECOVERY);
        mark_lost(tcb, &mut self.pool, tcb.snd_head);
        self.counters.fast_retransmits += 1;
        self.queue_output(index);
    }

    /// The retransmission timer ran out (RFC 5681 3.1, RFC 6298 5.4 to 5.6): all that is in flight
    /// and not reported by the peer is taken to be lost.
    pub(super) fn congestion_on_timeout(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        if !tcb.flags.any(Flags::LOSS) {
            tcb.set_ssthresh(tcb.in_flight() / 2);
        }
        tcb.cwnd = u32::from(tcb.mss);
        tcb.recover = tcb.snd_nxt;
        tcb.dup_acks = 0;
        tcb.flags.clear(Flags::RECOVERY);
        tcb.flags.set(Flags::LOSS);
        let mut id = tcb.snd_head;
        while id != BlockId::NONE {
            let segment = self.pool.header_mut(id);
            if segment.marks & Marks::SENT == 0 {
                break;
            }
            // RFC 2018 8: after a timeout the peer's reports are forgotten; it may have reneged.
            segment.marks &= !Marks::SACKED;
            segment.marks |= Marks::LOST;
            id = segment.next;
        }
        if tcb.flags.any(Flags::FIN_SENT) {
            tcb.flags.set(Flags::FIN_LOST);
        }
    }

    /// Marks what the peer reports to have (RFC 2018); three segments above a hole prove its loss
    /// (RFC 6675 4).
    pub(super) fn take_sack(&mut self, index: u32, arrival: &Arrival, frame: &[u8]) {
        let segment = &frame[usize::from(arrival.start)..];
        let Ok((header, _)) = tcp::Header::parse(segment) else { return };
        let tcb = &mut self.tcbs[index];
        let mut newly_reported = false;
        for &(left, right) in header.options.sack.as_slice() {
            let (left, right) = (Seq(left), Seq(right));
            // RFC 2883: what lies before SND.UNA is a duplicate's report; beyond SND.NXT a lie.
            if left.ge(tcb.snd_una) && left.lt(right) && right.le(tcb.snd_nxt) {
                newly_reported |= mark_sacked(tcb, &mut self.pool, left, right);
            }
        }
        if newly_reported && mark_holes(tcb, &mut self.pool) {
            if tcb.flags.any(Flags::RECOVERY | Flags::LOSS) {
                self.queue_output(index);
            } else {
                self.enter_recovery(index);
            }
        }
    }

    /// The path takes packets of `mtu` octets at most (RFC 1191 6.4): smaller segments from now
    /// on, and what was too large once more.
    pub(crate) fn lower_mss(&mut self, index: u32, mtu: u16) {
        // A router that does not say how much, or says nonsense, is taken to mean the least that
        // IPv4 hosts must take; below that we do not go (RFC 9293 3.9.1, RFC 8201 4).
        let is_v4 = self.tcbs[index].remote >> 32 == 0xffff;
        let (floor, headers) = if is_v4 { (576, 40) } else { (1280, 60) };
        let tcb = &mut self.tcbs[index];
        let options =
            if tcb.flags.any(Flags::TIMESTAMPS) { super::active::tcp_timestamps_len() } else { 0 };
        let mss = mtu.max(floor) - headers - options;
        if mss >= tcb.mss {
            return;
        }
        tcb.mss = mss;
        tcb.flags.set(Flags::LOSS);
        tcb.recover = tcb.snd_nxt;
        mark_lost(tcb, &mut self.pool, tcb.snd_head);
        self.queue_output(index);
    }

    /// Octets in the network, as far as we know (RFC 6675 4, "pipe").
    #[inline]
    pub(super) fn pipe(&self, tcb: &Tcb) -> u32 {
        let recovering = tcb.flags.any(Flags::RECOVERY | Flags::LOSS);
        if !recovering {
            return tcb.in_flight();
        }
        let mut id = tcb.snd_head;
        // A FIN takes no room: counted, it would keep a window of one segment shut.
        let mut gone = u32::from(tcb.flags.any(Flags::FIN_SENT));
        while id != BlockId::NONE {
            let segment = self.pool.header(id);
            if segment.marks & Marks::SENT == 0 {
                break;
            }
            if segment.marks & (Marks::LOST | Marks::SACKED) != 0 {
                gone += u32::from(segment.len);
            }
            id = segment.next;
        }
        if !tcb.flags.any(Flags::SACK) {
            gone += u32::from(tcb.dup_acks) * u32::from(tcb.mss);
        }
        tcb.in_flight().saturating_sub(gone)
    }
}

/// Slow start and congestion avoidance (RFC 5681 3.1) counted in octets (RFC 3465, L = 2).
#[inline]
fn grow(tcb: &mut Tcb, newly: u32, limit: u32) {
    let mss = u32::from(tcb.mss);
    let step = if tcb.cwnd < tcb.ssthresh_octets() {
        newly.min(2 * mss)
    } else {
        ((u64::from(mss) * u64::from(newly.min(tcb.cwnd)) / u64::from(tcb.cwnd.max(1))) as u32)
            .max(1)
    };
    tcb.cwnd = (tcb.cwnd + step).min(limit.max(2 * mss));
}

impl Tcb {
    /// The slow-start threshold, in octets.
    #[inline]
    pub(super) fn ssthresh_octets(&self) -> u32 {
        u32::from(self.ssthresh_segments) * u32::from(self.mss)
    }

    /// RFC 5681 3.1: two segments at least.
    fn set_ssthresh(&mut self, octets: u32) {
        let segments = octets / u32::from(self.mss.max(1));
        self.ssthresh_segments = segments.clamp(2, u32::from(u16::MAX)) as u16;
    }
}

/// Marks a sent block as lost, unless the peer has it.
fn mark_lost(tcb: &mut Tcb, pool: &mut Pool<Segment>, id: BlockId) {
    if id == BlockId::NONE {
        // Only the FIN is in flight.
        tcb.flags.set(Flags::FIN_LOST);
        return;
    }
    let segment = pool.header_mut(id);
    if segment.marks & Marks::SENT != 0 && segment.marks & Marks::SACKED == 0 {
        segment.marks |= Marks::LOST;
    }
}

/// Marks the blocks within [left, right); says whether any was not marked before.
fn mark_sacked(tcb: &Tcb, pool: &mut Pool<Segment>, left: Seq, right: Seq) -> bool {
    let (mut id, mut any) = (tcb.snd_head, false);
    while id != BlockId::NONE {
        let segment = pool.header_mut(id);
        let end = segment.seq + u32::from(segment.len);
        if segment.marks & Marks::SENT == 0 || segment.seq.ge(right) {
            break;
        }
        if segment.seq.ge(left) && end.le(right) && segment.marks & Marks::SACKED == 0 {
            segment.marks |= Marks::SACKED;
            segment.marks &= !Marks::LOST;
            any = true;
        }
        id = segment.next;
    }
    any
}

/// Marks as lost every block sent once with three reported segments' worth above it.
fn mark_holes(tcb: &Tcb, pool: &mut Pool<Segment>) -> bool {
    let (mut id, mut reported) = (tcb.snd_head, 0);
    while id != BlockId::NONE {
        let segment = pool.header(id);
        reported += if segment.marks & Marks::SACKED != 0 { u32::from(segment.len) } else { 0 };
        id = segment.next;
    }
    let threshold = u32::from(DUP_ACKS_LOSS - 1) * u32::from(tcb.mss);
    let (mut id, mut any) = (tcb.snd_head, false);
    while id != BlockId::NONE && reported > threshold {
        let segment = pool.header_mut(id);
        if segment.marks & Marks::SACKED != 0 {
            reported -= u32::from(segment.len);
        } else if segment.marks & (Marks::LOST | Marks::RESENT) == 0 {
            segment.marks |= Marks::LOST;
            any = true;
        }
        id = segment.next;
    }
    any
}

/// Duplicate acknowledgments that prove a loss (RFC 5681 3.2).
const DUP_ACKS_LOSS: u8 = 3;
