//! Recovery from loss: when it begins, how fast it sends (RFC 6937), and when it ends.
//!
//! ```text
//!                 a segment is lost                       all acknowledged that was out
//!   (open) ───────────────────────────> RECOVERY ───────────────────────────────> (open)
//!     │  the retransmission timer ran out   │                                        ^
//!     └──────────────────────────────> LOSS <┘ ─────────────────────────────────────┘
//! ```
//!
//! A block that is taken to be lost carries a mark; output sends marked blocks first, as the
//! window allows. What counts against the window is `pipe`.

use super::congestion::{Congestion, Signal};
use super::extension::{self, Bits, Extension, MENDS, Places};
use super::rack::{self, DUP_ACKS_LOSS};
use super::scoreboard::{self, Delivered, Moment};
use super::{ecn, path_search, rare, undo};
use crate::arrival::Arrival;
use crate::event::Event;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};
use crore_mem::BlockId;
use crore_wire::tcp;

impl Stack {
    /// The acknowledgment of a connection that has lost something, or that reports something out
    /// of order. It has its extension.
    pub(super) fn ack_in_trouble(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
    ) {
        let id = self.tcbs[index].extension;
        let mut loss = *extension::of(&self.pool, id);
        let moment = self.moment_of(index, arrival);
        let mut seen = Delivered { fack: loss.fack, ..Delivered::default() };
        let (una, ack) = (self.tcbs[index].snd_una, Seq(arrival.ack));
        if arrival.has_options && self.tcbs[index].flags.any(Flags::SACK) {
            self.take_sack(index, arrival, frame, &mut loss, moment, &mut seen);
        }
        let tcb = &mut self.tcbs[index];
        let flight_before = tcb.in_flight();
        let advanced = ack.gt(una);
        let newly = if advanced { ack.since(una) } else { 0 };
        if advanced {
            scoreboard::acknowledge(tcb, &mut self.pool, &mut loss, ack, moment, &mut seen);
            tcb.snd_una = ack;
            tcb.backoff = 0;
            tcb.flags.clear(Flags::PROBING | Flags::HELD);
            tcb.dup_acks = left_duplicates(tcb, newly);
        } else if is_duplicate(tcb, arrival) {
            note_duplicate(tcb, &loss, flight_before);
        }
        if let Some(rtt_us) = seen.rtt_us {
            tcb.measure_rtt(rtt_us);
        }
        if loss.rare != BlockId::NONE
            && let Some(rare) = rare::of_mut(&mut self.pool, &self.tcbs[index])
        {
            path_search::note_arrived(&mut self.tcbs[index], &mut rare.search, self.now.tick);
        }
        let tcb = &self.tcbs[index];
        let (was_recovering, cwnd) = (tcb.flags.any(Flags::RECOVERY), tcb.cwnd);
        let found = self.judge(index, &mut loss, &seen, moment);
        if found.any && loss.rare != BlockId::NONE {
            self.maybe_mend_probe(index, &mut loss);
        }
        self.counters.walked += u64::from(seen.steps + found.steps);
        // RFC 6582-3.2d: the acknowledgment that ends recovery sets the window, and opens it no
        // further; nor does one that undoes a timeout. Slow start goes on (RFC 5681-3.1a).
        let tcb = &self.tcbs[index];
        let over = was_recovering && !tcb.flags.any(Flags::RECOVERY) || tcb.cwnd != cwnd;
        // What was reported before let something go when it was (RFC 3042).
        let credit = if over { 0 } else { newly.min(seen.octets) };
        let echo = ecn::is_echo(&self.tcbs[index], arrival);
        self.steer(
            index,
            &mut loss,
            &seen,
            Credit { octets: credit, flight_before, echo },
            found.any,
        );
        self.end_of_probe(index, &mut loss, ack, &seen);
        keep_near(&self.tcbs[index], &mut loss);
        *extension::of_mut(&mut self.pool, id) = loss;
        if advanced {
            self.after_new_ack(index, event);
        }
        self.wait_for_reordered(index, found.wait_us);
        self.queue_output(index);
    }

