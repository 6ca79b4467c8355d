//! Seventh and eighth step of SEGMENT ARRIVES: the segment text and the FIN bit.

use super::arrives::Step;
use super::header::Report;
use super::receive_queue::{self, Inserted};
use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::{Event, What};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, State, Tcb};
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use crore_wire::tcp;

impl Stack {
    /// Takes in payload and FIN.
    #[inline]
    pub(super) fn segment_text(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
        tx: &mut TxBurst,
    ) -> Step {
        let tcb = &mut self.tcbs[index];
        // After the peer's FIN nothing more can come; a repeat of it is answered. FIN-WAIT-2
        // outlasts the FIN until there is a way for its acknowledgment (`settle`).
        let is_open = match tcb.state() {
            State::Established | State::FinWait1 => true,
            State::FinWait2 => !tcb.flags.any(Flags::PEER_FIN),
            _ => false,
        };
        if !is_open {
            if tcb.state() != State::Closed {
                tcb.flags.set(Flags::ACK_NOW);
                self.queue_output(index);
                return Step::Stop(Drop::DataAfterClose);
            }
            return Step::On;
        }
        let text = Text::within_window(tcb, arrival, frame);
        if tcb.flags.any(Flags::GONE) && !text.octets.is_empty() {
            return self.text_for_nobody(index, event);
        }
        if text.seq == tcb.rcv_nxt && tcb.rcv_queue == BlockId::NONE {
            self.text_in_order(index, &text, event);
            if text.old > 0 {
                self.report_old(index, &text, tx);
            }
            if self.tcbs[index].extension != BlockId::NONE {
                self.tune(index, arrival);
            }
            return Step::On;
        }
        self.text_through_queue(index, arrival, &text, event, tx)
    }

    /// A segment whose first octets had arrived before: its sender learns of it (RFC 2883 4.2).
    #[cold]
    fn report_old(&mut self, index: u32, text: &Text<'_>, tx: &mut TxBurst) {
        self.send_ack(index, Report::duplicate(text.seq.back(text.old), text.seq), tx);
    }

    /// The next octets expected, and none waiting: the application reads them in the frame.
    #[inline]
    fn text_in_order(&mut self, index: u32, text: &Text<'_>, event: &mut Event) {
        let tcb = &mut self.tcbs[index];
        let len = text.octets.len() as u32;
        if len > 0 {
            tcb.rcv_nxt += len;
            event.what.set(What::DATA);
            event.seq = text.seq.0;
            event.start = text.start;
            event.len = len as u16;
            self.counters.octets_in += u64::from(len);
        }
        if text.cut {
            tcb.flags.set(Flags::ACK_NOW);
        }
        if text.fin {
            self.peer_fin(index, event);
        }
        self.owe_ack(index);
    }

    /// Out of order (RFC 9293 SHLD-31), or behind octets that wait: into the queue, and from it
    /// what is now in order. One acknowledgment for each segment, no more (RFC 5681-4.2e).
    fn text_through_queue(
        &mut self,
        index: u32,
        arrival: &Arrival,
        text: &Text<'_>,
        event: &mut Event,
        tx: &mut TxBurst,
    ) -> Step {
        let out_of_order = text.seq.gt(self.tcbs[index].rcv_nxt);
        let runs = self.runs_out_of_order(index);
        if out_of_order && runs >= self.config.out_of_order_runs_max {
            return Step::StopAndAck(Drop::OutOfOrderFull);
        }
        let duplicate = self.duplicate_part(index, text, runs);
        let mut inserted = self.keep_text(index, text);
        let tcb = &mut self.tcbs[index];
        if inserted == Inserted::PoolEmpty && !out_of_order {
            // What came too early gives way to what is due: the peer has both (RFC 2018 8).
            let blocks = receive_queue::forget_out_of_order(tcb, &mut self.pool);
            self.counters.reneged += u64::from(blocks);
            let tcb = &mut self.tcbs[index];
            if tcb.rcv_queue == BlockId::NONE {
                self.text_in_order(index, text, event);
                return Step::On;
            }
            inserted = self.keep_text(index, text);
        }
        let tcb = &mut self.tcbs[index];
        if (out_of_order || runs > 0) && self.config.habits.quick_acks_after_loss {
            // The sender has lost something: its window is small now, and waits for each answer.
            tcb.flags.set(Flags::QUICK);
        }
        let unread = tcb.rcv_unread;
        let fin = receive_queue::advance(tcb, &self.pool, &mut self.counters.walked);
        let arrived = tcb.rcv_unread - unread;
        self.counters.octets_in += u64::from(arrived);
        if arrived > 0 {
            event.what.set(What::QUEUED);
            if self.tcbs[index].extension != BlockId::NONE {
                self.tune(index, arrival);
            }
        }
        if fin {
            self.peer_fin(index, event);
        }
        if inserted == Inserted::PoolEmpty {
            self.drop_segment(Drop::PoolEmpty);
        }
        if out_of_order {
            // RFC 5681-4.2c, RFC 9293 MAY-13: at once, one for each, so that the sender can count.
            self.counters.out_of_order += 1;
            let report = match duplicate {
                Some((left, right)) => Report::duplicate(left, right),
                None => Report::early(text.seq),
            };
            self.send_ack(index, report, tx);
        } else {
            // RFC 5681-4.2d: at once when it fills a gap, or is not new; behind octets that only
            // nobody has read yet it may wait as any other.
            if runs > 0 || arrived == 0 {
                self.tcbs[index].flags.set(Flags::ACK_NOW);
            }
            self.owe_ack(index);
            if let Some((left, right)) = duplicate {
                // RFC 2883 4.2.
                self.send_ack(index, Report::duplicate(left, right), tx);
            }
        }
        Step::On
    }

