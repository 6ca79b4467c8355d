//! The memory of the wheel's slots: cache lines of 15 indices, and a list of the free ones.

use crore_mem::{Memory, MemoryError, Table};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// All chunks of a wheel.
pub(super) struct Chunks {
    table: Table<Chunk>,
    /// The chunk freed last; the others follow through `next`.
    free: u32,
    /// The first chunk that was never used: start-up touches none.
    unused: u32,
}

/// One cache line of indices.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub(super) struct Chunk {
    pub(super) entries: [u32; CHUNK_ENTRIES],
    /// The next chunk of the slot, or of the free ones.
    pub(super) next: u32,
}

impl Chunks {
    pub(super) fn new(
        memory: &mut Memory,
        name: &'static str,
        count: u32,
    ) -> Result<Self, MemoryError> {
        Ok(Self { table: memory.table(name, LAYOUT_VERSION, count)?, free: NO_CHUNK, unused: 0 })
    }

    /// A chunk of anybody's content.
    ///
    /// # Panics
    /// When there is none, so when more connections have marks than the wheel was made for.
    #[inline]
    pub(super) fn take(&mut self) -> u32 {
        if self.free != NO_CHUNK {
            let chunk = self.free;
            self.free = self.table[chunk].next;
            return chunk;
        }
        assert!(self.unused < self.table.len(), "a mark was lost, or there are too many of them");
        self.unused += 1;
        self.unused - 1
    }

    #[inline]
    pub(super) fn give_back(&mut self, chunk: u32) {
        self.table[chunk].next = self.free;
        self.free = chunk;
    }

    #[inline]
    pub(super) fn get(&self, chunk: u32) -> &Chunk {
        &self.table[chunk]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, chunk: u32) -> &mut Chunk {
        &mut self.table[chunk]
    }

    #[inline]
    pub(super) fn prefetch(&self, chunk: u32) {
        self.table.prefetch(chunk);
    }

    #[cfg(test)]
    pub(super) fn in_use(&self) -> u32 {
        let mut free = 0;
        let mut at = self.free;
        while at != NO_CHUNK {
            free += 1;
            at = self.table[at].next;
        }
        self.unused - free
    }
}

pub(super) const CHUNK_ENTRIES: usize = 15;
pub(super) const NO_CHUNK: u32 = u32::MAX;
const LAYOUT_VERSION: u32 = 1;

pub(crate) const CHUNK_BYTES: usize = size_of::<Chunk>();

const _: () = assert!(CHUNK_BYTES == 64);
