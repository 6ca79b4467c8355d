//! The flow table: eight entries a cache line, found by tag.

use crate::Tuple;
use crore_mem::{Memory, MemoryError, Table};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `passed` once an insertion had to go on to the next bucket.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u16; 8],
    ids: [u32; 8],
    passed: u64,
    _spare: u64,
}

pub(crate) struct FlowTable {
    buckets: Table<Bucket>,
    mask: u32,
}

/// A cheap mix: the yardstick does not defend itself.
#[inline]
pub(crate) fn hash(tuple: Tuple) -> u64 {
    let addresses = u64::from(tuple.remote) << 32 | u64::from(tuple.local);
    let ports = u64::from(tuple.remote_port) << 16 | u64::from(tuple.local_port);
    let mixed = addresses.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32 ^ ports).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ mixed >> 32
}

#[inline]
fn tag(hash: u64) -> u16 {
    hash as u16 | 1
}

impl FlowTable {
    /// At most two thirds full.
    pub(crate) fn new(memory: &mut Memory, entries: u32) -> Result<Self, MemoryError> {
        let count = Self::buckets_for(entries);
        Ok(Self { buckets: memory.table("flow table", 1, count)?, mask: count - 1 })
    }

    fn buckets_for(entries: u32) -> u32 {
        (u64::from(entries) * 3 / 16 + 1).next_power_of_two() as u32
    }

    pub(crate) fn bytes_for(entries: u32) -> usize {
        Table::<Bucket>::bytes_for(Self::buckets_for(entries))
    }

    #[inline]
    fn home(&self, hash: u64) -> u32 {
        (hash >> 32) as u32 & self.mask
    }

    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        self.buckets.prefetch(self.home(hash));
    }

    pub(crate) fn insert(&mut self, hash: u64, id: u32) {
        let mut at = self.home(hash);
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = bucket.tags.iter().position(|&tag| tag == 0) {
                bucket.tags[slot] = tag(hash);
                bucket.ids[slot] = id;
                return;
            }
            bucket.passed = 1;
            at = (at + 1) & self.mask;
        }
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let wanted = tag(hash);
        let mut at = self.home(hash);
        loop {
            let bucket = &self.buckets[at];
            let same = bucket.tags.map(|tag| if tag == wanted { 0xff } else { 0u8 });
            let mut hits = u64::from_le_bytes(same);
            while hits != 0 {
                let slot = hits.trailing_zeros() / 8;
                let id = bucket.ids[slot as usize];
                if is_it(id) {
                    return Some(id);
                }
                hits &= !(0xff << (8 * slot));
            }
            if bucket.passed == 0 {
                return None;
            }
            at = (at + 1) & self.mask;
        }
    }
}