    fn moment_of(&self, index: u32, arrival: &Arrival) -> Moment {
        let stamped = self.tcbs[index].flags.any(Flags::TIMESTAMPS) && arrival.has_timestamps;
        let echo_age_ms = stamped.then(|| self.ts_now().wrapping_sub(arrival.ts_echo));
        let srtt_us = self.tcbs[index].srtt_us8 >> 3;
        Moment { now_us: self.now.us as u32, srtt_us, echo_age_ms }
    }

    /// The SACK option is noted (RFC 2018-5a), its report of a duplicate first (RFC 2883).
    fn take_sack(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        loss: &mut Extension,
        moment: Moment,
        seen: &mut Delivered,
    ) {
        let segment = &frame[usize::from(arrival.start)..];
        let Some(options) = tcp::Options::of_segment(segment) else { return };
        let tcb = &self.tcbs[index];
        let (mut ranges, mut count) = ([(Seq(0), Seq(0)); 4], 0);
        let blocks = options.sack.as_slice();
        for (n, &(left, right)) in blocks.iter().enumerate() {
            let (left, right) = (Seq(left), Seq(right));
            // By distance: half of the circle away a number is neither before nor behind another.
            let (from, to) = (left.since(tcb.snd_una), right.since(tcb.snd_una));
            if n == 0 && undo::is_duplicate_report(Seq(arrival.ack), (left, right), blocks.get(1)) {
                seen.duplicate = Some((left, right));
            } else if from < to && to <= tcb.in_flight() {
                // What lies before SND.UNA is old, beyond SND.NXT a lie.
                ranges[count] = (left, right);
                count += 1;
            }
        }
        scoreboard::mark_reported(tcb, &mut self.pool, loss, &ranges[..count], moment, seen);
    }

