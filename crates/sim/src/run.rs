//! One run: virtual time from event to event, and the judgment at the end.

use crate::book::{Book, Stage};
use crate::host::Host;
use crate::luck::{Luck, Purpose};
use crate::mix::{Mix, Temper};
use crate::observer::Observer;
use crate::script::Kind;
use crate::trace;
use crate::wire::Wire;
use crore::{Closed, Counters, Drop};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// What a run without a failure did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sessions played.
    pub sessions: u64,
    /// Sides of sessions that ended properly.
    pub finished: u64,
    /// Sides that ended otherwise, as they had to.
    pub cut_short: u64,
    /// Octets that were delivered and checked.
    pub octets: u64,
    /// Frames sent.
    pub frames: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Turns of both hosts.
    pub turns: u64,
    /// Virtual time that passed.
    pub virtual_us: u64,
}

impl Report {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.finished += other.finished;
        self.cut_short += other.cut_short;
        self.octets += other.octets;
        self.frames += other.frames;
        self.retransmits += other.retransmits;
        self.turns += other.turns;
        self.virtual_us += other.virtual_us;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sessions ({} sides finished, {} cut short), {} octets checked, {} frames, \
             {} retransmits, {} turns, {:.0} s of virtual time",
            self.sessions,
            self.finished,
            self.cut_short,
            self.octets,
            self.frames,
            self.retransmits,
            self.turns,
            self.virtual_us as f64 / 1e6
        )
    }
}

/// What went wrong in a run.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// Virtual time since the run's start.
    pub at_us: u64,
    /// What was expected and what was seen.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at_us as f64 / 1e6;
        write!(f, "seed {} failed after {seconds:.6} s: {}", self.seed, self.what)
    }
}

impl std::error::Error for Failure {}

/// Plays the run of `seed`. With `trace`, prints what happens to every frame and connection.
///
/// # Panics
/// When the stack finds an invariant of its own broken.
pub fn run(seed: u64, trace: bool) -> Result<Report, Failure> {
    let mut world = World::new(seed, trace);
    let played = world.play();
    world.print_lines();
    if trace {
        world.print_drops();
    }
    match played {
        Ok(()) => Ok(world.report()),
        Err(what) => Err(Failure { seed, at_us: world.now_us - world.start_us, what }),
    }
}

struct World {
    hosts: [Host; 2],
    wire: Wire,
    observer: Observer,
    book: Rc<RefCell<Book>>,
    trace: Option<trace::Trace>,
    now_us: u64,
    start_us: u64,
    faults_end_us: u64,
    turns: u64,
    frames: u64,
}

impl World {
    fn new(seed: u64, trace: bool) -> Self {
        let mut mix = Mix::draw(&mut Luck::new(seed, Purpose::Mix));
        if trace {
            print_mix(seed, &mix);
        }
        let scripts = std::mem::take(&mut mix.scripts);
        let book = Rc::new(RefCell::new(Book::new(scripts, trace)));
        let hosts = [0, 1].map(|side| {
            Host::new(seed, side, &mix, Rc::clone(&book)).expect("the mix has valid settings")
        });
        let luck = Luck::new(seed, Purpose::Wire);
        // In harsh runs hosts lose sight of each other: answers wait for the next hop.
        let harsh = mix.temper == Temper::Harsh;
        let answers = [0, 1].map(|side| mix.hosts[side].is_ample && !harsh);
        Self {
            hosts,
            wire: Wire::new(&mut mix, luck),
            observer: Observer::new(answers, !harsh),
            book,
            trace: trace.then(|| trace::Trace::new(mix.start_us)),
            now_us: mix.start_us,
            start_us: mix.start_us,
            faults_end_us: mix.faults_end_us,
            turns: 0,
            frames: 0,
        }
    }

