//! The plain case, both ways in one screen each: header prediction (V. Jacobson, 1990; RFC 7323 5.6
//! says how it goes with timestamps).
//!
//! Most segments of an established connection are the next ones expected: octets in order, an
//! acknowledgment of all or part of what is in flight, nothing lost, nothing unusual. A handful of
//! tests, on lines that are in the cache already, say that a segment is one of these. What then
//! remains of RFC 9293 3.10.7.4 is done here straight away. Whatever fails a test goes the way of
//! [`arrives`](super::arrives) and [`output`](super::output), which know all cases, these included:
//! with [`StackConfig::header_prediction`](crate::StackConfig::header_prediction) off nothing
//! changes but the cost, and the simulator holds the two against each other.

use super::header::window_field;
use super::output::Sent;
use super::send_queue::{self, Marks};
use super::tuning::Room;
use crate::arrival::Arrival;
use crate::budget::Pressure;
use crate::counters::Drop;
use crate::event::{Event, Events, What};
use crate::habits::WindowSteps;
use crate::path::PlainPath;
use crate::record::Record;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State, Tcb};
use core::net::Ipv4Addr;
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use crore_wire::ethernet::MacAddr;
use crore_wire::{plain, tcp};

impl Stack {
    /// A segment that is the next one expected; false, with nothing done: it is another.
    #[inline]
    pub(crate) fn plain_segment(
        &mut self,
        arrival: &Arrival,
        frame_number: u16,
        events: &mut Events,
    ) -> bool {
        let Some(Record::Conn(index)) = arrival.record.map(Record::of) else { return false };
        if !arrival.is_plain || !self.predicts {
            return false;
        }
        let tcb = &mut self.tcbs[index];
        if !is_next(tcb, arrival) {
            return false;
        }
        let (ack, len) = (Seq(arrival.ack), u32::from(arrival.payload_len));
        let (newly, flight) = (ack.since(tcb.snd_una), tcb.in_flight());
        // A window that is used up grows or is in trouble; a repeat on a connection without SACK
        // is a sign of loss.
        let repeats = newly == 0 && len == 0 && flight > 0 && !tcb.flags.any(Flags::SACK);
        if newly > 0 && flight >= tcb.cwnd / 2 || repeats {
            return false;
        }
        self.counters.segments_in += 1;
        self.counters.plain_in += 1;
        let mut output = self.plain_ack(index, arrival, newly > 0);
        if len > 0 {
            events.push(Event {
                index,
                generation: self.tcbs[index].generation,
                seq: arrival.seq,
                frame: frame_number,
                start: arrival.payload_start,
                len: arrival.payload_len,
                what: What::DATA,
                ..Event::default()
            });
            output |= self.plain_text(index, len);
        }
        if output {
            self.queue_output(index);
        }
        true
    }

    /// Fifth step: the acknowledgment, and the window with it (RFC 7323-2.3d). True when more may
    /// go now.
    #[inline]
    fn plain_ack(&mut self, index: u32, arrival: &Arrival, is_new: bool) -> bool {
        let tcb = &mut self.tcbs[index];
        let heard_at = (self.now.tick >> 10) as u16;
        if tcb.heard_at != heard_at {
            tcb.heard_at = heard_at;
            tcb.flags.clear(Flags::CORRECTED | Flags::CORRECTED_TWICE);
        }
        let (seq, ack) = (Seq(arrival.seq), Seq(arrival.ack));
        let mut output = false;
        if is_new {
            let sample = send_queue::acknowledge(tcb, &mut self.pool, ack);
            tcb.snd_una = ack;
            tcb.backoff = 0;
            if let Some(sent_at_us) = sample {
                tcb.measure_rtt((self.now.us as u32).wrapping_sub(sent_at_us));
            }
            output = tcb.unsent() > 0;
            // RFC 6298 5.2, 5.3.
            if tcb.in_flight() > 0 {
                self.start_timer(index);
            } else {
                tcb.flags.clear(Flags::TIMED);
            }
        }
        let tcb = &mut self.tcbs[index];
        if is_new || seq.ge(tcb.snd_wl1) {
            let window = u32::from(arrival.window) << tcb.snd_scale();
            output |= window > tcb.snd_wnd && tcb.unsent() > 0;
            tcb.snd_wl1 = seq;
            tcb.snd_wnd_max = tcb.snd_wnd_max.max(arrival.window);
            tcb.snd_wnd = window;
        }
        // RFC 7323 4.3 (2).
        if arrival.has_timestamps && seq.le(tcb.last_ack_sent) {
            tcb.ts_recent = arrival.ts_value;
        }
        output
    }

