//! Congestion control proper: how large the window is after a loss, how it grows in congestion
//! avoidance, and when slow start is over. Pure functions over numbers; what is lost, and when, is
//! `recovery`'s to say.

mod cubic;
mod hystart;
mod newreno;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub(crate) use hystart::HyStart;

/// The algorithm of a stack's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Congestion {
    /// RFC 5681 and 6582: half the window after a loss, a segment more a round trip.
    NewReno,
    /// RFC 9438, RFC 9293 MAY-18: the window follows a cubic curve of time, so that long paths are
    /// filled as well.
    #[default]
    Cubic,
}

/// What congestion avoidance remembers of its past. All zeros: nothing.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub(crate) struct Avoidance {
    /// The window, in octets, at which the last loss came: the curve's plateau.
    pub(crate) w_max_octets: u32,
    /// From the epoch's start to the plateau.
    pub(crate) k_ms: u32,
    /// When the present stretch of avoidance began; 0: none has begun.
    pub(crate) epoch_ms: u32,
    /// What `NewReno` would have by now, in 65,536ths of a segment.
    pub(crate) w_est: u32,
}

/// A sign of congestion. RFC 8511 3: who marks has a shorter queue than who drops, so a mark takes
/// less of the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    /// Something was dropped.
    Loss,
    /// Something was marked (RFC 3168).
    Mark,
}

/// An acknowledgment in congestion avoidance, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) cwnd: u32,
    pub(crate) mss: u32,
    /// Octets newly acknowledged.
    pub(crate) newly: u32,
    pub(crate) now_ms: u32,
    pub(crate) srtt_ms: u32,
}

impl Congestion {
    /// The slow-start threshold after a sign of congestion, in octets, of a window of which
    /// `flight` octets were in use.
    pub(crate) fn reduced(
        self,
        past: &mut Avoidance,
        signal: Signal,
        cwnd: u32,
        flight: u32,
    ) -> u32 {
        let flight = flight.min(cwnd);
        match self {
            Congestion::NewReno => newreno::reduced(signal, flight),
            Congestion::Cubic => cubic::reduced(past, signal, cwnd, flight),
        }
    }

    /// Octets by which the window grows. Without a past, because no memory was free for one, every
    /// algorithm grows like `NewReno`.
    #[inline]
    pub(crate) fn growth(self, past: Option<&mut Avoidance>, step: &Step) -> u32 {
        match (self, past) {
            (Congestion::Cubic, Some(past)) => cubic::growth(past, step),
            _ => newreno::growth(step),
        }
    }

    /// A reduction from `cwnd` turned out to be for nothing (RFC 9438-4.9.1).
    pub(crate) fn undone(self, past: &mut Avoidance, cwnd: u32) {
        if self == Congestion::Cubic {
            past.w_max_octets = past.w_max_octets.max(cwnd);
        }
        past.epoch_ms = 0;
    }

    /// True when avoidance is better with a past.
    #[inline]
    pub(crate) fn wants_past(self) -> bool {
        self == Congestion::Cubic
    }
}

/// A share of a window.
fn scaled(octets: u32, numerator: u32, denominator: u32) -> u32 {
    (u64::from(octets) * u64::from(numerator) / u64::from(denominator)) as u32
}

#[cfg(test)]
mod tests;
