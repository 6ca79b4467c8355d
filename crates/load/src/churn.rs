//! Short lives: open, one request, its reply, close; over and over, as many at once as asked for.
//!
//! They take local ends of their own, one after the other, so that none comes again before the
//! records of those after it have given way. Connections opened before stand idle beside them.

use crate::load::Load;
use crate::protocol::Protocol;
use crate::state::{Asked, Marks};
use crate::traffic::Pace;
use crore::{Closed, Conn, ConnectError, Turn};

/// How lives follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Churn {
    /// At the same time, from the SYN to the end. On a link that loses what finds no room, it must
    /// have room for so many answers.
    pub at_once: u32,
    /// Who closes first, and so has TIME-WAIT: the server (true), or we when the reply has come.
    pub server_closes: bool,
    /// Local ends used, those after [`LoadConfig::connections`](crate::LoadConfig::connections)
    /// of them; more than either side has records of TIME-WAIT, or than go by in a millisecond.
    pub local_ends: u32,
}

/// The lives under way.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    pub(crate) under_way: u32,
    next_local: u32,
}

impl<P: Protocol> Load<P> {
    /// The short lives that are asked for, if any.
    #[inline]
    pub(crate) fn churn(&self) -> Option<Churn> {
        match self.config.pace {
            Pace::Churn(churn) => Some(churn),
            Pace::Closed { .. } | Pace::Open { .. } => self.config.beside,
        }
    }

    /// Begins as many lives as may begin.
    #[inline]
    pub(crate) fn live_some(&mut self, turn: &mut Turn<'_, Asked>, churn: Churn, now: u64) {
        for _ in 0..BEGINS_A_TURN {
            let wanted = self.lives.under_way < churn.at_once;
            if !wanted || turn.output_waiting() > OUTPUT_WAITING_MAX {
                return;
            }
            if !self.begin_life(turn, churn, now) {
                return;
            }
        }
    }

    fn begin_life(&mut self, turn: &mut Turn<'_, Asked>, churn: Churn, now: u64) -> bool {
        let number = u64::from(self.config.connections) + u64::from(self.lives.next_local);
        self.lives.next_local = (self.lives.next_local + 1) % churn.local_ends.max(1);
        let Some(local) = self.config.locals.nth(number) else {
            self.numbers.out_of_ports = true;
            return false;
        };
        match turn.connect(self.config.remote, Some(local)) {
            Ok(id) => {
                self.numbers.attempts += 1;
                self.lives.under_way += 1;
                self.live += 1;
                if let Some(mut conn) = turn.conn(id) {
                    let asked = conn.state();
                    asked.marks.put(Marks::SHORT, true);
                    asked.due_at = Asked::stamp(now);
                }
                true
            }
            // The one that had this end before has not ended yet: the next one then.
            Err(ConnectError::InUse) => true,
            Err(error) => {
                self.numbers.stopped_by = Some(error);
                false
            }
        }
    }

    /// The handshake is through: its one request goes out.
    #[inline]
    pub(crate) fn ask_once(&mut self, conn: &mut Conn<'_, Asked>) {
        let asked = conn.state();
        asked.marks.put(Marks::OPENED, true);
        let due_at = asked.due_at;
        self.ask(conn, self.clock.now());
        // What counts is from the wish to open to the reply.
        conn.state().due_at = due_at;
    }

    /// The connection is over.
    pub(crate) fn note_life(&mut self, asked: &Asked, why: Closed) {
        self.lives.under_way -= 1;
        let is_whole = asked.marks.has(Marks::CLOSING) && why == Closed::Finished;
        if is_whole {
            self.numbers.lives += 1;
        } else {
            self.numbers.lives_failed += 1;
        }
    }
}

/// The reply is complete.
#[inline]
pub(crate) fn end_life(conn: &mut Conn<'_, Asked>, churn: Churn) {
    conn.state().marks.put(Marks::CLOSING, true);
    if !churn.server_closes {
        conn.close();
    }
}

/// Connections begun in one turn, at most.
const BEGINS_A_TURN: usize = 32;

/// With so many waiting for room in the link, more would only wait longer.
const OUTPUT_WAITING_MAX: u32 = 128;
