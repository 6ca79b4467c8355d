//! How often something took how many cycles: a fixed array, so that it can lie in a page that
//! others read, and that one addition costs a few instructions and no memory of its own.
//!
//! ```text
//!   cycles   0 1 2 3 | 4 5 6 7 | 8 10 12 14 | 16 20 24 28 | ...     four steps an octave:
//!   bucket   0 1 2 3   4 5 6 7   8  9 10 11   12 13 14 15           25 % wide at most
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Counts by length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Histogram {
    counts: [u64; BUCKETS],
}

impl Histogram {
    /// One more that took `cycles`.
    #[inline]
    pub fn add(&mut self, cycles: u64) {
        self.counts[bucket(cycles)] += 1;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The least number of cycles, to the bucket, that `part` (0 to 1) of all stayed below or at;
    /// 0 when there were none.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(bucket);
            }
        }
        0
    }

    /// Each bucket in use: the most cycles in it, and how many there were.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        used.map(|(bucket, count)| (upper(bucket), *count))
    }

    /// What was added since `earlier`. A page may be read while it is written: nothing is below 0.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        Self { counts }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS] }
    }
}

#[inline]
fn bucket(cycles: u64) -> usize {
    if cycles < STEPS {
        return cycles as usize;
    }
    let shift = cycles.ilog2() - STEPS.ilog2();
    let bucket = u64::from(shift) * STEPS + (cycles >> shift);
    (bucket as usize).min(BUCKETS - 1)
}

/// The most cycles in a bucket.
fn upper(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if octave == 0 { step } else { ((STEPS + step + 1) << (octave - 1)) - 1 }
}

/// An octave's buckets.
const STEPS: u64 = 4;

/// Up to 2^26 cycles, 27 ms; what takes longer is in the last.
const BUCKETS: usize = 25 * STEPS as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_in_the_bucket_that_says_so() {
        for cycles in (0..5000).chain([1 << 20, (1 << 26) - 1]) {
            let of = bucket(cycles);
            assert!(cycles <= upper(of), "{cycles}");
            assert!(of == 0 || cycles > upper(of - 1), "{cycles}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(upper(BUCKETS - 1), (1 << 26) - 1);
    }

    #[test]
    fn a_quantile_is_right_to_a_quarter() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=1000).for_each(|cycles| histogram.add(cycles));
        assert_eq!(histogram.count(), 1000);
        assert_eq!((histogram.quantile(0.5), histogram.quantile(1.0)), (511, 1023));
        assert!((990..=1238).contains(&histogram.quantile(0.99)));
        let earlier = histogram;
        histogram.add(7);
        assert_eq!(histogram.since(&earlier).buckets().collect::<Vec<_>>(), [(7, 1)]);
    }
}
