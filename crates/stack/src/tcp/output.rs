//! What may be sent now, and its segment (RFC 9293 3.8, 3.10.2; RFC 5681 3; RFC 896).

use super::extension;
use super::header::Report;
use super::scoreboard::{self, WALK_MAX};
use super::send_queue::{self, Marks};
use super::undo::FRTO_PROBES;
use crate::config::Nagle;
use crate::event::{Closed, Event, Events, What};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State, Tcb};
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use crore_wire::tcp;

pub(crate) use crate::path::PathTo;

/// How an output stage ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Every connection in the list was served.
    Done,
    /// The budget is used up; the rest waits in the list.
    Budget,
    /// The transmit burst is full; the rest waits in the list.
    TxFull,
}

/// Why a connection's turn at sending ended.
#[derive(PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing more may be sent now.
    All,
    /// No transmit frame: go on in the next burst.
    NoFrame,
    /// The next hop is not known yet: go on when it is, or when a timer says so.
    NoPath,
    /// No room for what is to be told: go on when there is.
    NoEvent,
    /// The pace allows no more new octets in this tick: go on when a timer says so.
    Paced,
}

impl Stack {
    /// Serves the connections that may have something to send, at most `budget` of them.
    pub fn output(&mut self, events: &mut Events, tx: &mut TxBurst, budget: usize) -> Output {
        for _ in 0..budget {
            if tx.room() == 0 {
                return Output::TxFull;
            }
            if events.room() == 0 {
                return Output::Budget;
            }
            let Some(index) = self.output_list.pop() else { return Output::Done };
            if let Some(ahead) = self.output_list.peek(PREFETCH_AHEAD) {
                self.prefetch_conn(ahead);
                tx.prefetch(PREFETCH_AHEAD as usize);
            }
            let sent = self.say_plainly(index, tx);
            match sent.unwrap_or_else(|| self.serve_any(index, events, tx)) {
                Sent::NoFrame => {
                    self.queue_output(index);
                    return Output::TxFull;
                }
                Sent::NoEvent => {
                    self.queue_output(index);
                    return Output::Budget;
                }
                Sent::All | Sent::NoPath | Sent::Paced => {}
            }
        }
        if self.output_list.len() > 0 { Output::Budget } else { Output::Done }
    }

    /// One connection of any kind.
    #[inline(never)]
    fn serve_any(&mut self, index: u32, events: &mut Events, tx: &mut TxBurst) -> Sent {
        let tcb = &mut self.tcbs[index];
        tcb.flags.clear(Flags::IN_OUTPUT);
        if tcb.flags.any(Flags::RESUME) {
            tcb.flags.clear(Flags::RESUME);
            let (generation, what) = (tcb.generation, What::QUEUED);
            events.push(Event { index, generation, what, ..Event::default() });
        }
        if events.room() == 0 {
            return Sent::NoEvent;
        }
        let tcb = &self.tcbs[index];
        if tcb.generation & 1 == 0 || tcb.state() == State::Closed {
            return Sent::All;
        }
        self.serve(index, events, tx)
    }

    /// True when connections wait for [`Stack::output`].
    pub fn has_output(&self) -> bool {
        self.output_list.len() > 0
    }

    /// One connection: all it may send.
    fn serve(&mut self, index: u32, events: &mut Events, tx: &mut TxBurst) -> Sent {
        let tcb = &self.tcbs[index];
        if tcb.flags.any(Flags::ABORT) {
            return self.abort_now(index, events, tx);
        }
        let Some(path) = self.path_of(index, tx) else {
            return self.path_unknown(index, events);
        };
        match self.tcbs[index].state() {
            State::SynSent | State::SynReceived => return self.send_syn(index, &path, tx),
            State::FastOpened if !self.syn_ack_first(index, tx) => return Sent::NoFrame,
            _ => {}
        }
        let sent = self.send_data(index, &path, tx);
        if sent != Sent::All {
            return sent;
        }
        let sent = self.send_owed_ack(index, &path, tx);
        if sent == Sent::All && self.is_over(index) {
            // The last acknowledgment had found no frame when the peer's FIN came.
            let generation = self.tcbs[index].generation;
            let mut event = Event { index, generation, ..Event::default() };
            self.enter_time_wait(index, &mut event);
            events.push(event);
        }
        sent
    }

