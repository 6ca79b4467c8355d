//! A core: an engine with a link, a clock and a thread.

use crate::cap::Cap;
use crate::clock::{Clock, MachineClock};
use crate::cycles::{Cycles, STAGES, Stage, Stopwatch, WorstTurn, stages_since};
use crate::engine::Engine;
use crate::pin;
use crate::service::Service;
use crate::stats::{Snapshot, StatsPage};
use crate::worst::Worst;
use crore_driver::{Link, Siblings, Waker};
use crore_mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use crore_stack::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a core behaves.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Frames taken from the link in one turn, at most.
    pub rx_burst: usize,
    /// Timer entries handled in one turn, at most.
    pub timer_budget: usize,
    /// How long a turn should take, at most; `None`: as long as it takes. Frames, timers and output
    /// are taken on in such numbers that it does, as far as that is known from the turns before.
    /// One call of the service is never cut short.
    ///
    /// The mission is 10 us from a receive ring to a transmit ring. A frame waits for the turn that
    /// is under way, and then for its own, which is a full one only under full load.
    pub turn_max: Option<Duration>,
    /// How long a core turns with nothing to do before it sleeps; `None`: never.
    pub spin_before_sleep: Option<Duration>,
    /// The processor to run on; `None`: wherever the system likes.
    pub pin_to: Option<usize>,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            rx_burst: 32,
            timer_budget: 32,
            turn_max: Some(Duration::from_micros(10)),
            spin_before_sleep: Some(Duration::from_micros(200)),
            pin_to: None,
        }
    }
}

/// Tells cores to end their loops.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
}