    /// Which state the connection is in after this acknowledgment, and what else is lost.
    fn judge(
        &mut self,
        index: u32,
        loss: &mut Extension,
        seen: &Delivered,
        moment: Moment,
    ) -> rack::Found {
        self.maybe_undo(index, loss, seen, moment);
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::RECOVERY | Flags::LOSS) && tcb.snd_una.ge(loss.recover) {
            leave(tcb, loss);
        }
        // RFC 8985-5.2a, RFC 8985-9.2: by time, with SACK.
        if tcb.flags.any(Flags::SACK) {
            return rack::detect(tcb, &mut self.pool, loss, moment.now_us);
        }
        // Without SACK: the third duplicate (RFC 5681-3.2c) of something beyond the last recovery
        // (RFC 6582-3.2b), and then every partial acknowledgment (RFC 6582-3.2c).
        let recovering = tcb.flags.any(Flags::RECOVERY);
        let partial = recovering && seen.octets > 0;
        let third = tcb.dup_acks == DUP_ACKS_LOSS
            && seen.octets == 0
            && !tcb.flags.any(Flags::RECOVERY | Flags::LOSS)
            && tcb.snd_una.gt(loss.recover);
        if partial || third {
            let head = tcb.snd_head;
            scoreboard::mark_lost(tcb, &mut self.pool, loss, head);
        }
        rack::Found { any: partial || third, ..rack::Found::default() }
    }

    /// What the acknowledgment does to the window.
    fn steer(
        &mut self,
        index: u32,
        loss: &mut Extension,
        seen: &Delivered,
        credit: Credit,
        found: bool,
    ) {
        let congestion = self.config.congestion;
        let Credit { octets, flight_before, echo } = credit;
        self.watch_rounds(index, loss, seen.rtt_us);
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::LOSS) {
            // RFC 5681-3.1a: slow start after a timeout. RFC 3168-6.1.2c: not while there is ECE.
            return self.grow(index, Some(loss), if echo { 0 } else { octets });
        }
        if !tcb.flags.any(Flags::RECOVERY) {
            if found {
                save(tcb, loss);
                enter(tcb, loss, congestion);
                self.counters.fast_retransmits += 1;
            } else if echo {
                // RFC 3168-6.1.2c: the window does not grow.
                let reduced = ecn::reduce_for_echo(tcb, loss, congestion, flight_before);
                self.counters.ecn_reductions += u64::from(reduced);
                return;
            } else {
                return self.maybe_grow(index, loss, octets, flight_before);
            }
        }
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::SACK) {
            pace_recovery(tcb, loss, seen.octets, octets > 0 && !found);
        }
    }

    /// Segments that may only be late: RACK looks again when they had their time, unless the
    /// deadline is before that anyway.
    fn wait_for_reordered(&mut self, index: u32, wait_us: Option<u32>) {
        let Some(wait_us) = wait_us else { return };
        let ms = wait_us / 1000 + 1;
        let tcb = &self.tcbs[index];
        let sooner = tcb.deadline.wrapping_sub(self.now.tick.wrapping_add(ms)) as i32 > 0;
        if tcb.in_flight() > 0 && (sooner || !tcb.flags.any(Flags::TIMED)) {
            self.set_deadline(index, ms);
            let id = self.tcbs[index].extension;
            extension::of_mut(&mut self.pool, id).set(Bits::REORDER_TIMER, true);
        }
    }

    /// What is lost may be a probe of the path: it is sent again in smaller segments, and the
    /// window stays as it is.
    #[cold]
    fn maybe_mend_probe(&mut self, index: u32, loss: &mut Extension) {
        let tcb = &mut self.tcbs[index];
        if tcb.snd_head == BlockId::NONE {
            return;
        }
        let head_len = self.pool.header(tcb.snd_head).len;
        let Some(rare) = rare::of_mut(&mut self.pool, tcb) else { return };
        if !path_search::is_probe_lost(tcb, loss, &mut rare.search, head_len) {
            return;
        }
        save(tcb, loss);
        let threshold = tcb.ssthresh_segments;
        tcb.set_ssthresh(tcb.cwnd);
        loss.prior_ssthresh_segments = threshold;
        begin(tcb, loss);
        loss.course = MENDS;
    }

    /// The reordering timer ran out (RFC 8985-6.3). True when it was this one.
    pub(super) fn reorder_timeout(&mut self, index: u32) -> bool {
        let id = self.tcbs[index].extension;
        if id == BlockId::NONE || !extension::of(&self.pool, id).has(Bits::REORDER_TIMER) {
            return false;
        }
        let (now_us, congestion) = (self.now.us as u32, self.config.congestion);
        let mut loss = *extension::of(&self.pool, id);
        loss.set(Bits::REORDER_TIMER, false);
        let tcb = &mut self.tcbs[index];
        let found = rack::detect(tcb, &mut self.pool, &mut loss, now_us);
        if found.any && loss.rare != BlockId::NONE {
            self.maybe_mend_probe(index, &mut loss);
        }
        let tcb = &mut self.tcbs[index];
        if found.any && !tcb.flags.any(Flags::RECOVERY | Flags::LOSS) {
            save(tcb, &mut loss);
            enter(tcb, &mut loss, congestion);
            self.counters.fast_retransmits += 1;
        }
        if found.any && tcb.flags.any(Flags::RECOVERY) {
            pace_recovery(tcb, &mut loss, 0, false);
        }
        *extension::of_mut(&mut self.pool, id) = loss;
        self.start_timer(index);
        self.wait_for_reordered(index, found.wait_us);
        self.queue_output(index);
        true
    }

    /// A third duplicate acknowledgment without SACK, on a connection without an extension.
    pub(super) fn third_duplicate(&mut self, index: u32) {
        if !self.open_extension(index) {
            return;
        }
        let congestion = self.config.congestion;
        let id = self.tcbs[index].extension;
        let mut loss = *extension::of(&self.pool, id);
        let tcb = &mut self.tcbs[index];
        save(tcb, &mut loss);
        enter(tcb, &mut loss, congestion);
        let head = tcb.snd_head;
        scoreboard::mark_lost(tcb, &mut self.pool, &mut loss, head);
        *extension::of_mut(&mut self.pool, id) = loss;
        self.counters.fast_retransmits += 1;
        self.queue_output(index);
    }

    /// The retransmission timer ran out (RFC 5681-3.1e, RFC 6582-3.2e, RFC 6298 5.4 to 5.6): all
    /// that is in flight and not reported by the peer is taken to be lost.
    pub(super) fn congestion_on_timeout(&mut self, index: u32) {
        let congestion = self.config.congestion;
        let remembers = self.open_extension(index);
        let tcb = &mut self.tcbs[index];
        let marked = scoreboard::mark_all_lost(tcb, &mut self.pool, self.now.us as u32);
        let first = !tcb.flags.any(Flags::LOSS | Flags::RECOVERY);
        if remembers {
            let loss = extension::of_mut(&mut self.pool, tcb.extension);
            (loss.sacked, loss.lost) = marked;
            loss.places = Places::HEAD;
            loss.set(Bits::UNDO | Bits::PROBE | Bits::REORDER_TIMER, false);
            if let Some(rare) = rare::of_mut(&mut self.pool, tcb) {
                path_search::give_up_probe(&mut rare.search);
            }
            let loss = extension::of_mut(&mut self.pool, tcb.extension);
            if first {
                save(tcb, loss);
                let (past, flight) = (&mut loss.avoidance, tcb.in_flight());
                tcb.set_ssthresh(congestion.reduced(past, Signal::Loss, tcb.cwnd, flight));
            }
            ecn::note_cut(tcb, &mut loss.steering);
            // RFC 5682-2.1a: not when the segment was sent again before.
            loss.course = u8::from(first && self.config.frto);
            // RFC 6675-5.1b.
            loss.recover = tcb.snd_nxt;
        } else if first {
            tcb.set_ssthresh(tcb.in_flight() / 2);
        }
        tcb.cwnd = u32::from(tcb.mss);
        tcb.dup_acks = 0;
        tcb.flags.clear(Flags::RECOVERY);
        tcb.flags.set(Flags::LOSS);
        if tcb.flags.any(Flags::FIN_SENT) {
            tcb.flags.set(Flags::FIN_LOST);
        }
    }

    /// A window that was shut while octets were in flight opens: what was sent meanwhile found no
    /// room, so the head goes at once.
    pub(super) fn window_reopened(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        if tcb.extension == BlockId::NONE || tcb.in_flight() == 0 {
            return;
        }
        let mut loss = *extension::of(&self.pool, tcb.extension);
        let head = tcb.snd_head;
        scoreboard::mark_lost(tcb, &mut self.pool, &mut loss, head);
        *extension::of_mut(&mut self.pool, tcb.extension) = loss;
        tcb.backoff = 0;
        self.start_timer(index);
        self.queue_output(index);
    }

    /// The path takes packets of `mtu` octets at most (RFC 1191 6.4): smaller segments from now
    /// on, and what was too large once more.
    pub(crate) fn lower_mss(&mut self, index: u32, mtu: u16) {
        // A router that does not say how much, or says nonsense, is taken to mean the least that
        // IPv4 hosts must take; below that we do not go, nor up (RFC 8899-3.6b, RFC 8201 4).
        let is_v4 = self.tcbs[index].remote >> 32 == 0xffff;
        let (floor, headers) = if is_v4 { (576, 40) } else { (1280, 60) };
        let tcb = &mut self.tcbs[index];
        let options =
            if tcb.flags.any(Flags::TIMESTAMPS) { super::active::tcp_timestamps_len() } else { 0 };
        let mss = mtu.max(floor) - headers - options;
        if let Some(rare) = rare::of_mut(&mut self.pool, tcb) {
            path_search::note_limit(&mut rare.search, mss);
        }
        if mss >= tcb.mss {
            return;
        }
        tcb.mss = mss;
        // Without an extension the retransmission timer sees to it.
        if tcb.in_flight() > 0 && self.open_extension(index) {
            let tcb = &mut self.tcbs[index];
            let mut loss = *extension::of(&self.pool, tcb.extension);
            loss.set(Bits::UNDO, false);
            loss.course = 0;
            loss.recover = tcb.snd_nxt;
            tcb.flags.clear(Flags::RECOVERY);
            tcb.flags.set(Flags::LOSS);
            let head = tcb.snd_head;
            scoreboard::mark_lost(tcb, &mut self.pool, &mut loss, head);
            *extension::of_mut(&mut self.pool, tcb.extension) = loss;
        }
        self.queue_output(index);
    }
}

