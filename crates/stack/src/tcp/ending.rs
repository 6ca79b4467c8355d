//! The end of a connection: TIME-WAIT, and giving everything back.

use super::arrives::{Step, segment_len};
use super::header::Report;
use super::time_wait::{Last, TimeWait};
use super::{receive_queue, send_queue};
use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::{Closed, Event, Events, What};
use crate::record::Record;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, State};
use crate::transitions::Station;
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use crore_wire::tcp;

impl Stack {
    /// The connection is over: its tuple is free again, what it had queued to send is given back.
    /// The slot stays until the application was told ([`Stack::release`]).
    pub(crate) fn finish(&mut self, index: u32, why: Closed, event: &mut Event) {
        if self.tcbs[index].state() == State::Closed {
            return;
        }
        let hash = self.hash_of(&self.tcbs[index].endpoints());
        self.finish_listed(index, hash, why, event);
    }

    /// The same of a connection whose hash in the flow table is at hand.
    pub(super) fn finish_listed(&mut self, index: u32, hash: u64, why: Closed, event: &mut Event) {
        self.unlist(index, hash, None);
        self.transitions.end(self.tcbs[index].state().into(), Station::Closed, why);
        self.detach(index, why, event);
    }

    /// Takes a connection out of the flow table, or leaves its place to another record. The table
    /// also knows whether the peer had opened it.
    fn unlist(&mut self, index: u32, hash: u64, successor: Option<Record>) {
        let mut gone = |id| match successor {
            Some(record) => self.flows.replace(hash, id, record.id()),
            None => self.flows.remove(hash, id),
        };
        let accepted = gone(Record::accepted_id(index));
        let listed = accepted || gone(Record::Conn(index).id());
        debug_assert!(listed, "a connection that is not closed is in the flow table");
        if accepted {
            self.note_closed(self.tcbs[index].remote);
        }
    }

    /// RFC 9293 MUST-13: the tuple stays taken for 2 MSL, in a compact record.
    pub(super) fn enter_time_wait(&mut self, index: u32, event: &mut Event) {
        if self.time_waits.is_full() {
            self.counters.time_wait_evicted += 1;
            self.expire_time_wait();
        }
        let tcb = &self.tcbs[index];
        let endpoints = tcb.endpoints();
        let timed = tcb.flags.any(Flags::TIMESTAMPS);
        let last = if timed { Last::Timestamp(tcb.ts_recent) } else { Last::Sent(tcb.snd_nxt) };
        let hash = self.hash_of(&endpoints);
        let tcb = &self.tcbs[index];
        let (rcv_nxt, tick, wait) = (tcb.rcv_nxt, self.now.tick, self.config.time_wait_ms);
        if self.time_waits.is_full() {
            // The oldest could not be taken away in bounded work: this one goes without.
            self.unlist(index, hash, None);
        } else {
            let record = self.time_waits.insert(&endpoints, rcv_nxt, last, tick, wait);
            self.unlist(index, hash, Some(Record::TimeWait(record)));
        }
        self.transitions.took(self.tcbs[index].state().into(), Station::TimeWait);
        self.detach(index, Closed::Finished, event);
    }

    fn detach(&mut self, index: u32, why: Closed, event: &mut Event) {
        self.leave_opening(index, why);
        let tcb = &mut self.tcbs[index];
        send_queue::clear(tcb, &mut self.pool);
        tcb.flags.clear(Flags::RARE);
        self.close_extension(index);
        let tcb = &mut self.tcbs[index];
        tcb.set_state(State::Closed);
        // The application's timer goes on: unread octets may wait for it.
        tcb.flags.clear(Flags::TIMED | Flags::ACK_TIMED | Flags::ENDED);
        self.counters.closed += 1;
        event.what.set(What::CLOSED);
        event.why = why;
    }

