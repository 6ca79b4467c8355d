//! Which arrows of the state diagram connections took (RFC 9293 3.3.2, figure 5), and why those
//! that ended before their time did: for reports, and for tests that must have taken every one.
//!
//! A handful of counts in the life of a connection, none on the established path.

use crate::event::Closed;
use crate::tcb::State;

/// The states of RFC 9293 3.3.2, those with a compact record or none at all included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum Station {
    Closed = 0,
    Listen,
    SynSent,
    SynReceived,
    Established,
    CloseWait,
    FinWait1,
    FinWait2,
    Closing,
    LastAck,
    TimeWait,
}

impl Station {
    /// All of them.
    pub const ALL: [Station; STATIONS] = [
        Station::Closed,
        Station::Listen,
        Station::SynSent,
        Station::SynReceived,
        Station::Established,
        Station::CloseWait,
        Station::FinWait1,
        Station::FinWait2,
        Station::Closing,
        Station::LastAck,
        Station::TimeWait,
    ];

    /// The name that the RFC gives it.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; STATIONS] = [
            "CLOSED",
            "LISTEN",
            "SYN-SENT",
            "SYN-RECEIVED",
            "ESTABLISHED",
            "CLOSE-WAIT",
            "FIN-WAIT-1",
            "FIN-WAIT-2",
            "CLOSING",
            "LAST-ACK",
            "TIME-WAIT",
        ];
        NAMES[self as usize]
    }
}

impl From<State> for Station {
    fn from(state: State) -> Self {
        match state {
            State::Closed => Station::Closed,
            State::SynSent => Station::SynSent,
            State::SynReceived | State::FastOpened => Station::SynReceived,
            State::Established => Station::Established,
            State::CloseWait => Station::CloseWait,
            State::FinWait1 => Station::FinWait1,
            State::FinWait2 => Station::FinWait2,
            State::Closing => Station::Closing,
            State::LastAck => Station::LastAck,
        }
    }
}

/// How often each arrow was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Transitions {
    arrows: [[u64; STATIONS]; STATIONS],
    ends: [[u64; REASONS]; STATIONS],
}

impl Transitions {
    /// How often the state went from one to the other, for whatever reason.
    pub fn between(&self, from: Station, to: Station) -> u64 {
        self.arrows[from as usize][to as usize]
    }

    /// How often a connection in the state `from` ended because of `why`. The passive opener's
    /// SYN-RECEIVED, which goes back to LISTEN, is counted here as well.
    pub fn ended(&self, from: Station, why: Closed) -> u64 {
        self.ends[from as usize][why as usize]
    }

    /// Adds another stack's.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.arrows.iter_mut().flatten().zip(other.arrows.iter().flatten()) {
            *sum += more;
        }
        for (sum, more) in self.ends.iter_mut().flatten().zip(other.ends.iter().flatten()) {
            *sum += more;
        }
    }

    #[inline]
    pub(crate) fn took(&mut self, from: Station, to: Station) {
        self.arrows[from as usize][to as usize] += 1;
    }

    #[inline]
    pub(crate) fn end(&mut self, from: Station, to: Station, why: Closed) {
        self.took(from, to);
        self.ends[from as usize][why as usize] += 1;
    }
}

const STATIONS: usize = 11;

/// Reasons in [`Closed`].
const REASONS: usize = 7;