    fn abort_now(&mut self, index: u32, events: &mut Events, tx: &mut TxBurst) -> Sent {
        let tcb = &self.tcbs[index];
        let mut event = Event { index, generation: tcb.generation, ..Event::default() };
        self.send_reset(index, tx);
        self.finish(index, Closed::Aborted, &mut event);
        events.push(event);
        Sent::All
    }

    /// Data and FIN, lost ones first, as the windows allow.
    #[inline]
    fn send_data(&mut self, index: u32, path: &PathTo, tx: &mut TxBurst) -> Sent {
        let tcb = &self.tcbs[index];
        if tcb.flags.any(Flags::LOSS | Flags::RECOVERY | Flags::FIN_LOST) {
            let sent = self.send_lost(index, path, tx);
            if sent != Sent::All {
                return sent;
            }
        }
        let tcb = &self.tcbs[index];
        if tcb.in_flight() == 0 && tcb.unsent() > 0 {
            self.before_flight(index);
        }
        if self.tcbs[index].flags.any(Flags::RARE) && !self.maybe_probe_path(index, path, tx) {
            return Sent::NoFrame;
        }
        if self.tcbs[index].unsent() > 0 {
            let sent = if self.tcbs[index].extension == BlockId::NONE {
                self.send_unsent(index, u32::MAX, path, tx)
            } else {
                self.send_paced(index, path, tx)
            };
            if sent != Sent::All {
                return sent;
            }
        }
        self.send_fin(index, path, tx)
    }

    /// New octets, at most `allowance` and what begins within it, as the windows allow.
    #[inline]
    pub(super) fn send_unsent(
        &mut self,
        index: u32,
        allowance: u32,
        path: &PathTo,
        tx: &mut TxBurst,
    ) -> Sent {
        let from = self.tcbs[index].snd_nxt;
        let (mut segments, mut ended) = (0, Sent::All);
        while self.tcbs[index].unsent() > 0 {
            if self.tcbs[index].snd_nxt.since(from) >= allowance {
                ended = Sent::Paced;
                break;
            }
            let Some((id, skip, len)) = self.next_unsent(index) else { break };
            let marks = self.pool.header(id).marks;
            if self.config.push_bursts && self.ends_burst(index, segments, (id, skip, len)) {
                self.pool.header_mut(id).marks |= Marks::PUSH;
            }
            let sent = self.send_block(index, id, skip, len, path, tx);
            if self.config.push_bursts && marks & Marks::PUSH == 0 {
                // For this time only: sent again it ends no burst.
                self.pool.header_mut(id).marks &= !Marks::PUSH;
            }
            if !sent {
                ended = Sent::NoFrame;
                break;
            }
            segments += 1;
        }
        if segments > 0 {
            self.maybe_time_probe(index);
        }
        ended
    }

    /// A flight begins. After a timeout's time without one the window is not what it was. The
    /// deadline of the last flight says how long ago that was: it is a timeout after it.
    #[inline]
    fn before_flight(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        let idle = self.now.tick.wrapping_sub(tcb.deadline) as i32 >= 0;
        if idle && tcb.cwnd > self.config.initial_window_segments * u32::from(tcb.mss) {
            self.restart_after_idle(index);
        }
    }

    /// Blocks marked as lost, as long as the congestion window has room (RFC 6675-5c, RFC
    /// 8985-9.3a). The peer's window does not count: it may have shrunk (RFC 9293 SHLD-16, MAY-7).
    fn send_lost(&mut self, index: u32, path: &PathTo, tx: &mut TxBurst) -> Sent {
        let tcb = &self.tcbs[index];
        if tcb.extension != BlockId::NONE {
            let loss = extension::of(&self.pool, tcb.extension);
            let waits = loss.course == FRTO_PROBES && tcb.unsent() > 0;
            if loss.lost == 0 || waits {
                return Sent::All;
            }
        }
        let mut at = self.first_lost(index);
        let sent = self.send_lost_from(index, &mut at, path, tx);
        self.note_first_lost(index, at);
        sent
    }

