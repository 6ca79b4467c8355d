//! Recoveries that were for nothing: found out, and undone.
//!
//! * F-RTO (RFC 5682): after a timeout something arrives that was not sent again.
//! * Eifel (RFC 3522): the first acknowledgment echoes a timestamp from before the retransmission.
//! * DSACK (RFC 3708): the peer reports every retransmission as a duplicate.

use super::congestion::Congestion;
use super::extension::{Bits, Extension};
use super::rack;
use super::scoreboard::{self, Delivered, Moment};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};

impl Stack {
    /// Undoes the present recovery, or the one that just ended, when it is seen to be for nothing.
    pub(super) fn maybe_undo(
        &mut self,
        index: u32,
        loss: &mut Extension,
        seen: &Delivered,
        moment: Moment,
    ) {
        let ts_now = self.ts_now();
        let tcb = &mut self.tcbs[index];
        let recovering = tcb.flags.any(Flags::RECOVERY | Flags::LOSS);
        if let Some((_, right)) = seen.duplicate {
            if !loss.is_repeated_probe(right) {
                rack::widen(tcb, loss);
            }
            loss.undo_retransmits = loss.undo_retransmits.saturating_sub(1);
        }
        if !loss.has(Bits::UNDO) {
            return self.frto(index, loss, seen);
        }
        if !recovering && tcb.snd_una.gt(Seq(loss.prr_flight)) {
            loss.set(Bits::UNDO, false);
            return;
        }
        let stamped = loss.has(Bits::STAMPED);
        let duplicates = seen.duplicate.is_some() && stamped && loss.undo_retransmits == 0;
        let echo_is_older = |age_ms: u32| {
            let sent_ago_ms = ts_now.wrapping_sub(loss.retransmit_ts);
            stamped && age_ms > sent_ago_ms && age_ms < ECHO_AGE_MAX_MS
        };
        let progress = seen.octets > 0 && !seen.reported;
        let eifel = recovering && progress && moment.echo_age_ms.is_some_and(echo_is_older);
        let frto = self.is_late(index, loss, seen);
        if duplicates || eifel || frto {
            let congestion = self.config.congestion;
            let tcb = &mut self.tcbs[index];
            undo(tcb, loss, congestion);
            scoreboard::clear_lost(tcb, &mut self.pool);
            loss.lost = 0;
            self.counters.undone += 1;
        } else {
            self.frto(index, loss, seen);
        }
    }

    /// RFC 5682-2.1c: what arrives was not sent again, so the timeout came too early.
    fn is_late(&self, index: u32, loss: &Extension, seen: &Delivered) -> bool {
        let tcb = &self.tcbs[index];
        // Without SACK the acknowledgment of a retransmission covers what arrived long ago.
        let told = tcb.flags.any(Flags::SACK) || !seen.resent;
        loss.course > 0 && tcb.flags.any(Flags::LOSS) && seen.original && told
    }

    /// RFC 5682-2.1b, RFC 5682-2.1d.
    fn frto(&mut self, index: u32, loss: &mut Extension, seen: &Delivered) {
        let tcb = &mut self.tcbs[index];
        match loss.course {
            FRTO_TIMED_OUT => {
                // 2 b: new data instead of retransmissions, when there is any.
                let advanced = seen.octets > 0 && !seen.reported;
                let new_data = tcb.unsent() > 0 && tcb.snd_wnd > tcb.in_flight();
                loss.course = if advanced && new_data { FRTO_PROBES } else { 0 };
            }
            FRTO_PROBES => loss.course = 0,
            _ => {}
        }
    }
}

/// RFC 2883-5: the first block is a duplicate's report when it lies before the acknowledgment, or
/// within the second block.
pub(super) fn is_duplicate_report(
    ack: Seq,
    (left, right): (Seq, Seq),
    next: Option<&(u32, u32)>,
) -> bool {
    if left.ge(right) {
        return false;
    }
    let within = |&(l, r): &(u32, u32)| left.ge(Seq(l)) && right.le(Seq(r));
    right.le(ack) || next.is_some_and(within)
}

/// Window and threshold as they were.
fn undo(tcb: &mut Tcb, loss: &mut Extension, congestion: Congestion) {
    tcb.cwnd = tcb.cwnd.max(loss.prior_cwnd);
    tcb.ssthresh_segments = tcb.ssthresh_segments.max(loss.prior_ssthresh_segments);
    tcb.dup_acks = 0;
    tcb.flags.clear(Flags::RECOVERY | Flags::LOSS);
    congestion.undone(&mut loss.avoidance, loss.prior_cwnd);
    loss.course = 0;
    loss.note_used(tcb.snd_nxt);
    // What was sent again and what was not cannot be told apart any more: RACK begins anew.
    loss.set(Bits::UNDO | Bits::RACK, false);
}

/// Step of F-RTO: the timer ran out, one segment was sent again.
const FRTO_TIMED_OUT: u8 = 1;
/// New segments are out, retransmissions wait for what the next acknowledgment says.
pub(super) const FRTO_PROBES: u8 = 2;
/// An older echo is none, but a timestamp that was never ours.
const ECHO_AGE_MAX_MS: u32 = 1 << 24;

#[cfg(test)]
mod tests;
