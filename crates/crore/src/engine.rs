//! A turn without its surroundings: frames and the time come in, frames go out.
//!
//! [`Core`](crate::Core) puts a driver, a clock and a thread around it; the simulator and tests put
//! virtual ones.

use crate::clock::Clock;
use crate::conn::{Conn, ConnId};
use crate::cycles::{Cycles, Stage, Stopwatch};
use crate::meter::{Callback, Meter, Sampler, ServiceCycles, SlowCall, Timed, Untimed};
use crate::service::Service;
use crate::states::States;
use crate::turn::Turn;
use crore_driver::Siblings;
use crore_mem::Memory;
use crore_mem::frames::heap::HeapFrames;
use crore_mem::frames::{RxBurst, TxBurst};
use crore_stack::{
    Burst, Closed, Event, Events, Flags, Interface, Output, PassTo, Stack, StackConfig, StackError,
    What,
};

/// The most octets that one call of [`Service::data`] is offered.
pub const OFFER_BYTES_MAX: usize = 64 << 10;

/// One core's stack and service.
pub struct Engine<S: Service> {
    stack: Stack,
    service: S,
    states: States<S::State>,
    burst: Burst,
    events: Events,
    scratch: Box<[u8]>,
    stop: bool,
    sampler: Sampler,
    /// What the service's calls took. Taken out only while a burst's calls are timed.
    service_cycles: Option<Box<ServiceCycles>>,
}

impl<S: Service> Engine<S> {
    /// An engine with all the memory that it will ever have. `seed` must be random and secret.
    pub fn new(
        config: StackConfig,
        interface: &Interface,
        service: S,
        memory: &mut Memory,
        seed: [u8; 32],
    ) -> Result<Self, StackError> {
        let conns_max = config.conns_max;
        Ok(Self {
            stack: Stack::new(config, interface, memory, seed)?,
            service,
            states: States::new(memory, conns_max)?,
            burst: Burst::new(),
            events: Events::new(),
            scratch: vec![0; OFFER_BYTES_MAX].into_boxed_slice(),
            stop: false,
            sampler: Sampler::new(),
            service_cycles: Some(Box::default()),
        })
    }

    /// Accepts connections to `port` on all our addresses.
    pub fn listen(&mut self, port: u16) {
        self.stack.listen(port);
    }

