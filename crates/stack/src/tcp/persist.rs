//! Windows that are shut, or too small to be used: they are probed (RFC 9293 3.8.6.1), and a peer
//! that says nothing at all any more is given up.

use super::send_queue::Marks;
use super::timers::rto_ms;
use crate::event::{Closed, Event};
use crate::stack::Stack;
use crate::tcb::Flags;
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;

impl Stack {
    /// The window is shut and nothing is in flight that would make it speak: probe it, first after
    /// a retransmission timeout, then at doubling intervals (RFC 9293 SHLD-29, SHLD-30).
    pub(super) fn begin_persist(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        tcb.flags.set(Flags::PERSIST);
        tcb.backoff = 0;
        self.start_timer(index);
    }

    /// The persist timer ran out: one octet beyond a shut window (RFC 9293 MUST-36), or what fits
    /// into one too small to be used before (RFC 9293 3.8.6.2.1, the override timeout). A peer
    /// that answers keeps the connection open for as long as it likes (RFC 9293 MUST-37); one that
    /// does not is given up like one that acknowledges nothing.
    pub(super) fn persist_timeout(&mut self, index: u32, event: &mut Event, tx: &mut TxBurst) {
        let tcb = &self.tcbs[index];
        let answers = self.is_heard(tcb);
        let most = if answers { ANSWERED_BACKOFF_MAX } else { u8::MAX };
        self.tcbs[index].backoff = self.tcbs[index].backoff.saturating_add(1).min(most);
        let left_ms = if answers { u32::MAX } else { self.patience_ms(index) };
        if left_ms == 0 {
            if self.config.habits.reset_given_up {
                self.send_reset(index, tx);
            }
            return self.finish(index, Closed::TimedOut, event);
        }
        if !answers {
            self.advise_of_trouble(index, event);
        }
        self.probe_window(index, tx);
        let rto_ms = rto_ms(&self.config, &self.tcbs[index]);
        self.set_deadline(index, rto_ms.min(left_ms));
    }

    /// How long a peer that does not answer probes is still waited for: as long as one that does
    /// not acknowledge what is sent again (RFC 9293 MUST-20, RFC 5482-3a). The application may want
    /// no end but its own (RFC 9293 MUST-21).
    fn patience_ms(&self, index: u32) -> u32 {
        let tcb = &self.tcbs[index];
        if tcb.flags.any(Flags::PATIENT) {
            return u32::MAX;
        }
        let limit_ms = self.timeouts_ms(tcb, self.config.data_retries);
        let limit_ms = self.config.user_timeout_ms.map_or(limit_ms, |ms| ms.min(limit_ms));
        // It may have been quiet for long when it was asked first.
        let asked_ms = self.timeouts_ms(tcb, tcb.backoff.saturating_sub(1));
        limit_ms.saturating_sub(self.quiet_ms(tcb).min(asked_ms))
    }

    /// The window opens and the octet that probed it is not acknowledged: it came to a shut door.
    /// It goes at once with those after it, as if it had never gone; else Nagle's algorithm had
    /// them wait for its own retransmission. Not where nothing could go at once: the peer may have
    /// taken it after all, and what it acknowledges must not look unsent.
    pub(super) fn take_back_probe(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        let all = tcb.unsent() + 1;
        let fits = tcb.snd_wnd >= all.min(u32::from(tcb.mss)) && !tcb.flags.any(Flags::HELD);
        if tcb.in_flight() != 1 || tcb.snd_head == BlockId::NONE || !fits {
            return;
        }
        tcb.snd_nxt = tcb.snd_una;
        tcb.snd_unsent = tcb.snd_head;
        self.pool.header_mut(tcb.snd_head).marks &= !(Marks::SENT | Marks::RESENT);
    }

    fn probe_window(&mut self, index: u32, tx: &mut TxBurst) {
        self.counters.probes += 1;
        let Some(path) = self.path_of(index, tx) else { return };
        let tcb = &self.tcbs[index];
        if tcb.in_flight() > 0 {
            let (id, sent) = (tcb.snd_head, tcb.in_flight().min(u32::from(tcb.mss)) as u16);
            if id != BlockId::NONE {
                let len = sent.min(self.pool.header(id).len);
                self.send_block(index, id, 0, len, &path, tx);
            }
        } else if tcb.snd_unsent != BlockId::NONE {
            let skip = tcb.snd_nxt.since(self.pool.header(tcb.snd_unsent).seq) as u16;
            let rest = u32::from(self.pool.header(tcb.snd_unsent).len - skip);
            let len = rest.min(tcb.snd_wnd.max(1)) as u16;
            self.send_block(index, tcb.snd_unsent, skip, len, &path, tx);
        }
    }
}

/// The interval of probes that are answered doubles this often at most.
const ANSWERED_BACKOFF_MAX: u8 = 8;
