//! Tail loss probes (RFC 8985 7): when the last segments of a flight are lost nothing follows that
//! would tell, so one more is sent long before the retransmission timer runs out.
//!
//! Nor does anything follow in recovery when the last that went is a retransmission, and it is lost
//! or its acknowledgment is: then it goes once more, on the same terms.

use super::congestion::Signal;
use super::ecn;
use super::extension::{self, Bits, Extension};
use super::header::Report;
use super::scoreboard::Delivered;
use super::send_queue::{Marks, Segment};
use crate::config::StackConfig;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State, Tcb};
use crore_mem::frames::TxBurst;
use crore_mem::{BlockId, Pool};
use crore_wire::tcp;

impl Stack {
    /// The retransmission timer ran out where no probe had gone before, since that would have been
    /// due later: the probe goes now and the timer starts anew (RFC 8985 7.2). False when none
    /// goes: then it is a timeout.
    pub(super) fn probes_before_timeout(&mut self, index: u32, tx: &mut TxBurst) -> bool {
        let tcb = &self.tcbs[index];
        let probed = !tcb.flags.any(Flags::RECOVERY)
            && may_probe(&self.config, &self.pool, tcb)
            && self.probe_now(index, tx);
        if probed {
            self.start_rto(index);
        }
        probed
    }

    /// The probe timer ran out: the last segment goes again, or a new one; in recovery the first
    /// again. Without room for what must be remembered of it the retransmission timer does.
    pub(super) fn probe_timeout(&mut self, index: u32, tx: &mut TxBurst) {
        self.tcbs[index].put(Sign::Probe, false);
        if !self.is_flight_quiet(index) {
            return self.start_timer(index);
        }
        self.probe_now(index, tx);
        // RFC 8985-7.3e.
        self.start_rto(index);
    }

    /// Sends a probe and remembers it; false when nothing went.
    fn probe_now(&mut self, index: u32, tx: &mut TxBurst) -> bool {
        if !self.open_extension(index) {
            return false;
        }
        let Some((end, repeats)) = self.send_tail(index, tx) else { return false };
        self.counters.tail_probes += 1;
        let loss = extension::of_mut(&mut self.pool, self.tcbs[index].extension);
        loss.probe_end = end;
        loss.set(Bits::PROBE, true);
        loss.set(Bits::PROBE_REPEATS, repeats);
        true
    }

    /// True when the segment that a probe would repeat was sent long enough ago: the deadline was
    /// set with the flight's first one.
    fn is_flight_quiet(&self, index: u32) -> bool {
        let tcb = &self.tcbs[index];
        let recovers = self.config.habits.probes_repeat && tcb.flags.any(Flags::RECOVERY);
        if tcb.unsent() > 0 && !recovers || tcb.snd_head == BlockId::NONE {
            return true;
        }
        let segment = self.pool.header(if recovers { tcb.snd_head } else { tcb.snd_tail });
        let age_us = (self.now.us as u32).wrapping_sub(segment.sent_at_us);
        segment.marks & Marks::SACKED != 0 || age_us >= tcb.srtt_us8 / 4
    }

    /// Sends the probe (RFC 8985-7.3c); says where it ends, and whether it was a retransmission.
    /// `None`: nothing went.
    fn send_tail(&mut self, index: u32, tx: &mut TxBurst) -> Option<(Seq, bool)> {
        let path = self.path_of(index, tx)?;
        let tcb = &self.tcbs[index];
        let probes_repeat = self.config.habits.probes_repeat;
        let recovers = probes_repeat && tcb.flags.any(Flags::RECOVERY);
        let several = probes_repeat && tcb.in_flight() > u32::from(tcb.mss);
        let again = if recovers { self.first_sent(tcb) } else { self.last_sent(tcb) };
        let repeats = (several || recovers) && again.is_some();
        if tcb.unsent() > 0 && tcb.snd_unsent != BlockId::NONE && !repeats {
            let id = tcb.snd_unsent;
            let segment = self.pool.header(id);
            let skip = tcb.snd_nxt.since(segment.seq) as u16;
            let len = (segment.len - skip).min(tcb.mss);
            let window = tcb.snd_wnd.saturating_sub(tcb.in_flight());
            if u32::from(len) <= window {
                let went = self.send_block(index, id, skip, len, &path, tx);
                return went.then(|| (self.tcbs[index].snd_nxt, false));
            }
        }
        let sent_end = tcb.snd_nxt;
        if tcb.snd_head == BlockId::NONE {
            // Only our FIN is in flight.
            let (end, flags) = (tcb.snd_end, tcp::Flags::ACK | tcp::Flags::FIN);
            let header = self.header_for(index, end, flags, Report::NONE);
            return self.write_segment(&path, &header, &[], tx).then_some((sent_end, true));
        }
        let id = again?;
        let Segment { len, .. } = *self.pool.header(id);
        let end = if recovers { self.pool.header(id).end() } else { sent_end };
        self.send_block(index, id, 0, len, &path, tx).then_some((end, true))
    }