    /// Seventh step: `len` octets. True when the output stage has to see to their acknowledgment.
    #[inline]
    fn plain_text(&mut self, index: u32, len: u32) -> bool {
        let tcb = &mut self.tcbs[index];
        tcb.rcv_nxt += len;
        self.counters.octets_in += u64::from(len);
        let unacknowledged = tcb.rcv_nxt.since(tcb.last_ack_sent);
        if unacknowledged < 2 * u32::from(tcb.mss) && self.config.ack_delay_ms > 0 {
            tcb.flags.set(Flags::ACK_OWED);
            return true;
        }
        self.owe_ack(index);
        false
    }

    /// What a plain connection has to say, in one segment at most: all its octets, never sent
    /// before, or an acknowledgment that is due. `None`, with nothing done: it is another case.
    #[inline]
    pub(super) fn say_plainly(&mut self, index: u32, tx: &mut TxBurst) -> Option<Sent> {
        let tcb = &self.tcbs[index];
        if !self.predicts || !is_plain(tcb) || self.budget.pressure() != Pressure::None {
            return None;
        }
        let path = self.plain_path(index)?;
        let tcb = &self.tcbs[index];
        let unsent = tcb.unsent();
        if unsent == 0 {
            if tcb.flags.any(Flags::ACK_NOW) {
                let seq = tcb.acceptable_seq();
                let sent = self.write_plain(index, &path, seq, None, tx);
                return Some(if sent { Sent::All } else { Sent::NoFrame });
            }
            if tcb.flags.any(Flags::ACK_OWED) {
                self.delay_ack(index);
            }
            return Some(Sent::All);
        }
        let id = tcb.snd_unsent;
        if id != tcb.snd_tail || tcb.in_flight() != 0 || self.is_after_pause(tcb) {
            return None;
        }
        let segment = self.pool.header(id);
        // One block with all there is, and room for it in each window.
        let whole = segment.seq == tcb.snd_nxt && segment.len <= tcb.mss;
        if !whole || unsent > tcb.snd_wnd || unsent > tcb.cwnd {
            return None;
        }
        let seq = tcb.snd_nxt;
        if !self.write_plain(index, &path, seq, Some(id), tx) {
            return Some(Sent::NoFrame);
        }
        self.note_first_sent(index, id);
        Some(Sent::All)
    }

    /// True when the congestion window may have to begin anew (RFC 5681 4.1).
    #[inline]
    fn is_after_pause(&self, tcb: &Tcb) -> bool {
        let idle = self.now.tick.wrapping_sub(tcb.deadline) as i32 >= 0;
        idle && tcb.cwnd > self.config.initial_window_segments * u32::from(tcb.mss)
    }

