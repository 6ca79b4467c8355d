//! The user's calls: SEND, RECEIVE, CLOSE, ABORT, STATUS (RFC 9293 3.10.2 to 3.10.6), on a slot.

use super::receive_queue::{self, Inserted};
use super::send_queue::{self, Marks};
use crate::counters::Drop;
use crate::event::{Closed, Event};
use crate::interface::unmapped;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, State, Tcb};
use core::net::SocketAddr;
use crore_mem::BlockId;

impl Stack {
    /// The control block of a live slot.
    #[inline]
    pub fn tcb(&self, index: u32) -> &Tcb {
        &self.tcbs[index]
    }

    /// True when `index` holds the connection of this generation.
    #[inline]
    pub fn is_live(&self, index: u32, generation: u32) -> bool {
        index < self.tcbs.capacity() && self.tcbs.get(index, generation).is_some()
    }

    /// Asks for a control block's first line.
    #[inline]
    pub fn prefetch_conn(&self, index: u32) {
        self.tcbs.prefetch_line(index, 0);
        self.tcbs.prefetch_line(index, 1);
    }

    /// SEND: queues octets; says how many. Fewer than all: the queue or the pool is full, and
    /// [`What::WRITABLE`](crate::What::WRITABLE) will tell when to go on.
    #[inline]
    pub fn send(&mut self, index: u32, bytes: &[u8]) -> usize {
        let tcb = &mut self.tcbs[index];
        tcb.flags.clear(Flags::HELD);
        // An empty queue has room for a segment, always: see `Stack::snd_limit`.
        let most = u32::from(tcb.mss).min(self.config.snd_buf_bytes) as usize;
        let is_first = tcb.snd_head == BlockId::NONE && tcb.queued() == 0;
        let one = is_first && may_queue(tcb) && bytes.len() <= most && !bytes.is_empty();
        if one && send_queue::append_first(tcb, &mut self.pool, bytes, Marks::PUSH) {
            self.output_list.add(index, &mut tcb.flags);
            return bytes.len();
        }
        self.send_any(index, bytes)
    }

    #[inline(never)]
    fn send_any(&mut self, index: u32, bytes: &[u8]) -> usize {
        let taken = self.queue(index, bytes);
        if taken > 0 {
            send_queue::mark_push(&self.tcbs[index], &mut self.pool);
        }
        taken
    }

    /// SEND without PUSH (RFC 9293 MAY-15), that need not go at once: a last segment that is not
    /// full waits until a SEND that must go, [`Stack::push`], an acknowledgment, or a
    /// retransmission timeout.
    pub fn send_held(&mut self, index: u32, bytes: &[u8], end: SendEnd) -> usize {
        self.tcbs[index].flags.set(Flags::HELD);
        let taken = self.queue(index, bytes);
        if taken > 0 && end == SendEnd::Push {
            send_queue::mark_push(&self.tcbs[index], &mut self.pool);
        }
        taken
    }

    /// Lets go of what [`Stack::send_held`] holds back.
    pub fn push(&mut self, index: u32) {
        self.tcbs[index].flags.clear(Flags::HELD);
        self.queue_output(index);
    }

    /// What is queued so far ends a record: its segment carries no octets of later SENDs.
    pub fn end_record(&mut self, index: u32) {
        send_queue::mark_record(&self.tcbs[index], &mut self.pool);
    }

    #[inline]
    fn queue(&mut self, index: u32, bytes: &[u8]) -> usize {
        let tcb = &self.tcbs[index];
        if !may_queue(tcb) {
            return 0;
        }
        let room = self.snd_room(tcb);
        let tcb = &mut self.tcbs[index];
        let taken = send_queue::append(tcb, &mut self.pool, bytes, room as usize);
        if taken < bytes.len() {
            self.want_writable(index);
        }
        if taken > 0 {
            self.queue_output(index);
        }
        taken
    }

    /// SEND of a payload that many queues share: whole or not at all.
    pub fn send_shared(&mut self, index: u32, payload: BlockId) -> bool {
        let len = u32::from(self.pool.header(payload).len);
        let tcb = &self.tcbs[index];
        if !may_queue(tcb) || len > self.snd_room(tcb) {
            self.want_writable(index);
            return false;
        }
        let tcb = &mut self.tcbs[index];
        if !send_queue::append_shared(tcb, &mut self.pool, payload) {
            self.want_writable(index);
            return false;
        }
        self.queue_output(index);
        true
    }

    pub(super) fn want_writable(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        tcb.flags.set(Flags::WANT_WRITABLE);
        if tcb.queued() == 0 {
            // Nothing in flight will report progress: the pool was empty. Look again soon.
            tcb.flags.set(Flags::STARVED);
            self.set_deadline_if_idle(index, STARVED_RETRY_MS);
        }
    }

