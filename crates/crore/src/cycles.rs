//! Where a core's cycles go, by the time-stamp counter.

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
    /// Turns in which nothing happened, and sleep.
    Idle,
}

/// Cycles by part of the turn, and how many turns there were.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Cycles {
    /// Cycles, in the order of [`Stage`].
    pub stages: [u64; 7],
    /// Turns in which something happened.
    pub busy_turns: u64,
    /// Turns in which nothing happened.
    pub idle_turns: u64,
    /// Times the core went to sleep.
    pub parks: u64,
    /// The longest busy turn.
    pub turn_max: u64,
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
        let mut stages = self.stages;
        for (stage, before) in stages.iter_mut().zip(earlier.stages) {
            *stage -= before;
        }
        Self {
            stages,
            busy_turns: self.busy_turns - earlier.busy_turns,
            idle_turns: self.idle_turns - earlier.idle_turns,
            parks: self.parks - earlier.parks,
            turn_max: self.turn_max,
        }
    }
}

/// Books the time since the last lap.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    last: u64,
}

impl Stopwatch {
    /// Starts now.
    #[inline]
    pub fn start() -> Self {
        Self { last: tsc() }
    }

    /// Books the time since the start or the last lap on `stage`.
    #[inline]
    pub fn lap(&mut self, cycles: &mut Cycles, stage: Stage) {
        let now = tsc();
        cycles.stages[stage as usize] += now.wrapping_sub(self.last);
        self.last = now;
    }

    /// The counter at the last lap.
    #[inline]
    pub fn at(&self) -> u64 {
        self.last
    }
}

/// The time-stamp counter; elsewhere than on x86-64, nanoseconds.
#[inline]
pub fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the counter, and Linux lets user code read it.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// Counter ticks a second, measured over some milliseconds.
pub fn tsc_hz() -> f64 {
    let (start, from) = (std::time::Instant::now(), tsc());
    std::thread::sleep(std::time::Duration::from_millis(20));
    let (ticks, seconds) = (tsc() - from, start.elapsed().as_secs_f64());
    ticks as f64 / seconds
}