    /// What Fast Open must know of an opening that ends before its handshake is over.
    fn leave_opening(&mut self, index: u32, why: Closed) {
        let tcb = &self.tcbs[index];
        match tcb.state() {
            State::SynSent if why == Closed::TimedOut => self.note_unanswered_syn(index, true),
            State::FastOpened => {
                let pending = &mut self.fast_open.pending;
                if why == Closed::Reset {
                    // RFC 7413-5.1a.
                    pending.was_reset(self.now.tick, self.config.fast_open.reset_counts_ms);
                } else {
                    pending.proven();
                }
            }
            _ => {}
        }
    }

    /// Gives the slot of a closed connection back, after the application's last call.
    ///
    /// # Panics
    /// When the connection is not closed.
    pub fn release(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        assert!(tcb.state() == State::Closed, "only a closed connection is given back");
        receive_queue::clear(tcb, &mut self.pool);
        self.tcbs.remove(index);
    }

    /// In FIN-WAIT-2 the peer may go on sending for as long as it likes (RFC 9293 3.6), and take
    /// its time over it; only when nobody would read that does the connection end by itself.
    pub(super) fn limit_fin_wait_2(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        if tcb.state() == State::FinWait2 && tcb.flags.any(Flags::GONE) {
            let wait_ms = self.config.fin_wait_2_ms;
            self.set_deadline(index, wait_ms);
        }
    }

    /// Octets for an application that closed both ways: a reset says that they are lost
    /// (RFC 9293 SHLD-3).
    #[cold]
    pub(super) fn text_for_nobody(&mut self, index: u32, event: &mut Event) -> Step {
        self.finish(index, Closed::Aborted, event);
        // With the number that the peer expects, whatever of ours got lost (RFC 5961-3.2a).
        Step::StopAndReset(Drop::DataAfterClose)
    }

    /// Both FINs are in: acknowledge the peer's, unless that was done, and wait in TIME-WAIT.
    /// Without a frame for the acknowledgment the connection stays until the output stage has one:
    /// from TIME-WAIT it would only come when the peer asks again.
    #[inline]
    pub(super) fn settle(&mut self, index: u32, event: &mut Event, tx: &mut TxBurst) {
        if !self.is_over(index) {
            return;
        }
        let tcb = &self.tcbs[index];
        let owed = tcb.last_ack_sent != tcb.rcv_nxt || tcb.flags.any(Flags::ACK_NOW);
        if !owed || self.send_ack(index, Report::NONE, tx) {
            self.enter_time_wait(index, event);
        }
    }

    /// True when both FINs are in and ours is acknowledged, in a state that TIME-WAIT follows.
    #[inline]
    pub(super) fn is_over(&self, index: u32) -> bool {
        let tcb = &self.tcbs[index];
        tcb.flags.any(Flags::PEER_FIN)
            && tcb.fin_acked()
            && matches!(tcb.state(), State::FinWait2 | State::Closing)
    }

    /// A segment for a tuple in TIME-WAIT (RFC 9293 3.10.7.4, RFC 6191, RFC 1337).
    pub(super) fn time_wait_segment(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let record = *self.time_waits.get(index);
        if arrival.flags.contains(tcp::Flags::RST) {
            // RFC 1337: a reset does not end TIME-WAIT early.
            return self.counters.drop(Drop::TimeWait);
        }
        let is_syn =
            arrival.flags.contains(tcp::Flags::SYN) && !arrival.flags.contains(tcp::Flags::ACK);
        let timestamps_on = self.config.timestamps;
        let newer = is_syn && is_newer(&record, arrival, timestamps_on, || self.iss_of(arrival));
        if newer && self.is_listening(arrival.local_port) {
            self.flows.remove(arrival.hash, Record::TimeWait(index).id());
            self.time_waits.remove(index);
            self.transitions.took(Station::TimeWait, Station::Listen);
            return self.syn_to_listener(arrival, frame, frame_number, events, tx);
        }
        self.counters.drop(Drop::TimeWait);
        let Some(seq) = number_of_answer(&record, arrival, is_syn) else { return };
        if self.may_reply_to_stranger() {
            let ts_recent = match record.last() {
                Last::Timestamp(recent) => recent,
                Last::Sent(_) => 0,
            };
            self.reply_from_time_wait(arrival, frame, (seq, record.rcv_nxt), ts_recent, tx);
        }
    }

