//! SEGMENT ARRIVES (RFC 9293 3.10.7) for a tuple that has a record: the steps in the RFC's order.

use super::header::Report;
use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::{Closed, Event, Events, What};
use crate::record::Record;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, State, Tcb};
use crore_mem::frames::TxBurst;
use crore_wire::tcp;

/// What a step decided.
pub(super) enum Step {
    /// Go on with the next step.
    On,
    /// Drop the segment for this reason; nothing more.
    Stop(Drop),
    /// Drop it and send an acknowledgment that says where we are.
    StopAndAck(Drop),
    /// Drop it and reset whoever sent it.
    StopAndReset(Drop),
}

impl Stack {
    /// A segment for one of our addresses.
    #[inline]
    pub(crate) fn segment_arrives(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        match self.record_of(arrival) {
            Some(Record::Conn(index)) => {
                self.conn_segment(index, arrival, frame, frame_number, events, tx);
            }
            Some(Record::HalfOpen(index)) => {
                self.half_open_segment(index, arrival, frame, frame_number, events, tx);
            }
            Some(Record::TimeWait(index)) => {
                self.time_wait_segment(index, arrival, frame, frame_number, events, tx);
            }
            None if self.is_stray_segment(arrival) => {
                self.pass_on_segment(arrival, frame_number);
            }
            None => self.stranger_segment(arrival, frame, frame_number, events, tx),
        }
    }

    /// The record of the arrival's tuple: the one guessed for the burst, or after another look.
    #[inline]
    fn record_of(&self, arrival: &Arrival) -> Option<Record> {
        let endpoints = arrival.endpoints();
        if let Some(id) = arrival.record
            && self.is_record_of(id, &endpoints)
            && self.still_listed(id)
        {
            return Some(Record::of(id));
        }
        self.flows.find(arrival.hash, |id| self.is_record_of(id, &endpoints)).map(Record::of)
    }

    /// An earlier frame of the burst may have ended what the burst's look-up found.
    #[inline]
    fn still_listed(&self, id: u32) -> bool {
        match Record::of(id) {
            Record::Conn(index) => self.tcbs[index].state() != State::Closed,
            _ => false,
        }
    }

    /// A segment for a connection with a control block.
    #[inline]
    pub(super) fn conn_segment(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        self.counters.segments_in += 1;
        let tcb = &mut self.tcbs[index];
        let mut event =
            Event { index, generation: tcb.generation, frame: frame_number, ..Event::default() };
        let step = if tcb.state() <= State::SynReceived
            && let Some(step) = self.in_opening(index, arrival, frame, &mut event, tx)
        {
            step
        } else {
            self.in_synchronized(index, arrival, frame, &mut event, tx)
        };
        match step {
            Step::On => {}
            Step::Stop(reason) => self.drop_segment(reason),
            Step::StopAndAck(reason) => {
                self.drop_segment(reason);
                if self.may_correct(index, arrival, reason) {
                    self.send_ack(index, self.report_of(index, arrival), tx);
                }
            }
            Step::StopAndReset(reason) => {
                self.drop_segment(reason);
                self.reset_stranger(arrival, frame, tx);
            }
        }
        if event.what != What::default() {
            events.push(event);
        }
    }

    /// SYN-SENT, and what of SYN-RECEIVED is unlike all other states; `None`: nothing is.
    #[cold]
    fn in_opening(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
        tx: &mut TxBurst,
    ) -> Option<Step> {
        let tcb = &self.tcbs[index];
        match tcb.state() {
            State::SynSent => {}
            State::FastOpened => return self.repeated_syn(index, arrival, tx),
            _ => return None,
        }
        let step = self.in_syn_sent(index, arrival, frame, event);
        let has_text = arrival.payload_len > 0 || arrival.flags.contains(tcp::Flags::FIN);
        if self.tcbs[index].state() != State::Established || !has_text {
            return Some(step);
        }
        // RFC 9293 3.10.7.3, fifth step; RFC 7413 4.2.2: what came with the SYN-ACK is taken.
        let mut text = *arrival;
        text.seq = text.seq.wrapping_add(1);
        text.flags = text.flags.without(tcp::Flags::SYN);
        let step = self.segment_text(index, &text, frame, event, tx);
        self.settle(index, event, tx);
        Some(step)
    }

