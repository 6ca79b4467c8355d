//! The time of day, read once a second, and the `Date` that goes with it.

use std::time::{Duration, SystemTime};

/// The current second, and its text.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The monotonic time at which the second is over.
    over_us: u64,
    now: SystemTime,
    date: String,
}

impl Clock {
    /// A clock that reads the time at the first call of [`Clock::advance`].
    pub(crate) fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH;
        Self { over_us: 0, now, date: http_date(now) }
    }

    /// Reads the time of day when the second is over. True when it did.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        now_us: u64,
        time_of_day: impl FnOnce() -> SystemTime,
    ) -> bool {
        if now_us < self.over_us {
            return false;
        }
        let now = time_of_day();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // The next reading falls on the turn of the second, so `Date` is never a second late.
        self.over_us = now_us + u64::from(1_000_000 - since.subsec_micros());
        self.now = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
        self.date = http_date(self.now);
        true
    }

    /// The current time, in whole seconds.
    #[inline]
    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }

    /// The current time as an IMF-fixdate (RFC 9110 5.6.7).
    #[inline]
    pub(crate) fn date(&self) -> &str {
        &self.date
    }
}

/// An IMF-fixdate. A time outside of the years that it can say becomes the nearest one.
pub(crate) fn http_date(time: SystemTime) -> String {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(YEAR_9999_ENDS_S);
    httpdate::fmt_http_date(time.clamp(SystemTime::UNIX_EPOCH, last))
}

/// 9999-12-31 23:59:59, the last second with a four-digit year.
const YEAR_9999_ENDS_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
