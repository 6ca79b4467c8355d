//! One host: a real engine, its turns in virtual time, by a clock of its own.

use crate::addresses;
use crate::book::{Book, LISTENING_PORT};
use crate::luck::{Luck, Purpose};
use crate::mix::Mix;
use crate::player::Player;
use crore::mem::Memory;
use crore::mem::frames::heap::HeapFrames;
use crore::{Cycles, Engine, Interface, StackError, Stopwatch};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// An engine and what a driver and a thread would keep for it.
pub(crate) struct Host {
    pub(crate) engine: Engine<Player>,
    inbox: VecDeque<Box<[u8]>>,
    room: HeapFrames,
    rx_frames: usize,
    output_budget: usize,
    timer_budget: usize,
    turn_us: u64,
    /// The end of the last turn, in the run's time, like all times here.
    ready_us: u64,
    /// When it must turn again, frames or not.
    wake_us: Option<u64>,
    /// Its own clock is so far ahead.
    clock_us: u64,
    arrived: Vec<Box<[u8]>>,
    turns: u64,
    /// The slot that the next check of a part of all connections begins with.
    checked: u32,
    /// Shortest time to each node and back.
    floors_us: Vec<u64>,
    /// Connections without a word from the peer are ended.
    buries_orphans: bool,
}

impl Host {
    /// Host `n`, switched on at `now_us`, the last time after `restarts` others.
    pub(crate) fn new(
        mix: &Mix,
        n: usize,
        book: Rc<RefCell<Book>>,
        now_us: u64,
        restarts: u64,
    ) -> Result<Self, StackError> {
        let host = &mix.hosts[n];
        let luck = Luck::new(mix.seed, Purpose::Player(n + restarts as usize * PLAYERS));
        // A clock that begins anew.
        let clock_us = if restarts == 0 { host.clock_us } else { 1_000_000 + restarts };
        let moved = book.borrow().moved[n];
        let player = Player::new(n, book, luck, mix, clock_us, now_us, restarts);
        let secret = Luck::new(mix.seed, Purpose::Secrets(n, restarts)).bytes();
        let interface: Interface = addresses::interface(mix, n, moved);
        let mut memory = Memory::heap();
        let mut engine = Engine::new(host.config(), &interface, player, &mut memory, secret)?;
        engine.listen(LISTENING_PORT);
        if host.fast_open {
            engine.listen_fast_open(LISTENING_PORT);
        }
        let mut made = Self {
            engine,
            inbox: VecDeque::new(),
            room: HeapFrames::new(host.tx_frames, usize::from(host.mtu) + HEADER_ROOM),
            rx_frames: host.rx_frames,
            output_budget: host.output_budget,
            timer_budget: host.timer_budget,
            turn_us: host.turn_us,
            ready_us: now_us,
            wake_us: Some(now_us),
            clock_us,
            arrived: Vec::new(),
            turns: 0,
            checked: 0,
            floors_us: floors(mix, n),
            buries_orphans: false,
        };
        made.pass_time_until(clock_us + now_us);
        Ok(made)
    }

    /// Lets the clock come to where the host begins, in steps that the stack can tell from a clock
    /// that goes back.
    fn pass_time_until(&mut self, clock_us: u64) {
        for step in 1..=4 {
            let stack = self.engine.stack_mut();
            stack.begin_turn(clock_us / 4 * step);
            self.room.lend::<Box<[u8]>>(
                &[],
                |_, tx| {
                    let (mut watch, mut cycles) = (Stopwatch::start(), Cycles::default());
                    // The service has nothing to do before its own time.
                    self.engine.tick(tx, 1, &mut watch, &mut cycles);
                },
                |_| {},
            );
        }
    }

    /// A frame for it.
    pub(crate) fn arrives(&mut self, frame: Box<[u8]>) {
        self.inbox.push_back(frame);
    }

    /// When it next has to do something; `None`: not before a frame arrives.
    pub(crate) fn next_turn_us(&self) -> Option<u64> {
        let wake_us = self.wake_us.map(|at_us| at_us.max(self.ready_us));
        if self.inbox.is_empty() { wake_us } else { Some(self.ready_us) }
    }

    /// Its clock leaps ahead.
    pub(crate) fn leap(&mut self, now_us: u64, by_us: u64) {
        self.clock_us += by_us;
        self.engine.service_mut().leapt(by_us);
        self.wake_us = Some(now_us);
    }

    /// It gets no turn until then.
    pub(crate) fn stall(&mut self, until_us: u64) {
        self.ready_us = self.ready_us.max(until_us);
        self.engine.service_mut().is_unsteady = true;
    }

    /// From now on connections without a word from the peer are ended.
    pub(crate) fn bury_orphans(&mut self, now_us: u64) {
        self.buries_orphans = true;
        self.wake_us = Some(now_us);
    }

    /// Takes all the pool's blocks, or gives them back.
    pub(crate) fn hoard(&mut self, now_us: u64, begins: bool) {
        self.engine.with_turn(|player, turn| player.hoard(begins, turn));
        self.wake_us = Some(now_us);
    }

    /// Listens no more, or again.
    pub(crate) fn set_deaf(&mut self, is_deaf: bool) {
        let stack = self.engine.stack_mut();
        if is_deaf { stack.unlisten(LISTENING_PORT) } else { stack.listen(LISTENING_PORT) }
    }

