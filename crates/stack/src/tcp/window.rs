//! The congestion window's growth, and its fall back after idleness (RFC 5681 3.1 and 4.1).

use super::congestion::Step;
use super::extension::{self, Extension};
use super::send_queue::Marks;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};
use crore_mem::BlockId;

impl Stack {
    /// `newly` octets were acknowledged, of `flight_before` that were in flight, on a connection
    /// without an extension.
    #[inline]
    pub(super) fn congestion_on_ack(&mut self, index: u32, newly: u32, flight_before: u32) {
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::LOSS) {
            return self.on_ack_without_loss_block(index, newly);
        }
        // A window that was not used is not proven: it does not grow (RFC 7661 4.3).
        if flight_before < tcb.cwnd / 2 {
            return;
        }
        if tcb.cwnd >= tcb.ssthresh_octets() {
            return self.avoid(index, newly);
        }
        slow_start(tcb, newly, self.config.habits.slow_start_acks_max, self.config.snd_buf_most());
        let initial = self.config.initial_window_segments * u32::from(tcb.mss);
        if tcb.cwnd >= 2 * initial {
            self.begin_bulk(index);
        }
    }

    /// Slow start has left the initial window behind: a bulk transfer, whose round trips and pace
    /// are worth a block. Without one it goes on as it is.
    #[cold]
    fn begin_bulk(&mut self, index: u32) {
        if self.config.hystart || self.config.burst_segments.is_some() {
            self.open_extension(index);
        }
    }

    /// `HyStart++`: is the first slow start over (RFC 9406-4.3e, RFC 9438-4.10)?
    pub(super) fn watch_rounds(&mut self, index: u32, loss: &mut Extension, rtt_us: Option<u32>) {
        let tcb = &mut self.tcbs[index];
        if tcb.ssthresh_segments != u16::MAX || !self.config.hystart {
            return;
        }
        if loss.hystart.is_over(tcb.snd_una, tcb.snd_nxt, rtt_us) {
            tcb.set_ssthresh(tcb.cwnd);
            self.counters.slow_starts_ended += 1;
        }
    }

    /// Recovery from a timeout for which no block was free: over when the first segment in flight
    /// is one that came after it.
    #[cold]
    fn on_ack_without_loss_block(&mut self, index: u32, newly: u32) {
        let tcb = &mut self.tcbs[index];
        let head = tcb.snd_head;
        let old = head != BlockId::NONE
            && self.pool.header(head).marks & (Marks::LOST | Marks::RESENT) != 0;
        if !old {
            tcb.flags.clear(Flags::LOSS);
        }
        self.grow(index, None, newly);
    }

    /// Congestion avoidance, with a past if the algorithm wants one and a block is free.
    #[cold]
    fn avoid(&mut self, index: u32, newly: u32) {
        if self.config.congestion.wants_past() && self.open_extension(index) {
            let id = self.tcbs[index].extension;
            let mut loss = *extension::of(&self.pool, id);
            self.grow(index, Some(&mut loss), newly);
            *extension::of_mut(&mut self.pool, id) = loss;
        } else {
            self.grow(index, None, newly);
        }
    }

    /// The same on a connection with an extension, outside of recovery. All acknowledgments of a
    /// flight that used the window count, not only those that find half of it still in flight:
    /// where a whole flight is acknowledged at once, or a turn handles all that came of it, the
    /// window would grow at half its pace.
    pub(super) fn maybe_grow(
        &mut self,
        index: u32,
        loss: &mut Extension,
        newly: u32,
        flight_before: u32,
    ) {
        let tcb = &self.tcbs[index];
        if newly == 0 {
            return;
        }
        if flight_before >= tcb.cwnd / 2 {
            loss.note_used(tcb.snd_nxt);
        }
        if loss.is_used(tcb.snd_una) {
            self.grow(index, Some(loss), newly);
        } else {
            // RFC 9438-5.8: time in which the application held back does not count.
            loss.avoidance.epoch_ms = 0;
        }
    }

    /// Slow start below the threshold, the algorithm's avoidance above.
    pub(super) fn grow(&mut self, index: u32, loss: Option<&mut Extension>, newly: u32) {
        let (congestion, limit) = (self.config.congestion, self.config.snd_buf_most());
        let (now_ms, acks_max) = (self.now.tick, self.config.habits.slow_start_acks_max);
        let tcb = &mut self.tcbs[index];
        if tcb.cwnd < tcb.ssthresh_octets() {
            let first = tcb.ssthresh_segments == u16::MAX;
            let newly = newly.min(acks_max.saturating_mul(u32::from(tcb.mss)));
            let newly = match loss {
                Some(loss) if first => loss.hystart.growth(newly),
                _ => newly,
            };
            return slow_start(tcb, newly, acks_max, limit);
        }
        let (cwnd, mss) = (tcb.cwnd, u32::from(tcb.mss));
        let step = Step { cwnd, mss, newly, now_ms, srtt_ms: tcb.srtt_us8 / 8000 };
        let growth = congestion.growth(loss.map(|loss| &mut loss.avoidance), &step);
        tcb.cwnd = cwnd.saturating_add(growth).min(limit.max(2 * mss));
    }

    /// Nothing was in flight for a retransmission timeout: what the window says of the path is old
    /// (RFC 5681-4.1, RFC 6928-2c). An idle connection owns nothing, so the extension goes as well.
    pub(super) fn restart_after_idle(&mut self, index: u32) {
        self.idle_extension(index);
        let initial = self.config.initial_window_segments;
        let tcb = &mut self.tcbs[index];
        let restart = initial * u32::from(tcb.mss);
        tcb.cwnd = tcb.cwnd.min(restart);
    }
}

/// Slow start, counted in octets (RFC 3465), for acknowledgments of up to `acks_max` segments
/// (RFC 9406-4.2): receivers that gather segments acknowledge many at once.
#[inline]
fn slow_start(tcb: &mut Tcb, newly: u32, acks_max: u32, limit: u32) {
    let mss = u32::from(tcb.mss);
    let step = newly.min(acks_max.saturating_mul(mss));
    tcb.cwnd = (tcb.cwnd + step).min(limit.max(2 * mss));
}

impl Tcb {
    /// The slow-start threshold, in octets.
    #[inline]
    pub(super) fn ssthresh_octets(&self) -> u32 {
        u32::from(self.ssthresh_segments) * u32::from(self.mss)
    }

    /// RFC 5681 3.1: two segments at least.
    pub(super) fn set_ssthresh(&mut self, octets: u32) {
        let segments = octets / u32::from(self.mss.max(1));
        self.ssthresh_segments = segments.clamp(2, u32::from(u16::MAX)) as u16;
    }
}
