//! Where a core's cycles go, by the time-stamp counter.

use crate::clock::{Clock, MachineClock};
use crate::histogram::Histogram;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Parts of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Taking frames from the driver and giving them back.
    DriverRx,
    /// Parsing, looking up, TCP's input.
    StackIn,
    /// The application.
    Service,
    /// TCP's output, and building frames.
    StackOut,
    /// Reserving and sending frames.
    DriverTx,
    /// Due timers.
    Timers,
    /// Writing the core's numbers; the control plane's work on the core.
    Control,
    /// Turns in which nothing happened, and sleep.
    Idle,
}

/// The stages' names, in their order.
pub const STAGE_NAMES: [&str; STAGES] =
    ["driver rx", "stack in", "service", "stack out", "driver tx", "timers", "control", "idle"];

/// Cycles by part of the turn, and how many turns there were.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Cycles {
    /// Cycles, in the order of [`Stage`].
    pub stages: [u64; STAGES],
    /// Turns in which something happened.
    pub busy_turns: u64,
    /// Turns in which nothing happened.
    pub idle_turns: u64,
    /// Times the core went to sleep.
    pub parks: u64,
    /// Busy turns that took longer than [`CoreConfig::turn_max`](crate::CoreConfig::turn_max).
    pub long_turns: u64,
    /// Busy turns by their length.
    pub turns: Histogram,
}

/// The longest turn of some time, and what is known of why.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct WorstTurn {
    /// Its length; 0: there was none.
    pub cycles: u64,
    /// Of that, by stage. What is in no stage of these is in the last one that was booked: a
    /// thread that was set aside shows as one stage that took far too long.
    pub stages: [u64; STAGES],
    /// Frames received in it.
    pub received: u64,
    /// Frames sent in it.
    pub sent: u64,
    /// Timer entries handled in it.
    pub timers: u64,
    /// When it ended, in microseconds since the core started.
    pub at_us: u64,
    /// How often the system had set the thread aside between the look before the turn and the one
    /// after it, plus 1; 0 as long as nobody looked. So 1 says: the core itself was slow.
    pub set_aside: u64,
}

impl WorstTurn {
    /// The stage that took most, by its name.
    pub fn main_stage(&self) -> &'static str {
        let largest = (0..STAGES).max_by_key(|stage| self.stages[*stage]).unwrap_or(0);
        STAGE_NAMES[largest]
    }

    /// Whether the system had set the thread aside: `Some(false)` is certain, `Some(true)` says
    /// that it had at about that time; `None`: it is not known.
    pub fn was_set_aside(&self) -> Option<bool> {
        self.set_aside.checked_sub(1).map(|times| times > 0)
    }
}

impl Cycles {
    /// The cycles of one part.
    pub fn of(&self, stage: Stage) -> u64 {
        self.stages[stage as usize]
    }

    /// All cycles but idle ones.
    pub fn busy(&self) -> u64 {
        self.stages.iter().sum::<u64>() - self.of(Stage::Idle)
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            stages: stages_since(&self.stages, &earlier.stages),
            busy_turns: self.busy_turns - earlier.busy_turns,
            idle_turns: self.idle_turns - earlier.idle_turns,
            parks: self.parks - earlier.parks,
            long_turns: self.long_turns - earlier.long_turns,
            turns: self.turns.since(&earlier.turns),
        }
    }
}

/// What was booked between two moments.
pub(crate) fn stages_since(now: &[u64; STAGES], earlier: &[u64; STAGES]) -> [u64; STAGES] {
    std::array::from_fn(|stage| now[stage] - earlier[stage])
}

/// Books the time since the last lap.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch<C: Clock = MachineClock> {
    last: u64,
    clock: C,
}

impl Stopwatch {
    /// Starts now, by the machine's clock.
    #[inline]
    pub fn start() -> Self {
        Self::by(MachineClock)
    }
}

impl<C: Clock> Stopwatch<C> {
    /// Starts now.
    #[inline]
    pub fn by(clock: C) -> Self {
        Self { last: clock.cycles(), clock }
    }

    /// Books the time since the start or the last lap on `stage`; says how much it was.
    #[inline]
    pub fn lap(&mut self, cycles: &mut Cycles, stage: Stage) -> u64 {
        let now = self.clock.cycles();
        let took = now.wrapping_sub(self.last);
        cycles.stages[stage as usize] += took;
        self.last = now;
        took
    }

    /// The counter at the last lap.
    #[inline]
    pub fn at(&self) -> u64 {
        self.last
    }

    /// What it reads.
    #[inline]
    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }
}

/// How many stages there are.
pub const STAGES: usize = Stage::Idle as usize + 1;
