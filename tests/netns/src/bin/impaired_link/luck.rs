//! Luck from a seed.

/// `SplitMix64` (Steele, Lea and Flood 2014): every seed is a good one.
#[derive(Debug)]
pub(crate) struct Luck {
    state: u64,
}

impl Luck {
    /// A stream of its own for each seed and way.
    pub(crate) fn new(seed: u64, way: u64) -> Self {
        let mut luck = Self { state: seed };
        luck.state = luck.next() ^ way;
        luck
    }

    /// True in so many of a hundred cases.
    pub(crate) fn strikes(&mut self, percent: f64) -> bool {
        // 53 bits are what a double holds exactly.
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        share * 100.0 < percent
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
