//! A run: all hosts and the network in virtual time, from event to event.

use crate::book::Book;
use crate::fault::{Fault, What};
use crate::forger::Forger;
use crate::host::Host;
use crate::judge;
use crate::liar::Liar;
use crate::luck::{Luck, Purpose};
use crate::mix::{HostMix, Middle, Mix};
use crate::network::Network;
use crate::observer::Observer;
use crate::report::{Failure, Report};
use crate::trace::Trace;
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

/// Plays a mix. With `traces`, prints what happens to every frame and connection.
///
/// # Panics
/// When the stack finds an invariant of its own broken.
pub fn play(mix: &Mix, traces: bool) -> Result<Report, Failure> {
    if let Err(what) = mix.check() {
        return Err(Failure { seed: mix.seed, at_us: 0, what });
    }
    let mut world = World::new(mix, traces);
    let played = world.play();
    world.print_lines();
    if traces {
        world.print_drops();
    }
    match played {
        Ok(()) => Ok(world.report()),
        Err(what) => Err(Failure { seed: mix.seed, at_us: world.now_us, what }),
    }
}

pub(crate) struct World<'a> {
    pub(crate) mix: &'a Mix,
    /// `None` while a host is switched off.
    pub(crate) hosts: Vec<Option<Host>>,
    liars: Vec<Liar>,
    network: Network,
    observer: Observer,
    pub(crate) book: Rc<RefCell<Book>>,
    forger: Forger,
    trace: Option<Trace>,
    /// What happens by schedule, the next last.
    schedule: Vec<(u64, Turn)>,
    restarts: Vec<u64>,
    /// What hosts that were switched off since had done and counted.
    past: Report,
    pub(crate) forgot: judge::Forgot,
    now_us: u64,
    turns: u64,
    frames: u64,
    digest: DefaultHasher,
    out: Vec<Box<[u8]>>,
}

/// A point of the schedule.
#[derive(Clone, Copy)]
enum Turn {
    Begins(usize),
    Ends(usize),
}

impl<'a> World<'a> {
    fn new(mix: &'a Mix, traces: bool) -> Self {
        let book = Rc::new(RefCell::new(Book::new(&mix.sessions, mix.hosts.len(), traces)));
        let host = |n| {
            let host = Host::new(mix, n, Rc::clone(&book), 0, 0);
            Some(host.expect("the mix has valid settings"))
        };
        let hosts: Vec<_> = (0..mix.hosts.len()).map(host).collect();
        let mut schedule = Vec::new();
        for (n, fault) in mix.faults.iter().enumerate() {
            schedule.push((fault.at_us, Turn::Begins(n)));
            schedule.push((fault.end_us(), Turn::Ends(n)));
        }
        schedule.sort_by_key(|&(at_us, _)| std::cmp::Reverse(at_us));
        let (answers, has_ways) = expectations(mix);
        let liars = (0..mix.liars.len()).map(|n| Liar::new(mix, mix.hosts.len() + n)).collect();
        Self {
            hosts,
            liars,
            network: Network::new(mix, Luck::new(mix.seed, Purpose::Wire), traces),
            observer: Observer::new(mix, answers, has_ways),
            forger: Forger::new(mix),
            trace: traces.then(Trace::new),
            schedule,
            restarts: vec![0; mix.hosts.len()],
            past: Report::default(),
            forgot: judge::Forgot::new(mix),
            now_us: 0,
            turns: 0,
            frames: 0,
            digest: DefaultHasher::new(),
            out: Vec::new(),
            book,
            mix,
        }
    }

    /// Until all sessions are over and nothing is left of them.
    fn play(&mut self) -> Result<(), String> {
        let last_us = self.schedule.first().map_or(0, |&(at_us, _)| at_us);
        let grace_us = self.mix.faults_us.max(last_us) + ORPHANS_AFTER_US;
        if !self.pass(grace_us, Self::is_over)? {
            self.bury_orphans();
            if !self.pass(grace_us + FINISH_WITHIN_US, Self::is_over)? {
                return Err(format!("not over in time:{}", self.book.borrow().unfinished()));
            }
        }
        // Some may be opened by what was under way when all others were over.
        self.bury_orphans();
        if !self.pass(self.now_us + CLEAN_WITHIN_US, Self::is_clean)? {
            let hosts = self.hosts.iter().flatten().enumerate();
            let held: Vec<_> = hosts
                .filter_map(|(n, host)| host.held().map(|held| format!("host {n}: {held}")))
                .collect();
            return Err(format!("something is left: {}", held.join("; ")));
        }
        judge::judge(self)
    }

