//! What a core lets others see of itself: a page of numbers that only it writes.
//!
//! Written every few milliseconds, never per packet, so that readers cost the core nothing. A
//! reader may see numbers of two moments mixed; each number by itself is right.

use crate::cycles::{Cycles, WorstTurn};
use crate::meter::ServiceCycles;
use crore_stack::Counters;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A core's numbers at a moment.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Snapshot {
    /// The stack's counters.
    pub counters: Counters,
    /// Cycles by part of the turn.
    pub cycles: Cycles,
    /// What the service's calls took.
    pub service: ServiceCycles,
    /// The longest turn of all.
    pub worst: WorstTurn,
    /// The longest turn of the last second or two.
    pub worst_lately: WorstTurn,
    /// Frames that a turn takes at most, as things are: fewer than the settings say when a packet
    /// costs so much that more would make the turn too long.
    pub rx_burst: u64,
    /// Control blocks in use.
    pub conns: u64,
    /// Half-open connections.
    pub half_open: u64,
    /// TIME-WAIT records.
    pub time_wait: u64,
    /// Pool blocks in use.
    pub blocks: u64,
    /// Bytes of the pool in use.
    pub pool_bytes: u64,
    /// Bytes of it that receive windows which grew may fill.
    pub granted_bytes: u64,
    /// How short it is: 0 not, 1 windows do not grow, 2 nothing is kept of what arrives.
    pub pressure: u64,
    /// Entries in the timing wheel.
    pub timer_entries: u64,
    /// Entries in the flow table.
    pub flow_entries: u64,
    /// Microseconds since the engine started.
    pub now_us: u64,
    /// Cycles of the counter in a microsecond, as the core has measured it; 0: not yet.
    pub cycles_a_us: u64,
    /// The system's number of the thread that the core runs on; 0: it has not begun.
    pub thread: u64,
}

const WORDS: usize = size_of::<Snapshot>() / 8;

/// The page: the core writes, anybody reads.
#[derive(Clone, Debug)]
pub struct StatsPage(Arc<[AtomicU64; WORDS]>);

impl StatsPage {
    pub(crate) fn new() -> Self {
        Self(Arc::new([const { AtomicU64::new(0) }; WORDS]))
    }

    /// The numbers as the core last wrote them.
    pub fn read(&self) -> Snapshot {
        let words: [u64; WORDS] = std::array::from_fn(|i| self.0[i].load(Ordering::Relaxed));
        zerocopy::transmute!(words)
    }

    pub(crate) fn write(&self, snapshot: &Snapshot) {
        let words: &[u64; WORDS] = zerocopy::transmute_ref!(snapshot);
        for (place, word) in self.0.iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
    }
}