    /// The same from block `id` on, which becomes the one where it ended.
    fn send_lost_from(
        &mut self,
        index: u32,
        id: &mut BlockId,
        path: &PathTo,
        tx: &mut TxBurst,
    ) -> Sent {
        let mut pipe = self.pipe(&self.tcbs[index]);
        // Bounded: what lies deeper goes when the head has moved on (CVE-2019-11478).
        let mut visits = 2 * WALK_MAX;
        while *id != BlockId::NONE && visits > 0 {
            let tcb = &self.tcbs[index];
            let segment = self.pool.header(*id);
            if segment.marks & Marks::SENT == 0 {
                break;
            }
            if segment.marks & Marks::SACKED != 0 {
                *id = scoreboard::after_run(&mut self.pool, *id, &mut visits);
                continue;
            }
            visits -= 1;
            self.counters.walked += 1;
            if segment.marks & Marks::LOST != 0 {
                // RFC 5681-3.2c, RFC 6582-3.2c: the segment at SND.UNA, whatever the window says.
                let due = *id == tcb.snd_head
                    && segment.marks & Marks::RESENT == 0
                    && tcb.flags.any(Flags::RECOVERY)
                    && !tcb.flags.any(Flags::SACK);
                if !due && pipe > 0 && pipe + u32::from(segment.len) > tcb.cwnd {
                    return Sent::All;
                }
                let sent = tcb.snd_nxt.since(segment.seq).min(u32::from(segment.len));
                if sent > u32::from(tcb.mss) {
                    if self.split_lost(index, *id) {
                        continue;
                    }
                    if self.went_lately(index, *id) {
                        return Sent::All;
                    }
                }
                if !self.send_block(index, *id, 0, sent as u16, path, tx) {
                    return Sent::NoFrame;
                }
                pipe += sent;
                if self.pool.header(*id).marks & Marks::LOST != 0 {
                    // No block was free for its other half.
                    return Sent::All;
                }
            }
            *id = self.pool.header(*id).next;
        }
        Sent::All
    }

    /// The next unsent octets that may go: their block, where in it, and how many.
    #[inline]
    fn next_unsent(&mut self, index: u32) -> Option<(BlockId, u16, u16)> {
        let tcb = &self.tcbs[index];
        let id = tcb.snd_unsent;
        if id == BlockId::NONE {
            return None;
        }
        let segment = self.pool.header(id);
        let skip = tcb.snd_nxt.since(segment.seq) as u16;
        let mss = tcb.mss;
        let whole = (segment.len - skip).min(mss);
        let flight = tcb.in_flight();
        // RFC 9293 MUST-34, SHLD-15: a window that shrank below what is in flight has no room.
        // RFC 5681-2, RFC 7323-2.4c: nothing new goes beyond the window or the congestion window.
        let window = tcb.snd_wnd.saturating_sub(flight);
        let len = u32::from(whole).min(window) as u16;
        let simple = tcb.extension == BlockId::NONE && tcb.dup_acks == 0;
        let pipe = if simple && !tcb.flags.any(Flags::LOSS) { flight } else { self.pipe(tcb) };
        if pipe > 0 && pipe + u32::from(len) > tcb.cwnd {
            return None;
        }
        let is_last = id == tcb.snd_tail;
        if len == whole {
            // Nagle (RFC 9293 SHLD-7): a small last segment waits for what is in flight.
            let small = len < mss && is_last && !tcb.flags.any(Flags::FIN_QUEUED);
            if !small {
                return Some((id, skip, len));
            }
            if tcb.flags.any(Flags::HELD) {
                // RFC 9293 MUST-60: not for ever.
                if flight == 0 && !tcb.flags.any(Flags::TIMED) {
                    self.start_timer(index);
                }
                return None;
            }
            let held = flight > 0 && !tcb.flags.any(Flags::NODELAY) && self.nagle_waits(tcb, skip);
            return (!held).then_some((id, skip, len));
        }
        // Cut by the window: silly-window avoidance (RFC 9293 MUST-38, 3.8.6.2.1 rule 3). It is no
        // full segment, so for Nagle nothing may be in flight.
        let idle = flight == 0 || tcb.flags.any(Flags::NODELAY);
        if len > 0 && idle && u32::from(len) >= tcb.snd_wnd_max_octets() / 2 {
            return Some((id, skip, len));
        }
        if flight == 0 && !tcb.flags.any(Flags::PERSIST) {
            self.begin_persist(index);
        }
        None
    }

    /// True when what is in flight makes a small last segment wait. Minshall's variant: only
    /// another small one does, or the front of this one. The end of a message that took some full
    /// segments goes with them then, and does not wait for an acknowledgment that a peer delays.
    fn nagle_waits(&self, tcb: &Tcb, skip: u16) -> bool {
        match self.config.nagle {
            Nagle::Classic => true,
            Nagle::Minshall => skip > 0 || send_queue::is_small_in_flight(tcb, &self.pool),
        }
    }

