//! Where the cycles and the time of a core come from: the machine, or a test.

use std::sync::OnceLock;
use std::time::Instant;

/// A counter of cycles and the time. Both only go on.
pub trait Clock: Clone {
    /// Cycles since any start.
    fn cycles(&self) -> u64;

    /// Microseconds since any start.
    fn now_us(&self) -> u64;
}

/// The machine's own: the time-stamp counter, and the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    #[inline]
    fn cycles(&self) -> u64 {
        tsc()
    }

    #[inline]
    fn now_us(&self) -> u64 {
        since_start().as_micros() as u64
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
        since_start().as_nanos() as u64
    }
}

/// Counter ticks a second, measured over some milliseconds.
pub fn tsc_hz() -> f64 {
    let (start, from) = (Instant::now(), tsc());
    std::thread::sleep(std::time::Duration::from_millis(20));
    let (ticks, seconds) = (tsc() - from, start.elapsed().as_secs_f64());
    ticks as f64 / seconds
}

/// Since somebody in this process asked first.
#[inline]
fn since_start() -> std::time::Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