    /// True when an unacceptable segment may be answered. Two hosts that disagree on where they are
    /// would answer each other's answers for ever, and a stranger's forgeries would be multiplied
    /// (RFC 5961-7a): of segments without data, and of challenges, two a second are answered. The
    /// count is the connection's own, so that nobody learns from his about another's
    /// (CVE-2016-5696).
    #[cold]
    fn may_correct(&mut self, index: u32, arrival: &Arrival, reason: Drop) -> bool {
        let challenge =
            matches!(reason, Drop::ResetChallenged | Drop::SynChallenged | Drop::AckOutsideWindow);
        if arrival.payload_len > 0 && !challenge {
            return true;
        }
        let flags = &mut self.tcbs[index].flags;
        if flags.any(Flags::CORRECTED_TWICE) {
            self.counters.drop(Drop::RateLimited);
            return false;
        }
        let next =
            if flags.any(Flags::CORRECTED) { Flags::CORRECTED_TWICE } else { Flags::CORRECTED };
        flags.set(next);
        true
    }

    /// What to say of a segment that is dropped: octets before the window are here already.
    fn report_of(&self, index: u32, arrival: &Arrival) -> Report {
        let (left, rcv_nxt) = (Seq(arrival.seq), self.tcbs[index].rcv_nxt);
        let right = left + u32::from(arrival.payload_len);
        if arrival.payload_len > 0 && right.le(rcv_nxt) {
            Report::duplicate(left, right)
        } else {
            Report::NONE
        }
    }

    /// Counts a segment of a connection that is dropped, or cut short for want of room.
    #[cold]
    pub(super) fn drop_segment(&mut self, reason: Drop) {
        self.counters.segments_dropped += 1;
        self.counters.drop(reason);
    }

    /// RFC 9293 3.10.7.4: all states but CLOSED, LISTEN and SYN-SENT.
    #[inline]
    fn in_synchronized(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
        tx: &mut TxBurst,
    ) -> Step {
        let tcb = &mut self.tcbs[index];
        let heard_at = (self.now.tick >> 10) as u16;
        if tcb.heard_at != heard_at {
            tcb.heard_at = heard_at;
            tcb.flags.clear(Flags::CORRECTED | Flags::CORRECTED_TWICE);
        }
        if let Step::Stop(reason) = check_timestamps(tcb, arrival, self.config.timestamps_required)
        {
            // RFC 7323 5.3 R1: an older timestamp is answered, unless it is a reset's.
            return match reason {
                Drop::OldTimestamp => Step::StopAndAck(reason),
                _ => Step::Stop(reason),
            };
        }
        match check_sequence(tcb, arrival) {
            Step::On => {}
            stop => return stop,
        }
        if arrival.flags.contains(tcp::Flags::RST) {
            return self.check_reset(index, arrival, event);
        }
        // RFC 5961-4.2a: a SYN within a connection is answered, whatever its sequence number.
        if arrival.flags.contains(tcp::Flags::SYN) {
            self.counters.challenges += 1;
            return Step::StopAndAck(Drop::SynChallenged);
        }
        if !arrival.flags.contains(tcp::Flags::ACK) {
            return Step::Stop(Drop::NoAck);
        }
        match self.check_ack(index, arrival, frame, event) {
            Step::On => {}
            stop => return stop,
        }
        // After the check of the acknowledgment: a blind attacker must not set the peer's clock.
        update_ts_recent(&mut self.tcbs[index], arrival);
        if arrival.has_ecn {
            self.take_marks(index, arrival);
        }
        // Sixth step.
        if arrival.flags.contains(tcp::Flags::URG) {
            return self.urgent_segment(index, arrival, frame, event, tx);
        }
        self.text_and_fin(index, arrival, frame, event, tx)
    }

    /// Seventh and eighth step: the segment text and the FIN bit.
    #[inline]
    pub(super) fn text_and_fin(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
        tx: &mut TxBurst,
    ) -> Step {
        if arrival.payload_len > 0 || arrival.flags.contains(tcp::Flags::FIN) {
            let step = self.segment_text(index, arrival, frame, event, tx);
            self.settle(index, event, tx);
            return step;
        }
        if self.tcbs[index].flags.any(Flags::PEER_FIN) {
            self.settle(index, event, tx);
        }
        Step::On
    }

