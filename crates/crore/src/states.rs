//! The application's state, a slot beside each control block.

use crore_mem::{Memory, MemoryError, Pod, Table};

/// One value of `S` for each connection slot; no memory at all when `S` has no size.
pub(crate) struct States<S: Pod> {
    table: Option<Table<S>>,
    sizeless: S,
}

impl<S: Pod> States<S> {
    pub(crate) fn new(memory: &mut Memory, count: u32) -> Result<Self, MemoryError> {
        let table = match size_of::<S>() {
            0 => None,
            _ => Some(memory.table("application state", 1, count)?),
        };
        Ok(Self { table, sizeless: S::new_zeroed() })
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut S {
        match &mut self.table {
            Some(table) => &mut table[index],
            None => &mut self.sizeless,
        }
    }

    #[inline]
    pub(crate) fn zero(&mut self, index: u32) {
        *self.get_mut(index) = S::new_zeroed();
    }

    #[inline]
    pub(crate) fn prefetch(&self, index: u32) {
        if let Some(table) = &self.table {
            table.prefetch(index);
        }
    }
}
