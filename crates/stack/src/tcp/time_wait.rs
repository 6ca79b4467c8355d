//! TIME-WAIT as compact records in a ring of their own (RFC 9293 3.6.1, RFC 6191).
//!
//! ```text
//!   oldest ──> [32 B] [32 B] [32 B] ... <── next
//! ```
//!
//! All wait equally long, so the ring is in order of expiry. When it is full the oldest record
//! gives way before its time; that is counted.

use crate::seq::Seq;
use crate::wire_key::Endpoints;
use crore_mem::{Memory, MemoryError, Table};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One closed connection.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct TimeWait {
    remote: [u64; 2],
    remote_port: u16,
    local_port: u16,
    local_id: u16,
    /// When it ends, in ticks of 64 ms, and [`TIMED`]; 0 marks a free record.
    expires: u16,
    /// RCV.NXT, the peer's FIN counted.
    pub rcv_nxt: Seq,
    /// TS.Recent; or SND.NXT of a connection without timestamps.
    last: u32,
}

const _: () = assert!(size_of::<TimeWait>() == 32);

/// All records of one core.
#[derive(Debug)]
pub(crate) struct TimeWaits {
    ring: Table<TimeWait>,
    next: u32,
    oldest: u32,
    live: u32,
    /// Records between `oldest` and `next`, live or freed early.
    span: u32,
    /// The longest wait of any record, in steps of 64 ms.
    longest: u16,
}

impl TimeWait {
    /// Whose record this is.
    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints {
            remote: u128::from(self.remote[1]) << 64 | u128::from(self.remote[0]),
            remote_port: self.remote_port,
            local_port: self.local_port,
            local_id: self.local_id,
        }
    }

    /// What tells old segments from new ones.
    pub(crate) fn last(&self) -> Last {
        let is_timed = self.expires & TIMED != 0;
        if is_timed { Last::Timestamp(self.last) } else { Last::Sent(Seq(self.last)) }
    }
}

/// The last that a connection in TIME-WAIT knew of what tells old segments from new ones.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Last {
    /// TS.Recent.
    Timestamp(u32),
    /// SND.NXT. With timestamps it is not needed: they tell our segments apart as well.
    Sent(Seq),
}

impl TimeWaits {
    pub(crate) fn new(memory: &mut Memory, max: u32) -> Result<Self, MemoryError> {
        let ring = memory.table("time-wait", 1, max)?;
        Ok(Self { ring, next: 0, oldest: 0, live: 0, span: 0, longest: 0 })
    }

    /// Live records.
    pub(crate) fn len(&self) -> u32 {
        self.live
    }

    pub(crate) fn get(&self, index: u32) -> &TimeWait {
        &self.ring[index]
    }

    pub(crate) fn prefetch(&self, index: u32) {
        self.ring.prefetch(index);
    }

    /// The endpoints of all live records.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoints> + '_ {
        let live = (0..self.ring.len()).filter(|index| self.ring[*index].expires != 0);
        live.map(|index| self.ring[index].endpoints())
    }

    /// True when the next [`TimeWaits::insert`] must be preceded by taking the oldest away.
    pub(crate) fn is_full(&self) -> bool {
        self.span == self.ring.len()
    }

    /// The oldest record's index, when it is due at `now` or the ring is full.
    /// Records freed early are skipped, a bounded number at a time.
    pub(crate) fn due(&mut self, tick: u32) -> Option<u32> {
        for _ in 0..64 {
            if self.span == 0 {
                return None;
            }
            let record = &self.ring[self.oldest];
            if record.expires == 0 {
                self.pop_oldest();
                continue;
            }
            let is_due = self.left(record.expires, tick) == 0;
            return (is_due || self.is_full()).then_some(self.oldest);
        }
        None
    }

    /// In how many milliseconds the oldest record is due; `None`: there is none.
    pub(crate) fn next_due_ms(&self, tick: u32) -> Option<u32> {
        if self.live == 0 {
            return None;
        }
        let record = &self.ring[self.oldest];
        // One that was freed early is skipped soon.
        let steps = if record.expires == 0 { 1 } else { self.left(record.expires, tick) };
        Some((u32::from(steps) << 6).saturating_sub(tick & 63))
    }

    /// Steps of 64 ms until a record expires. None waits for longer than was asked for: the clock
    /// has leapt, as that of a machine that was suspended.
    fn left(&self, expires: u16, tick: u32) -> u16 {
        let left = expires.wrapping_sub(coarse(tick)) & !TIMED;
        if left <= self.longest { left } else { 0 }
    }

    fn pop_oldest(&mut self) {
        self.oldest = if self.oldest + 1 == self.ring.len() { 0 } else { self.oldest + 1 };
        self.span -= 1;
    }

    /// Makes a record that lasts `ms`; the ring must not be full.
    pub(crate) fn insert(
        &mut self,
        endpoints: &Endpoints,
        rcv_nxt: Seq,
        last: Last,
        tick: u32,
        ms: u32,
    ) -> u32 {
        debug_assert!(!self.is_full());
        self.longest = self.longest.max(coarse(ms).saturating_add(2));
        let (mark, last) = match last {
            Last::Timestamp(recent) => (TIMED, recent),
            Last::Sent(next) => (0, next.0),
        };
        let index = self.next;
        self.ring[index] = TimeWait {
            remote: [endpoints.remote as u64, (endpoints.remote >> 64) as u64],
            remote_port: endpoints.remote_port,
            local_port: endpoints.local_port,
            local_id: endpoints.local_id,
            expires: coarse(tick.wrapping_add(ms)).max(1) | mark,
            rcv_nxt,
            last,
        };
        self.next = if index + 1 == self.ring.len() { 0 } else { index + 1 };
        self.span += 1;
        self.live += 1;
        index
    }

    /// Frees a record, before or at its time.
    pub(crate) fn remove(&mut self, index: u32) {
        debug_assert!(self.ring[index].expires != 0);
        self.ring[index].expires = 0;
        self.live -= 1;
        if self.oldest == index {
            self.pop_oldest();
        }
    }
}

/// Ticks of 1 ms to ticks of 64 ms, of which 15 bits are kept: half an hour.
fn coarse(tick: u32) -> u16 {
    (tick >> 6) as u16 & !TIMED
}

/// In `expires`: the connection had timestamps.
const TIMED: u16 = 1 << 15;

/// The longest wait, well below the half hour after which ticks come round.
pub(crate) const LONGEST_MS: u32 = 900_000;
