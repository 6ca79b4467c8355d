//! `HyStart++` (RFC 9406): slow start ends when round trips grow longer, which is before the queue
//! in front of the bottleneck overflows and a window's half is lost.
//!
//! ```text
//!   slow start ── a round trip is longer ──> a quarter as fast ── five rounds ──> avoidance
//!       ^──────── it was chance: shorter again ─────────┘
//! ```
//!
//! The RFC looks at the least round-trip time of a round so far. Ours go out paced, so the queue
//! grows within a round, of which the first packets see nothing; looked at is the least of each
//! eight in a row, which says the same up to a round trip earlier: half the overshoot.

use crate::seq::Seq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The round trips of one slow start.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct HyStart {
    /// SND.NXT when the round began (`windowEnd`).
    round_end: Seq,
    /// The least round-trip time of the last round, of this one, and since `samples` was 0;
    /// `u32::MAX`: none was measured.
    last_min_us: u32,
    min_us: u32,
    recent_min_us: u32,
    /// The one that made slow start cautious (`cssBaselineMinRtt`).
    baseline_us: u32,
    /// Round-trip times in `recent_min_us`.
    samples: u8,
    /// Rounds of cautious slow start begun; 0: it is not cautious.
    cautious_rounds: u8,
    _reserved: [u8; 2],
}

impl HyStart {
    /// A round begins.
    pub(crate) fn new(snd_nxt: Seq) -> Self {
        Self {
            round_end: snd_nxt,
            last_min_us: u32::MAX,
            min_us: u32::MAX,
            recent_min_us: u32::MAX,
            baseline_us: u32::MAX,
            samples: 0,
            cautious_rounds: 0,
            _reserved: [0; 2],
        }
    }

    /// An acknowledgment up to `snd_una`, with the round-trip time that it shows. True: slow start
    /// is over (RFC 9406-4.3d).
    pub(crate) fn is_over(&mut self, snd_una: Seq, snd_nxt: Seq, rtt_us: Option<u32>) -> bool {
        if snd_una.ge(self.round_end) {
            self.begin_round(snd_nxt);
            if self.cautious_rounds > CSS_ROUNDS {
                return true;
            }
        }
        let Some(rtt_us) = rtt_us else { return false };
        self.min_us = self.min_us.min(rtt_us);
        self.recent_min_us = self.recent_min_us.min(rtt_us);
        self.samples += 1;
        if self.samples == N_RTT_SAMPLE {
            self.judge(self.recent_min_us);
            (self.recent_min_us, self.samples) = (u32::MAX, 0);
        }
        false
    }

    /// `least_us`: the least of some round-trip times in a row.
    fn judge(&mut self, least_us: u32) {
        if self.cautious_rounds > 0 {
            if least_us < self.baseline_us {
                // RFC 9406-4.3c: the round trips grew for another reason.
                self.cautious_rounds = 0;
            }
        } else if self.last_min_us != u32::MAX {
            // RFC 9406-4.3a.
            let eighth = self.last_min_us / MIN_RTT_DIVISOR;
            let threshold_us = eighth.clamp(MIN_RTT_THRESH_US, MAX_RTT_THRESH_US);
            if least_us >= self.last_min_us.saturating_add(threshold_us) {
                self.baseline_us = least_us;
                self.cautious_rounds = 1;
            }
        }
    }

    /// By how many octets the window grows where plain slow start would grow by `octets`
    /// (RFC 9406-4.3b).
    #[inline]
    pub(crate) fn growth(&self, octets: u32) -> u32 {
        if self.cautious_rounds > 0 { octets / CSS_GROWTH_DIVISOR } else { octets }
    }

    fn begin_round(&mut self, snd_nxt: Seq) {
        self.last_min_us = self.min_us;
        self.min_us = u32::MAX;
        (self.recent_min_us, self.samples) = (u32::MAX, 0);
        self.round_end = snd_nxt;
        if self.cautious_rounds > 0 {
            self.cautious_rounds += 1;
        }
    }
}

/// RFC 9406 4.3: the constants that it recommends.
const MIN_RTT_THRESH_US: u32 = 4_000;
const MAX_RTT_THRESH_US: u32 = 16_000;
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u8 = 8;
const CSS_GROWTH_DIVISOR: u32 = 4;
const CSS_ROUNDS: u8 = 5;
