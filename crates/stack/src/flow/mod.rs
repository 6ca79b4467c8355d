//! The flow table: from the hash of a 4-tuple to an id, with one cache miss.
//!
//! A bucket is one cache line:
//!
//! ```text
//!   0        16                        48       50        64
//!   | tag x8 | id x8                   | passed | spare   |
//! ```
//!
//! An entry's home bucket comes from the hash's upper half, its tag from the lowest 16 bits. When
//! the home bucket is full, the entry goes into the next one that has room, and each bucket on the
//! way counts it in `passed`. A search goes on to the next bucket only while that count is not 0,
//! so with at most two thirds of the slots in use nearly every search reads one line.
//!
//! The table knows hashes and ids only. Whether an id is the flow that was meant is for the caller
//! to say: it has the 4-tuples. Entries with equal tags are told apart by that answer alone.

use crore_mem::vectors::equal_words;
use crore_mem::{Memory, MemoryError, Table};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A hash table from flow hashes to ids of 32 opaque bits. Its size is fixed at start.
#[derive(Debug)]
pub struct FlowTable {
    buckets: Table<Bucket>,
    len: u32,
    entries_max: u32,
    longest_probe: u32,
}

/// The table holds as many entries as it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl FlowTable {
    /// A table for `entries_max` entries, in 12 bytes of memory each.
    pub fn new(
        memory: &mut Memory,
        name: &'static str,
        entries_max: u32,
    ) -> Result<Self, MemoryError> {
        let buckets = memory.table(name, LAYOUT_VERSION, buckets_for(entries_max))?;
        Ok(Self { buckets, len: 0, entries_max, longest_probe: 0 })
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True when there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The most buckets that one insertion had to look at so far.
    ///
    /// With a secret key and good hashes it stays below about 20. A higher figure says that
    /// somebody found out how to make flows collide.
    #[inline]
    pub fn longest_probe(&self) -> u32 {
        self.longest_probe
    }

    /// Asks for the home bucket of `hash`.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.buckets.prefetch(self.home(hash));
    }

    /// The first id under `hash`'s tag for which `is_it` says yes.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.place(hash, is_it).map(|place| self.buckets[place.bucket].ids[place.slot])
    }

    /// The first id under `hash`'s tag, most likely but not surely the right one: for prefetching.
    #[inline]
    pub fn first(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds an entry, and says how many full buckets it had to pass. The caller made sure that the
    /// flow has none yet.
    #[inline]
    pub fn insert(&mut self, hash: u64, id: u32) -> Result<u32, Full> {
        if self.len == self.entries_max {
            return Err(Full);
        }
        let mut at = self.home(hash);
        let mut probes = 1;
        loop {
            let bucket = &mut self.buckets[at];
            let free = equal_words(&bucket.tags, NO_TAG);
            if free != 0 {
                let slot = first_slot(free);
                bucket.tags[slot] = tag(hash);
                bucket.ids[slot] = id;
                break;
            }
            bucket.passed = bucket.passed.saturating_add(1);
            at = self.after(at);
            probes += 1;
        }
        self.len += 1;
        self.longest_probe = self.longest_probe.max(probes);
        Ok(probes - 1)
    }

    /// Takes the entry of exactly this `hash` and `id` out. False when there is none.
    #[inline]
    pub fn remove(&mut self, hash: u64, id: u32) -> bool {
        let Some(place) = self.place(hash, |found| found == id) else {
            return false;
        };
        self.buckets[place.bucket].tags[place.slot] = NO_TAG;
        self.len -= 1;
        let mut at = self.home(hash);
        while at != place.bucket {
            let bucket = &mut self.buckets[at];
            // A count that once reached its end is not exact any more: the mark stays for good.
            if bucket.passed != u16::MAX {
                bucket.passed -= 1;
            }
            at = self.after(at);
        }
        true
    }

    /// Puts `new_id` in place of `old_id`, under the same hash. False when there is no such entry.
    #[inline]
    pub fn replace(&mut self, hash: u64, old_id: u32, new_id: u32) -> bool {
        let Some(place) = self.place(hash, |found| found == old_id) else {
            return false;
        };
        self.buckets[place.bucket].ids[place.slot] = new_id;
        true
    }

    /// Where the first entry with `hash`'s tag is for which `is_it` says yes.
    #[inline]
    fn place(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<Place> {
        let tag = tag(hash);
        let home = self.home(hash);
        let mut at = home;
        loop {
            let bucket = &self.buckets[at];
            let mut hits = equal_words(&bucket.tags, tag);
            while hits != 0 {
                let slot = first_slot(hits);
                if is_it(bucket.ids[slot]) {
                    return Some(Place { bucket: at, slot });
                }
                hits &= !(0xff << (slot * 8));
            }
            if bucket.passed == 0 {
                return None;
            }
            at = self.after(at);
            if at == home {
                return None;
            }
        }
    }

    /// The upper half of `hash`, scaled to the number of buckets: no division, any number.
    #[inline]
    fn home(&self, hash: u64) -> u32 {
        (((hash >> 32) * u64::from(self.buckets.len())) >> 32) as u32
    }

    #[inline]
    fn after(&self, bucket: u32) -> u32 {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }
}

/// One cache line of the table.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u16; SLOTS],
    ids: [u32; SLOTS],
    /// How many entries have their home here or before, and their place behind.
    passed: u16,
    spare: [u8; 14],
}

#[derive(Clone, Copy)]
struct Place {
    bucket: u32,
    slot: usize,
}

/// At most two thirds of the slots are ever in use.
const fn buckets_for(entries_max: u32) -> u32 {
    let slots = entries_max as u64 * 3 / 2 + 1;
    slots.div_ceil(SLOTS as u64) as u32
}

#[inline]
fn tag(hash: u64) -> u16 {
    (hash as u16).max(1)
}

#[inline]
fn first_slot(hits: u64) -> usize {
    // The remainder only tells the compiler what is known: no bounds check follows.
    (hits.trailing_zeros() / 8) as usize % SLOTS
}

const LAYOUT_VERSION: u32 = 1;
const SLOTS: usize = 8;
/// The tag of a free slot.
const NO_TAG: u16 = 0;

pub(crate) const BUCKET_BYTES: usize = size_of::<Bucket>();

const _: () = assert!(BUCKET_BYTES == 64);

#[cfg(test)]
mod tests;
