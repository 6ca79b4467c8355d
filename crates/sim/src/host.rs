//! One host: a real engine, its turns in virtual time.

use crate::book::{Book, LISTENING_PORT};
use crate::frames::FrameRoom;
use crate::luck::{Luck, Purpose};
use crate::mix::Mix;
use crate::player::Player;
use crore::mem::Memory;
use crore::{Cycles, Engine, StackError, Stopwatch};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// An engine and what a driver and a thread would keep for it.
pub(crate) struct Host {
    pub(crate) engine: Engine<Player>,
    pub(crate) inbox: VecDeque<Box<[u8]>>,
    room: FrameRoom,
    rx_frames: usize,
    output_budget: usize,
    timer_budget: usize,
    turn_us: u64,
    /// The end of the last turn.
    ready_us: u64,
    /// When it must turn again, frames or not.
    wake_us: Option<u64>,
    arrived: Vec<Box<[u8]>>,
    /// Application's connections without a word from the peer are ended in the next turn.
    pub(crate) buries_orphans: bool,
}

impl Host {
    pub(crate) fn new(
        seed: u64,
        side: usize,
        mix: &Mix,
        book: Rc<RefCell<Book>>,
    ) -> Result<Self, StackError> {
        let host = &mix.hosts[side];
        let luck = Luck::new(seed, Purpose::Player(side));
        let player = Player::new(side, book, luck, mix.start_us, &host.config);
        let secret = Luck::new(seed, Purpose::Secrets(side)).bytes();
        let mut memory = Memory::heap();
        let config = host.config.clone();
        let mut engine = Engine::new(config, &mix.interface(side), player, &mut memory, secret)?;
        engine.listen(LISTENING_PORT);
        let room = FrameRoom::new(host.tx_frames, usize::from(host.mtu) + HEADER_ROOM);
        let mut host = Self {
            engine,
            inbox: VecDeque::new(),
            room,
            rx_frames: host.rx_frames,
            output_budget: host.output_budget,
            timer_budget: host.timer_budget,
            turn_us: host.turn_us,
            ready_us: 0,
            wake_us: None,
            arrived: Vec::new(),
            buries_orphans: false,
        };
        host.pass_time_until(mix.start_us);
        Ok(host)
    }

    /// Lets the clock come to where the run begins, in steps that the stack can tell from a clock
    /// that goes back.
    fn pass_time_until(&mut self, start_us: u64) {
        for step in 1..=4 {
            self.turn(start_us / 4 * step, |_| {});
        }
        self.ready_us = start_us;
        self.wake_us = Some(start_us);
    }

    /// When it next has to do something; `None`: not before a frame arrives.
    pub(crate) fn next_turn_us(&self) -> Option<u64> {
        let wake_us = self.wake_us.map(|at_us| at_us.max(self.ready_us));
        if self.inbox.is_empty() { wake_us } else { Some(self.ready_us) }
    }

    /// One turn; what it sends is handed to `sent`. Checks every invariant of every connection.
    pub(crate) fn turn(&mut self, now_us: u64, sent: impl FnMut(&[u8])) {
        let frames = self.inbox.len().min(self.rx_frames);
        self.arrived.clear();
        self.arrived.extend(self.inbox.drain(..frames));
        let (engine, buries) = (&mut self.engine, self.buries_orphans);
        let (timer_budget, output_budget) = (self.timer_budget, self.output_budget);
        let turn = |rx: &_, tx: &mut _| {
            let (mut watch, mut cycles) = (Stopwatch::start(), Cycles::default());
            engine.receive(rx, tx, now_us, &mut watch, &mut cycles);
            engine.stack().check();
            engine.tick(tx, timer_budget, &mut watch, &mut cycles);
            engine.stack().check();
            if buries {
                engine.with_turn(Player::bury_orphans);
            }
            engine.send(tx, output_budget, &mut watch, &mut cycles);
            engine.stack().check();
        };
        self.room.lend(&mut self.arrived, turn, sent);
        self.ready_us = now_us + self.turn_us;
        self.wake_us = self.next_wake_us(now_us);
    }

    fn next_wake_us(&self, now_us: u64) -> Option<u64> {
        let stack = self.engine.stack();
        if stack.output_waiting() > 0 {
            return Some(now_us);
        }
        let timer = stack.next_timer_ms().map(|ms| (now_us / 1000 + u64::from(ms)) * 1000);
        let player = self.engine.service().next_wake_us();
        timer.into_iter().chain(player).min()
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

/// Ethernet's header and a VLAN tag.
const HEADER_ROOM: usize = 18;