/// What an acknowledgment may do for the window.
#[derive(Clone, Copy)]
struct Credit {
    /// Octets that it opens the window by.
    octets: u32,
    /// Octets that were in flight before it.
    flight_before: u32,
    /// It tells of congestion (ECE).
    echo: bool,
}

/// RFC 5681 2: an acknowledgment of nothing new, that carries nothing and changes nothing.
pub(super) fn is_duplicate(tcb: &Tcb, arrival: &Arrival) -> bool {
    let window = u32::from(arrival.window) << tcb.snd_scale();
    let carries =
        arrival.payload_len > 0 || arrival.flags.intersects(tcp::Flags::FIN.with(tcp::Flags::SYN));
    // The answers to window probes say nothing of losses.
    let awaited = tcb.in_flight() > 0 && !tcb.flags.any(Flags::PERSIST);
    Seq(arrival.ack) == tcb.snd_una && awaited && !carries && window == tcb.snd_wnd
}

/// An acknowledgment that says nothing new.
fn note_duplicate(tcb: &mut Tcb, loss: &Extension, flight: u32) {
    if !tcb.flags.any(Flags::LOSS) {
        // RFC 5681 3.2 step 4: not more than were out when recovery began. What went since was
        // sent on the strength of duplicates itself.
        let recovering = tcb.flags.any(Flags::RECOVERY);
        tcb.dup_acks = more_duplicates(tcb, if recovering { loss.prr_flight } else { flight });
    } else if loss.course == undo::FRTO_PROBES {
        // RFC 5682-2.1d, step 3a: the timeout was right. What was lost goes now, in slow start from
        // a window of three segments: two that are new are out.
        tcb.cwnd = tcb.cwnd.max(3 * u32::from(tcb.mss));
    }
}