    /// Sends `len` octets of a block, from `skip` on, and notes that they went.
    #[inline]
    pub(super) fn send_block(
        &mut self,
        index: u32,
        id: BlockId,
        skip: u16,
        len: u16,
        path: &PathTo,
        tx: &mut TxBurst,
    ) -> bool {
        let len = len.min(self.tcbs[index].mss);
        let segment = self.pool.header(id);
        let seq = segment.seq + u32::from(skip);
        let again = seq.lt(self.tcbs[index].snd_nxt);
        let ends = skip + len == segment.len;
        let mut flags = tcp::Flags::ACK;
        if ends && segment.marks & Marks::PUSH != 0 {
            flags = flags | tcp::Flags::PSH;
        }
        let with_fin = ends && self.fin_follows(index, seq + u32::from(len));
        if with_fin {
            flags = flags | tcp::Flags::FIN;
        }
        // RFC 3168-6.1.5a, RFC 3168-6.1.2g, RFC 3168-6.1.6: neither ECT nor CWR on what goes again,
        // nor on window probes.
        let news = !again && !self.tcbs[index].flags.any(Flags::PERSIST);
        let (ecn, cwr) =
            if news { self.tcbs[index].mark_of_new_data() } else { (0, tcp::Flags::NONE) };
        let mut header = self.header_for(index, seq, flags | cwr, Report::NONE);
        let room = self.tcbs[index].mss - len;
        if !header.options.sack.is_empty() && room < SACK_OPTION_MAX {
            // Pure acknowledgments report as well; a segment must not outgrow the link.
            header.options.sack = tcp::SackBlocks::EMPTY;
        }
        let octets = usize::from(skip)..usize::from(skip + len);
        if !self.write_block(path, &header, ecn, id, octets, tx) {
            return false;
        }
        if cwr != tcp::Flags::NONE {
            // RFC 3168-6.1.2h: on the first new octets only.
            self.tcbs[index].put(Sign::Reduced, false);
        }
        self.note_sent(index, id, seq, len, again);
        if with_fin {
            self.note_fin_sent(index);
        }
        true
    }

    /// True when our FIN is due right after `end`, so that it can go with the octets before it.
    #[inline]
    fn fin_follows(&self, index: u32, end: Seq) -> bool {
        let tcb = &self.tcbs[index];
        let due = !tcb.flags.any(Flags::FIN_SENT) || tcb.flags.any(Flags::FIN_LOST);
        tcb.flags.any(Flags::FIN_QUEUED) && end == tcb.snd_end && due && fin_may_go(tcb)
    }

    #[inline]
    fn note_sent(&mut self, index: u32, id: BlockId, seq: Seq, len: u16, again: bool) {
        let now_us = self.now.us as u32;
        let delay_ms = self.config.ack_delay_ms;
        let tcb = &mut self.tcbs[index];
        let alone = tcb.in_flight() == 0;
        if tcb.flags.any(Flags::QUICK) {
            // An answer within the delay: acknowledgments have something to go with.
            let ahead = tcb.ack_deadline.wrapping_sub(self.now.tick as u16);
            if u32::from(ahead.wrapping_sub(1)) < delay_ms {
                tcb.flags.clear(Flags::QUICK);
            }
        }
        let segment = self.pool.header_mut(id);
        let end = seq + u32::from(len);
        // RFC 8985-5.2b, RFC 8985-7.3d. A block that was reported keeps something else there.
        if segment.marks & Marks::SACKED == 0 {
            segment.sent_at_us = now_us;
        }
        segment.marks |= Marks::SENT;
        if again {
            segment.marks |= Marks::RESENT;
            self.counters.retransmits += 1;
            let sent_end = (segment.seq + u32::from(segment.len)).earlier(tcb.snd_nxt);
            let (was_lost, block_len) = (segment.marks & Marks::LOST != 0, segment.len);
            let whole = end.ge(sent_end);
            if whole {
                segment.marks &= !Marks::LOST;
            }
            if tcb.extension != BlockId::NONE {
                let lost = if whole && was_lost { block_len } else { 0 };
                let ts_now = self.now.tick.wrapping_add(self.ts_offset);
                extension::of_mut(&mut self.pool, tcb.extension).note_repeat(lost, ts_now);
            }
        }
        if tcb.flags.any(Flags::RECOVERY) && tcb.extension != BlockId::NONE {
            extension::of_mut(&mut self.pool, tcb.extension).prr_out += u32::from(len);
        }
        let segment = self.pool.header_mut(id);
        if end.gt(tcb.snd_nxt) {
            self.counters.octets_out += u64::from(end.since(tcb.snd_nxt));
            tcb.snd_nxt = end;
            if end == segment.seq + u32::from(segment.len) {
                tcb.snd_unsent = segment.next;
            }
        }
        let renewed = again && id == tcb.snd_head && tcb.flags.any(Flags::RECOVERY);
        // A timer that ran before anything was in flight had another reason (RFC 6298 5.1).
        if renewed {
            self.renew_timer(index);
        } else if alone || !tcb.flags.any(Flags::TIMED) || tcb.flags.any(Flags::STARVED) {
            tcb.flags.clear(Flags::STARVED);
            self.start_timer(index);
        }
    }