    /// A payload for [`Stack::send_shared`]; `None` when it is larger than a block or none is free.
    pub fn share(&mut self, bytes: &[u8]) -> Option<BlockId> {
        let id = self.pool.alloc(bytes.len())?;
        let (segment, payload) = self.pool.parts_mut(id);
        if bytes.len() > payload.len() {
            self.pool.free(id);
            return None;
        }
        payload[..bytes.len()].copy_from_slice(bytes);
        segment.len = bytes.len() as u16;
        Some(id)
    }

    /// Gives the caller's hold on a shared payload back; queues keep theirs.
    pub fn release_shared(&mut self, payload: BlockId) {
        self.pool.free(payload);
    }

    /// Octets that [`Stack::send`] would take now, pool permitting.
    #[inline]
    pub fn send_room(&self, index: u32) -> usize {
        let tcb = &self.tcbs[index];
        if may_queue(tcb) { self.snd_room(tcb) as usize } else { 0 }
    }

    /// CLOSE: a FIN goes out after all that is queued. Receiving goes on.
    pub fn close(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        match tcb.state() {
            State::Closed => {}
            // RFC 9293 3.10.4: nothing to keep.
            State::SynSent => self.abort(index),
            _ if tcb.flags.any(Flags::FIN_QUEUED) => {}
            _ => {
                tcb.flags.set(Flags::FIN_QUEUED);
                self.queue_output(index);
            }
        }
    }

    /// CLOSE of both directions (RFC 9293 MAY-1): as [`Stack::close`], and the application reads no
    /// more. Octets that it did not read, or that come later, are lost, and a reset says so
    /// (RFC 9293 SHLD-3).
    pub fn close_both(&mut self, index: u32) {
        self.tcbs[index].flags.set(Flags::GONE);
        if self.tcbs[index].rcv_unread > 0 {
            return self.abort(index);
        }
        self.close(index);
        self.limit_fin_wait_2(index);
    }

    /// ABORT: what is queued is thrown away, a reset goes out with the next output stage. Of a
    /// connection that is over, the octets that nobody read are thrown away, so that it can go.
    pub fn abort(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        tcb.flags.set(Flags::ABORT);
        if tcb.state() == State::Closed {
            tcb.flags.set(Flags::RESUME);
        }
        self.queue_output(index);
    }

    /// Keeps octets of an in-order frame that the application did not consume: all of the
    /// event's from `skip` on. What finds no block was as good as never received, while nothing of
    /// it was acknowledged: the peer sends it again. Otherwise the connection is aborted.
    pub fn keep(&mut self, event: &Event, bytes: &[u8], skip: usize) {
        let tcb = &mut self.tcbs[event.index];
        let seq = Seq(event.seq) + skip as u32;
        let rest = &bytes[skip..];
        let steps = &mut self.counters.walked;
        match receive_queue::insert(tcb, &mut self.pool, (seq, rest), false, steps) {
            Inserted::Yes | Inserted::Nothing => tcb.rcv_unread += rest.len() as u32,
            Inserted::PoolEmpty if self.unreceive(event.index, seq, rest.len() as u32) => {
                self.drop_segment(Drop::PoolEmpty);
            }
            Inserted::PoolEmpty => {
                self.drop_segment(Drop::PoolEmpty);
                // Also when it is closed already: that it was aborted is then its end.
                self.tcbs[event.index].flags.set(Flags::ABORT);
                self.abort(event.index);
            }
        }
    }

    /// Takes RCV.NXT back to the first of the last `len` octets, from `seq` on, that is not in the
    /// queue. False when that cannot be: something of them was acknowledged, or more came after.
    fn unreceive(&mut self, index: u32, seq: Seq, len: u32) -> bool {
        let tcb = &mut self.tcbs[index];
        let is_last = tcb.rcv_nxt == seq + len && !tcb.flags.any(Flags::PEER_FIN);
        if tcb.state() == State::Closed || !is_last || tcb.last_ack_sent.gt(seq) {
            return false;
        }
        tcb.rcv_nxt = seq;
        receive_queue::advance(tcb, &self.pool, &mut self.counters.walked);
        self.counters.octets_in -= u64::from((seq + len).since(tcb.rcv_nxt));
        true
    }

    /// Copies unread octets, oldest first, into `out`; says how many.
    pub fn gather(&self, index: u32, out: &mut [u8]) -> usize {
        receive_queue::gather(&self.tcbs[index], &self.pool, out)
    }

