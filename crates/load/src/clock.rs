//! The time-stamp counter as a clock: a turn's time is too coarse for latencies of microseconds.

use std::time::Duration;

/// Ticks of the time-stamp counter, and what they are in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    ticks_per_second: f64,
}

impl Clock {
    /// Measures the counter's rate, which takes 20 ms.
    pub fn measured() -> Self {
        Self { ticks_per_second: crore::tsc_hz() }
    }

    /// A counter of this rate.
    pub fn with_rate(ticks_per_second: f64) -> Self {
        Self { ticks_per_second }
    }

    /// The counter now.
    #[inline]
    pub fn now(self) -> u64 {
        crore::tsc()
    }

    /// Ticks between events that come `per_second` times a second.
    pub fn ticks_per_event(self, per_second: f64) -> f64 {
        self.ticks_per_second / per_second
    }

    /// Ticks in a time.
    pub fn ticks(self, time: Duration) -> u64 {
        (time.as_secs_f64() * self.ticks_per_second) as u64
    }

    /// Seconds in so many ticks.
    pub fn seconds(self, ticks: u64) -> f64 {
        ticks as f64 / self.ticks_per_second
    }

    /// Nanoseconds in so many ticks.
    #[inline]
    pub fn ns(self, ticks: u64) -> u64 {
        (ticks as f64 * (1e9 / self.ticks_per_second)) as u64
    }
}
