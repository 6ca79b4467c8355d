//! Slots that are handed out and taken back, named by index and generation.

use core::ops::{Index, IndexMut};

use crate::{Pod, Region, Table, free_list::FreeList};

/// A slot of a [`Slab`]: it lends the slab two words.
pub trait Slot: Pod {
    /// What [`Slot::set_link`] last wrote. Used by the slab while the slot is free, by the owner
    /// while it is live.
    fn link(&self) -> u32;
    /// Keeps a link.
    fn set_link(&mut self, link: u32);
    /// What [`Slot::set_generation`] last wrote; 0 in a zeroed slot. Odd while the slot is live.
    fn generation(&self) -> u32;
    /// Keeps the generation. Only the slab calls this.
    fn set_generation(&mut self, generation: u32);
}

/// A fixed number of slots, each free or live. All calls are O(1), and nothing is allocated.
///
/// A slot's generation changes each time it is handed out or taken back, so a name (index and
/// generation) of a slot that has gone never finds the one that came after it.
#[derive(Debug)]
pub struct Slab<T: Slot> {
    table: Table<T>,
}

impl<T: Slot> Slab<T> {
    /// Bytes that a mapped slab of `count` slots takes from the system.
    pub const fn bytes_for(count: u32) -> usize {
        Table::<T>::bytes_for(count)
    }

    pub(crate) fn over(table: Table<T>) -> Self {
        Self { table }
    }

    /// Hands out a slot: the one last taken back, else one never used. `None` when all are live.
    ///
    /// Its generation is odd and new; the rest of it is as it was left, or zero.
    ///
    /// # Panics
    /// When the chain of free slots was destroyed by writing to a free slot.
    #[inline]
    pub fn insert(&mut self) -> Option<u32> {
        let index = self.free().next(self.capacity())?;
        let slot = &mut self.table[index];
        let generation = slot.generation();
        assert!(!is_live(generation), "a free slot was written to");
        slot.set_generation(generation.wrapping_add(1));
        let link = slot.link();
        self.free_mut().take(index, link);
        Some(index)
    }

    /// Takes a live slot back.
    ///
    /// # Panics
    /// When the slot is not live.
    #[inline]
    pub fn remove(&mut self, index: u32) {
        let generation = self.table[index].generation();
        assert!(is_live(generation), "slot {index} is taken back, and it was not handed out");
        let link = self.free_mut().give_back(index);
        let slot = &mut self.table[index];
        slot.set_generation(generation.wrapping_add(1));
        slot.set_link(link);
    }

    /// True when the slot is handed out.
    #[inline]
    pub fn is_live(&self, index: u32) -> bool {
        self.table.get(index).is_some_and(|slot| is_live(slot.generation()))
    }

    /// The slot, if it is live and still the one that `generation` names.
    #[inline]
    pub fn get(&self, index: u32, generation: u32) -> Option<&T> {
        let slot = self.table.get(index)?;
        (is_live(generation) && slot.generation() == generation).then_some(slot)
    }

    /// The slot, if it is live and still the one that `generation` names.
    #[inline]
    pub fn get_mut(&mut self, index: u32, generation: u32) -> Option<&mut T> {
        let slot = self.table.get_mut(index)?;
        (is_live(generation) && slot.generation() == generation).then_some(slot)
    }

    /// Number of live slots.
    #[inline]
    pub fn len(&self) -> u32 {
        self.free().live()
    }

    /// True when no slot is live.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of slots.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.table.len()
    }

    /// The indices of all live slots, in order: for reports and checks, it walks the whole slab.
    pub fn live(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.free().used()).filter(|index| self.is_live(*index))
    }

    /// The region below.
    pub fn region(&self) -> &Region {
        self.table.region()
    }

    /// Asks for the first cache line of slot `index`; any index is allowed.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.table.prefetch(index);
    }

    /// Asks for cache line `line` of slot `index`, counted from 0; any index is allowed.
    #[inline]
    pub fn prefetch_line(&self, index: u32, line: u32) {
        self.table.prefetch_line(index, line);
    }

    /// The slot that the next [`Slab::insert`] will hand out, so that it can be prefetched.
    #[inline]
    pub fn next_free(&self) -> Option<u32> {
        self.free().next(self.capacity())
    }

    /// Asks for the first two cache lines of the slot that insertion `nth`, counted from 0, will
    /// hand out from now on, where that is known: slots given back are a chain, of which only the
    /// first is.
    #[inline]
    pub fn prefetch_next(&self, nth: u32) {
        if let Some(index) = self.free().nth(nth) {
            self.prefetch_line(index, 0);
            self.prefetch_line(index, 1);
        }
    }

    #[inline]
    fn free(&self) -> &FreeList {
        &self.table.region().header().free
    }

    #[inline]
    fn free_mut(&mut self) -> &mut FreeList {
        &mut self.table.region_mut().header_mut().free
    }
}

impl<T: Slot> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    #[track_caller]
    fn index(&self, index: u32) -> &T {
        &self.table[index]
    }
}

impl<T: Slot> IndexMut<u32> for Slab<T> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.table[index]
    }
}

#[inline]
fn is_live(generation: u32) -> bool {
    generation & 1 == 1
}

#[cfg(all(test, not(loom)))]
mod tests;