    /// The application consumed `octets` of what [`Stack::gather`] gave.
    pub fn consumed(&mut self, index: u32, octets: usize) {
        if octets == 0 {
            return;
        }
        receive_queue::consume(&mut self.tcbs[index], &mut self.pool, octets);
        let room = self.rcv_room(index);
        let tcb = &mut self.tcbs[index];
        // RFC 9293 3.8.6.2.2: a larger window is announced when it grew by a worthwhile step, and
        // to twice what the peer has left at least: else its next segment is soon enough.
        let (edge, step) = (room.edge(tcb), room.step(tcb, 2));
        let left = if tcb.rcv_adv.gt(tcb.rcv_nxt) { tcb.rcv_adv.since(tcb.rcv_nxt) } else { 0 };
        let worthwhile = edge.ge(tcb.rcv_adv + step) && edge.since(tcb.rcv_nxt) >= 2 * left;
        if worthwhile && tcb.state() != State::Closed {
            tcb.flags.set(Flags::ACK_NOW);
            self.queue_output(index);
        }
        if self.tcbs[index].flags.any(Flags::RARE) {
            self.settle_urgent(index);
        }
    }

    /// Asks for unread octets to be offered again: the next output stage has an event for it.
    pub fn resume(&mut self, index: u32) {
        self.tcbs[index].flags.set(Flags::RESUME);
        self.queue_output(index);
    }

    /// Notes why a closed connection ended, until it is released.
    pub fn note_end(&mut self, index: u32, why: Closed) {
        let tcb = &mut self.tcbs[index];
        tcb.flags.set(Flags::ENDED);
        tcb.backoff = why as u8;
    }

    /// Why the connection ended, when [`Stack::note_end`] noted it.
    #[inline]
    pub fn end_of(&self, index: u32) -> Option<Closed> {
        let tcb = &self.tcbs[index];
        let ended = tcb.state() == State::Closed && tcb.flags.any(Flags::ENDED);
        ended.then(|| Closed::of(tcb.backoff))
    }

    /// The generation of a slot that is in use.
    #[inline]
    pub fn generation_at(&self, index: u32) -> Option<u32> {
        let live = index < self.tcbs.capacity() && self.tcbs.is_live(index);
        live.then(|| self.tcbs[index].generation)
    }

    /// Connections that wait for the output stage.
    #[inline]
    pub fn output_waiting(&self) -> u32 {
        self.output_list.len()
    }

    /// Octets received in order and not consumed.
    #[inline]
    pub fn unread(&self, index: u32) -> u32 {
        self.tcbs[index].rcv_unread
    }

    /// Sets or clears one of the flags the engine keeps in the control block.
    #[inline]
    pub fn set_flag(&mut self, index: u32, flag: Flags, on: bool) {
        let tcb = &mut self.tcbs[index];
        if on { tcb.flags.set(flag) } else { tcb.flags.clear(flag) }
    }

    /// Sets the differentiated services code point of the connection's segments, from the next one
    /// on (RFC 9293 MUST-48, SHLD-21).
    pub fn set_dscp(&mut self, index: u32, dscp: u8) {
        self.tcbs[index].set_dscp(dscp);
    }

    /// Sets or clears the application's timer. It counts in steps of 64 ms, up to 30 minutes.
    pub fn set_app_timer(&mut self, index: u32, after_ms: Option<u32>) {
        let tick = self.now.tick;
        let tcb = &mut self.tcbs[index];
        let Some(ms) = after_ms else { return tcb.flags.clear(Flags::APP_TIMED) };
        let at = tick.wrapping_add(ms.min(APP_TIMER_MAX_MS)).wrapping_add(63);
        tcb.app_deadline = (at >> 6) as u16;
        tcb.flags.set(Flags::APP_TIMED);
        let tcb = &mut self.tcbs[index];
        self.wheel.arm(&mut tcb.mark, index, at & !63);
    }

    /// The peer's address and port.
    pub fn remote(&self, index: u32) -> SocketAddr {
        let tcb = &self.tcbs[index];
        SocketAddr::new(unmapped(tcb.remote), tcb.remote_port)
    }

    /// Our address and port.
    pub fn local(&self, index: u32) -> SocketAddr {
        let tcb = &self.tcbs[index];
        SocketAddr::new(unmapped(self.addresses.address(tcb.local_id)), tcb.local_port)
    }

    /// The time of this turn, in microseconds.
    #[inline]
    pub fn now_us(&self) -> u64 {
        self.now.us
    }
}

/// How a [`Stack::send_held`] ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendEnd {
    /// With PSH, when it goes: it is complete.
    Push,
    /// Without: the rest of it comes.
    More,
}

/// States in which octets can be queued: before our FIN.
#[inline]
fn may_queue(tcb: &Tcb) -> bool {
    let open = (State::SynSent..=State::CloseWait).contains(&tcb.state());
    open && !tcb.flags.any(Flags::FIN_QUEUED | Flags::ABORT)
}

/// How soon a connection that found no pool block looks again.
const STARVED_RETRY_MS: u32 = 10;

/// The longest time of the application's timer.
pub const APP_TIMER_MAX_MS: u32 = 30 * 60 * 1000;