    /// The first octets of a segment that had arrived before (RFC 2883 4.2).
    fn duplicate_part(&mut self, index: u32, text: &Text<'_>, runs: u32) -> Option<(Seq, Seq)> {
        match text.old {
            0 if runs == 0 => None,
            0 => {
                let (len, steps) = (text.octets.len(), &mut self.counters.walked);
                receive_queue::first_overlap(&self.tcbs[index], &self.pool, text.seq, len, steps)
            }
            old => Some((text.seq.back(old), text.seq)),
        }
    }

    /// Runs that came too early; not more than there may be are counted.
    fn runs_out_of_order(&mut self, index: u32) -> u32 {
        let (limit, steps) = (self.config.out_of_order_runs_max, &mut self.counters.walked);
        receive_queue::out_of_order_runs(&self.tcbs[index], &self.pool, limit, steps)
    }

    /// Into the receive queue, unless the last blocks are for sending: a service that answers what
    /// it reads could neither read nor answer any more.
    fn keep_text(&mut self, index: u32, text: &Text<'_>) -> Inserted {
        if self.budget.is_high(self.pool.bytes_in_use()) {
            return Inserted::PoolEmpty;
        }
        let tcb = &mut self.tcbs[index];
        let octets = (text.seq, text.octets);
        receive_queue::insert(tcb, &mut self.pool, octets, text.fin, &mut self.counters.walked)
    }

    /// The peer's FIN is in order: RCV.NXT counts it, the state changes (RFC 9293 3.10.7.4).
    fn peer_fin(&mut self, index: u32, event: &mut Event) {
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::PEER_FIN) {
            return;
        }
        tcb.rcv_nxt += 1;
        tcb.flags.set(Flags::PEER_FIN | Flags::ACK_NOW);
        event.what.set(What::PEER_CLOSED);
        let (from, to) = match tcb.state() {
            State::Established => (State::Established, State::CloseWait),
            State::FinWait1 => (State::FinWait1, State::Closing),
            // FIN-WAIT-2 ends as soon as the FIN is acknowledged: see `settle`.
            _ => return,
        };
        tcb.set_state(to);
        self.transitions.took(from.into(), to.into());
    }

    /// Every second full segment is acknowledged at once (RFC 9293 SHLD-19, RFC 5681-4.2b), others
    /// may wait (RFC 9293 SHLD-18).
    #[inline]
    pub(super) fn owe_ack(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        if tcb.state() == State::Closed {
            return;
        }
        let unacknowledged = tcb.rcv_nxt.since(tcb.last_ack_sent);
        if self.config.ack_delay_ms == 0 || unacknowledged >= 2 * u32::from(tcb.mss) {
            // Two segments in a turn: this sender does not wait for each one's acknowledgment.
            tcb.flags.clear(Flags::QUICK);
            tcb.flags.set(Flags::ACK_NOW);
            if (tcb.rcv_nxt.0 ^ tcb.last_ack_sent.0) >> BULK_SHIFT != 0 {
                self.maybe_begin_tuning(index);
            }
        } else if tcb.flags.any(Flags::QUICK) {
            tcb.flags.set(Flags::ACK_NOW);
            // Octets of ours that go before the delay would be over make it a dialogue.
            if !tcb.flags.any(Flags::ACK_TIMED) {
                tcb.ack_deadline = self.now.tick.wrapping_add(self.config.ack_delay_ms) as u16;
            }
        } else {
            let second = tcb.flags.any(Flags::ACK_OWED) && self.config.habits.acks_small_segments;
            tcb.flags.set(if second { Flags::ACK_NOW } else { Flags::ACK_OWED });
        }
        self.queue_output(index);
    }
}

/// The part of a segment that lies within the window and is new.
struct Text<'a> {
    seq: Seq,
    octets: &'a [u8],
    /// Where `octets` begins in the frame.
    start: u16,
    /// The FIN follows the last octet.
    fin: bool,
    /// Octets beyond the window were cut off.
    cut: bool,
    /// So many octets before `seq` had arrived already.
    old: u32,
}

impl<'a> Text<'a> {
    #[inline]
    fn within_window(tcb: &Tcb, arrival: &Arrival, frame: &'a [u8]) -> Self {
        let seq = Seq(arrival.seq);
        let old = if seq.lt(tcb.rcv_nxt) { tcb.rcv_nxt.since(seq) } else { 0 };
        let skip = old.min(u32::from(arrival.payload_len));
        let from = seq + skip;
        let room = if tcb.rcv_adv.gt(from) { tcb.rcv_adv.since(from) } else { 0 };
        let len = (u32::from(arrival.payload_len) - skip).min(room);
        let cut = len < u32::from(arrival.payload_len) - skip;
        let start = arrival.payload_start + skip as u16;
        let octets = &frame[usize::from(start)..usize::from(start) + len as usize];
        // A FIN that was taken before, or that octets cut off precede, is not seen.
        let fin = arrival.flags.contains(tcp::Flags::FIN) && !cut && old <= skip;
        Self { seq: from, octets, start, fin, cut, old: skip }
    }
}

/// A receive window may grow from this much received in bulk on, in a power of two of octets.
const BULK_SHIFT: u32 = 16;