impl Stop {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the loops. A core that sleeps notices when its sleep ends, in 100 ms at most.
    pub fn set(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// True after [`Stop::set`].
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// One engine on one link: receive, serve, send, over and over.
///
/// Aligned so that cores in one piece of memory share no cache line, nor a pair of them.
#[repr(align(128))]
pub struct Core<S: Service, C: Clock = MachineClock> {
    engine: Engine<S>,
    lent: Lent,
    siblings: Option<Box<Passed>>,
    config: CoreConfig,
    clock: C,
    cap: Cap,
    /// Both clocks at the start.
    started: (u64, u64),
    cycles: Cycles,
    worst: Worst,
    stats: StatsPage,
    published_us: u64,
    /// When there was room to send last.
    held_since_us: u64,
    thread: u64,
    cycles_a_us: u64,
}

/// What a turn did.
#[derive(Clone, Copy)]
struct Done {
    received: usize,
    timers: usize,
    sent: usize,
}

impl<S: Service> Core<S> {
    /// Puts an engine on a link.
    pub fn new(engine: Engine<S>, link: Link, config: CoreConfig) -> Self {
        Self::with_clock(engine, link, config, MachineClock)
    }
}

impl<S: Service, C: Clock> Core<S, C> {
    /// The same with a clock that need not be the machine's: for tests.
    pub fn with_clock(engine: Engine<S>, link: Link, config: CoreConfig, clock: C) -> Self {
        let frames = config.rx_burst.min(RX_BURST_MAX);
        Self {
            engine,
            lent: Lent::of(link),
            siblings: None,
            cap: Cap::new(config.turn_max, frames, config.timer_budget, TX_MAX),
            config,
            started: (clock.now_us(), clock.cycles()),
            clock,
            cycles: Cycles::default(),
            worst: Worst::default(),
            stats: StatsPage::new(),
            published_us: 0,
            held_since_us: 0,
            thread: 0,
            cycles_a_us: 0,
        }
    }

    /// Joins the core with the others of its host, so that they pass on what is each other's.
    #[must_use]
    pub fn with_siblings(mut self, siblings: Siblings) -> Self {
        self.siblings = Some(Box::new(Passed { siblings, rx: RxBurst::new() }));
        self
    }

    /// Puts the engine on another link, in place of one that has gone away. Its connections stand:
    /// what was under way is sent again by their timers. The stack's hardware address becomes that
    /// of the link; cores with siblings are to be joined anew.
    pub fn replace_link(&mut self, link: Link) {
        self.siblings = None;
        self.engine.stack_mut().set_hardware_address(link.capabilities().mac);
        self.lent = Lent::of(link);
    }

    /// The engine.
    pub fn engine(&self) -> &Engine<S> {
        &self.engine
    }

    /// The engine, for the control plane's news between turns.
    pub fn engine_mut(&mut self) -> &mut Engine<S> {
        &mut self.engine
    }

    /// Gives the link's frames back and returns the service.
    pub fn into_service(self) -> S {
        self.engine.into_service()
    }

    /// The link.
    pub fn link(&self) -> &Link {
        &self.lent.link
    }

    /// The page that this core writes its numbers to.
    pub fn stats(&self) -> StatsPage {
        self.stats.clone()
    }

    /// Ends this core's sleep from another thread.
    pub fn waker(&self) -> Waker {
        self.lent.link.waker()
    }

    /// Cycles so far.
    pub fn cycles(&self) -> &Cycles {
        &self.cycles
    }

    /// One turn. Returns whether anything happened.
    #[inline]
    pub fn turn(&mut self) -> bool {
        self.turn_at(self.now_us())
    }

    /// One turn at a time of the caller's, in microseconds since any fixed start: for tests.
    #[inline]
    pub fn turn_at(&mut self, now_us: u64) -> bool {
        let mut watch = Stopwatch::by(self.clock.clone());
        let (begin, before) = (watch.at(), self.cycles.stages);
        let want = self.cap.sends(0) + self.aside();
        self.lent.link.tx_reserve(&mut self.lent.tx, want);
        watch.lap(&mut self.cycles, Stage::DriverTx);
        let received =
            self.receive(now_us, &mut watch) + self.receive_passed_on(now_us, &mut watch);
        let timers = self.timers(&mut watch);
        self.engine.service_turn(&mut watch, &mut self.cycles);
        let sent = self.transmit(begin, &mut watch);
        let published = now_us.wrapping_sub(self.published_us) > PUBLISH_EVERY_US;
        if published {
            self.publish(now_us);
            watch.lap(&mut self.cycles, Stage::Control);
        }
        let busy = received + timers + sent > 0;
        if busy || published {
            self.note_turn(watch.at() - begin, &before, Done { received, timers, sent });
        } else {
            self.note_idle_turn(begin, watch.at(), before);
        }
        busy
    }

    /// Takes frames and lets them take effect. Returns how many.
    #[inline]
    fn receive(&mut self, now_us: u64, watch: &mut Stopwatch<C>) -> usize {
        let begin = watch.at();
        let max = self.rx_max(now_us);
        let received = self.lent.link.rx_burst(&mut self.lent.rx, max);
        watch.lap(&mut self.cycles, Stage::DriverRx);
        self.engine.receive(&self.lent.rx, &mut self.lent.tx, now_us, watch, &mut self.cycles);
        if let Some(passed) = &mut self.siblings {
            self.engine.pass_on(&self.lent.rx, &mut passed.siblings);
        }
        if received > 0 {
            self.lent.link.rx_release(&mut self.lent.rx);
            watch.lap(&mut self.cycles, Stage::DriverRx);
            self.cap.received(received, watch.at() - begin);
        }
        received
    }

    /// Due timers. Returns how many.
    #[inline]
    fn timers(&mut self, watch: &mut Stopwatch<C>) -> usize {
        let (begin, budget) = (watch.at(), self.cap.timers());
        let due = self.engine.timers(&mut self.lent.tx, budget, watch, &mut self.cycles);
        if due > 0 {
            self.cap.handled(due, watch.at() - begin);
        }
        due
    }

    /// Sends frames that are none of the stack's, between two turns: attackers for tests and
    /// benchmarks. They get no room that the stack's own burst would need, or it would hold back
    /// what it receives. `write` says how long each one is, or that there are no more. Returns how
    /// many went.
    pub fn inject(&mut self, mut write: impl FnMut(&mut [u8]) -> Option<usize>) -> usize {
        let Lent { link, tx, .. } = &mut self.lent;
        link.tx_reserve(tx, TX_MAX);
        tx.set_aside(RX_BURST_MAX);
        while let Some(len) = tx.frame().and_then(&mut write) {
            tx.commit(len);
        }
        tx.open_all();
        link.tx_burst(tx)
    }

    /// What other cores of this host passed on. Returns how many frames.
    #[inline]
    fn receive_passed_on(&mut self, now_us: u64, watch: &mut Stopwatch<C>) -> usize {
        let Some(passed) = &mut self.siblings else { return 0 };
        let max = self.lent.tx.room().min(self.cap.frames().min(PASSED_ON_MAX));
        let received = passed.siblings.rx_burst(&mut passed.rx, max);
        if received > 0 {
            let (tx, cycles) = (&mut self.lent.tx, &mut self.cycles);
            self.engine.receive_passed_on(&passed.rx, tx, now_us, watch, cycles);
            passed.siblings.rx_release(&mut passed.rx);
        }
        received
    }

    /// How many frames to take: each may need an answer at once, so no more than there is room to
    /// send. A link without any room holds us back, but not for ever: two peers that wait for each
    /// other go on after a while, and lose the answers that find no room.
    #[inline]
    fn rx_max(&mut self, now_us: u64) -> usize {
        let wanted = self.cap.frames();
        let room = self.lent.tx.room();
        if room > 0 {
            self.held_since_us = now_us;
            return wanted.min(room);
        }
        if now_us.wrapping_sub(self.held_since_us) > HOLD_MAX_US { RX_WITHOUT_ROOM } else { 0 }
    }

    /// Frames of room that are for answers to what arrives.
    #[inline]
    fn aside(&self) -> usize {
        self.config.rx_burst.min(RX_BURST_MAX)
    }

    /// Sends what connections have, as long as the link takes it and there is time. Returns the
    /// frames sent.
    #[inline]
    fn transmit(&mut self, turn_begin: u64, watch: &mut Stopwatch<C>) -> usize {
        let mut sent = 0;
        for _ in 0..TX_ROUNDS_MAX {
            let (begin, taken) = (watch.at(), watch.at() - turn_begin);
            let limit = self.cap.sends(taken);
            let conns = limit * OUTPUT_CONNS_A_FRAME;
            // What the next burst is answered with at once finds room, whatever there is to send:
            // two ends that fill the link towards each other go on receiving.
            let beyond = self.lent.tx.room().saturating_sub(limit);
            self.lent.tx.set_aside(self.aside().max(beyond));
            let output = self.engine.send(&mut self.lent.tx, conns, watch, &mut self.cycles);
            self.lent.tx.open_all();
            let is_done = output == Output::Done;
            if self.lent.tx.is_empty() {
                self.cap.sent(if is_done { 0 } else { limit }, taken, watch.at() - begin);
                break;
            }
            let now = self.lent.link.tx_burst(&mut self.lent.tx);
            sent += now;
            let goes_on = !is_done && now > 0 && self.cap.has_time(watch.at() - turn_begin);
            if goes_on {
                let want = self.cap.sends(watch.at() - turn_begin) + self.aside();
                self.lent.link.tx_reserve(&mut self.lent.tx, want);
            }
            watch.lap(&mut self.cycles, Stage::DriverTx);
            self.cap.sent(if is_done { now } else { limit }, taken, watch.at() - begin);
            if !goes_on {
                break;
            }
        }
        sent
    }

    #[inline]
    fn note_turn(&mut self, took: u64, before: &[u64; STAGES], done: Done) {
        self.cycles.busy_turns += 1;
        self.cycles.turns.add(took);
        let is_long = self.cap.is_broken(took);
        self.cycles.long_turns += u64::from(is_long);
        if is_long || self.worst.is_beaten(took) {
            self.note_long_turn(took, before, done);
        }
    }

    #[cold]
    fn note_long_turn(&mut self, took: u64, before: &[u64; STAGES], done: Done) {
        let stages = stages_since(&self.cycles.stages, before);
        if self.cap.is_broken(took) && stages[Stage::Service as usize] > took / 2 {
            self.engine.time_calls();
        }
        if self.worst.is_beaten(took) {
            self.worst.note(WorstTurn {
                cycles: took,
                stages,
                received: done.received as u64,
                sent: done.sent as u64,
                timers: done.timers as u64,
                at_us: self.now_us(),
                set_aside: 0,
            });
        }
    }

    /// A turn in which nothing happened is idle, whatever its parts cost: they are not booked.
    #[inline]
    fn note_idle_turn(&mut self, begin: u64, end: u64, before: [u64; STAGES]) {
        self.cycles.stages = before;
        self.cycles.stages[Stage::Idle as usize] += end.wrapping_sub(begin);
        self.cycles.idle_turns += 1;
    }

    fn publish(&mut self, now_us: u64) {
        self.published_us = now_us;
        let (ran_us, ran) = (self.now_us(), self.clock.cycles() - self.started.1);
        if let Some(cycles_a_us) = ran.checked_div(ran_us) {
            self.cycles_a_us = cycles_a_us.max(1);
            self.cap.calibrate(self.cycles_a_us);
        }
        self.worst.pass_time(now_us);
        self.stats.write(&self.snapshot());
    }

    /// Microseconds since the start.
    #[inline]
    fn now_us(&self) -> u64 {
        self.clock.now_us() - self.started.0
    }

    /// The core's numbers now.
    pub fn snapshot(&self) -> Snapshot {
        let stack = self.engine.stack();
        Snapshot {
            counters: *stack.counters(),
            cycles: self.cycles,
            service: self.engine.service_cycles(),
            worst: self.worst.ever(),
            worst_lately: self.worst.lately(),
            rx_burst: self.cap.frames() as u64,
            conns: u64::from(stack.conns()),
            half_open: u64::from(stack.half_open()),
            time_wait: u64::from(stack.time_wait()),
            blocks: u64::from(stack.blocks_in_use()),
            pool_bytes: stack.pool_bytes().0,
            granted_bytes: stack.bytes_granted(),
            pressure: stack.pressure() as u64,
            timer_entries: u64::from(stack.timer_entries()),
            flow_entries: u64::from(stack.flow_entries()),
            now_us: self.now_us(),
            cycles_a_us: self.cycles_a_us,
            thread: self.thread,
        }
    }

    /// Turns until `stop` is set or the service stops; `between` is called about every 10 ms for
    /// the control plane's work on this core.
    pub fn run(&mut self, stop: &Stop, mut between: impl FnMut(&mut Engine<S>)) {
        if let Some(cpu) = self.config.pin_to {
            // Being elsewhere only costs speed.
            let _ = pin::pin_to(cpu);
        }
        self.thread = pin::thread_id();
        self.worst.explain(pin::set_aside());
        let mut idle_since: Option<Instant> = None;
        let mut last_between = Instant::now();
        let (mut turns, mut may_sleep) = (0u32, false);
        while !stop.is_set() && !self.engine.is_stopped() {
            let busy = self.turn();
            turns = turns.wrapping_add(1);
            let looks = turns.is_multiple_of(BETWEEN_TURNS);
            let mut is_due = looks && last_between.elapsed() > BETWEEN_EVERY;
            if busy || self.engine.service().wants_turns() {
                (idle_since, may_sleep) = (None, false);
            } else {
                let since = *idle_since.get_or_insert_with(Instant::now);
                if self.config.spin_before_sleep.is_some_and(|spin| since.elapsed() >= spin) {
                    // The control plane comes before a sleep and not after it: a frame that ends
                    // the sleep waits for nothing else. What it leaves to be done has a turn first.
                    if may_sleep {
                        self.park();
                    } else {
                        is_due = true;
                    }
                    may_sleep = !may_sleep;
                }
            }
            if is_due {
                last_between = Instant::now();
                self.control(&mut between);
            }
        }
        self.publish(self.now_us());
    }

    /// The control plane's work: it counts as a turn of its own, since packets wait for it. After a
    /// turn that was too long the system is asked whether it had a part in that.
    fn control(&mut self, between: &mut impl FnMut(&mut Engine<S>)) {
        let (begin, before) = (self.clock.cycles(), self.cycles.stages);
        let mut watch = Stopwatch::by(self.clock.clone());
        between(&mut self.engine);
        if self.worst.is_unexplained(|cycles| self.cap.is_broken(cycles)) {
            self.worst.explain(pin::set_aside());
        }
        watch.lap(&mut self.cycles, Stage::Control);
        let took = watch.at() - begin;
        if self.worst.is_beaten(took) {
            self.note_long_turn(took, &before, Done { received: 0, timers: 0, sent: 0 });
        }
    }

    /// Sleeps until a frame may have come or a timer is due.
    fn park(&mut self) {
        let stack = self.engine.stack();
        if stack.has_output() {
            // The link had no room; it says nothing when it has, so look again soon.
            return std::thread::sleep(Duration::from_micros(50));
        }
        let mut watch = Stopwatch::by(self.clock.clone());
        let timer = stack.next_timer_ms().map(|ms| Duration::from_millis(u64::from(ms)));
        let timeout = timer.map_or(PARK_MAX, |timer| timer.min(PARK_MAX));
        self.publish(self.now_us());
        let is_quiet = self.siblings.as_mut().is_none_or(|passed| passed.siblings.will_sleep());
        if is_quiet && !timeout.is_zero() {
            self.cycles.parks += 1;
            self.lent.link.wait(timeout);
        }
        if let Some(passed) = &mut self.siblings {
            passed.siblings.woke();
        }
        watch.lap(&mut self.cycles, Stage::Idle);
    }
}

/// A link with the bursts it lends frames to: they go back to it before it is dropped.
struct Lent {
    link: Link,
    rx: RxBurst,
    tx: TxBurst,
}

impl Lent {
    fn of(link: Link) -> Self {
        Self { link, rx: RxBurst::new(), tx: TxBurst::new() }
    }
}

/// The other cores of this host, and the burst of what they passed on.
struct Passed {
    siblings: Siblings,
    rx: RxBurst,
}

impl Drop for Passed {
    fn drop(&mut self) {
        self.siblings.rx_release(&mut self.rx);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.link.rx_release(&mut self.rx);
        self.link.tx_cancel(&mut self.tx);
    }
}

/// How often a busy core writes its numbers.
const PUBLISH_EVERY_US: u64 = 20_000;

/// The longest sleep: then the stop switch is looked at.
const PARK_MAX: Duration = Duration::from_millis(100);

/// How long a full link keeps us from receiving.
const HOLD_MAX_US: u64 = 20_000;

/// Frames taken in a turn after that.
const RX_WITHOUT_ROOM: usize = 4;

/// Frames sent in one round, at most.
const TX_MAX: usize = 2 * RX_BURST_MAX;

/// Frames that other cores passed on, taken in one turn.
const PASSED_ON_MAX: usize = 8;

/// Connections served in one output stage, for each frame that it may send: some have nothing to
/// say after all.
const OUTPUT_CONNS_A_FRAME: usize = 4;

/// Output stages in one turn, at most: the next burst must not wait too long.
const TX_ROUNDS_MAX: usize = 4;

/// How often the control plane's work is done.
const BETWEEN_EVERY: Duration = Duration::from_millis(10);

/// The clock is looked at for it once in so many turns.
const BETWEEN_TURNS: u32 = 256;
