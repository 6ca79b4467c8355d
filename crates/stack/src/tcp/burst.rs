//! Where the segments that go at once end: receivers that gather segments hand them on at a PSH.

use crate::stack::Stack;
use crore_mem::BlockId;

impl Stack {
    /// True when a segment is the last one of several that a link would be given at once: a
    /// millisecond's share of the window, two at least, and half of the window at most.
    #[cold]
    pub(super) fn ends_burst(
        &self,
        index: u32,
        before: u32,
        (id, skip, len): (BlockId, u16, u16),
    ) -> bool {
        let tcb = &self.tcbs[index];
        let (mss, srtt_us) = (u32::from(tcb.mss.max(1)), tcb.srtt_us8 >> 3);
        let percent = if tcb.cwnd < tcb.ssthresh_octets() / 2 { 200 } else { 120 };
        let a_ms = u64::from(tcb.cwnd) * percent * 10 / u64::from(srtt_us.max(1));
        let share = (a_ms / u64::from(mss)).clamp(2, u64::from(u16::MAX) / u64::from(mss).max(1));
        let burst = (share as u32).min((tcb.cwnd / mss / 2).max(1));
        let n = before % burst + 1;
        n > 1 && (n == burst || !self.more_may_follow(index, id, skip, len))
    }

    /// True when the windows have room for another full segment after this one.
    fn more_may_follow(&self, index: u32, id: BlockId, skip: u16, len: u16) -> bool {
        let tcb = &self.tcbs[index];
        let segment = self.pool.header(id);
        let next_len = match segment.len - skip - len {
            0 if segment.next == BlockId::NONE => return false,
            0 => self.pool.header(segment.next).len.min(tcb.mss),
            rest => rest.min(tcb.mss),
        };
        let flight = tcb.in_flight() + u32::from(len) + u32::from(next_len);
        flight <= tcb.cwnd.min(tcb.snd_wnd)
    }
}