    /// The block that ends what was sent, if it went in one segment. In a long queue with more to
    /// send it is not looked for.
    fn last_sent(&self, tcb: &Tcb) -> Option<BlockId> {
        let some = |id: BlockId| (id != BlockId::NONE).then_some(id);
        let behind = |id: &BlockId| some(self.pool.header(*id).next);
        let first = some(tcb.snd_head)?;
        let all_sent = tcb.snd_unsent == BlockId::NONE;
        let id = if all_sent {
            tcb.snd_tail
        } else {
            let mut queue = core::iter::successors(Some(first), behind).take(LOOKED_AT_MAX);
            queue.find(|id| behind(id) == Some(tcb.snd_unsent))?
        };
        // Of the block behind it a part may have been sent.
        let is_end = all_sent || self.pool.header(id).end() == tcb.snd_nxt;
        (is_end && self.is_whole(tcb, id)).then_some(id)
    }

    /// The first block that is not acknowledged, if it goes in one segment.
    fn first_sent(&self, tcb: &Tcb) -> Option<BlockId> {
        let id = tcb.snd_head;
        (id != BlockId::NONE && self.is_whole(tcb, id)).then_some(id)
    }

    fn is_whole(&self, tcb: &Tcb, id: BlockId) -> bool {
        let segment = self.pool.header(id);
        segment.marks & Marks::SENT != 0 && segment.len <= tcb.mss
    }

    /// RFC 8985-7.4a, RFC 8985-7.4b: what the acknowledgment says of the probe. One that repaired a
    /// loss without any other sign of it takes its share of the window.
    pub(super) fn end_of_probe(
        &mut self,
        index: u32,
        loss: &mut Extension,
        ack: Seq,
        seen: &Delivered,
    ) {
        if !loss.has(Bits::PROBE) || ack.lt(loss.probe_end) {
            return;
        }
        let congestion = self.config.congestion;
        let tcb = &mut self.tcbs[index];
        let reported = seen.duplicate.is_some_and(|(_, right)| loss.is_repeated_probe(right));
        if !loss.has(Bits::PROBE_REPEATS) || reported {
            loss.set(Bits::PROBE, false);
        } else if ack.gt(loss.probe_end) {
            loss.set(Bits::PROBE, false);
            if !tcb.flags.any(Flags::RECOVERY | Flags::LOSS) {
                let (past, cwnd) = (&mut loss.avoidance, tcb.cwnd);
                tcb.set_ssthresh(congestion.reduced(past, Signal::Loss, cwnd, cwnd));
                ecn::note_cut(tcb, &mut loss.steering);
                tcb.cwnd = tcb.ssthresh_octets();
            }
        } else if seen.octets == 0 {
            // A duplicate without a report: both copies arrived.
            loss.set(Bits::PROBE, false);
        }
    }
}

/// After how many milliseconds to probe (RFC 8985-7.2b); `None`: the retransmission timer is as
/// good.
#[inline(always)]
#[expect(clippy::inline_always, reason = "on the way of every segment with octets")]
pub(super) fn probe_timeout_ms(
    config: &StackConfig,
    pool: &Pool<Segment>,
    tcb: &Tcb,
    rto_ms: u32,
) -> Option<u32> {
    // One segment's acknowledgment may be delayed: waiting for that is no gain on most paths.
    let alone = tcb.in_flight() <= u32::from(tcb.mss) && !tcb.flags.any(Flags::RECOVERY);
    let delay_ms = if alone { ACK_DELAY_MS } else { PROBE_FLOOR_MS };
    if rto_ms <= delay_ms {
        return None;
    }
    let probe_ms = tcb.srtt_us8 / 4000 + delay_ms;
    (probe_ms < rto_ms && may_probe(config, pool, tcb)).then_some(probe_ms)
}

/// True when a probe can tell something, and none is under way.
fn may_probe(config: &StackConfig, pool: &Pool<Segment>, tcb: &Tcb) -> bool {
    if tcb.srtt_us8 == 0 || !config.tail_loss_probes {
        return false;
    }
    if tcb.flags.any(Flags::RECOVERY) && !config.habits.probes_repeat {
        return false;
    }
    let barred = Flags::LOSS | Flags::PERSIST | Flags::FIN_LOST | Flags::STARVED | Flags::ABORT;
    let apt = tcb.flags.any(Flags::SACK)
        && !tcb.flags.any(barred)
        && tcb.state() > State::SynReceived
        && tcb.backoff == 0;
    // RFC 8985-7.3a.
    let under_way =
        tcb.extension != BlockId::NONE && extension::of(pool, tcb.extension).has(Bits::PROBE);
    apt && !under_way
}

/// Blocks between the first one and the last one that was sent, at most, when that is looked for.
const LOOKED_AT_MAX: usize = 32;

/// How long peers delay an acknowledgment.
const ACK_DELAY_MS: u32 = 200;

/// Added to two round-trip times: the clock's granularity, twice.
const PROBE_FLOOR_MS: u32 = 2;
