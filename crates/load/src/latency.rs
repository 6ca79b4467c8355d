//! How long replies took.

use core::fmt;
use hdrhistogram::Histogram;

/// The distribution of latencies: from 1 ns to two minutes, to three digits.
#[derive(Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

/// The figures that people ask for, in nanoseconds; zeros when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencySummary {
    /// Half of the replies took no longer.
    pub p50_ns: u64,
    /// 99 in 100 took no longer.
    pub p99_ns: u64,
    /// 999 in 1,000 took no longer.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Latency {
    /// Nothing recorded. All memory that it will ever need is taken here.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        Self { histogram: histogram.expect("bounds that make sense") }
    }

    /// `count` replies took `ns` each. What is longer than two minutes counts as two minutes.
    #[inline]
    pub fn record_ns(&mut self, ns: u64, count: u64) {
        self.histogram.saturating_record_n(ns, count);
    }

    /// Replies recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The figures so far.
    pub fn summary(&self) -> LatencySummary {
        if self.histogram.is_empty() {
            return LatencySummary::default();
        }
        LatencySummary {
            p50_ns: self.histogram.value_at_quantile(0.5),
            p99_ns: self.histogram.value_at_quantile(0.99),
            p999_ns: self.histogram.value_at_quantile(0.999),
            max_ns: self.histogram.max(),
        }
    }

    /// What so many of 1 took no longer than, in nanoseconds; 0 when nothing was recorded.
    pub fn quantile_ns(&self, part: f64) -> u64 {
        if self.histogram.is_empty() { 0 } else { self.histogram.value_at_quantile(part) }
    }

    /// Adds what another one recorded.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("the bounds are the same");
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}

const LONGEST_NS: u64 = 120_000_000_000;
const DIGITS: u8 = 3;
