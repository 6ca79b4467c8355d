//! A segment arrives (RFC 9293 3.10.7), as far as this server can send one.

use super::frames::{Frame, Said, Segment};
use super::under_way::{Exchange, Kind};
use super::{Heard, Mirror};
use crate::pattern::Pattern;
use crore::mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use crore_wire::tcp::Flags;

impl Mirror {
    /// All frames are read, and the memory of their connections asked for, before the first takes
    /// effect.
    #[inline]
    pub(super) fn receive(&mut self, rx: &RxBurst, tx: &mut TxBurst) {
        let mut read = [Frame::Unusable; RX_BURST_MAX];
        for (i, slot) in read[..rx.len()].iter_mut().enumerate() {
            *slot = self.link.read(rx.frame(i), &self.tuples);
            if let Frame::Segment(segment) = slot {
                self.heard.prefetch(segment.index);
            }
        }
        for (i, frame) in read[..rx.len()].iter().enumerate() {
            match frame {
                Frame::Segment(segment) => {
                    let octets = &rx.frame(i)[segment.start..segment.start + segment.len];
                    self.segment_arrives(segment, octets, tx);
                }
                Frame::WhoHas(question) => self.link.answer(question, tx),
                Frame::ServerIsAt(mac) => self.link.server_mac = Some(*mac),
                Frame::Unusable => self.counts.unusable += 1,
            }
        }
    }

    #[inline]
    fn segment_arrives(&mut self, segment: &Segment, octets: &[u8], tx: &mut TxBurst) {
        let heard = self.heard[segment.index];
        let exchange = self.under_way.get(segment.index).copied();
        match exchange {
            Some(exchange) if exchange.kind == Kind::Opening => {
                self.in_syn_sent(segment, &exchange, tx);
            }
            _ if heard.ts_recent == 0 => self.in_no_connection(segment, tx),
            _ => self.in_established(segment, exchange, octets, tx),
        }
    }

    /// SYN-SENT (RFC 9293 3.10.7.3).
    fn in_syn_sent(&mut self, segment: &Segment, opening: &Exchange, tx: &mut TxBurst) {
        let (index, flags) = (segment.index, segment.flags);
        let expected = self.snd_nxt(index, 0);
        if !flags.contains(Flags::ACK) || segment.ack != expected {
            self.counts.unfit += 1;
            if flags.contains(Flags::ACK) && !flags.contains(Flags::RST) {
                self.reset(segment, tx);
            }
            return;
        }
        if flags.contains(Flags::RST) {
            self.numbers.refused += 1;
            return self.give_up_opening(index);
        }
        let agreed = segment.timestamps.filter(|_| {
            let takes = self.config.payload_bytes;
            segment.mss >= takes + TIMESTAMPS_BYTES && segment.window >= takes
        });
        let Some(timestamps) = agreed.filter(|_| flags.contains(Flags::SYN)) else {
            // A server that we cannot talk to in segments of one request each.
            self.counts.unfit += 1;
            self.give_up_opening(index);
            return self.reset(segment, tx);
        };
        self.heard[index] =
            Heard { rcv_nxt: segment.seq.wrapping_add(1), ts_recent: timestamps.value.max(1) };
        self.under_way.end(index);
        self.live += 1;
        if self.is_life(index) {
            return self.ask_once(index, opening, tx);
        }
        self.note_opened();
        self.acknowledge(segment, tx);
    }

    /// CLOSED and TIME-WAIT (RFC 9293 3.10.7.1, 3.10.7.4): what we closed stays in TIME-WAIT, and
    /// acknowledges a FIN that came again.
    fn in_no_connection(&mut self, segment: &Segment, tx: &mut TxBurst) {
        if segment.flags.contains(Flags::RST) {
            self.counts.unfit += 1;
        } else if segment.flags.contains(Flags::FIN) && segment.flags.contains(Flags::ACK) {
            self.counts.repeated += 1;
            let ack = segment.seq.wrapping_add(segment.seq_len());
            let echo = segment.timestamps.map_or(0, |timestamps| timestamps.value);
            self.say_ack(segment.index, segment.ack, ack, echo, tx);
        } else {
            self.counts.unfit += 1;
            self.reset(segment, tx);
        }
    }

