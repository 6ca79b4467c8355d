//! The load as another thread sees it: its phase and figures, and when it may go on.

use crate::latency::{Latency, LatencySummary};
use crore::ConnectError;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the load does, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum Phase {
    /// Opens connections.
    #[default]
    Opening,
    /// Sends requests on random ones.
    Traffic,
    /// Waits for the last replies.
    Settling,
    /// Asks every connection whether it stands.
    Checking,
    /// Closes every connection.
    Closing,
    /// Nothing is left to do.
    Done,
}

impl Phase {
    /// What follows.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Opening => Self::Traffic,
            Self::Traffic => Self::Settling,
            Self::Settling => Self::Checking,
            Self::Checking => Self::Closing,
            Self::Closing | Self::Done => Self::Done,
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// What the load does now.
    pub phase: Phase,
    /// It has finished that, and may not go on yet.
    pub waits: bool,
    /// Connections asked for.
    pub attempts: u64,
    /// Connections that were established.
    pub opened: u64,
    /// Connections that could not be established: all reasons.
    pub connect_errors: u64,
    /// Of these, those refused by the peer.
    pub refused: u64,
    /// Of these, those that nobody answered.
    pub unanswered: u64,
    /// Why no more were asked for, when the stack said no.
    pub stopped_by: Option<ConnectError>,
    /// The local addresses had no more ports.
    pub out_of_ports: bool,
    /// Requests sent.
    pub requests: u64,
    /// Requests that were due and could not be sent: the rate was more than could be done.
    pub missed: u64,
    /// Complete replies.
    pub replies: u64,
    /// Octets of replies that were not what they must be.
    pub bad_bytes: u64,
    /// Replies with another status or length than they must have.
    pub bad_replies: u64,
    /// Requests whose connection ended before the reply.
    pub lost: u64,
    /// Established connections that the peer reset.
    pub resets: u64,
    /// Established connections that were given up because the peer did not answer any more.
    pub timeouts: u64,
    /// Established connections that the peer closed before we did.
    pub closed_early: u64,
    /// Connections that were asked whether they stand, and do.
    pub established: u64,
    /// Connections that we closed, and that ended in order.
    pub closed: u64,
    /// Short connections that were opened, asked, answered and closed in order.
    pub lives: u64,
    /// Short connections that were not.
    pub lives_failed: u64,
    /// From the first connection asked for to the last one established.
    pub open_seconds: f64,
    /// From the first request to the end of the traffic.
    pub traffic_seconds: f64,
    /// How long replies took, from when their requests were due.
    pub latency: LatencySummary,
}

impl Numbers {
    /// True when the load has done with a phase.
    pub fn is_through(&self, phase: Phase) -> bool {
        self.phase > phase || self.phase == phase && self.waits
    }

    /// True when no request is without its reply, or known to get none.
    pub fn is_answered(&self) -> bool {
        self.requests == self.replies + self.lost
    }

    /// Adds what another core's load counted.
    pub fn add(&mut self, other: &Self) {
        let sums: [(&mut u64, u64); 17] = [
            (&mut self.attempts, other.attempts),
            (&mut self.opened, other.opened),
            (&mut self.connect_errors, other.connect_errors),
            (&mut self.refused, other.refused),
            (&mut self.unanswered, other.unanswered),
            (&mut self.requests, other.requests),
            (&mut self.missed, other.missed),
            (&mut self.replies, other.replies),
            (&mut self.bad_bytes, other.bad_bytes),
            (&mut self.bad_replies, other.bad_replies),
            (&mut self.lost, other.lost),
            (&mut self.resets, other.resets),
            (&mut self.timeouts, other.timeouts),
            (&mut self.established, other.established),
            (&mut self.closed, other.closed),
            (&mut self.lives, other.lives),
            (&mut self.lives_failed, other.lives_failed),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
    }
}

/// Writes a load's figures from time to time, for who has its [`Control`].
#[derive(Debug)]
pub(crate) struct Publisher {
    published_ns: u64,
    summed_ns: u64,
    /// There is news that cannot wait.
    pub(crate) is_urgent: bool,
}

/// Steers a load and shows it, from any thread. Copies are of the same load.
///
/// At first the load may only open connections; [`Control::allow`] lets it go on.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    allowed: AtomicU8,
    hurried: AtomicBool,
    paused: AtomicBool,
    numbers: Mutex<Numbers>,
}

impl Control {
    /// The control of a load that is yet to be made.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the load enter all phases up to this one.
    pub fn allow(&self, phase: Phase) {
        self.0.allowed.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// Ends opening and traffic, and keeps them from beginning.
    pub fn hurry(&self) {
        self.0.hurried.store(true, Ordering::Relaxed);
    }

    /// True after [`Control::hurry`].
    #[inline]
    pub fn is_hurried(&self) -> bool {
        self.0.hurried.load(Ordering::Relaxed)
    }

    /// Keeps requests from being sent, or lets them be sent again. Replies to those under way come
    /// in meanwhile; a schedule begins anew afterwards, so that the pause makes nothing late.
    pub fn pause(&self, on: bool) {
        self.0.paused.store(on, Ordering::Relaxed);
    }

    /// True between `pause(true)` and `pause(false)`.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::Relaxed)
    }

    /// The figures as the load last wrote them, some milliseconds ago.
    pub fn numbers(&self) -> Numbers {
        *self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn allows(&self, phase: Phase) -> bool {
        self.0.allowed.load(Ordering::Relaxed) >= phase as u8
    }

    /// Writes the figures; false when a reader is at it just now, so that nobody ever waits here.
    fn publish(&self, numbers: &Numbers) -> bool {
        let Ok(mut page) = self.0.numbers.try_lock() else { return false };
        *page = *numbers;
        true
    }
}

impl Publisher {
    /// One that begins at once.
    pub(crate) fn new() -> Self {
        Self { published_ns: 0, summed_ns: 0, is_urgent: true }
    }

    /// Writes the figures if it is time. `now_ns` is nanoseconds since any fixed start.
    #[inline]
    pub(crate) fn publish_at_times(
        &mut self,
        now_ns: u64,
        numbers: &mut Numbers,
        latency: &Latency,
        control: &Control,
    ) {
        let since = |then: u64| now_ns.wrapping_sub(then);
        if !self.is_urgent && since(self.published_ns) < PUBLISH_EVERY_NS {
            return;
        }
        if self.is_urgent || since(self.summed_ns) > SUM_UP_EVERY_NS {
            self.summed_ns = now_ns;
            numbers.latency = latency.summary();
        }
        self.published_ns = now_ns;
        self.is_urgent = !control.publish(numbers);
    }
}

const PUBLISH_EVERY_NS: u64 = 5_000_000;

/// Quantiles take some microseconds.
const SUM_UP_EVERY_NS: u64 = 200_000_000;
