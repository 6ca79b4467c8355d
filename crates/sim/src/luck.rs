//! All chance of a run comes from its seed: the same seed, the same run, to the bit.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

/// A stream of random numbers for one purpose.
///
/// Each purpose has a stream of its own, so that a change in how one of them draws leaves the
/// others as they were.
pub(crate) struct Luck(ChaCha8Rng);

/// What a stream is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// What the run is made of: hosts, link, scripts.
    Mix,
    /// What it has besides.
    Features,
    /// The fate of each frame.
    Wire,
    /// Who forges what.
    Forger,
    /// What the application of one host does.
    Player(usize),
    /// What a host's secrets come from, after so many restarts.
    Secrets(usize, u64),
    /// What a liar does.
    Liar(usize),
}

impl Luck {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match purpose {
            Purpose::Mix => 1,
            Purpose::Wire => 2,
            Purpose::Forger => 3,
            Purpose::Features => 4,
            Purpose::Player(n) => 1 << 8 | n as u64,
            Purpose::Liar(n) => 2 << 8 | n as u64,
            Purpose::Secrets(n, restarts) => (4 + restarts) << 8 | n as u64,
        });
        Self(rng)
    }

    /// A number below `n`, which must not be 0. The bias of 2^-64 * n does not matter here.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number from `low` (not 0) to `high` of which each order of magnitude is as likely as the
    /// next.
    pub(crate) fn scaled(&mut self, low: u64, high: u64) -> u64 {
        let bits = |n: u64| u64::from(64 - n.leading_zeros());
        let size = self.between(bits(low), bits(high));
        self.between(1 << (size - 1), (1 << size) - 1).clamp(low, high)
    }

    /// True in `per_mille` of a thousand cases.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// One of some values.
    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// 32 bytes.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