/// One more duplicate, as long as it can stand for a segment of the `flight`: a peer must not open
/// the window by sending more of them (Savage et al., "TCP congestion control with a misbehaving
/// receiver").
pub(super) fn more_duplicates(tcb: &Tcb, flight: u32) -> u8 {
    let segments = flight.div_ceil(u32::from(tcb.mss.max(1)));
    tcb.dup_acks.saturating_add(1).min(segments.max(u32::from(DUP_ACKS_LOSS)).min(255) as u8)
}

/// Duplicates whose segments a partial acknowledgment did not cover yet. The first segment that it
/// covers is the one that was missing.
fn left_duplicates(tcb: &Tcb, newly: u32) -> u8 {
    if !tcb.flags.any(Flags::RECOVERY) || tcb.flags.any(Flags::SACK) {
        return 0;
    }
    let covered = newly.div_ceil(u32::from(tcb.mss.max(1))).saturating_sub(1);
    tcb.dup_acks.saturating_sub(covered.min(255) as u8)
}

/// Keeps what an undo will need.
pub(super) fn save(tcb: &Tcb, loss: &mut Extension) {
    loss.prior_cwnd = tcb.cwnd;
    loss.prior_ssthresh_segments = tcb.ssthresh_segments;
    loss.undo_retransmits = 0;
    loss.set(Bits::UNDO, true);
    loss.set(Bits::STAMPED, false);
}

/// Fast recovery begins (RFC 5681-3.2b, RFC 6675 5 step 4).
fn enter(tcb: &mut Tcb, loss: &mut Extension, congestion: Congestion) {
    let flight = tcb.in_flight();
    // RFC 3168-6.1.2d: what was sent before a reduction for marks is no reason for another one.
    if tcb.snd_una.ge(loss.steering.cut_until) {
        let flight = flight_of_window(tcb, loss, flight);
        let past = &mut loss.avoidance;
        tcb.set_ssthresh(congestion.reduced(past, Signal::Loss, tcb.cwnd, flight));
        ecn::note_cut(tcb, &mut loss.steering);
    }
    begin(tcb, loss);
}

