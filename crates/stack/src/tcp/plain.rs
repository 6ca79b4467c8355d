//! The plain case, both ways in one screen each: header prediction (V. Jacobson, 1990; RFC 7323 5.6
//! says how it goes with timestamps).
//!
//! Most segments of an established connection are the next ones expected: octets in order, an
//! acknowledgment of all or part of what is in flight, nothing lost, nothing unusual; in the end a
//! FIN each way and the acknowledgment of ours. A handful of
//! tests, on lines that are in the cache already, say that a segment is one of these. What then
//! remains of RFC 9293 3.10.7.4 is done here straight away. Whatever fails a test goes the way of
//! [`arrives`](super::arrives) and [`output`](super::output), which know all cases, these included:
//! with [`StackConfig::header_prediction`](crate::StackConfig::header_prediction) off nothing
//! changes but the cost, and the simulator holds the two against each other.

use super::header::{announce, window_for};
use super::output::Sent;
use super::send_queue::{self, Marks, Segment};
use super::tuning::Room;
use crate::arrival::Arrival;
use crate::budget::Pressure;
use crate::config::StackConfig;
use crate::counters::Drop;
use crate::event::{Closed, Event, Events, What};
use crate::path::{Link, PlainPath};
use crate::record::Record;
use crate::seq::Seq;
use crate::stack::{Now, Stack};
use crate::tcb::{Flags, Sign, State, Tcb};
use crate::transitions::Station;
use core::net::Ipv4Addr;
use crore_mem::frames::TxBurst;
use crore_mem::{BlockId, Pool};
use crore_wire::{plain, tcp};

impl Stack {
    /// A segment that is the next one expected, most likely; false, with nothing done: it is not.
    #[inline]
    pub(crate) fn plain_segment(
        &mut self,
        arrival: &Arrival,
        frame_number: u16,
        events: &mut Events,
    ) -> bool {
        let Some(Record::Conn(index)) = arrival.record.map(Record::of) else { return false };
        if !self.predicts {
            return false;
        }
        if is_next::<false>(&self.tcbs[index], arrival) {
            return self.take_plain::<false>(index, arrival, frame_number, events);
        }
        self.plain_end(index, arrival, frame_number, events)
    }

    /// A segment that is the next one, with the peer's FIN or without.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "two calls, of which one is for nearly all segments")]
    fn take_plain<const FIN: bool>(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame_number: u16,
        events: &mut Events,
    ) -> bool {
        let tcb = &mut self.tcbs[index];
        let (ack, len) = (Seq(arrival.ack), u32::from(arrival.payload_len));
        let (newly, flight) = (ack.since(tcb.snd_una), tcb.in_flight());
        // A window that is used up grows or is in trouble; a repeat on a connection without SACK
        // is a sign of loss.
        let is_telling = if newly > 0 {
            flight >= tcb.cwnd / 2
        } else {
            len == 0 && flight > 0 && !tcb.flags.any(Flags::SACK)
        };
        if is_telling {
            return false;
        }
        self.counters.segments_in += 1;
        self.counters.plain_in += 1;
        let mut then = plain_ack(tcb, &mut self.pool, self.now, arrival, newly > 0);
        let mut what = if len > 0 { What::DATA } else { What::default() };
        if len > 0 {
            self.counters.octets_in += u64::from(len);
            let is_due = self.config.ack_delay_ms == 0;
            let waits = plain_text(tcb, len, is_due);
            (then.output, then.owes) = (then.output | waits, !waits);
        }
        if FIN {
            tcb.rcv_nxt += 1;
            tcb.flags.set(Flags::PEER_FIN | Flags::ACK_NOW);
            tcb.set_state(State::CloseWait);
            self.transitions.took(Station::Established, Station::CloseWait);
            what.set(What::PEER_CLOSED);
            then.output = true;
        }
        if FIN || len > 0 {
            events.push(Event {
                index,
                generation: tcb.generation,
                seq: arrival.seq,
                frame: frame_number,
                start: arrival.payload_start,
                len: arrival.payload_len,
                what,
                ..Event::default()
            });
        }
        if then.output {
            self.output_list.add(index, &mut tcb.flags);
        }
        if then.restart {
            self.start_timer(index);
        }
        if then.owes {
            self.owe_ack(index);
        }
        true
    }