    /// ESTABLISHED and the states of closing.
    #[inline]
    fn in_established(
        &mut self,
        segment: &Segment,
        exchange: Option<Exchange>,
        octets: &[u8],
        tx: &mut TxBurst,
    ) {
        let index = segment.index;
        let heard = self.heard[index];
        if segment.flags.contains(Flags::RST) {
            // RFC 5961 3.2: only an exact hit counts.
            if segment.seq == heard.rcv_nxt {
                self.numbers.resets += 1;
                self.lose(index);
            } else {
                self.counts.unfit += 1;
            }
            return;
        }
        if segment.flags.contains(Flags::SYN) || segment.seq != heard.rcv_nxt {
            self.note_misplaced(segment, heard);
            return self.acknowledge(segment, tx);
        }
        let Some(exchange) = exchange else {
            return self.unasked(segment, octets, tx);
        };
        let (first, behind) = self.numbers_of(index, exchange.kind, exchange.requests);
        let acknowledged = segment.ack.wrapping_sub(first) as i32;
        if acknowledged < 0 || segment.ack.wrapping_sub(behind) as i32 > 0 {
            self.counts.unfit += 1;
            return;
        }
        if let Some(timestamps) = segment.timestamps {
            self.heard[index].ts_recent = timestamps.value.max(1);
        }
        let fully = segment.ack == behind;
        if let Some(exchange) = self.under_way.get(index) {
            exchange.acknowledged |= fully;
        }
        if exchange.kind == Kind::Asking {
            self.reply_arrives(segment, exchange, octets);
        } else {
            self.numbers.bad_bytes += octets.len() as u64;
            self.heard[index].rcv_nxt = heard.rcv_nxt.wrapping_add(octets.len() as u32);
        }
        if segment.flags.contains(Flags::FIN) {
            self.fin_arrives(segment, exchange.kind, tx);
        } else if segment.len > 0 && !(self.is_life(index) && self.is_over(index)) {
            self.acknowledge(segment, tx);
        }
        if self.is_over(index) {
            self.end(index, tx);
        }
    }

    /// Octets of a reply, each compared with what it must be.
    #[inline]
    fn reply_arrives(&mut self, segment: &Segment, exchange: Exchange, octets: &[u8]) {
        let index = segment.index;
        let left = usize::from(self.config.payload_bytes - exchange.received);
        let (awaited, surplus) = octets.split_at(octets.len().min(left));
        let pattern = Pattern::new(index, 0, exchange.requests);
        let bad = pattern.mismatches(usize::from(exchange.received), awaited) + surplus.len();
        self.numbers.bad_bytes += bad as u64;
        let heard = &mut self.heard[index];
        heard.rcv_nxt = heard.rcv_nxt.wrapping_add(octets.len() as u32);
        if let Some(exchange) = self.under_way.get(index) {
            exchange.received += awaited.len() as u16;
        }
    }

    /// The server says something on a connection that asked nothing.
    fn unasked(&mut self, segment: &Segment, octets: &[u8], tx: &mut TxBurst) {
        let index = segment.index;
        self.numbers.bad_bytes += octets.len() as u64;
        let heard = &mut self.heard[index];
        heard.rcv_nxt = heard.rcv_nxt.wrapping_add(octets.len() as u32);
        if segment.flags.contains(Flags::FIN) {
            self.fin_arrives(segment, Kind::Asking, tx);
        } else if segment.len > 0 {
            self.acknowledge(segment, tx);
        }
    }

    /// The server's FIN: in order after ours, else the server has closed before we did, and we have
    /// nothing more to say to it.
    fn fin_arrives(&mut self, segment: &Segment, kind: Kind, tx: &mut TxBurst) {
        let index = segment.index;
        if kind != Kind::Closing {
            self.numbers.closed_early += 1;
            self.lose(index);
            return self.reset(segment, tx);
        }
        let heard = &mut self.heard[index];
        heard.rcv_nxt = heard.rcv_nxt.wrapping_add(1);
        if let Some(exchange) = self.under_way.get(index) {
            exchange.received = FIN_RECEIVED;
        }
        self.acknowledge(segment, tx);
    }

