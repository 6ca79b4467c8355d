//! A connection, as a service handles it.

use crate::states::States;
use core::net::SocketAddr;
use crore_mem::Pod;
use crore_stack::{BlockId, Flags, Stack, State, Tcb};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The name of a connection on its core, for as long as it lives: a slot and its generation.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ConnId {
    /// The slot.
    pub index: u32,
    /// Tells one connection in the slot from the next. Never 0 for a connection.
    pub generation: u32,
}

/// One payload for many send queues; see [`Conn::share`]. Give it back with `release`.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload(pub(crate) BlockId);

/// A live connection, for the length of one call.
pub struct Conn<'a, S: Pod> {
    pub(crate) stack: &'a mut Stack,
    pub(crate) states: &'a mut States<S>,
    pub(crate) index: u32,
}

impl<S: Pod> Conn<'_, S> {
    /// The connection's name.
    #[inline]
    pub fn id(&self) -> ConnId {
        ConnId { index: self.index, generation: self.stack.tcb(self.index).generation }
    }

    /// What the application keeps for it.
    #[inline]
    pub fn state(&mut self) -> &mut S {
        self.states.get_mut(self.index)
    }

    /// Queues octets to be sent, as many as there is room for; says how many. When it took fewer
    /// than all, [`Service::writable`](crate::Service::writable) tells when to go on.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        self.stack.send(self.index, bytes)
    }

    /// Queues a shared payload, whole or not at all. One copy serves all queues it is in.
    pub fn send_shared(&mut self, payload: &Payload) -> bool {
        self.stack.send_shared(self.index, payload.0)
    }

    /// A payload to queue on many connections, about 2,000 octets at most; `None` when it is
    /// longer, or no buffer is free.
    pub fn share(&mut self, bytes: &[u8]) -> Option<Payload> {
        self.stack.share(bytes).map(Payload)
    }

    /// Gives a shared payload back. Queues that have it keep it until it is acknowledged.
    #[expect(clippy::needless_pass_by_value, reason = "the caller has it no more")]
    pub fn release(&mut self, payload: Payload) {
        self.stack.release_shared(payload.0);
    }

    /// The same, and tells the peer that urgent data goes as far as these octets (RFC 9293
    /// MUST-30). They take no other way than all others. New applications do without (RFC 6093).
    pub fn send_urgent(&mut self, bytes: &[u8]) -> usize {
        self.stack.send_urgent(self.index, bytes)
    }

    /// How many octets, from the first one that was not consumed, the peer's urgent data goes on
    /// for; 0: none is ahead (RFC 9293 MUST-33). Within a call of
    /// [`Service::data`](crate::Service::data) it counts from the first octet offered.
    pub fn urgent_ahead(&self) -> usize {
        self.stack.urgent_ahead(self.index)
    }

    /// How many octets [`Conn::send`] would take now.
    #[inline]
    pub fn send_room(&self) -> usize {
        self.stack.send_room(self.index)
    }

    /// Octets queued and not yet acknowledged by the peer.
    #[inline]
    pub fn send_queued(&self) -> usize {
        self.stack.tcb(self.index).queued() as usize
    }

    /// Sends no more: a FIN follows what is queued. The peer may go on sending for as long as it
    /// likes; who wants to wait for its end for a while only sets a timer, or closes both ways.
    pub fn close(&mut self) {
        self.stack.close(self.index);
    }

    /// Sends no more and wants no more: a FIN follows what is queued, and octets that are not read
    /// yet, or that come later, are answered with a reset. Such a connection ends by itself when
    /// the peer does not close its side in time.
    pub fn close_both(&mut self) {
        self.stack.close_both(self.index);
    }

    /// Ends the connection at once with a reset; what is queued is lost. When it is over already
    /// and only waits for its octets to be consumed, they are lost, and `closed` follows.
    pub fn abort(&mut self) {
        self.stack.abort(self.index);
    }

    /// Asks for the octets that were not consumed to be offered again, in this turn.
    pub fn resume(&mut self) {
        self.stack.resume(self.index);
    }

    /// Sets the connection's timer, or clears it. It counts in steps of 64 ms, up to 30 minutes.
    pub fn set_timer_ms(&mut self, after: Option<u32>) {
        self.stack.set_app_timer(self.index, after);
    }

    /// Switches Nagle's algorithm off, or on again (RFC 9293 MUST-17).
    pub fn set_nodelay(&mut self, on: bool) {
        self.stack.set_flag(self.index, Flags::NODELAY, on);
    }

    /// Goes on sending what is not acknowledged without end, or for as long as the settings say,
    /// which is the default (RFC 9293 MUST-21, the threshold R2). The application then gives up at
    /// a time of its own: [`Service::trouble`](crate::Service::trouble) tells it when nothing gets
    /// through, [`Conn::set_timer_ms`] when its patience is over, and [`Conn::abort`] ends it.
    pub fn set_patient(&mut self, on: bool) {
        self.stack.set_flag(self.index, Flags::PATIENT, on);
    }

    /// Sets the differentiated services code point (six bits) of the connection's segments, from
    /// the next one on. Applications do not change it in mid-connection without need: segments of
    /// two classes overtake each other (RFC 9293 3.9.2).
    pub fn set_dscp(&mut self, dscp: u8) {
        self.stack.set_dscp(self.index, dscp);
    }

    /// The code point. Where the settings say that it is reflected, that of the peer's opening
    /// (RFC 9293 MAY-9).
    pub fn dscp(&self) -> u8 {
        self.stack.tcb(self.index).dscp()
    }

    /// Asks a peer that has been quiet whether it is still there, or stops to. It is off unless
    /// the settings say otherwise.
    pub fn set_keepalive(&mut self, on: bool) {
        self.stack.set_keepalive(self.index, on);
    }

    /// The peer's address and port.
    pub fn remote(&self) -> SocketAddr {
        self.stack.remote(self.index)
    }

    /// Our address and port.
    pub fn local(&self) -> SocketAddr {
        self.stack.local(self.index)
    }

    /// True while data can pass in at least one direction.
    pub fn is_open(&self) -> bool {
        let state = self.stack.tcb(self.index).state();
        !matches!(state, State::Closed | State::SynSent | State::SynReceived)
    }

    /// True when both sides have completed the opening and none has closed. On a port with Fast
    /// Open the peer's first octets come before: until then its address is what it claims.
    pub fn is_established(&self) -> bool {
        self.stack.tcb(self.index).state() == State::Established
    }

    /// The control block, to look at: for tests, simulators and reports.
    pub fn tcb(&self) -> &Tcb {
        self.stack.tcb(self.index)
    }

    /// The time of this turn, in microseconds since the engine started.
    #[inline]
    pub fn now_us(&self) -> u64 {
        self.stack.now_us()
    }

    /// Another connection of this core, if it still lives.
    pub fn other(&mut self, id: ConnId) -> Option<Conn<'_, S>> {
        if !self.stack.is_live(id.index, id.generation) {
            return None;
        }
        Some(Conn { stack: self.stack, states: self.states, index: id.index })
    }
}