    /// The peer's FIN, or the acknowledgment of ours that a connection in LAST-ACK waits for.
    #[inline(never)]
    fn plain_end(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame_number: u16,
        events: &mut Events,
    ) -> bool {
        if is_next::<true>(&self.tcbs[index], arrival) {
            return self.take_plain::<true>(index, arrival, frame_number, events);
        }
        let tcb = &self.tcbs[index];
        let timed = tcb.flags.any(Flags::TIMESTAMPS);
        let is_last = tcb.state() == State::LastAck
            && has_none(tcb, Flags::UNUSUAL_AT_END)
            && tcb.endpoints() == arrival.endpoints()
            && arrival.payload_len == 0
            && !arrival.flags.contains(tcp::Flags::FIN)
            && Seq(arrival.seq) == tcb.rcv_nxt
            && Seq(arrival.ack) == tcb.snd_nxt
            && tcb.snd_nxt == tcb.snd_end + 1
            && timed == arrival.has_timestamps
            && (!timed || arrival.ts_value.wrapping_sub(tcb.ts_recent) as i32 >= 0);
        if !is_last {
            return false;
        }
        self.counters.segments_in += 1;
        self.counters.plain_in += 1;
        let mut event = Event { index, generation: tcb.generation, ..Event::default() };
        self.finish_listed(index, arrival.hash, Closed::Finished, &mut event);
        events.push(event);
        true
    }

    /// What a plain connection has to say, in one segment at most: all its octets, never sent
    /// before, its FIN with them or alone, or an acknowledgment that is due. `None`, with nothing
    /// done: it is another case.
    #[inline]
    pub(super) fn say_plainly(&mut self, index: u32, tx: &mut TxBurst) -> Option<Sent> {
        let ts_now = self.ts_now();
        let tcb = &mut self.tcbs[index];
        let is_plain = self.predicts && tcb.generation & 1 == 1 && says_plainly(tcb);
        if !is_plain || self.budget.pressure() != Pressure::None {
            return None;
        }
        let unsent = tcb.unsent();
        if unsent == 0 && !tcb.flags.any(Flags::ACK_NOW | Flags::FIN_QUEUED) {
            PlainPath::of(&self.link, &self.addresses, &mut self.neighbours, tcb)?;
            tcb.flags.clear(Flags::IN_OUTPUT);
            if tcb.flags.any(Flags::ACK_OWED) {
                self.delay_ack(index);
            }
            return Some(Sent::All);
        }
        let block = if unsent == 0 {
            None
        } else {
            if !is_all_in_one(tcb, self.now, &self.config) {
                return None;
            }
            let (segment, payload) = self.pool.parts_mut(tcb.snd_unsent);
            if !goes_whole(tcb, segment, unsent) {
                return None;
            }
            Some((segment, payload))
        };
        // Late, so that it is in registers where it is written.
        let path = PlainPath::of(&self.link, &self.addresses, &mut self.neighbours, tcb)?;
        let Some(out) = tx.frame() else {
            tcb.flags.clear(Flags::IN_OUTPUT);
            self.counters.drop(Drop::TxFull);
            return Some(Sent::NoFrame);
        };
        let fin = tcb.flags.any(Flags::FIN_QUEUED);
        let (link, config, seq) = (&self.link, &self.config, tcb.snd_nxt);
        let mut said = Said { path, link, config, ts_now, seq, payload: &[] };
        let len = if let Some((segment, payload)) = block {
            segment.sent_at_us = self.now.us as u32;
            let Segment { next, shared, offset, len, marks, .. } = *segment;
            segment.marks = marks | Marks::SENT;
            let is_shared = marks & Marks::SHARED != 0;
            let holder = if is_shared { self.pool.payload(shared) } else { payload };
            let payload = &holder[usize::from(offset)..][..usize::from(len)];
            let said = Said { payload, ..said };
            let push = if marks & Marks::PUSH != 0 { tcp::Flags::PSH } else { tcp::Flags::NONE };
            let ecn = tcb.mark_of_new_data().0;
            let written = write_plain(tcb, &said, push, ecn, out);
            tcb.snd_nxt += u32::from(len);
            tcb.snd_unsent = next;
            self.counters.octets_out += u64::from(len);
            written
        } else {
            if !fin {
                said.seq = tcb.acceptable_seq();
            }
            write_plain(tcb, &said, tcp::Flags::NONE, 0, out)
        };
        tcb.flags.clear(Flags::IN_OUTPUT | Flags::ACK_NOW | Flags::ACK_OWED);
        self.counters.plain_out += 1;
        self.commit(len, tx);
        if fin {
            self.note_fin_sent(index);
        }
        if unsent > 0 || fin {
            self.start_plain_timer(index);
        }
        Some(Sent::All)
    }
}