    /// True when an exchange has all that it waits for.
    #[inline]
    fn is_over(&mut self, index: u32) -> bool {
        let payload_bytes = self.config.payload_bytes;
        self.under_way.get(index).is_some_and(|exchange| {
            let awaited = match exchange.kind {
                Kind::Opening => return false,
                Kind::Asking => payload_bytes,
                Kind::Closing => FIN_RECEIVED,
            };
            exchange.acknowledged && exchange.received >= awaited
        })
    }

    /// Ends an exchange.
    #[inline]
    fn end(&mut self, index: u32, tx: &mut TxBurst) {
        let Some(exchange) = self.under_way.end(index) else { return };
        if exchange.kind == Kind::Asking {
            self.numbers.replies += 1;
            self.latency.record_ns(self.now_ns.saturating_sub(exchange.due_ns).max(1), 1);
            if self.is_life(index) {
                self.end_life(index, tx);
            }
            return;
        }
        self.live -= 1;
        self.heard[index] = Heard::default();
        if self.is_life(index) {
            self.note_life(true);
        } else {
            self.numbers.closed += 1;
        }
    }

    /// A segment that is not the next one: the server had no acknowledgment and says it again, or
    /// one before it was lost.
    fn note_misplaced(&mut self, segment: &Segment, heard: Heard) {
        let ahead = segment.seq.wrapping_sub(heard.rcv_nxt) as i32;
        if ahead > 0 {
            self.counts.beyond += 1;
        } else {
            self.counts.repeated += 1;
        }
    }

    /// An established connection is no more.
    pub(super) fn lose(&mut self, index: u32) {
        self.heard[index] = Heard::default();
        self.live -= 1;
        if let Some(exchange) = self.under_way.end(index) {
            self.numbers.lost += u64::from(exchange.kind == Kind::Asking);
        }
        if self.is_life(index) {
            self.note_life(false);
        }
    }

    /// A connection did not come about.
    fn give_up_opening(&mut self, index: u32) {
        self.under_way.end(index);
        if self.is_life(index) {
            self.note_life(false);
        } else {
            self.numbers.connect_errors += 1;
        }
    }

    /// Nobody answers any more.
    pub(super) fn give_up(&mut self, index: u32) {
        if self.under_way.get(index).is_some_and(|one| one.kind == Kind::Opening) {
            self.numbers.unanswered += 1;
            return self.give_up_opening(index);
        }
        self.numbers.timeouts += 1;
        self.lose(index);
    }

    /// Says how far we have it. What the server has of ours it says itself: that is where our next
    /// octet belongs, unless something is under way.
    #[inline]
    fn acknowledge(&mut self, segment: &Segment, tx: &mut TxBurst) {
        let index = segment.index;
        let seq = match self.under_way.get(index).copied() {
            Some(exchange) => self.numbers_of(index, exchange.kind, exchange.requests).1,
            None => segment.ack,
        };
        let heard = self.heard[index];
        self.say_ack(index, seq, heard.rcv_nxt, heard.ts_recent, tx);
    }

    #[inline]
    fn say_ack(&mut self, index: u32, seq: u32, ack: u32, ts_recent: u32, tx: &mut TxBurst) {
        let options = self.options(ts_recent);
        let said = Said { index, seq, ack, flags: Flags::ACK, options, payload: None };
        self.link.say(&said, &self.tuples, tx);
    }

    /// The reset that a segment for nobody gets (RFC 9293 3.10.7.1).
    fn reset(&mut self, segment: &Segment, tx: &mut TxBurst) {
        let ack = segment.seq.wrapping_add(segment.seq_len());
        let flags = Flags::RST | Flags::ACK;
        let options = self.options(segment.timestamps.map_or(0, |timestamps| timestamps.value));
        let said =
            Said { index: segment.index, seq: segment.ack, ack, flags, options, payload: None };
        self.link.say(&said, &self.tuples, tx);
    }
}

/// What the timestamps take of a segment (RFC 9293 3.7.1).
const TIMESTAMPS_BYTES: u16 = 12;

/// In `received` of an exchange that closes: the server's FIN has come.
const FIN_RECEIVED: u16 = 1;
