//! All numbers below a bound, each once, in an order that a key decides: without a list of them.
//!
//! A round mixes the bits of a number and loses none, so it maps the numbers of as many bits one to
//! one. What comes out at or above the bound goes in again, until it is below; that is one to one
//! on the numbers below the bound, and takes less than two times on average.

use crate::pattern::{STEP, mixed};

/// An order of the numbers below a bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shuffle {
    bound: u32,
    mask: u32,
    shift: u32,
    rounds: [Round; 3],
}

#[derive(Clone, Copy, Debug)]
struct Round {
    add: u32,
    /// Odd, so that multiplication can be undone.
    multiply: u32,
}

impl Shuffle {
    /// The order of the numbers below `bound` that belongs to `key`.
    ///
    /// # Panics
    /// When the bound is 0 or above 2^31.
    pub(super) fn new(bound: u32, key: u64) -> Self {
        assert!((1..=1 << 31).contains(&bound));
        let bits = bound.next_power_of_two().ilog2().max(1);
        let round = |number: u64| {
            let word = mixed(key.wrapping_add(number.wrapping_mul(STEP)));
            Round { add: word as u32, multiply: (word >> 32) as u32 | 1 }
        };
        Self {
            bound,
            mask: u32::MAX >> (u32::BITS - bits),
            shift: bits.div_ceil(2),
            rounds: [round(1), round(2), round(3)],
        }
    }

    /// The number at `position`, which is below the bound as well.
    #[inline]
    pub(super) fn at(&self, position: u32) -> u32 {
        debug_assert!(position < self.bound);
        let mut number = position;
        loop {
            for Round { add, multiply } in self.rounds {
                number = number.wrapping_add(add).wrapping_mul(multiply) & self.mask;
                number ^= number >> self.shift;
            }
            if number < self.bound {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        for bound in [1, 2, 3, 7, 64, 65, 1000, 100_000] {
            let order = Shuffle::new(bound, 5);
            let mut seen = vec![false; bound as usize];
            for position in 0..bound {
                let number = order.at(position) as usize;
                assert!(!seen[number], "{number} of {bound} came twice");
                seen[number] = true;
            }
        }
    }

    #[test]
    fn neighbours_are_far_apart_and_keys_make_different_orders() {
        let (one, other) = (Shuffle::new(1 << 20, 1), Shuffle::new(1 << 20, 2));
        let near = (1..1 << 12).filter(|&p| one.at(p).abs_diff(one.at(p - 1)) < 64).count();
        assert!(near < 16, "{near} of 4096 steps are short");
        let same = (0..1 << 12).filter(|&p| one.at(p) == other.at(p)).count();
        assert!(same < 16, "{same} of 4096 places are the same");
    }
}
