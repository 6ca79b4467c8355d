//! Short lives: open, one request, its reply, close, over and over, while others stand beside.
//!
//! A life says what a whole stack says for it: SYN; the request with the acknowledgment of the
//! server's SYN; FIN with that of the reply; the acknowledgment of the server's FIN.

use super::Mirror;
use super::under_way::{Exchange, Kind};
use crore::mem::frames::TxBurst;

impl Mirror {
    /// Begins as many as may begin.
    #[inline]
    pub(super) fn live_some(&mut self, tx: &mut TxBurst) {
        for _ in 0..BEGINS_A_TURN {
            if !self.may_live() || tx.room() == 0 {
                return;
            }
            let index = self.next_life;
            self.next_life += 1;
            self.lives_under_way += 1;
            self.heard.prefetch(index + 1);
            self.begin(index, Kind::Opening, 0, self.now_ns, tx);
        }
    }

    pub(super) fn may_live(&mut self) -> bool {
        let Some(lives) = self.config.lives else { return false };
        let has_ends = self.next_life < self.config.numbers();
        self.numbers.out_of_ports |= !has_ends;
        has_ends && self.lives_under_way < lives.at_once && !self.control.is_paused()
    }

    /// The handshake is through: the request goes out, with the acknowledgment. What counts is from
    /// the wish to open to the reply.
    pub(super) fn ask_once(&mut self, index: u32, opening: &Exchange, tx: &mut TxBurst) {
        self.numbers.requests += 1;
        self.begin(index, Kind::Asking, 1, opening.due_ns, tx);
    }

    /// The reply is complete: FIN goes out, with its acknowledgment.
    pub(super) fn end_life(&mut self, index: u32, tx: &mut TxBurst) {
        self.begin(index, Kind::Closing, 1, self.now_ns, tx);
    }

    /// It is over: both sides closed in order, or not.
    pub(super) fn note_life(&mut self, is_whole: bool) {
        self.lives_under_way -= 1;
        if is_whole {
            self.numbers.lives += 1;
        } else {
            self.numbers.lives_failed += 1;
        }
    }
}

/// Lives begun in one turn, at most.
const BEGINS_A_TURN: usize = 32;
