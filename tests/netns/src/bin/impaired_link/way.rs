//! One direction: what happens to a frame between the two ends.
//!
//! ```text
//!   enter ─ lost? ─ corrupted? ─ doubled? ─> queue of the line ─> delay, held back? ─> leave
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crore_netns_tests::impairment::{Counts, HOLD_US, Impairment};

use crate::luck::Luck;
use crate::segment::Segment;

/// The frames under way. Time is an argument, in nanoseconds.
pub(crate) struct Way {
    /// What was done so far.
    pub(crate) counts: Counts,
    impairment: Impairment,
    luck: Luck,
    /// Which of the two ways it is: each has luck of its own.
    number: u64,
    pending: BinaryHeap<Reverse<UnderWay>>,
    entered: u64,
    /// When the line has sent all that waits for it.
    line_free_ns: u64,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

/// The order is the order of the fields: when it is due, then who came first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due_ns: u64,
    number: u64,
    frame: Vec<u8>,
}

impl Way {
    pub(crate) fn new(impairment: Impairment, number: u64) -> Self {
        Self {
            counts: Counts::default(),
            impairment,
            luck: Luck::new(impairment.seed, number),
            number,
            pending: BinaryHeap::new(),
            entered: 0,
            line_free_ns: 0,
            spare: Vec::new(),
        }
    }

    /// Luck begins anew: what meets the n-th segment from now on depends on `seed` and n alone.
    pub(crate) fn draw_anew(&mut self, seed: u64) {
        self.luck = Luck::new(seed, self.number);
    }

    /// A frame comes in.
    pub(crate) fn enter(&mut self, now_ns: u64, frame: &[u8]) {
        self.counts.frames += 1;
        self.counts.bytes += frame.len() as u64;
        let Some(segment) = Segment::find(frame) else { return self.queue(now_ns, 0, frame, None) };
        let has_data = !segment.payload.is_empty();
        self.counts.segments += 1;
        self.counts.data += u64::from(has_data);
        if self.luck.strikes(self.impairment.loss) {
            self.counts.lost += 1;
            self.counts.lost_data += u64::from(has_data);
            return;
        }
        let mut wrong = None;
        if self.luck.strikes(self.impairment.corrupt) {
            self.counts.corrupted += 1;
            self.counts.corrupted_data += u64::from(has_data);
            // Of a segment without payload the checksum itself: that it is a proper segment with a
            // wrong sum must be plain to see for whoever looks at the record.
            let range = if has_data { segment.payload } else { segment.checksum };
            wrong = Some(range.start + self.luck.below(range.len()));
        }
        let mut hold_ns = 0;
        if self.luck.strikes(self.impairment.reorder) {
            self.counts.reordered += 1;
            hold_ns = HOLD_US * 1_000;
        }
        let copies = 1 + u64::from(self.luck.strikes(self.impairment.duplicate));
        self.counts.duplicated += copies - 1;
        for _ in 0..copies {
            self.queue(now_ns, hold_ns, frame, wrong);
        }
    }

    /// The next frame that is due.
    pub(crate) fn leave(&mut self, now_ns: u64) -> Option<Vec<u8>> {
        let is_due = self.pending.peek().is_some_and(|Reverse(next)| next.due_ns <= now_ns);
        if !is_due {
            return None;
        }
        self.pending.pop().map(|Reverse(next)| next.frame)
    }

    /// When [`Way::leave`] will have something.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        self.pending.peek().map(|Reverse(next)| next.due_ns)
    }

    /// Takes the buffer of a frame that left.
    pub(crate) fn give_back(&mut self, frame: Vec<u8>) {
        self.spare.push(frame);
    }

    fn queue(&mut self, now_ns: u64, hold_ns: u64, frame: &[u8], wrong: Option<usize>) {
        let Impairment { rate_kbit, queue_bytes, delay_us, .. } = self.impairment;
        let mut sent_ns = now_ns;
        if rate_kbit > 0 {
            let start_ns = self.line_free_ns.max(now_ns);
            // kbit/s is bits a millisecond: nanoseconds times that, over 8 million, is bytes.
            let waiting_bytes = (start_ns - now_ns) * rate_kbit / 8_000_000;
            if waiting_bytes + frame.len() as u64 > queue_bytes {
                self.counts.overflowed += 1;
                return;
            }
            sent_ns = start_ns + frame.len() as u64 * 8_000_000 / rate_kbit;
            self.line_free_ns = sent_ns;
        }
        if self.pending.len() >= UNDER_WAY_MAX {
            self.counts.overflowed += 1;
            return;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(frame);
        if let Some(at) = wrong {
            // No change of a single byte escapes the sum of the Internet protocols (RFC 1071).
            copy[at] ^= 0x5A;
        }
        let due_ns = sent_ns + delay_us * 1_000 + hold_ns;
        self.pending.push(Reverse(UnderWay { due_ns, number: self.entered, frame: copy }));
        self.entered += 1;
    }
}

/// 200 MB of frames: more than any path here holds.
const UNDER_WAY_MAX: usize = 1 << 17;

#[cfg(test)]
mod tests;