/// What a reduction is counted from, `flight` being out. Acknowledgments come in bursts, and output
/// follows when all are handled: the first finds the window full, the last finds next to nothing in
/// flight, and two segments would be left of any window. So of one that was used it is the window
/// itself, as RFC 9438 4.6 allows where, as here, an unused one does not grow.
pub(super) fn flight_of_window(tcb: &Tcb, loss: &Extension, flight: u32) -> u32 {
    if loss.is_used(tcb.snd_una) { flight.max(tcb.cwnd) } else { flight }
}

/// The same, after the decision on the window.
fn begin(tcb: &mut Tcb, loss: &mut Extension) {
    loss.recover = tcb.snd_nxt;
    loss.prr_flight = tcb.in_flight().max(1);
    loss.prr_delivered = 0;
    loss.prr_out = 0;
    loss.course = 0;
    if !tcb.flags.any(Flags::SACK) {
        tcb.cwnd = tcb.ssthresh_octets();
    }
    tcb.flags.set(Flags::RECOVERY);
}

/// Proportional rate reduction (RFC 6937-3a, RFC 6937-3b, RFC 8985-9.3b): in recovery as many
/// octets go out as arrive, times the reduction; `progress`: this acknowledgment shows no further
/// loss.
fn pace_recovery(tcb: &mut Tcb, loss: &mut Extension, delivered: u32, progress: bool) {
    let (mss, ssthresh) = (u32::from(tcb.mss), tcb.ssthresh_octets());
    let fin = u32::from(tcb.flags.any(Flags::FIN_SENT));
    let pipe = tcb.in_flight().saturating_sub(loss.sacked + loss.lost + fin);
    loss.prr_delivered = loss.prr_delivered.saturating_add(delivered);
    let ahead = loss.prr_delivered.saturating_sub(loss.prr_out);
    let mut room = if pipe > ssthresh {
        let share = u64::from(loss.prr_delivered) * u64::from(ssthresh);
        (share.div_ceil(u64::from(loss.prr_flight)) as u32).saturating_sub(loss.prr_out)
    } else {
        // Never less than arrived, as RFC 9937 6 has it: the first retransmission went on credit.
        let arrived = ahead.max(delivered);
        let limit = if progress { arrived + mss } else { arrived };
        limit.min(ssthresh - pipe)
    };
    if loss.prr_out == 0 {
        // The first retransmission goes out in any case.
        room = room.max(mss);
    }
    tcb.cwnd = (pipe + room).max(mss);
}

/// Marks in the sequence space that SND.UNA has passed follow it: left behind, they would lie ahead
/// of it again after 2^31 octets.
fn keep_near(tcb: &Tcb, loss: &mut Extension) {
    let near = tcb.snd_una.back(1);
    loss.steering.cut_until = loss.steering.cut_until.later(near);
    if !tcb.flags.any(Flags::RECOVERY | Flags::LOSS) {
        loss.recover = loss.recover.later(near);
        if !loss.is_used(near) {
            loss.note_used(near);
        }
    }
}

/// Recovery is over (RFC 6582-3.2d, RFC 5681-3.2d, RFC 6675-5b, RFC 6937-3c).
fn leave(tcb: &mut Tcb, loss: &mut Extension) {
    if tcb.flags.any(Flags::RECOVERY) {
        tcb.cwnd = tcb.ssthresh_octets();
        if !tcb.flags.any(Flags::SACK) {
            // RFC 6582 3.2 step 3 (1): no burst of all that the duplicates held back.
            let flight = tcb.in_flight().max(u32::from(tcb.mss));
            tcb.cwnd = tcb.cwnd.min(flight + u32::from(tcb.mss));
        }
        path_search::after_recovery(tcb, loss);
        rack::recovered(loss);
    }
    tcb.dup_acks = 0;
    loss.course = 0;
    // One that was for nothing may still turn out to be, within a round trip.
    loss.prr_flight = tcb.snd_nxt.0;
    // All of it went as fast as it might.
    loss.note_used(tcb.snd_nxt);
    tcb.flags.clear(Flags::RECOVERY | Flags::LOSS);
}