    /// Our FIN, when all before it was sent.
    #[inline]
    fn send_fin(&mut self, index: u32, path: &PathTo, tx: &mut TxBurst) -> Sent {
        let tcb = &self.tcbs[index];
        let first = !tcb.flags.any(Flags::FIN_SENT);
        let due = tcb.flags.any(Flags::FIN_QUEUED) && (first || tcb.flags.any(Flags::FIN_LOST));
        let due = due && fin_may_go(tcb);
        if !due || tcb.unsent() > 0 || tcb.fin_acked() {
            return Sent::All;
        }
        let header =
            self.header_for(index, tcb.snd_end, tcp::Flags::ACK | tcp::Flags::FIN, Report::NONE);
        if !self.write_segment(path, &header, &[], tx) {
            return Sent::NoFrame;
        }
        self.note_fin_sent(index);
        self.counters.retransmits += u64::from(!first);
        let tcb = &mut self.tcbs[index];
        let alone = tcb.in_flight() == 1;
        if alone || !tcb.flags.any(Flags::TIMED) || tcb.flags.any(Flags::STARVED) {
            tcb.flags.clear(Flags::STARVED);
            self.start_timer(index);
        }
        Sent::All
    }

    /// Our FIN is on its way, alone or with the last octets.
    pub(super) fn note_fin_sent(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        tcb.snd_nxt = tcb.snd_end + 1;
        tcb.flags.clear(Flags::FIN_LOST);
        tcb.flags.set(Flags::FIN_SENT);
        let (from, to) = match tcb.state() {
            State::Established => (State::Established, State::FinWait1),
            State::CloseWait => (State::CloseWait, State::LastAck),
            _ => return,
        };
        tcb.set_state(to);
        self.transitions.took(from.into(), to.into());
    }

    /// An acknowledgment, now or after the delay.
    #[inline]
    fn send_owed_ack(&mut self, index: u32, path: &PathTo, tx: &mut TxBurst) -> Sent {
        let tcb = &self.tcbs[index];
        if tcb.flags.any(Flags::ACK_NOW) {
            let repeats = self.config.habits.fin_on_acks && is_fin_all_in_flight(tcb);
            let (seq, flags) = if repeats {
                (tcb.snd_end, tcp::Flags::ACK | tcp::Flags::FIN)
            } else {
                (tcb.acceptable_seq(), tcp::Flags::ACK)
            };
            let header = self.header_for(index, seq, flags, Report::NONE);
            if !self.write_segment(path, &header, &[], tx) {
                self.tcbs[index].flags.set(Flags::ACK_NOW);
                return Sent::NoFrame;
            }
        } else if tcb.flags.any(Flags::ACK_OWED) {
            self.delay_ack(index);
        }
        Sent::All
    }
}

/// True when our FIN is all that is in flight, so that it can go with an acknowledgment once more.
#[cold]
fn is_fin_all_in_flight(tcb: &Tcb) -> bool {
    tcb.flags.any(Flags::FIN_SENT) && tcb.snd_una == tcb.snd_end
}

/// RFC 9293 3.10.4, CLOSE in SYN-RECEIVED: our FIN waits for ESTABLISHED.
#[inline]
fn fin_may_go(tcb: &Tcb) -> bool {
    tcb.state() > State::SynReceived
}

/// Octets of a SACK option with the most blocks that we send, and its padding.
const SACK_OPTION_MAX: u16 = 36;

/// How far ahead control blocks of the output list are asked for, and frames to be written.
pub(super) const PREFETCH_AHEAD: u32 = 4;