    /// Until all sessions are over and nothing is left of them.
    fn play(&mut self) -> Result<(), String> {
        let grace_us = self.faults_end_us + ORPHANS_AFTER_US;
        let over = |world: &Self| world.book.borrow().all_over();
        if !self.pass(grace_us, over)? {
            for host in &mut self.hosts {
                host.buries_orphans = true;
            }
            if !self.pass(grace_us + FINISH_WITHIN_US, over)? {
                return Err(format!("not over in time:{}", self.book.borrow().unfinished()));
            }
        }
        let clean = |world: &Self| world.hosts.iter().all(|host| host.held().is_none());
        if !self.pass(self.now_us + CLEAN_WITHIN_US, clean)? {
            let held = [0, 1].map(|side| self.hosts[side].held().unwrap_or_default());
            return Err(format!("host 0 still holds: {}; host 1: {}", held[0], held[1]));
        }
        self.judge()
    }

    /// From event to event until `end_us`, or until `done`; says whether it was done.
    fn pass(&mut self, end_us: u64, done: impl Fn(&Self) -> bool) -> Result<bool, String> {
        loop {
            if done(self) {
                return Ok(true);
            }
            let turns = self.hosts.iter().filter_map(Host::next_turn_us);
            let Some(next_us) = turns.chain(self.wire.next_at_us()).min() else {
                return Ok(false);
            };
            if next_us > end_us {
                return Ok(false);
            }
            self.now_us = self.now_us.max(next_us);
            self.step();
            if let Some(failure) = self.book.borrow().failure() {
                return Err(failure.into());
            }
            if self.turns > TURNS_MAX || self.frames > FRAMES_MAX {
                let (turns, frames) = (self.turns, self.frames);
                return Err(format!("no end after {turns} turns and {frames} frames: livelock"));
            }
        }
    }

    /// What is due now: frames arrive, hosts turn.
    fn step(&mut self) {
        while let Some(flight) = self.wire.arrival(self.now_us) {
            let judged = self.observer.arrived(self.now_us, &flight);
            if let Err(what) = judged {
                self.book.borrow_mut().fail(what);
            }
            self.hosts[flight.to].inbox.push_back(flight.frame);
        }
        for side in 0..2 {
            if self.hosts[side].next_turn_us().is_none_or(|at_us| at_us > self.now_us) {
                continue;
            }
            self.turns += 1;
            let (now_us, wire, trace) = (self.now_us, &mut self.wire, &mut self.trace);
            let (frames, observer) = (&mut self.frames, &mut self.observer);
            let mut judged = Ok(());
            self.hosts[side].turn(now_us, |frame| {
                *frames += 1;
                if judged.is_ok() {
                    judged = observer.sent(now_us, frame);
                }
                let fate = wire.send(now_us, side, frame);
                if let Some(trace) = trace {
                    trace.frame(now_us, side, frame, fate);
                }
            });
            if let Err(what) = judged {
                self.book.borrow_mut().fail(what);
            }
            self.print_lines();
        }
    }

    fn print_lines(&mut self) {
        if let (Some(trace), Some(lines)) = (&self.trace, &mut self.book.borrow_mut().lines) {
            for line in lines.drain(..) {
                trace.line(self.now_us, &line);
            }
        }
    }

    fn print_drops(&self) {
        for side in 0..2 {
            let drops: Vec<_> = self.counters(side).dropped_by_name().collect();
            println!("host {side} dropped {drops:?}");
        }
    }

    fn counters(&self, side: usize) -> &Counters {
        self.hosts[side].engine.stack().counters()
    }