/// What is to be done when a plain segment was taken in.
#[derive(Clone, Copy)]
struct Then {
    /// The output stage has to look at the connection.
    output: bool,
    /// The retransmission timer starts anew.
    restart: bool,
    /// An acknowledgment may be due at once.
    owes: bool,
}

/// Fifth step: the acknowledgment, and the window with it (RFC 7323-2.3d).
#[inline(always)]
#[expect(clippy::inline_always, reason = "one call, whose values are in registers")]
fn plain_ack(
    tcb: &mut Tcb,
    pool: &mut Pool<Segment>,
    now: Now,
    arrival: &Arrival,
    is_new: bool,
) -> Then {
    let heard_at = (now.tick >> 10) as u16;
    if tcb.heard_at != heard_at {
        tcb.heard_at = heard_at;
        tcb.flags.clear(Flags::CORRECTED | Flags::CORRECTED_TWICE);
    }
    let (seq, ack) = (Seq(arrival.seq), Seq(arrival.ack));
    let mut then = Then { output: false, restart: false, owes: false };
    if is_new {
        let sample = send_queue::acknowledge(tcb, pool, ack);
        tcb.snd_una = ack;
        tcb.backoff = 0;
        if let Some(sent_at_us) = sample {
            tcb.measure_rtt((now.us as u32).wrapping_sub(sent_at_us));
        }
        then.output = tcb.unsent() > 0;
        // RFC 6298 5.2, 5.3.
        then.restart = tcb.in_flight() > 0;
        if !then.restart {
            tcb.flags.clear(Flags::TIMED);
        }
    }
    if is_new || seq.ge(tcb.snd_wl1) {
        let window = u32::from(arrival.window) << tcb.snd_scale();
        then.output |= window > tcb.snd_wnd && tcb.unsent() > 0;
        tcb.snd_wl1 = seq;
        tcb.snd_wnd_max = tcb.snd_wnd_max.max(arrival.window);
        tcb.snd_wnd = window;
    }
    // RFC 7323 4.3 (2).
    if arrival.has_timestamps && seq.le(tcb.last_ack_sent) {
        tcb.ts_recent = arrival.ts_value;
    }
    then
}

/// Seventh step: `len` octets. True when the output stage has to see to their acknowledgment;
/// false when it may be due now.
#[inline]
fn plain_text(tcb: &mut Tcb, len: u32, is_due: bool) -> bool {
    tcb.rcv_nxt += len;
    let unacknowledged = tcb.rcv_nxt.since(tcb.last_ack_sent);
    let waits = unacknowledged < 2 * u32::from(tcb.mss) && !is_due;
    if waits {
        tcb.flags.set(Flags::ACK_OWED);
    }
    waits
}

/// True when all that is unsent is in one block, nothing is in flight, and nothing was for long.
#[inline]
fn is_all_in_one(tcb: &Tcb, now: Now, config: &StackConfig) -> bool {
    tcb.snd_unsent == tcb.snd_tail && tcb.in_flight() == 0 && !is_after_pause(tcb, now, config)
}

/// True when that block was never sent and fits into a segment, in each window.
#[inline]
fn goes_whole(tcb: &Tcb, segment: &Segment, unsent: u32) -> bool {
    let whole = segment.seq == tcb.snd_nxt && segment.len <= tcb.mss;
    whole && unsent <= tcb.snd_wnd && unsent <= tcb.cwnd
}

/// True when the congestion window may have to begin anew (RFC 5681 4.1).
#[inline]
fn is_after_pause(tcb: &Tcb, now: Now, config: &StackConfig) -> bool {
    let idle = now.tick.wrapping_sub(tcb.deadline) as i32 >= 0;
    idle && tcb.cwnd > config.initial_window_segments * u32::from(tcb.mss)
}

/// What a plain segment says, but for what its control block knows.
struct Said<'a> {
    path: PlainPath,
    link: &'a Link,
    config: &'a StackConfig,
    ts_now: u32,
    seq: Seq,
    payload: &'a [u8],
}

