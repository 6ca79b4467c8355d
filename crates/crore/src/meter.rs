//! What the service's calls take. A call by itself is timed in one burst of many only, so that two
//! readings of the counter a call cost nothing that can be seen.
//!
//! All that is measured is time: a call during which the system set the thread aside, or the
//! machine's memory was slow, counts as it was.

use crate::clock::Clock;
use crate::conn::ConnId;
use crate::histogram::Histogram;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a service is called for; the calls of [`Service`](crate::Service).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Callback {
    /// `accepted`
    Accepted,
    /// `connected`
    Connected,
    /// `data`
    Data,
    /// `urgent`
    Urgent,
    /// `writable`
    Writable,
    /// `peer_closed`
    PeerClosed,
    /// `closed`
    Closed,
    /// `timer`
    Timer,
    /// `trouble`
    Trouble,
    /// `turn`, which is of no connection. Every call is timed, only the slowest is kept.
    Turn,
}

/// The callbacks' names, in their order.
pub const CALLBACK_NAMES: [&str; CALLBACKS] = [
    "accepted",
    "connected",
    "data",
    "urgent",
    "writable",
    "peer_closed",
    "closed",
    "timer",
    "trouble",
    "turn",
];

/// What the service's calls took, of those that were timed. The counter's own reading is in it, 20
/// to 40 cycles a call.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ServiceCycles {
    /// The calls for connections, by what they took.
    pub calls: Histogram,
    /// How many of them took more than [`SERVICE_BUDGET_CYCLES`].
    pub over_budget: u64,
    /// All that they took.
    pub cycles: u64,
    /// The slowest of each kind, in the order of [`Callback`].
    pub slowest: [SlowCall; CALLBACKS],
}

/// One call.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SlowCall {
    /// What it took; 0: none was timed.
    pub cycles: u64,
    /// Whom it was for.
    pub conn: ConnId,
    /// When, in microseconds since the core started.
    pub at_us: u64,
}

impl ServiceCycles {
    /// What was added since `earlier`. The slowest calls are those of all time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            calls: self.calls.since(&earlier.calls),
            over_budget: self.over_budget.saturating_sub(earlier.over_budget),
            cycles: self.cycles.saturating_sub(earlier.cycles),
            slowest: self.slowest,
        }
    }

    /// Adds another core's.
    pub fn merge(&mut self, other: &Self) {
        self.calls.merge(&other.calls);
        self.over_budget += other.over_budget;
        self.cycles += other.cycles;
        for (mine, theirs) in self.slowest.iter_mut().zip(other.slowest) {
            if theirs.cycles > mine.cycles {
                *mine = theirs;
            }
        }
    }

    pub(crate) fn note(&mut self, callback: Callback, call: SlowCall) {
        self.calls.add(call.cycles);
        self.over_budget += u64::from(call.cycles > SERVICE_BUDGET_CYCLES);
        self.cycles += call.cycles;
        self.note_slow(callback, call);
    }

    /// Of a call that only counts when it is the slowest.
    #[inline]
    pub(crate) fn note_slow(&mut self, callback: Callback, call: SlowCall) {
        let slowest = &mut self.slowest[callback as usize];
        if call.cycles > slowest.cycles {
            *slowest = call;
        }
    }
}

/// Whether a burst's calls are timed.
pub(crate) trait Meter {
    /// Makes a call, for a connection.
    fn call<R>(&mut self, callback: Callback, conn: ConnId, call: impl FnOnce() -> R) -> R;
}

/// They are not.
pub(crate) struct Untimed;

impl Meter for Untimed {
    #[inline]
    fn call<R>(&mut self, _: Callback, _: ConnId, call: impl FnOnce() -> R) -> R {
        call()
    }
}

/// They are.
pub(crate) struct Timed<'a, C: Clock> {
    pub(crate) found: &'a mut ServiceCycles,
    pub(crate) clock: &'a C,
    pub(crate) now_us: u64,
}

impl<C: Clock> Meter for Timed<'_, C> {
    fn call<R>(&mut self, callback: Callback, conn: ConnId, call: impl FnOnce() -> R) -> R {
        let began = self.clock.cycles();
        let result = call();
        let cycles = self.clock.cycles().wrapping_sub(began);
        self.found.note(callback, SlowCall { cycles, conn, at_us: self.now_us });
        result
    }
}

/// Which bursts are timed: one of so many; and all of some after a turn that the service made long.
#[derive(Debug)]
pub(crate) struct Sampler {
    wait: u32,
    eager: u32,
}

impl Sampler {
    pub(crate) fn new() -> Self {
        Self { wait: SAMPLED_OF, eager: 0 }
    }

    /// Asked once for every burst with calls in it.
    #[inline]
    pub(crate) fn is_due(&mut self) -> bool {
        self.wait -= 1;
        if self.wait > 0 {
            return false;
        }
        self.eager = self.eager.saturating_sub(1);
        self.wait = if self.eager > 0 { 1 } else { SAMPLED_OF };
        true
    }

    /// The service is slow: what follows is timed.
    pub(crate) fn be_eager(&mut self) {
        (self.wait, self.eager) = (1, EAGER_BURSTS);
    }
}

/// What the design leaves to the application for each packet.
pub const SERVICE_BUDGET_CYCLES: u64 = 1_400;

/// How many kinds of calls there are.
pub const CALLBACKS: usize = Callback::Turn as usize + 1;

/// A prime, so that what comes every so many bursts is met as well.
const SAMPLED_OF: u32 = 61;

/// As many bursts are timed after a long turn.
const EAGER_BURSTS: u32 = 16;