    fn bury_orphans(&mut self) {
        for host in self.hosts.iter_mut().flatten() {
            host.bury_orphans(self.now_us);
        }
    }

    fn is_over(&mut self) -> bool {
        self.schedule.is_empty() && self.book.borrow_mut().all_over()
    }

    fn is_clean(&mut self) -> bool {
        self.hosts.iter().flatten().all(|host| host.held().is_none())
    }

    /// From event to event until `end_us`, or until `done`; says whether it was done.
    fn pass(&mut self, end_us: u64, done: fn(&mut Self) -> bool) -> Result<bool, String> {
        loop {
            if done(self) {
                return Ok(true);
            }
            let Some(next_us) = self.next_us() else { return Ok(false) };
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

    fn next_us(&self) -> Option<u64> {
        let turns = self.hosts.iter().flatten().filter_map(Host::next_turn_us);
        let liars = self.liars.iter().filter_map(Liar::next_us);
        let scheduled = self.schedule.last().map(|&(at_us, _)| at_us);
        let others = self.network.next_at_us().into_iter().chain(scheduled);
        turns.chain(liars).chain(others).chain(self.forger.next_us()).min()
    }

    /// What is due now: faults begin and end, frames arrive, hosts turn, others do mischief.
    fn step(&mut self) {
        while let Some(&(at_us, turn)) = self.schedule.last()
            && at_us <= self.now_us
        {
            self.schedule.pop();
            let (n, begins) = match turn {
                Turn::Begins(n) => (n, true),
                Turn::Ends(n) => (n, false),
            };
            let fault = self.mix.faults[n].clone();
            self.turn_fault(&fault, begins);
        }
        self.arrivals();
        for n in 0..self.hosts.len() {
            let next_us = self.hosts[n].as_ref().and_then(Host::next_turn_us);
            if next_us.is_some_and(|at_us| at_us <= self.now_us) {
                self.host_turn(n);
            }
        }
        let moved = &self.book.borrow().moved;
        for (n, liar) in self.liars.iter_mut().enumerate() {
            if liar.next_us().is_some_and(|at_us| at_us <= self.now_us) {
                liar.turn(self.now_us, moved, &mut self.out);
                for frame in self.out.drain(..) {
                    self.frames += 1;
                    self.network.send(self.now_us, self.mix.hosts.len() + n, &frame);
                }
            }
        }
        let book = self.book.borrow();
        self.forger.turn(self.now_us, self.mix, &book, |to, frame| {
            self.observer.forged(&frame);
            self.network.inject(self.now_us, to, frame);
        });
    }

    fn arrivals(&mut self) {
        while let Some((to, flight)) = self.network.arrival(self.now_us) {
            if self.mix.is_liar(to) {
                let liar = &mut self.liars[to - self.mix.hosts.len()];
                liar.arrives(self.now_us, &flight.frame, &mut self.out);
                for frame in self.out.drain(..) {
                    self.frames += 1;
                    self.network.send(self.now_us, to, &frame);
                }
                continue;
            }
            let Some(host) = &mut self.hosts[to] else { continue };
            if let Err(what) = self.observer.arrived(self.now_us, to, &flight) {
                self.book.borrow_mut().fail(what);
            }
            host.arrives(flight.frame);
        }
    }

    fn host_turn(&mut self, n: usize) {
        self.turns += 1;
        let (now_us, network, observer) = (self.now_us, &mut self.network, &mut self.observer);
        let (frames, digest) = (&mut self.frames, &mut self.digest);
        let mut judged = Ok(());
        let Some(host) = &mut self.hosts[n] else { return };
        host.turn(now_us, |frame| {
            *frames += 1;
            digest.write(frame);
            if judged.is_ok() {
                judged = observer.sent(now_us, frame);
            }
            network.send(now_us, n, frame);
        });
        if let Err(what) = judged {
            self.book.borrow_mut().fail(what);
        }
        self.print_lines();
    }

    /// A fault by schedule begins or ends.
    fn turn_fault(&mut self, fault: &Fault, begins: bool) {
        if self.trace.is_some() {
            let word = if begins { "begins" } else { "ends" };
            Trace::line(self.now_us, &format!("{:?} {word}", fault.what));
        }
        let now_us = self.now_us;
        self.network.turn_fault(fault, begins);
        match fault.what {
            What::Restart { node, moves } => self.restart(node, moves, begins),
            What::Forgery { node, every_us } => {
                self.forger.set(now_us, begins.then_some((node, every_us)));
            }
            What::MemoryFull { node } => {
                if let Some(host) = &mut self.hosts[node] {
                    host.hoard(now_us, begins);
                }
            }
            What::Deaf { node } => {
                if let Some(host) = &mut self.hosts[node] {
                    host.set_deaf(begins);
                }
            }
            What::ClockStep { node, by_us } if begins => {
                if let Some(host) = &mut self.hosts[node] {
                    host.leap(now_us, by_us);
                }
            }
            What::Stall { node } if begins => {
                if let Some(host) = &mut self.hosts[node] {
                    host.stall(fault.end_us());
                }
            }
            _ => {}
        }
    }

    fn restart(&mut self, n: usize, moves: bool, begins: bool) {
        if begins {
            if let Some(host) = self.hosts[n].take() {
                self.past.add_host(&host);
                self.forgot.note(n, &host);
                self.book.borrow_mut().lost(n, self.now_us);
                self.observer.forgot(n);
            }
            return;
        }
        if self.hosts[n].is_some() {
            return;
        }
        if moves {
            self.book.borrow_mut().moved[n] += 1;
            self.network.moved(n);
        }
        self.restarts[n] += 1;
        let (book, restarts) = (Rc::clone(&self.book), self.restarts[n]);
        let host = Host::new(self.mix, n, book, self.now_us, restarts);
        self.hosts[n] = Some(host.expect("the mix has valid settings"));
    }

    fn print_lines(&mut self) {
        let Some(trace) = &mut self.trace else { return };
        for traced in self.network.traced.iter_mut().flat_map(|list| list.drain(..)) {
            trace.frame(self.now_us, &traced);
        }
        if let Some(lines) = &mut self.book.borrow_mut().lines {
            for line in lines.drain(..) {
                Trace::line(self.now_us, &line);
            }
        }
    }

    fn print_drops(&self) {
        for (n, host) in self.hosts.iter().enumerate() {
            if let Some(host) = host {
                let counters = host.engine.stack().counters();
                let drops: Vec<_> = counters.dropped_by_name().collect();
                println!("host {n} dropped {drops:?}");
            }
        }
    }

    fn report(&self) -> Report {
        let mut report = self.past;
        for host in self.hosts.iter().flatten() {
            report.add_host(host);
        }
        report.add_book(&self.book.borrow());
        report.frames = self.frames;
        report.turns = self.turns;
        report.digest = self.digest.finish();
        report.virtual_us = self.now_us;
        report
    }
}

/// Which hosts must answer in time, and whether all hosts send when it is due: what goes wrong by
/// schedule excuses much.
fn expectations(mix: &Mix) -> (Vec<bool>, bool) {
    let spares = mix.spares_neighbours;
    // A host that takes, or sends, a frame in two milliseconds answers when it comes to it.
    let is_quick = |host: &HostMix| {
        host.turn_us < 200 || host.rx_frames.min(host.tx_frames).min(host.output_budget) >= 8
    };
    // Who takes several frames in a turn and sends one loses the same answers each time, when those
    // who wait for them ask again together.
    let has_room = |host: &HostMix| host.tx_frames >= host.rx_frames.min(8);
    let is_good = |host: &HostMix| host.is_ample && is_quick(host) && has_room(host);
    let mut answers: Vec<bool> = mix.hosts.iter().map(|host| is_good(host) && spares).collect();
    let mut has_ways = mix.spares_neighbours;
    for fault in &mix.faults {
        match fault.what {
            What::MemoryFull { node } | What::Stall { node } | What::ClockStep { node, .. } => {
                answers[node] = false;
                has_ways = false;
            }
            What::Cut { .. } | What::Partition { .. } | What::AddressGone { .. }
                if mix.middle == Middle::Switch =>
            {
                // Who is not seen for long is asked for, and segments wait meanwhile.
                answers.fill(false);
                has_ways = false;
            }
            // ICMP breaks the silence: what is too big is sent anew when a router says so, and word
            // that a host is gone takes a backoff back (RFC 6069).
            What::PathMtu { .. } | What::AddressGone { .. } => has_ways = false,
            What::Cut { .. } | What::Restart { .. } => {
                answers.fill(false);
                has_ways = false;
            }
            _ => {}
        }
    }
    (answers, has_ways)
}

/// After the faults, sessions that can end do so in this time, in hosts that lack nothing.
const ORPHANS_AFTER_US: u64 = 200_000_000;

/// And all others in this time after that.
const FINISH_WITHIN_US: u64 = 1_000_000_000;

/// Longer than the longest time that anything lingers.
const CLEAN_WITHIN_US: u64 = 800_000_000;

/// More than any run needs.
const TURNS_MAX: u64 = 5_000_000;
const FRAMES_MAX: u64 = 1_000_000;
