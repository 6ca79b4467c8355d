//! Sequence numbers: a circle of 2^32 (RFC 9293 3.4).

use core::ops::{Add, AddAssign};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A sequence number. Comparisons are on the circle: right while the two are less than 2^31 apart.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// `self < other`.
    #[inline]
    pub fn lt(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// `self <= other`.
    #[inline]
    pub fn le(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) <= 0
    }

    /// `self > other`.
    #[inline]
    pub fn gt(self, other: Self) -> bool {
        other.lt(self)
    }

    /// `self >= other`.
    #[inline]
    pub fn ge(self, other: Self) -> bool {
        other.le(self)
    }

    /// Octets from `earlier` to `self`.
    #[inline]
    pub fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The later of two.
    #[inline]
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if self.ge(other) { self } else { other }
    }

    /// The earlier of two.
    #[inline]
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        if self.le(other) { self } else { other }
    }

    /// `octets` before `self`.
    #[inline]
    #[must_use]
    pub fn back(self, octets: u32) -> Self {
        Self(self.0.wrapping_sub(octets))
    }
}

impl Add<u32> for Seq {
    type Output = Self;

    #[inline]
    fn add(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }
}

impl AddAssign<u32> for Seq {
    #[inline]
    fn add_assign(&mut self, octets: u32) {
        *self = *self + octets;
    }
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn the_circle_has_no_seam() {
        let before = Seq(u32::MAX - 1);
        let after = before + 5;
        assert_eq!(after, Seq(3));
        assert!(before.lt(after) && after.gt(before) && before.le(before) && after.ge(after));
        assert_eq!(after.since(before), 5);
        assert_eq!(before.later(after), after);
        assert_eq!(before.earlier(after), before);
        assert_eq!(after.back(5), before);
    }
}
