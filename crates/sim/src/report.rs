//! What a run did, or what went wrong in it.

use crate::book::{Book, Progress, Stage};
use crate::coverage::Coverage;
use crate::host::Host;
use crore::Closed;
use std::fmt;

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
    /// Turns of all hosts.
    pub turns: u64,
    /// Virtual time that passed.
    pub virtual_us: u64,
    /// A hash of all frames that hosts sent, in their order.
    pub digest: u64,
    /// Segments that took the short way, in and out.
    pub predicted: u64,
    /// Arrows of the state diagram that were taken.
    pub coverage: Coverage,
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
        self.digest ^= other.digest;
        self.predicted += other.predicted;
        self.coverage.add(&other.coverage);
    }

    pub(crate) fn add_host(&mut self, host: &Host) {
        let stack = host.engine.stack();
        self.retransmits += stack.counters().retransmits;
        self.predicted += stack.counters().plain_in + stack.counters().plain_out;
        let player = host.engine.service();
        self.coverage.add_host(stack, player.closed_in_syn_received);
    }

    pub(crate) fn add_book(&mut self, book: &Book) {
        let sides = || book.sessions.iter().flat_map(|session| &session.sides);
        let ended = |wanted: fn(Closed) -> bool| {
            let is_so = |side: &&Progress| match side.stage {
                Stage::Closed(why) => wanted(why),
                _ => false,
            };
            sides().filter(is_so).count() as u64
        };
        self.sessions = book.sessions.len() as u64;
        self.finished = ended(|why| why == Closed::Finished);
        self.cut_short = ended(|why| why != Closed::Finished);
        self.octets = sides().map(|side| side.received).sum();
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
