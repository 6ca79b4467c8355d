//! Pacing: how much of one connection goes out at once.
//!
//! What a window has room for need not go in one burst: after a pause, a large acknowledgment or a
//! window that opens it would overflow a queue on the way. So a bulk transfer has an allowance
//! that fills up at a pace a little above the window for each round trip:
//!
//! ```text
//!   filled at   2 x cwnd / SRTT in slow start, 1.2 x after it
//!                 |
//!              [ allowance ]  holds `burst_segments`, or what the pace gives in two ticks
//!                 |
//!              new octets go; when it is empty, output looks again some ticks later
//! ```
//!
//! Acknowledgments that come one by one let new octets out more slowly than that and never empty
//! it. It is kept in the extension: who has none is within twice the initial window.

use super::extension;
use super::output::{PathTo, Sent};
use crate::stack::Stack;
use crate::tcb::Tcb;
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The allowance of one connection. All zeros: full.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Pacing {
    /// When the allowance is full again, on the clock of microseconds; passed, or 0: it is.
    full_us: u32,
    /// The tick at which output looks again; 0: it does not wait.
    due: u32,
}

/// Octets a microsecond, as a fraction, and how many may go at once however slow that is.
#[derive(Clone, Copy)]
struct Pace {
    octets: u64,
    us: u64,
    burst: u64,
}

impl Stack {
    /// New octets, as the pace allows.
    pub(super) fn send_paced(&mut self, index: u32, path: &PathTo, tx: &mut TxBurst) -> Sent {
        let (from, allowance) = (self.tcbs[index].snd_nxt, self.allowance(index));
        let sent = self.send_unsent(index, allowance, path, tx);
        let octets = self.tcbs[index].snd_nxt.since(from);
        self.spend(index, octets, sent == Sent::Paced);
        // What else there is to say goes at once.
        if sent == Sent::Paced { Sent::All } else { sent }
    }

    /// New octets that the connection may send now.
    fn allowance(&self, index: u32) -> u32 {
        let tcb = &self.tcbs[index];
        let Some(pace) = self.pace_of(tcb) else { return u32::MAX };
        let pacing = extension::of(&self.pool, tcb.extension).pacing;
        let missing_us = pacing.missing_us(self.now_low());
        pace.depth().saturating_sub(pace.octets_in(missing_us)).min(u64::from(u32::MAX)) as u32
    }

    /// `sent` new octets went; `stopped`: more would have, had there been an allowance for them.
    fn spend(&mut self, index: u32, sent: u32, stopped: bool) {
        let tcb = &self.tcbs[index];
        let Some(pace) = self.pace_of(tcb) else { return };
        let (now_us, mss) = (self.now_low(), u64::from(tcb.mss));
        let pacing = &mut extension::of_mut(&mut self.pool, tcb.extension).pacing;
        let missing_us = pacing.missing_us(now_us).saturating_add(pace.us_for(sent));
        pacing.full_us = now_us.wrapping_add(missing_us).max(1);
        if !stopped {
            return;
        }
        let left = pace.depth().saturating_sub(pace.octets_in(missing_us));
        let wanted = (WAKE_SEGMENTS * mss).saturating_sub(left) as u32;
        let ms = (pace.us_for(wanted) / 1000 + 1).min(WAIT_MAX_MS);
        let at = self.now.tick.wrapping_add(ms).max(1);
        pacing.due = at;
        let tcb = &mut self.tcbs[index];
        self.wheel.arm(&mut tcb.mark, index, at);
    }

    /// The tick at which the connection's output looks again, if it waits.
    pub(super) fn paced_until(&self, tcb: &Tcb) -> Option<u32> {
        if tcb.extension == BlockId::NONE {
            return None;
        }
        let due = extension::of(&self.pool, tcb.extension).pacing.due;
        (due != 0).then_some(due)
    }

    /// The connection's output has waited long enough.
    pub(super) fn end_wait(&mut self, index: u32) {
        let id = self.tcbs[index].extension;
        extension::of_mut(&mut self.pool, id).pacing.due = 0;
        self.queue_output(index);
    }

    /// The extension goes, and with it the wait: what waited goes at once.
    pub(super) fn forget_wait(&mut self, index: u32) {
        if self.paced_until(&self.tcbs[index]).is_some() {
            self.end_wait(index);
        }
    }

    /// The pace of a connection; `None`: it goes unpaced. On a short path a tick is a long time,
    /// and the bursts of a turn are all that its queues ever see. One acknowledgment that the peer
    /// delayed by 40 ms makes no long path of it.
    fn pace_of(&self, tcb: &Tcb) -> Option<Pace> {
        let srtt_us = tcb.srtt_us8 >> 3;
        if srtt_us < PACED_RTT_MIN_US || tcb.extension == BlockId::NONE {
            return None;
        }
        if extension::of(&self.pool, tcb.extension).min_rtt_us < PACED_RTT_MIN_US {
            return None;
        }
        let burst = self.config.burst_segments? * u32::from(tcb.mss);
        let slow_start = tcb.cwnd < tcb.ssthresh_octets();
        let percent = if slow_start { PERCENT_IN_SLOW_START } else { PERCENT };
        let octets = u64::from(tcb.cwnd) * percent / 100;
        Some(Pace { octets, us: u64::from(srtt_us), burst: u64::from(burst) })
    }

    fn now_low(&self) -> u32 {
        self.now.us as u32
    }
}

impl Pacing {
    /// How long until the allowance is full. What lies farther ahead than it ever can is the
    /// clock's low half gone round.
    fn missing_us(self, now_us: u32) -> u32 {
        let ahead_us = self.full_us.wrapping_sub(now_us);
        if self.full_us == 0 || ahead_us > MISSING_MAX_US { 0 } else { ahead_us }
    }
}

impl Pace {
    /// Octets of a full allowance.
    fn depth(self) -> u64 {
        self.burst.max(self.octets_in(DEPTH_US))
    }

    fn octets_in(self, us: u32) -> u64 {
        self.octets * u64::from(us) / self.us.max(1)
    }

    fn us_for(self, octets: u32) -> u32 {
        (u64::from(octets) * self.us / self.octets.max(1)).min(u64::from(MISSING_MAX_US)) as u32
    }
}

/// RFC 9002 7.7: somewhat faster than the window for each round trip, so that the window is what
/// limits; twice as fast while it doubles.
const PERCENT_IN_SLOW_START: u64 = 200;
const PERCENT: u64 = 120;

/// Paths with a shorter round trip are not paced.
const PACED_RTT_MIN_US: u32 = 2_000;

/// What the pace gives in so long may go at once: two ticks, for the wheel counts in whole ones.
const DEPTH_US: u32 = 2_000;

/// Output looks again when there is an allowance for so many segments.
const WAKE_SEGMENTS: u64 = 2;

/// The longest wait.
const WAIT_MAX_MS: u32 = 100;

const MISSING_MAX_US: u32 = 1 << 30;
