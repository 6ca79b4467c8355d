//! Where regions come from, and the account of what was taken.

use crate::{
    HugePages, MemoryError, Pages, Pod, Pool, PoolClass, Region, SMALL_PAGE_BYTES, Slab, Slot,
    Table, region::Plan,
};

/// The source of all regions of a core, and the account of them.
///
/// Used at start only: what it gave out lives on without it.
#[derive(Debug)]
pub struct Memory {
    source: Source,
    accounts: Vec<Account>,
}

/// What one region took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The region.
    pub name: &'static str,
    /// All its bytes, with header and rounding.
    pub bytes: usize,
    /// The pages it got.
    pub pages: Pages,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Heap,
    System(HugePages),
    Addresses,
}

impl Memory {
    /// Memory from the system, on the best pages that `huge_pages` allows; see [`HugePages`].
    pub fn new(huge_pages: HugePages) -> Self {
        Self { source: Source::System(huge_pages), accounts: Vec::new() }
    }

    /// Memory from the heap: for tests and the simulator, without a system call.
    pub fn heap() -> Self {
        Self { source: Source::Heap, accounts: Vec::new() }
    }

    /// For plans: regions of the sizes that [`Memory::new`] gives, at addresses that take memory
    /// only where they are written. Whatever is built on it takes what it takes in earnest, to the
    /// byte, by the same code; used, it would be slow, and could be killed.
    pub fn planned() -> Self {
        Self { source: Source::Addresses, accounts: Vec::new() }
    }

    /// A fixed array of `count` zeroed slots. `version` is that of `T`'s layout.
    pub fn table<T: Pod>(
        &mut self,
        name: &'static str,
        version: u32,
        count: u32,
    ) -> Result<Table<T>, MemoryError> {
        let plan = Plan {
            name,
            version,
            slot_bytes: size_of::<T>(),
            count,
            align: align_of::<T>(),
            state_bytes: 0,
        };
        Ok(Table::over(self.take(&plan)?))
    }

    /// Room for `count` slots that are handed out and taken back.
    pub fn slab<T: Slot>(
        &mut self,
        name: &'static str,
        version: u32,
        count: u32,
    ) -> Result<Slab<T>, MemoryError> {
        if count == u32::MAX {
            let slot_bytes = size_of::<T>();
            return Err(MemoryError::TooLarge { name, slot_bytes, count: u64::from(count) });
        }
        Ok(Slab::over(self.table(name, version, count)?))
    }

    /// Blocks of a few sizes. `H` is the header that the owner keeps in each block.
    ///
    /// # Panics
    /// When there is no class, or more than [`Pool::<()>::CLASSES_MAX`](Pool::CLASSES_MAX).
    pub fn pool<H: Pod>(
        &mut self,
        name: &'static str,
        classes: &[PoolClass],
    ) -> Result<Pool<H>, MemoryError> {
        Pool::create(name, classes, |plan| self.take(plan))
    }

    /// `bytes` of plain zeroed memory, from a page's start on when mapped: frames of a driver.
    pub fn region(&mut self, name: &'static str, bytes: usize) -> Result<Region, MemoryError> {
        self.take(&plain(name, bytes)?)
    }

    /// The same, to be shared with another process by [`Region::file`]: it is never on the heap nor
    /// private.
    pub fn shareable(&mut self, name: &'static str, bytes: usize) -> Result<Region, MemoryError> {
        let plan = plain(name, bytes)?;
        let region = match self.source {
            Source::Heap => Region::shareable(&plan, HugePages::None),
            Source::System(wish) => Region::shareable(&plan, wish),
            Source::Addresses => Region::planned(&plan),
        }?;
        Ok(self.account(name, region))
    }

    /// What each region took, in the order they were made.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// What all regions took.
    pub fn total_bytes(&self) -> usize {
        self.accounts.iter().map(|account| account.bytes).sum()
    }

    /// The pages that most of the bytes are on; `None` while nothing was taken.
    pub fn main_pages(&self) -> Option<Pages> {
        let kinds = [Pages::Reserved, Pages::Transparent, Pages::Small, Pages::Heap];
        let of = |kind| {
            let same = self.accounts.iter().filter(move |account| account.pages == kind);
            same.map(|account| account.bytes).sum::<usize>()
        };
        kinds.into_iter().filter(|kind| of(*kind) > 0).max_by_key(|kind| of(*kind))
    }

    fn take(&mut self, plan: &Plan) -> Result<Region, MemoryError> {
        let region = match self.source {
            Source::Heap => Region::on_heap(plan),
            Source::System(wish) => Region::mapped(plan, wish),
            Source::Addresses => Region::planned(plan),
        }?;
        Ok(self.account(plan.name, region))
    }

    fn account(&mut self, name: &'static str, region: Region) -> Region {
        let (bytes, pages) = (region.total_bytes(), region.pages());
        self.accounts.push(Account { name, bytes, pages });
        region
    }
}

/// Memory without slots, in pages.
fn plain(name: &'static str, bytes: usize) -> Result<Plan, MemoryError> {
    let pages = bytes.div_ceil(SMALL_PAGE_BYTES);
    let count = u32::try_from(pages).map_err(|_| MemoryError::TooLarge {
        name,
        slot_bytes: SMALL_PAGE_BYTES,
        count: pages as u64,
    })?;
    let (slot_bytes, align) = (SMALL_PAGE_BYTES, SMALL_PAGE_BYTES);
    Ok(Plan { name, version: 0, slot_bytes, count, align, state_bytes: 0 })
}

#[cfg(all(test, not(loom)))]
mod tests;