    /// The initial sequence number that a SYN would be answered with; `None`: it is a cookie's.
    fn iss_of(&self, syn: &Arrival) -> Option<Seq> {
        let key = syn.endpoints().key(&self.addresses);
        let cookie = self.answers_with_cookie(syn.remote);
        (!cookie).then(|| Seq(self.secrets.isn(&key, self.now.us)))
    }

    /// Forgets the oldest TIME-WAIT record if it is due or room is needed; false when none is.
    pub(super) fn expire_time_wait(&mut self) -> bool {
        let Some(index) = self.time_waits.due(self.now.tick) else { return false };
        let endpoints = self.time_waits.get(index).endpoints();
        let hash = self.hash_of(&endpoints);
        self.flows.remove(hash, Record::TimeWait(index).id());
        self.time_waits.remove(index);
        self.transitions.took(Station::TimeWait, Station::Closed);
        true
    }

    /// True when nothing is owed to the application any more: no unread octets.
    #[inline]
    pub fn is_drained(&self, index: u32) -> bool {
        let tcb = &self.tcbs[index];
        tcb.rcv_unread == 0 || tcb.rcv_queue == BlockId::NONE
    }
}

/// Our sequence number in the answer to a segment that does not end TIME-WAIT; `None`: it has none.
fn number_of_answer(record: &TimeWait, arrival: &Arrival, is_syn: bool) -> Option<Seq> {
    if is_syn {
        // RFC 9293 3.10.7.4, RFC 5961-4.2a: a challenge. Whoever is in SYN-SENT refuses it with a
        // reset, which changes nothing (RFC 1337), so the port is free again after 2 MSL. Of a
        // connection with timestamps SND.NXT is not known: then RFC 6191 2 holds, silence.
        return match record.last() {
            Last::Sent(snd_nxt) => Some(snd_nxt),
            Last::Timestamp(_) => None,
        };
    }
    // RFC 9293 3.10.7.4: a bare acknowledgment that is where it should be is not answered. Two
    // sides that are both in TIME-WAIT would answer each other for ever. Any other says that the
    // peer did not get our last acknowledgment.
    let bare = segment_len(arrival) == 0 && Seq(arrival.seq) == record.rcv_nxt;
    let answered = arrival.flags.contains(tcp::Flags::ACK) && !bare;
    answered.then_some(Seq(arrival.ack))
}

/// RFC 6191-2, RFC 9293 SHLD-4: may this SYN open a new incarnation of a connection in TIME-WAIT?
/// By its timestamp when both have one, and at once when only the new one will have: timestamps
/// tell the segments of either side apart. Without them both sides' numbers must be above the last
/// ones (RFC 9293 MAY-2): the peer's by its SYN, ours by the clock that they follow, which a fast
/// connection outruns; a cookie is anywhere. Of a connection that had timestamps our last number
/// is not known.
fn is_newer(
    record: &TimeWait,
    syn: &Arrival,
    timestamps_on: bool,
    iss: impl FnOnce() -> Option<Seq>,
) -> bool {
    let higher = Seq(syn.seq).gt(record.rcv_nxt);
    match (record.last(), syn.has_timestamps && timestamps_on) {
        (Last::Timestamp(recent), true) => match syn.ts_value.wrapping_sub(recent) as i32 {
            0 => higher,
            ahead => ahead > 0,
        },
        (Last::Timestamp(_), false) => false,
        (Last::Sent(_), true) => true,
        (Last::Sent(snd_nxt), false) => higher && iss().is_some_and(|iss| iss.gt(snd_nxt)),
    }
}