    /// Every end must have a reason: none but `Finished` without one.
    fn judge(&self) -> Result<(), String> {
        let book = self.book.borrow();
        for (n, session) in book.sessions.iter().enumerate() {
            for side in 0..2 {
                let progress = &session.sides[side];
                let Stage::Closed(why) = progress.stage else { continue };
                let peer = &session.sides[1 - side];
                let peer_cut = peer.aborted
                    || matches!(peer.stage, Stage::Closed(why) if why != Closed::Finished)
                    || peer.stage == Stage::Unopened;
                let excused = match why {
                    Closed::Finished => true,
                    Closed::Aborted => {
                        progress.aborted || peer_cut || self.dropped(side, Drop::PoolEmpty)
                    }
                    Closed::Reset => peer_cut || self.forgot(1 - side),
                    Closed::Refused => session.script.kind != Kind::Listener || peer_cut,
                    // Three questions for the next hop may all be lost (RFC 4861 10).
                    Closed::Unreachable => {
                        let lossy = self.faults_end_us > self.start_us;
                        session.script.kind == Kind::Nobody || lossy || self.was_full(1 - side)
                    }
                    Closed::TimedOut => peer_cut && self.was_full(1 - side),
                    Closed::Evicted => self.counters(side).evicted > 0,
                };
                if !excused {
                    return Err(format!(
                        "session {n}.{side} ended {why:?} without a reason: {:?}\n  {:?}\n  {:?}",
                        session.script, session.sides[0], session.sides[1]
                    ));
                }
            }
        }
        Ok(())
    }

    fn dropped(&self, side: usize, reason: Drop) -> bool {
        self.counters(side).dropped(reason) > 0
    }

    /// The host may have forgotten openings, so that it reset their later segments.
    fn forgot(&self, side: usize) -> bool {
        let counters = self.counters(side);
        counters.cookies_sent > 0 || counters.half_open_expired > 0
    }

    /// The host had no place for a connection, or never a frame for its answers.
    fn was_full(&self, side: usize) -> bool {
        self.dropped(side, Drop::ConnTableFull) || self.dropped(side, Drop::TxFull)
    }

    fn report(&self) -> Report {
        let book = self.book.borrow();
        let sides = || book.sessions.iter().flat_map(|session| &session.sides);
        let ended = |wanted: fn(Closed) -> bool| {
            let is_so = |side: &&crate::book::Progress| match side.stage {
                Stage::Closed(why) => wanted(why),
                _ => false,
            };
            sides().filter(is_so).count() as u64
        };
        Report {
            sessions: book.sessions.len() as u64,
            finished: ended(|why| why == Closed::Finished),
            cut_short: ended(|why| why != Closed::Finished),
            octets: sides().map(|side| side.received).sum(),
            frames: self.frames,
            retransmits: self.counters(0).retransmits + self.counters(1).retransmits,
            turns: self.turns,
            virtual_us: self.now_us - self.start_us,
        }
    }
}

fn print_mix(seed: u64, mix: &Mix) {
    println!("seed {seed}, {:?}, faults end {} us after the start", mix.temper, {
        mix.faults_end_us - mix.start_us
    });
    for side in 0..2 {
        let (host, lane) = (&mix.hosts[side], &mix.lanes[side]);
        println!(
            "host {side}: mtu {}, tx {} rx {} frames, turn {} us, {:?}",
            host.mtu, host.tx_frames, host.rx_frames, host.turn_us, host.config
        );
        println!(
            "lane {side}: delay {} + {} us, loss {} duplicate {} corrupt {} reorder {} per mille, \
             {:?} bytes/s, blackouts {:?}",
            lane.delay_us,
            lane.jitter_us,
            lane.loss_per_mille,
            lane.duplicate_per_mille,
            lane.corrupt_per_mille,
            lane.reorder_per_mille,
            lane.bytes_per_second,
            lane.blackouts
        );
    }
    for (n, script) in mix.scripts.iter().enumerate() {
        println!("session {n}: {script:?}");
    }
}

/// After the faults, sessions that can end do so in this time, in hosts that lack nothing.
const ORPHANS_AFTER_US: u64 = 200_000_000;

/// And all others in this time after that.
const FINISH_WITHIN_US: u64 = 400_000_000;

/// Longer than the longest time that anything lingers.
const CLEAN_WITHIN_US: u64 = 800_000_000;

/// More than any run needs.
const TURNS_MAX: u64 = 3_000_000;
const FRAMES_MAX: u64 = 200_000;
