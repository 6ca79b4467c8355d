//! From an address to its entry: chains through the entries, from heads chosen by a keyed hash.

use crore_mem::{Memory, MemoryError, Table};

use super::{LAYOUT_VERSION, Neighbour};
use crate::hash::{FlowHasher, FlowKey};

/// The chains. An entry is in one of them, or in that of the free ones, or in none.
pub(super) struct AddressIndex {
    /// The first entry of each chain, plus one: zeroed memory is empty chains.
    heads: Table<u32>,
    hasher: FlowHasher,
    free: u32,
}

impl AddressIndex {
    pub(super) fn new(
        memory: &mut Memory,
        entries_max: u32,
        key: [u64; 2],
    ) -> Result<Self, MemoryError> {
        let heads = memory.table("neighbour index", LAYOUT_VERSION, entries_max.max(1))?;
        Ok(Self { heads, hasher: FlowHasher::new(key), free: NO_LINK })
    }

    pub(super) fn find(&self, address: u128, entries: &Table<Neighbour>) -> Option<u32> {
        let mut link = self.heads[self.head(address)];
        while link != NO_LINK {
            let entry = &entries[link - 1];
            if entry.address == address {
                return Some(link - 1);
            }
            link = entry.next;
        }
        None
    }

    /// Puts the entry at `index` into the chain of its address.
    pub(super) fn insert(&mut self, index: u32, entries: &mut Table<Neighbour>) {
        let head = self.head(entries[index].address);
        entries[index].next = self.heads[head];
        self.heads[head] = index + 1;
    }

    /// Takes the entry at `index`, which is in the chain of its address, out of it.
    pub(super) fn remove(&mut self, index: u32, entries: &mut Table<Neighbour>) {
        let next = entries[index].next;
        let head = self.head(entries[index].address);
        let mut link = self.heads[head];
        if link == index + 1 {
            self.heads[head] = next;
            return;
        }
        while link != NO_LINK {
            let before = &mut entries[link - 1];
            if before.next == index + 1 {
                before.next = next;
                return;
            }
            link = before.next;
        }
        debug_assert!(false, "entry {index} is in no chain");
    }

    /// Keeps an entry that is in no chain for [`AddressIndex::take_free`].
    pub(super) fn give_back(&mut self, index: u32, entries: &mut Table<Neighbour>) {
        entries[index].next = self.free;
        self.free = index + 1;
    }

    pub(super) fn take_free(&mut self, entries: &Table<Neighbour>) -> Option<u32> {
        let index = self.free.checked_sub(1)?;
        self.free = entries[index].next;
        Some(index)
    }

    fn head(&self, address: u128) -> u32 {
        let key = FlowKey { remote: address, ..FlowKey::default() };
        (((self.hasher.hash(&key) >> 32) * u64::from(self.heads.len())) >> 32) as u32
    }
}

/// No entry follows. Links are indices plus one.
const NO_LINK: u32 = 0;
