//! A fixed array of slots in a region, by index.

use core::{
    marker::PhantomData,
    ops::{Index, IndexMut},
    ptr::NonNull,
};

use crate::{Pod, Region, region_bytes};

/// A fixed array of `T`. An index at or above [`Table::len`] panics; prefetching takes any index.
#[derive(Debug)]
pub struct Table<T: Pod> {
    slots: NonNull<T>,
    count: u32,
    region: Region,
    of: PhantomData<T>,
}

// SAFETY: the table owns its region, and `T` may go to another thread.
unsafe impl<T: Pod> Send for Table<T> {}
// SAFETY: through `&Table` slots are only read.
unsafe impl<T: Pod + Sync> Sync for Table<T> {}

impl<T: Pod> Table<T> {
    /// Bytes that a mapped table of `count` slots takes from the system.
    pub const fn bytes_for(count: u32) -> usize {
        region_bytes(size_of::<T>().saturating_mul(count as usize))
    }

    pub(crate) fn over(region: Region) -> Self {
        let slots = region.start().cast::<T>();
        let count = region.header().count;
        assert!(slots.is_aligned() && size_of::<T>() * count as usize <= region.len());
        Self { slots, count, region, of: PhantomData }
    }

    /// Number of slots.
    #[inline]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// True for a table without slots.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The region below.
    pub fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn region_mut(&mut self) -> &mut Region {
        &mut self.region
    }

    /// Slot `index`, if there is one.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        // SAFETY: the slot is inside the region (asserted in `over`), any bytes are a `T`, and it
        // is written only through `&mut self`.
        (index < self.count).then(|| unsafe { self.slots.add(index as usize).as_ref() })
    }

    /// Slot `index`, if there is one.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        // SAFETY: as in `get`; the table is borrowed alone.
        (index < self.count).then(|| unsafe { self.slots.add(index as usize).as_mut() })
    }

    /// All slots.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: as in `get`, for all of them.
        unsafe { core::slice::from_raw_parts(self.slots.as_ptr(), self.count as usize) }
    }

    /// All slots.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `get_mut`, for all of them.
        unsafe { core::slice::from_raw_parts_mut(self.slots.as_ptr(), self.count as usize) }
    }

    /// Asks for the first cache line of slot `index`.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.prefetch_line(index, 0);
    }

    /// Asks for cache line `line` of slot `index`, counted from 0.
    #[inline]
    pub fn prefetch_line(&self, index: u32, line: u32) {
        let slot = self.slots.as_ptr().wrapping_add(index as usize);
        crate::prefetch(slot.cast::<u8>().wrapping_add(line as usize * 64));
    }
}

impl<T: Pod> Index<u32> for Table<T> {
    type Output = T;

    #[inline]
    #[track_caller]
    fn index(&self, index: u32) -> &T {
        match self.get(index) {
            Some(slot) => slot,
            None => no_such_slot(self.region.name(), index, self.count),
        }
    }
}

impl<T: Pod> IndexMut<u32> for Table<T> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, index: u32) -> &mut T {
        let (name, count) = (self.region.name(), self.count);
        match self.get_mut(index) {
            Some(slot) => slot,
            None => no_such_slot(name, index, count),
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn no_such_slot(name: &str, index: u32, count: u32) -> ! {
    panic!("`{name}` has {count} slots, and slot {index} was asked for");
}

#[cfg(all(test, not(loom)))]
mod tests;
