//! The exchanges under way: all that has to be remembered of a connection while something of ours
//! is not answered. There are a few hundred, whatever the number of connections.

use crate::pattern::mixed;

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

/// All exchanges, by connection: a table with open addressing, at most half full.
///
/// Each field is written in its place, and read as it was written. A map that looks at sixteen
/// marks at once, or takes an entry over whole, waits at each of them until what was just stored is
/// in the cache, and with it the frame before it, whose lines the server had: a fifth of the
/// client's time.
#[derive(Debug)]
pub(super) struct UnderWay {
    places: Box<[Place]>,
    count: u32,
    most: u32,
    /// Kept for its memory.
    due: Vec<u32>,
    looked_at_ms: u64,
}

/// One place of the table.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The connection; [`FREE`] when there is none.
    index: u32,
    exchange: Exchange,
}

impl UnderWay {
    /// Room for `most` exchanges.
    pub(super) fn new(most: u32) -> Self {
        let places = vec![Place::FREE; (2 * most as usize).next_power_of_two()].into_boxed_slice();
        Self { places, count: 0, most, due: Vec::with_capacity(most as usize), looked_at_ms: 0 }
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.count
    }

    #[inline]
    pub(super) fn get(&mut self, index: u32) -> Option<&mut Exchange> {
        let at = self.find(index);
        let place = &mut self.places[at];
        (place.index == index).then_some(&mut place.exchange)
    }

    /// # Panics
    /// When there are as many as may be.
    #[inline]
    pub(super) fn begin(&mut self, index: u32, exchange: Exchange) {
        assert!(self.count < self.most, "an exchange more than there may be");
        let at = self.find(index);
        self.count += u32::from(self.places[at].index == FREE);
        self.places[at] = Place { index, exchange };
    }

    #[inline]
    pub(super) fn end(&mut self, index: u32) -> Option<Exchange> {
        let mut free = self.find(index);
        if self.places[free].index != index {
            return None;
        }
        let ended = self.places[free].exchange;
        // What had to go beyond this place moves up, so that no search ends too early.
        let mut at = self.behind(free);
        while self.places[at].index != FREE {
            let home = self.home(self.places[at].index);
            if self.distance(home, at) >= self.distance(free, at) {
                self.places[free] = self.places[at];
                free = at;
            }
            at = self.behind(at);
        }
        self.places[free].index = FREE;
        self.count -= 1;
        Some(ended)
    }

    /// Where a connection is, or the free place where it would be.
    #[inline]
    fn find(&self, index: u32) -> usize {
        let mut at = self.home(index);
        while self.places[at].index != index && self.places[at].index != FREE {
            at = self.behind(at);
        }
        at
    }

    /// Where the search begins. Connections are numbered by us: nobody can choose numbers that
    /// collide.
    #[inline]
    fn home(&self, index: u32) -> usize {
        mixed(u64::from(index)) as usize & (self.places.len() - 1)
    }

    #[inline]
    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    /// From a place to one that lies behind it, around the end.
    #[inline]
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }

    /// The connections on which something is to be sent again: all are looked at, ten times a
    /// second. Give the list back to [`UnderWay::done_with`].
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<u32> {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        if now_ms.saturating_sub(self.looked_at_ms) >= LOOK_EVERY_MS {
            self.looked_at_ms = now_ms;
            let late =
                |place: &&Place| place.index != FREE && place.exchange.resend_at_ms <= now_ms;
            due.extend(self.places.iter().filter(late).map(|place| place.index));
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

impl Place {
    const FREE: Self = Self {
        index: FREE,
        exchange: Exchange {
            kind: Kind::Opening,
            requests: 0,
            due_ns: 0,
            resend_at_ms: 0,
            tries: 0,
            received: 0,
            acknowledged: false,
        },
    };
}

/// No connection has this number: they are counted with 32 bits.
const FREE: u32 = u32::MAX;

const LOOK_EVERY_MS: u64 = 100;

#[cfg(test)]
mod tests;