/// A segment with an acknowledgment, and perhaps octets; says how long the frame is.
#[inline(always)]
#[expect(clippy::inline_always, reason = "every field is at hand where it is called")]
fn write_plain(tcb: &mut Tcb, said: &Said<'_>, push: tcp::Flags, ecn: u8, out: &mut [u8]) -> usize {
    // Nothing is unread, so all of the buffer is free.
    let buffer = said.config.rcv_buf_bytes;
    let step = Room { buffer, window: buffer }.step(tcb, 1);
    let (window, reach) = window_for(tcb, buffer, step);
    announce(tcb, reach);
    tcb.last_ack_sent = tcb.rcv_nxt;
    let fin = tcb.flags.any(Flags::FIN_QUEUED);
    // RFC 7323-3.2a.
    let timestamps = tcp::Timestamps { value: said.ts_now, echo: tcb.ts_recent };
    let frame = plain::Frame {
        to: said.path.to,
        traffic_class: tcb.dscp() << 2 | ecn,
        src: said.path.local,
        dst: Ipv4Addr::from_bits(tcb.remote as u32),
        src_port: tcb.local_port,
        dst_port: tcb.remote_port,
        seq: said.seq.0,
        ack: tcb.rcv_nxt.0,
        flags: tcp::Flags::ACK | push | if fin { tcp::Flags::FIN } else { tcp::Flags::NONE },
        window,
        options: if tcb.flags.any(Flags::TIMESTAMPS) {
            plain::Options::Timestamps(timestamps)
        } else {
            plain::Options::None
        },
    };
    frame.write(said.link.sender, said.config.ttl, said.payload, out)
}

/// True for an established connection of which nothing is to be remembered: no losses, no bulk, no
/// octets unread or out of order.
#[inline]
fn is_plain(tcb: &Tcb) -> bool {
    tcb.state & !(Sign::Ecn as u8) == State::Established as u8 && has_none(tcb, Flags::UNUSUAL)
}

/// The same for what a connection has to say: it may be closing, and has not sent its FIN yet,
/// which goes when nothing is in flight.
#[inline]
fn says_plainly(tcb: &Tcb) -> bool {
    let state = tcb.state & !(Sign::Ecn as u8);
    (state == State::Established as u8 || state == State::CloseWait as u8)
        && has_none(tcb, Flags::UNUSUAL_TO_SAY)
        && (!tcb.flags.any(Flags::FIN_QUEUED) || tcb.in_flight() == 0)
}

/// True for a connection without these flags and without memory besides its control block and its
/// send queue.
#[inline]
fn has_none(tcb: &Tcb, unusual: Flags) -> bool {
    !tcb.flags.any(unusual) && tcb.extension == BlockId::NONE && tcb.rcv_queue == BlockId::NONE
}

/// True for the next segment expected by the arrival's own connection: RFC 9293 3.10.7.4, first to
/// fifth step, and RFC 7323-5.3, where all of them say yes.
#[inline]
fn is_next<const FIN: bool>(tcb: &Tcb, arrival: &Arrival) -> bool {
    let (seq, ack) = (Seq(arrival.seq), Seq(arrival.ack));
    let timed = tcb.flags.any(Flags::TIMESTAMPS);
    let room = tcb.rcv_adv.since(seq) as i32;
    tcb.endpoints() == arrival.endpoints()
        && is_plain(tcb)
        && seq == tcb.rcv_nxt
        && arrival.flags.contains(tcp::Flags::FIN) == FIN
        && i32::from(arrival.payload_len) + i32::from(FIN) <= room
        && ack.since(tcb.snd_una) <= tcb.in_flight()
        && timed == arrival.has_timestamps
        && (!timed || arrival.ts_value.wrapping_sub(tcb.ts_recent) as i32 >= 0)
        && tcb.dup_acks == 0
        && tcb.snd_wnd != 0
}

impl Flags {
    /// What a plain connection has none of.
    const UNUSUAL: Self = Self(Self::FIN_QUEUED.0 | Self::PEER_FIN.0 | Self::UNUSUAL_TO_SAY.0);

    /// What a connection has none of that says what it has to say plainly.
    const UNUSUAL_TO_SAY: Self = Self(Self::FIN_SENT.0 | Self::UNUSUAL_AT_END.0);

    /// What a connection has none of that ends plainly.
    const UNUSUAL_AT_END: Self = Self(
        Self::FIN_LOST.0
            | Self::RECOVERY.0
            | Self::LOSS.0
            | Self::PERSIST.0
            | Self::WANT_WRITABLE.0
            | Self::RESUME.0
            | Self::ABORT.0
            | Self::PROBING.0
            | Self::GONE.0
            | Self::STARVED.0
            | Self::RARE.0
            | Self::HELD.0
            | Self::QUICK.0,
    );
}