    /// Second step: the RST bit. Only the very next number counts (RFC 5961-3.2a), others within
    /// the window are challenged (RFC 5961-3.2b). Octets on it say nothing (RFC 9293 SHLD-2).
    fn check_reset(&mut self, index: u32, arrival: &Arrival, event: &mut Event) -> Step {
        let tcb = &self.tcbs[index];
        if Seq(arrival.seq) != tcb.rcv_nxt {
            self.counters.challenges += 1;
            return Step::StopAndAck(Drop::ResetChallenged);
        }
        self.counters.resets_in += 1;
        // RFC 9293 3.10.7.4: in the last three states all that mattered had been said. RFC 9293
        // MUST-11: in SYN-RECEIVED an active open is refused; of passive ones only those of Fast
        // Open have a control block, and an application that knows of them.
        let why = match tcb.state() {
            State::SynReceived => Closed::Refused,
            State::Closing | State::LastAck => Closed::Finished,
            _ => Closed::Reset,
        };
        self.finish(index, why, event);
        Step::On
    }
}

/// PAWS (RFC 7323-5.3, RFC 7323-5.2a) and the rule that timestamps, once agreed on, are on every
/// segment (RFC 7323-3.2e), but for resets (RFC 7323-5.2c); a segment without them is dropped and
/// nothing else (RFC 7323-3.2f). Where they were not agreed on, nobody looks (RFC 7323-3.2g).
#[inline]
fn check_timestamps(tcb: &Tcb, arrival: &Arrival, required: bool) -> Step {
    if !tcb.flags.any(Flags::TIMESTAMPS) || arrival.flags.contains(tcp::Flags::RST) {
        return Step::On;
    }
    if !arrival.has_timestamps {
        return if required { Step::Stop(Drop::NoAck) } else { Step::On };
    }
    if (arrival.ts_value.wrapping_sub(tcb.ts_recent) as i32) < 0 {
        return Step::Stop(Drop::OldTimestamp);
    }
    Step::On
}

/// First step: is any of the segment inside the receive window (RFC 9293 3.10.7.4, table 6)?
#[inline]
fn check_sequence(tcb: &Tcb, arrival: &Arrival) -> Step {
    let seq = Seq(arrival.seq);
    let len = segment_len(arrival);
    // The common case: the next octet expected, all of it within the window.
    if seq == tcb.rcv_nxt && (seq + len).le(tcb.rcv_adv) {
        return Step::On;
    }
    let window = if tcb.rcv_adv.gt(tcb.rcv_nxt) { tcb.rcv_adv.since(tcb.rcv_nxt) } else { 0 };
    let inside = |s: Seq| tcb.rcv_nxt.le(s) && s.lt(tcb.rcv_nxt + window);
    let acceptable = match (len, window) {
        // RFC 9293 MUST-66: with a shut window a segment at its edge is let in, for its RST and
        // ACK.
        (_, 0) => seq == tcb.rcv_nxt,
        (0, _) => inside(seq),
        _ => inside(seq) || inside(seq + (len - 1)),
    };
    if acceptable {
        return Step::On;
    }
    if arrival.flags.contains(tcp::Flags::RST) {
        // RFC 5961-3.2c.
        return Step::Stop(Drop::OutsideWindow);
    }
    Step::StopAndAck(Drop::OutsideWindow)
}

/// SEG.LEN: payload, SYN and FIN counted.
#[inline]
pub(super) fn segment_len(arrival: &Arrival) -> u32 {
    u32::from(arrival.payload_len)
        + u32::from(arrival.flags.contains(tcp::Flags::SYN))
        + u32::from(arrival.flags.contains(tcp::Flags::FIN))
}

/// RFC 7323 4.3 (2): the timestamp to echo is that of the segment that the next acknowledgment
/// covers from its start: the earliest one not acknowledged (RFC 7323-4.3a), the last one in order
/// when one comes too early (RFC 7323-4.3b), the one that fills the gap (RFC 7323-4.3c). Resets
/// never get here (RFC 7323-5.2d).
#[inline]
fn update_ts_recent(tcb: &mut Tcb, arrival: &Arrival) {
    let there = tcb.flags.any(Flags::TIMESTAMPS) && arrival.has_timestamps;
    if there && Seq(arrival.seq).le(tcb.last_ack_sent) {
        tcb.ts_recent = arrival.ts_value;
    }
}
