//! The exchanges under way: all that has to be remembered of a connection while something of ours
//! is not answered. There are a few hundred, whatever the number of connections.

use crate::pattern::mixed;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What was sent on a connection and is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) kind: Kind,
    /// Requests on this connection so far, the present one included.
    pub(super) requests: u32,
    /// When it was due, in nanoseconds.
    pub(super) due_ns: u64,
    /// When it is sent again, in milliseconds.
    pub(super) resend_at_ms: u64,
    /// How often it was sent.
    pub(super) tries: u8,
    /// Octets of the reply that have come.
    pub(super) received: u16,
    /// The server has acknowledged all of it.
    pub(super) acknowledged: bool,
}

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// SYN, to be answered with SYN and ACK.
    Opening,
    /// A request, to be answered with its octets.
    Asking,
    /// FIN, to be answered with an acknowledgment and FIN.
    Closing,
}

/// All exchanges, by connection.
#[derive(Debug)]
pub(super) struct UnderWay {
    exchanges: HashMap<u32, Exchange, BuildHasherDefault<IndexHasher>>,
    most: usize,
    /// Kept for its memory.
    due: Vec<u32>,
    looked_at_ms: u64,
}

impl UnderWay {
    /// Room for `most` exchanges.
    pub(super) fn new(most: u32) -> Self {
        let most = most as usize;
        let exchanges = HashMap::with_capacity_and_hasher(most, BuildHasherDefault::default());
        Self { exchanges, most, due: Vec::with_capacity(most), looked_at_ms: 0 }
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.exchanges.len() as u32
    }

    #[inline]
    pub(super) fn get(&mut self, index: u32) -> Option<&mut Exchange> {
        self.exchanges.get_mut(&index)
    }

    #[inline]
    pub(super) fn begin(&mut self, index: u32, exchange: Exchange) {
        debug_assert!(self.exchanges.len() < self.most);
        self.exchanges.insert(index, exchange);
    }

    #[inline]
    pub(super) fn end(&mut self, index: u32) -> Option<Exchange> {
        self.exchanges.remove(&index)
    }

    /// The connections on which something is to be sent again: all are looked at, ten times a
    /// second. Give the list back to [`UnderWay::done_with`].
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<u32> {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        if now_ms.saturating_sub(self.looked_at_ms) >= LOOK_EVERY_MS {
            self.looked_at_ms = now_ms;
            let late = self.exchanges.iter().filter(|(_, one)| one.resend_at_ms <= now_ms);
            due.extend(late.map(|(&index, _)| index));
            // The table's order is as random as it is repeatable; that of the connections is easier
            // to follow in a capture.
            due.sort_unstable();
        }
        due
    }

    /// Keeps the list's memory for the next time.
    pub(super) fn done_with(&mut self, due: Vec<u32>) {
        self.due = due;
    }
}

/// Connections are numbered by us, so nobody can choose numbers that collide.
#[derive(Debug, Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are u32");
    }

    fn write_u32(&mut self, index: u32) {
        self.0 = mixed(u64::from(index));
    }
}

const LOOK_EVERY_MS: u64 = 100;
