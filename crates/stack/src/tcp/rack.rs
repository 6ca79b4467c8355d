//! RACK (RFC 8985): a segment is lost when one that was sent later was delivered, and the time in
//! which the network may have changed their order is over.

use super::extension::{Bits, Extension};
use super::scoreboard;
use super::send_queue::{Marks, Segment};
use crate::tcb::{Flags, Tcb};
use crore_mem::{BlockId, Pool};

/// What a look at the queue found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Segments that are lost and were not known to be.
    pub(super) any: bool,
    /// Look again after this time: segments that may only be late.
    pub(super) wait_us: Option<u32>,
    /// Blocks looked at.
    pub(super) steps: u32,
}

/// Step 5 of RFC 8985 6.2: marks what is lost by now. The work is bounded; an acknowledgment or
/// the timer goes on with it.
pub(super) fn detect(
    tcb: &Tcb,
    pool: &mut Pool<Segment>,
    loss: &mut Extension,
    now_us: u32,
) -> Found {
    let mut found = Found::default();
    if !loss.has(Bits::RACK) {
        return found;
    }
    let patience_us = loss.rack_rtt_us.saturating_add(window_us(tcb, loss));
    let place = loss.places.judged;
    let start = if place == BlockId::NONE { tcb.snd_head } else { place };
    let (mut id, mut visits) = (start, LOOK_MAX);
    loss.places.judged = BlockId::NONE;
    while id != BlockId::NONE && visits > 0 {
        let segment = pool.header_mut(id);
        if segment.marks & Marks::SENT == 0 {
            break;
        }
        if segment.marks & Marks::SACKED != 0 {
            id = scoreboard::after_run(pool, id, &mut visits);
            loss.places.judged = if visits == 0 { id } else { BlockId::NONE };
            continue;
        }
        let (seq, next, marks) = (segment.seq, segment.next, segment.marks);
        let end = seq + u32::from(segment.len);
        if segment.marks & Marks::LOST != 0 {
            // Known.
        } else if scoreboard::sent_after(loss.rack_sent_us, loss.rack_end, segment.sent_at_us, end)
        {
            let age_us = now_us.wrapping_sub(segment.sent_at_us);
            if age_us >= patience_us {
                segment.marks |= Marks::LOST;
                found.any = true;
                loss.note_lost(pool, id, end.since(seq));
            } else {
                let left_us = patience_us - age_us;
                found.wait_us = Some(found.wait_us.unwrap_or(0).max(left_us));
            }
        } else if marks & Marks::RESENT == 0 {
            // Sent once: all behind it were sent later still.
            break;
        }
        id = next;
        visits -= 1;
        if visits == 0 {
            // The next acknowledgment goes on here.
            loss.places.judged = id;
        }
    }
    found.steps = LOOK_MAX - visits;
    found
}

/// Step 4 of RFC 8985 6.2: how long a segment may be overtaken by later ones without being lost
/// (RFC 8985-3.3a, RFC 8985-3.3b, RFC 8985-3.3d).
fn window_us(tcb: &Tcb, loss: &Extension) -> u32 {
    if !loss.has(Bits::REORDERS) {
        let recovering = tcb.flags.any(Flags::RECOVERY | Flags::LOSS);
        if recovering || loss.sacked > u32::from(DUP_ACKS_LOSS - 1) * u32::from(tcb.mss) {
            return 0;
        }
    }
    let srtt_us = tcb.srtt_us8 >> 3;
    let quarter = loss.min_rtt_us.min(srtt_us) / 4;
    quarter.saturating_mul(u32::from(loss.reorder_steps)).min(srtt_us)
}

/// A duplicate that the peer reports: something was sent again for nothing. The window grows by a
/// step, at most once a round trip, and stays for 16 recoveries (RFC 8985-3.3c).
pub(super) fn widen(tcb: &Tcb, loss: &mut Extension) {
    let in_round = loss.has(Bits::DSACK_ROUND) && tcb.snd_una.lt(loss.dsack_round);
    if !in_round {
        loss.set(Bits::DSACK_ROUND, true);
        loss.dsack_round = tcb.snd_nxt;
        loss.reorder_steps = loss.reorder_steps.saturating_add(1).min(REORDER_STEPS_MAX);
        loss.reorder_persists = REORDER_PERSISTS;
    }
}

/// A recovery ended.
pub(super) fn recovered(loss: &mut Extension) {
    loss.reorder_persists = loss.reorder_persists.saturating_sub(1);
    if loss.reorder_persists == 0 {
        loss.reorder_steps = 1;
    }
}

/// Blocks that one acknowledgment makes us look at; holes, mostly.
const LOOK_MAX: u32 = 128;

/// Duplicate acknowledgments that prove a loss (RFC 5681 3.2).
pub(super) const DUP_ACKS_LOSS: u8 = 3;

const REORDER_STEPS_MAX: u8 = 20;
const REORDER_PERSISTS: u8 = 16;

#[cfg(test)]
mod tests;