    /// One turn; what it sends is handed to `sent`. Checks invariants after each stage.
    pub(crate) fn turn(&mut self, now_us: u64, sent: impl FnMut(&[u8])) {
        let frames = self.inbox.len().min(self.rx_frames);
        self.arrived.clear();
        self.arrived.extend(self.inbox.drain(..frames));
        self.turns += 1;
        let clock_us = now_us + self.clock_us;
        let (engine, buries) = (&mut self.engine, self.buries_orphans);
        let (timer_budget, output_budget) = (self.timer_budget, self.output_budget);
        let (checked, floors_us) = (&mut self.checked, &self.floors_us);
        let mut check = |engine: &Engine<Player>| check_some(engine, checked, floors_us);
        let turn = |rx: &_, tx: &mut _| {
            let (mut watch, mut cycles) = (Stopwatch::start(), Cycles::default());
            engine.receive(rx, tx, clock_us, &mut watch, &mut cycles);
            check(engine);
            engine.tick(tx, timer_budget, &mut watch, &mut cycles);
            check(engine);
            if buries {
                engine.with_turn(Player::bury_orphans);
            }
            engine.send(tx, output_budget, &mut watch, &mut cycles);
            check(engine);
        };
        self.room.lend(&self.arrived, turn, sent);
        if self.turns.is_multiple_of(BLOCKS_CHECKED_EVERY) {
            self.check_blocks();
        }
        self.ready_us = now_us + self.turn_us;
        self.wake_us = self.next_wake_us(now_us);
    }

    /// Every block of the pool is somewhere.
    pub(crate) fn check_blocks(&self) {
        self.engine.stack().check_blocks(self.engine.service().hoarded());
    }

    fn next_wake_us(&self, now_us: u64) -> Option<u64> {
        let stack = self.engine.stack();
        if stack.output_waiting() > 0 {
            return Some(now_us);
        }
        let clock_us = now_us + self.clock_us;
        let timer = stack.next_timer_ms().map(|ms| (clock_us / 1000 + u64::from(ms)) * 1000);
        let player = self.engine.service().next_wake_us();
        let burial = self.buries_orphans.then_some(clock_us + BURIES_EVERY_US);
        let at_us = timer.into_iter().chain(player).chain(burial).min()?;
        Some(at_us.saturating_sub(self.clock_us))
    }

    /// What the host still holds, when there is anything.
    pub(crate) fn held(&self) -> Option<String> {
        let stack = self.engine.stack();
        let held = [
            ("connections", stack.conns()),
            ("half-open connections", stack.half_open()),
            ("TIME-WAIT records", stack.time_wait()),
            ("pool blocks", stack.blocks_in_use()),
            ("timer entries", stack.timer_entries()),
            ("flow entries", stack.flow_entries()),
            ("places in the output list", stack.output_waiting()),
        ];
        let named: Vec<String> =
            held.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
        (!named.is_empty()).then(|| named.join(", "))
    }
}

/// The shortest times from host `n` to each node and back: none when the other is a liar, which
/// may acknowledge what it never got.
fn floors(mix: &Mix, n: usize) -> Vec<u64> {
    let delay = |m: usize| mix.lanes(m).0.delay_us + mix.lanes(m).1.delay_us;
    (0..mix.nodes()).map(|m| if mix.is_liar(m) { 0 } else { delay(n) + delay(m) }).collect()
}

/// Sums, and the invariants of all connections; of the next ones in turn when there are many.
fn check_some(engine: &Engine<Player>, checked: &mut u32, floors_us: &[u64]) {
    let stack = engine.stack();
    stack.check_sums();
    let conns_max = stack.config().conns_max;
    let count = conns_max.min(CHECKED_AT_ONCE);
    let mut index = *checked;
    let mut live = stack.conns();
    for _ in 0..count {
        if live == 0 {
            break;
        }
        index = if index + 1 >= conns_max { 0 } else { index + 1 };
        if stack.generation_at(index).is_some() {
            live -= 1;
            stack.check_conn(index);
            check_round_trip(engine, index, floors_us);
        }
    }
    *checked = index;
}

/// No round trip is shorter than the way: a sample that says so was taken of a segment that was
/// sent again, from its last sending to the acknowledgment of its first (Karn, RFC 6298 3).
fn check_round_trip(engine: &Engine<Player>, index: u32, floors_us: &[u64]) {
    let stack = engine.stack();
    let tcb = stack.tcb(index);
    if tcb.srtt_us8 == 0 || tcb.state() < crore::State::Established {
        return;
    }
    let Some(place) = addresses::place_of(stack.remote(index).ip()) else { return };
    let least_us = floors_us.get(place.node).copied().unwrap_or(0);
    let srtt_us = u64::from(tcb.srtt_us8 >> 3) + 1;
    assert!(
        srtt_us >= least_us,
        "{}: a round-trip time of {srtt_us} us, and the way alone takes {least_us}",
        stack.remote(index)
    );
}

/// Ethernet's header and a VLAN tag.
const HEADER_ROOM: usize = 18;

/// How often orphans are looked for.
const BURIES_EVERY_US: u64 = 1_000_000;

/// Connections checked after a stage.
const CHECKED_AT_ONCE: u32 = 64;

/// In turns.
const BLOCKS_CHECKED_EVERY: u64 = 64;

/// Players have streams of luck of their own after each restart.
const PLAYERS: usize = 32;