    /// The same with Fast Open (RFC 7413): a peer that was here before may have octets on its SYN,
    /// and the service gets them, and may answer, a round trip earlier. It must bear two things:
    /// to be given the same octets once more on another connection, and that nothing shows yet
    /// that the peer is at its address ([`Conn::is_established`] tells).
    pub fn listen_fast_open(&mut self, port: u16) {
        self.stack.listen(port);
        self.stack.set_fast_open(port, true);
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The service.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// Ends the engine; its connections end without a word.
    pub fn into_service(self) -> S {
        self.service
    }

    /// What the service's calls took, of those that were timed.
    pub fn service_cycles(&self) -> ServiceCycles {
        self.service_cycles.as_deref().copied().unwrap_or_default()
    }

    /// Times the calls of the next bursts: the service made a turn long.
    pub(crate) fn time_calls(&mut self) {
        self.sampler.be_eager();
    }

    /// The stack.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, for the control plane's news.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// The service and a way to act outside of a turn, for tests and simulators.
    pub fn with_turn<R>(&mut self, f: impl FnOnce(&mut S, &mut Turn<'_, S::State>) -> R) -> R {
        let mut turn =
            Turn { stack: &mut self.stack, states: &mut self.states, stop: &mut self.stop };
        f(&mut self.service, &mut turn)
    }

    /// True when the service wants the loop to end.
    pub fn is_stopped(&self) -> bool {
        self.stop
    }

    /// Received frames take effect, stage by stage over the burst: parse all, look up all, input
    /// all, then the service's calls in the frames' order.
    #[inline]
    pub fn receive<C: Clock>(
        &mut self,
        rx: &RxBurst,
        tx: &mut TxBurst,
        now_us: u64,
        watch: &mut Stopwatch<C>,
        cycles: &mut Cycles,
    ) {
        self.stack.begin_turn(now_us);
        if rx.is_empty() {
            return;
        }
        let states = &self.states;
        self.stack.look_at(rx, &mut self.burst, |index| {
            if size_of::<S::State>() > 0 {
                states.prefetch(index);
            }
        });
        self.stack.input(rx, &self.burst, &mut self.events, tx);
        watch.lap(cycles, Stage::StackIn);
        self.dispatch(Some(rx), watch);
        watch.lap(cycles, Stage::Service);
    }

    /// The same with frames that another core of this host passed on; see [`Engine::pass_on`].
    pub fn receive_passed_on<C: Clock>(
        &mut self,
        rx: &RxBurst,
        tx: &mut TxBurst,
        now_us: u64,
        watch: &mut Stopwatch<C>,
        cycles: &mut Cycles,
    ) {
        self.stack.set_passed_on(true);
        self.receive(rx, tx, now_us, watch, cycles);
        self.stack.set_passed_on(false);
    }

    /// What of the burst was another core's business goes to it.
    #[inline]
    pub fn pass_on(&mut self, rx: &RxBurst, siblings: &mut Siblings) {
        if !self.stack.has_astray() {
            return;
        }
        self.stack.take_astray(rx, |frame, to| match to {
            PassTo::One(queue) => siblings.pass(frame, usize::from(queue)),
            PassTo::All => {
                let (own, all) = (siblings.own(), 0..siblings.count());
                let lost = all.filter(|&to| to != own && !siblings.pass(frame, to));
                lost.count() == 0
            }
        });
    }

    /// Due timers, at most `budget` of them; then the service's own turn. Returns how many timers
    /// were due.
    #[inline]
    pub fn tick<C: Clock>(
        &mut self,
        tx: &mut TxBurst,
        budget: usize,
        watch: &mut Stopwatch<C>,
        cycles: &mut Cycles,
    ) -> usize {
        let handled = self.timers(tx, budget, watch, cycles);
        self.service_turn(watch, cycles);
        handled
    }

    /// Due timers, at most `budget` of them. Returns how many there were.
    #[inline]
    pub(crate) fn timers<C: Clock>(
        &mut self,
        tx: &mut TxBurst,
        budget: usize,
        watch: &mut Stopwatch<C>,
        cycles: &mut Cycles,
    ) -> usize {
        let handled = self.stack.timers(&mut self.events, tx, budget);
        watch.lap(cycles, Stage::Timers);
        if !self.events.is_empty() {
            self.dispatch(None, watch);
            watch.lap(cycles, Stage::Service);
        }
        handled
    }

    /// The service's own turn.
    #[inline]
    pub(crate) fn service_turn<C: Clock>(&mut self, watch: &mut Stopwatch<C>, cycles: &mut Cycles) {
        let mut turn =
            Turn { stack: &mut self.stack, states: &mut self.states, stop: &mut self.stop };
        self.service.turn(&mut turn);
        let took = watch.lap(cycles, Stage::Service);
        if let Some(found) = self.service_cycles.as_deref_mut() {
            let at_us = self.stack.now_us();
            let call = SlowCall { cycles: took, conn: ConnId::default(), at_us };
            found.note_slow(Callback::Turn, call);
        }
    }

    /// What connections have to send, until the transmit burst is full or all is said.
    #[inline]
    pub fn send<C: Clock>(
        &mut self,
        tx: &mut TxBurst,
        budget: usize,
        watch: &mut Stopwatch<C>,
        cycles: &mut Cycles,
    ) -> Output {
        let output = self.stack.output(&mut self.events, tx, budget);
        watch.lap(cycles, Stage::StackOut);
        if !self.events.is_empty() {
            self.dispatch(None, watch);
            watch.lap(cycles, Stage::Service);
        }
        output
    }

    /// A whole turn over frames on the heap, as a core makes one over a link's: `arrived` take
    /// effect, due timers too, and what there is to say is written. Returns the frames sent. For
    /// tests, fuzzers and benchmarks.
    pub fn turn_over(
        &mut self,
        frames: &mut HeapFrames,
        arrived: &[Vec<u8>],
        now_us: u64,
    ) -> Vec<Vec<u8>> {
        let (mut watch, mut cycles) = (Stopwatch::start(), Cycles::default());
        let mut sent = Vec::new();
        frames.lend(
            arrived,
            |rx, tx| {
                self.receive(rx, tx, now_us, &mut watch, &mut cycles);
                self.tick(tx, 64, &mut watch, &mut cycles);
                self.send(tx, 256, &mut watch, &mut cycles);
            },
            |frame| sent.push(frame.to_vec()),
        );
        sent
    }

    /// Tells the service what happened, in order.
    #[inline]
    fn dispatch<C: Clock>(&mut self, rx: Option<&RxBurst>, watch: &Stopwatch<C>) {
        if self.events.is_empty() {
            return;
        }
        if self.sampler.is_due() {
            self.dispatch_timed(rx, watch.clock());
        } else {
            self.tell_all(rx, &mut Untimed);
        }
    }

    /// The same, and each call is timed.
    #[inline(never)]
    fn dispatch_timed<C: Clock>(&mut self, rx: Option<&RxBurst>, clock: &C) {
        let mut found = self.service_cycles.take();
        if let Some(found) = found.as_deref_mut() {
            let now_us = self.stack.now_us();
            self.tell_all(rx, &mut Timed { found, clock, now_us });
        }
        self.service_cycles = found;
    }

    #[inline]
    fn tell_all(&mut self, rx: Option<&RxBurst>, meter: &mut impl Meter) {
        for i in 0..self.events.len() {
            let event = self.events.get(i);
            if self.stack.is_live(event.index, event.generation) {
                self.tell(i, &event, rx, meter);
            }
        }
        self.events.clear();
    }

    /// One connection's news, in the order that [`What`] lists them.
    #[inline]
    fn tell(&mut self, number: usize, event: &Event, rx: Option<&RxBurst>, meter: &mut impl Meter) {
        let (index, what, id) = (event.index, event.what, name_of(event));
        if what == What::DATA
            && let Some(rx) = rx
        {
            return self.tell_data(number, event, rx, meter);
        }
        if what.any(What::ACCEPTED) {
            self.states.zero(index);
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::Accepted, id, || self.service.accepted(conn));
        }
        if what.any(What::CONNECTED) {
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::Connected, id, || self.service.connected(conn));
        }
        if what.any(What::URGENT) {
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::Urgent, id, || self.service.urgent(conn));
        }
        if what.any(What::DATA)
            && let Some(rx) = rx
        {
            self.tell_data_too(number, event, rx, meter);
        }
        if what.any(What::WRITABLE) {
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::Writable, id, || self.service.writable(conn));
            if self.data_follows(number) {
                return;
            }
        }
        if what.any(What::QUEUED | What::WRITABLE) {
            self.offer(id, meter);
        }
        if what.any(What::TIMER) {
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::Timer, id, || self.service.timer(conn));
        }
        if what.any(What::TROUBLE) {
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::Trouble, id, || self.service.trouble(conn, event.trouble));
        }
        if what.any(What::PEER_CLOSED | What::CLOSED | What::QUEUED | What::WRITABLE) {
            self.tell_end(event, meter);
        }
    }

    /// True when a later frame of the burst brings octets of the same connection. They come before
    /// what the receive queue got, and the end that it learned of, from frames after them.
    fn data_follows(&self, number: usize) -> bool {
        let event = self.events.get(number);
        let mut later = (number + 1..self.events.len()).map(|i| self.events.get(i));
        later.any(|e| {
            let same = (e.index, e.generation) == (event.index, event.generation);
            same && e.what.any(What::DATA)
        })
    }

    /// Octets in the frame, among other news.
    #[inline(never)]
    fn tell_data_too(
        &mut self,
        number: usize,
        event: &Event,
        rx: &RxBurst,
        meter: &mut impl Meter,
    ) {
        self.tell_data(number, event, rx, meter);
    }

    /// Octets in the frame: read in place, unless others wait before them.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the news that nearly all events are")]
    fn tell_data(&mut self, number: usize, event: &Event, rx: &RxBurst, meter: &mut impl Meter) {
        if self.is_aborted(event.index) {
            return;
        }
        let start = usize::from(event.start);
        let bytes = &rx.frame(usize::from(event.frame))[start..start + usize::from(event.len)];
        if self.stack.unread(event.index) > 0 {
            self.stack.keep(event, bytes, 0);
            if !self.is_send_blocked(event.index) && !self.data_follows(number) {
                self.offer(name_of(event), meter);
            }
            return;
        }
        let conn = &mut conn(&mut self.stack, &mut self.states, event.index);
        let data = || self.service.data(conn, bytes);
        let consumed = meter.call(Callback::Data, name_of(event), data).min(bytes.len());
        if consumed < bytes.len() {
            self.stack.keep(event, bytes, consumed);
        }
    }

    /// Unread octets, in one piece.
    fn offer(&mut self, id: ConnId, meter: &mut impl Meter) {
        let index = id.index;
        while self.stack.unread(index) > 0 && !self.is_aborted(index) {
            let offered = self.stack.gather(index, &mut self.scratch);
            if offered == 0 {
                return;
            }
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            let bytes = &self.scratch[..offered];
            let data = || self.service.data(conn, bytes);
            let consumed = meter.call(Callback::Data, id, data).min(offered);
            self.stack.consumed(index, consumed);
            if consumed < offered {
                return;
            }
        }
    }

    /// The peer's FIN, and the connection's end, once nothing unread stands before them.
    fn tell_end(&mut self, event: &Event, meter: &mut impl Meter) {
        let (index, id) = (event.index, name_of(event));
        let aborted = self.is_aborted(index);
        if event.what.any(What::CLOSED) {
            self.stack.note_end(index, event.why);
        }
        let end = self.stack.end_of(index).map(|why| if aborted { Closed::Aborted } else { why });
        let abrupt = aborted || end.is_some_and(|why| why != Closed::Finished);
        if self.stack.unread(index) > 0 && !abrupt {
            return;
        }
        let flags = self.stack.tcb(index).flags;
        if flags.any(Flags::PEER_FIN) && !flags.any(Flags::PEER_FIN_TOLD) && !abrupt {
            self.stack.set_flag(index, Flags::PEER_FIN_TOLD, true);
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::PeerClosed, id, || self.service.peer_closed(conn));
        }
        if let Some(why) = end {
            // Aborted after it was over, with octets unread: it did not finish for the service.
            let why = if aborted { Closed::Aborted } else { why };
            let conn = &mut conn(&mut self.stack, &mut self.states, index);
            meter.call(Callback::Closed, id, || self.service.closed(conn, why));
            self.stack.release(index);
        }
    }

    /// True when the service waits for room to send: more to read would not help it.
    #[inline]
    fn is_send_blocked(&self, index: u32) -> bool {
        self.stack.tcb(index).flags.any(Flags::WANT_WRITABLE)
    }

    /// True when the connection is about to end with a reset. Nothing is offered any more: octets
    /// that found no block may be missing.
    #[inline]
    fn is_aborted(&self, index: u32) -> bool {
        self.stack.tcb(index).flags.any(Flags::ABORT)
    }

    /// A live connection's name by its slot, for tests.
    pub fn conn_id(&self, index: u32) -> Option<ConnId> {
        self.stack.generation_at(index).map(|generation| ConnId { index, generation })
    }
}

#[inline]
fn conn<'a, S: crore_mem::Pod>(
    stack: &'a mut Stack,
    states: &'a mut States<S>,
    index: u32,
) -> Conn<'a, S> {
    Conn { stack, states, index }
}

/// Whom an event is about.
#[inline]
fn name_of(event: &Event) -> ConnId {
    ConnId { index: event.index, generation: event.generation }
}
