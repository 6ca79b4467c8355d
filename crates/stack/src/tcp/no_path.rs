//! A connection whose next hop is not known, or is gone.

use super::output::Sent;
use super::timers::rto_ms;
use crate::event::{Closed, Event, Events};
use crate::stack::Stack;
use crate::tcb::{Flags, State};

impl Stack {
    /// The next hop has no hardware address yet. Asking goes on by itself; the connection looks
    /// again when a timer runs out, and gives up when the asking failed while it opens.
    pub(super) fn path_unknown(&mut self, index: u32, events: &mut Events) -> Sent {
        let failed = self.next_hop_failed(index);
        let tcb = &self.tcbs[index];
        if failed && tcb.state() == State::SynSent {
            return self.give_up(index, Closed::Unreachable, events);
        }
        let counted = tcb.flags.any(Flags::STARVED) && tcb.flags.any(Flags::TIMED);
        if failed && counted {
            return Sent::NoPath;
        }
        let mut wait_ms = PATH_RETRY_MS;
        if failed {
            // RFC 9293 3.8.3: what finds no way is as good as lost, and counts towards R2; but not
            // while the peer is heard: only its next hop leaves our questions unanswered.
            let retries = self.config.data_retries;
            let heard = self.is_heard(&self.tcbs[index]);
            let tcb = &mut self.tcbs[index];
            tcb.backoff = tcb.backoff.saturating_add(u8::from(!heard));
            if tcb.backoff > retries && !tcb.flags.any(Flags::PATIENT) {
                return self.give_up(index, Closed::TimedOut, events);
            }
            tcb.backoff = tcb.backoff.min(retries + 1);
            wait_ms = rto_ms(&self.config, &self.tcbs[index]);
        }
        self.tcbs[index].flags.set(Flags::STARVED);
        self.set_deadline(index, wait_ms);
        Sent::NoPath
    }

    fn give_up(&mut self, index: u32, why: Closed, events: &mut Events) -> Sent {
        let generation = self.tcbs[index].generation;
        let mut event = Event { index, generation, ..Event::default() };
        self.finish(index, why, &mut event);
        events.push(event);
        Sent::All
    }
}

/// How often a connection looks whether its next hop is known.
const PATH_RETRY_MS: u32 = 4;