    /// A segment with an acknowledgment, and with all octets of `block`; false: no frame.
    #[inline]
    fn write_plain(
        &mut self,
        index: u32,
        path: &PlainPath,
        seq: Seq,
        block: Option<BlockId>,
        tx: &mut TxBurst,
    ) -> bool {
        let ts_now = self.ts_now();
        let tcb = &mut self.tcbs[index];
        let Some(out) = tx.frame() else {
            self.counters.drop(Drop::TxFull);
            return false;
        };
        let (mut flags, mut ecn, mut payload): (_, _, &[u8]) = (tcp::Flags::ACK, 0, &[]);
        if let Some(id) = block {
            let segment = self.pool.header(id);
            if segment.marks & Marks::PUSH != 0 {
                flags = flags | tcp::Flags::PSH;
            }
            ecn = tcb.mark_of_new_data().0;
            payload = send_queue::octets(&self.pool, id, 0, usize::from(segment.len));
        }
        let buffer = self.config.rcv_buf_bytes;
        let window = window_field(tcb, Room { buffer, window: buffer }, WindowSteps::Segments);
        tcb.last_ack_sent = tcb.rcv_nxt;
        tcb.flags.clear(Flags::ACK_NOW | Flags::ACK_OWED);
        // RFC 7323-3.2a.
        let timestamps = tcp::Timestamps { value: ts_now, echo: tcb.ts_recent };
        let frame = plain::Frame {
            mac: path.mac,
            traffic_class: tcb.dscp() << 2 | ecn,
            src: path.local,
            dst: Ipv4Addr::from_bits(tcb.remote as u32),
            src_port: tcb.local_port,
            dst_port: tcb.remote_port,
            seq: seq.0,
            ack: tcb.rcv_nxt.0,
            flags,
            window,
            options: if tcb.flags.any(Flags::TIMESTAMPS) {
                plain::Options::Timestamps(timestamps)
            } else {
                plain::Options::None
            },
        };
        let written = frame.write(MacAddr(self.link.mac), self.config.ttl, payload, out);
        self.commit(written, tx);
        self.counters.plain_out += 1;
        true
    }

    /// The only block of a connection went, for the first time.
    #[inline]
    fn note_first_sent(&mut self, index: u32, id: BlockId) {
        let segment = self.pool.header_mut(id);
        segment.sent_at_us = self.now.us as u32;
        segment.marks |= Marks::SENT;
        let (len, next) = (segment.len, segment.next);
        let tcb = &mut self.tcbs[index];
        tcb.snd_nxt += u32::from(len);
        tcb.snd_unsent = next;
        self.counters.octets_out += u64::from(len);
        self.start_timer(index);
    }
}

/// True for an established connection of which nothing is to be remembered: no losses, no bulk, no
/// octets unread or out of order.
#[inline]
fn is_plain(tcb: &Tcb) -> bool {
    tcb.state & !(Sign::Ecn as u8) == State::Established as u8
        && !tcb.flags.any(Flags::UNUSUAL)
        && tcb.extension == BlockId::NONE
        && tcb.rcv_queue == BlockId::NONE
}

/// True for the next segment expected by the arrival's own connection: RFC 9293 3.10.7.4, first to
/// fifth step, and RFC 7323-5.3, where all of them say yes.
#[inline]
fn is_next(tcb: &Tcb, arrival: &Arrival) -> bool {
    let (seq, ack) = (Seq(arrival.seq), Seq(arrival.ack));
    let timed = tcb.flags.any(Flags::TIMESTAMPS);
    let room = tcb.rcv_adv.since(seq) as i32;
    tcb.endpoints() == arrival.endpoints()
        && is_plain(tcb)
        && seq == tcb.rcv_nxt
        && i32::from(arrival.payload_len) <= room
        && ack.since(tcb.snd_una) <= tcb.in_flight()
        && timed == arrival.has_timestamps
        && (!timed || arrival.ts_value.wrapping_sub(tcb.ts_recent) as i32 >= 0)
        && tcb.dup_acks == 0
        && tcb.snd_wnd != 0
}

impl Flags {
    /// What a plain connection has none of.
    const UNUSUAL: Self = Self(
        Self::FIN_QUEUED.0
            | Self::FIN_SENT.0
            | Self::FIN_LOST.0
            | Self::PEER_FIN.0
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
