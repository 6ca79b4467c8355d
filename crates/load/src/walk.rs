//! All connections, one after the other, a bounded number a turn: are they established; close them.

use crate::load::Load;
use crate::protocol::Protocol;
use crate::state::{Asked, Marks};
use crore::Turn;

impl<P: Protocol> Load<P> {
    /// Counts the next ones that are established.
    pub(crate) fn check_some(&mut self, turn: &mut Turn<'_, Asked>) {
        let end = self.slots.min(self.walked + CHECKS_A_TURN);
        for slot in self.walked..end {
            turn.prefetch(slot + AHEAD);
            let stands = turn.conn_at(slot).is_some_and(|conn| conn.is_established());
            self.numbers.established += u64::from(stands);
        }
        self.walked = end;
    }

    /// Closes the next ones, as far as not too many are at it.
    pub(crate) fn close_some(&mut self, turn: &mut Turn<'_, Asked>) {
        for _ in 0..CLOSES_A_TURN {
            if !self.wants_to_close() || turn.output_waiting() > OUTPUT_WAITING_MAX {
                return;
            }
            let slot = self.walked;
            self.walked += 1;
            turn.prefetch(slot + AHEAD);
            if let Some(mut conn) = turn.conn_at(slot)
                && conn.is_open()
            {
                conn.state().marks.put(Marks::CLOSING, true);
                conn.close();
                self.closing += 1;
            }
        }
    }

    pub(crate) fn wants_to_close(&self) -> bool {
        self.walked < self.slots && self.closing < u64::from(self.config.handshakes_max)
    }
}

const CHECKS_A_TURN: u32 = 4096;
const CLOSES_A_TURN: usize = 32;

/// How far ahead a walk asks for memory.
const AHEAD: u32 = 8;

/// With so many waiting for room in the link, more would only wait longer.
const OUTPUT_WAITING_MAX: u32 = 128;
