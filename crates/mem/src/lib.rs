//! Memory of the data plane: where all state of the connections lives, and how cores hand it over.
//!
//! ```text
//!   Memory ──> Region      one mapping on the best pages to be had, a header, no pointers inside
//!     ├─ table ─> Table    fixed array of slots, by index
//!     ├─ slab ──> Slab     slots handed out and taken back, by index and generation
//!     └─ pool ──> Pool     blocks of a few sizes, reference counted
//!   ring     one producer, one consumer: values, or indices of places in a region
//!   frames   the frames of one turn, lent by a driver
//!   vectors  work written once over vectors, done on the widest that the processor has
//!   huge     reserving 2 MiB pages for the time of a run;  available: what the machine can spare
//! ```
//!
//! Everything is sized once at start and touched once, so that the packet path neither allocates
//! nor faults. All access is checked: no index, generation or block that safe code can make up
//! reaches memory outside its slot. This crate knows nothing of packets.
pub mod available;
mod error;
pub mod frames;
mod free_list;
pub mod huge;
mod mapping;
mod memory;
mod pages;
mod pod;
pub mod pool;
mod region;
pub mod ring;
mod slab;
mod table;
pub mod vectors;

pub use available::available_bytes;
pub use error::MemoryError;
pub use huge::{HugePageReservation, ReservationError, huge_pages_needed};
pub use memory::{Account, Memory};
pub use pages::{HUGE_PAGE_BYTES, HugePages, Pages, SMALL_PAGE_BYTES};
pub use pod::Pod;
pub use pool::{BlockId, Pool, PoolClass};
pub use region::{Region, RegionHeader, region_bytes};
pub use slab::{Slab, Slot};
pub use table::Table;

/// The index that names no slot: the end of a chain, or "not there".
pub const NO_SLOT: u32 = u32::MAX;

/// Asks the processor to bring the cache line at `place` near. Any address is allowed.
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction, on the packet path")]
pub fn prefetch<T>(place: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint; it reads nothing the program can see, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

/// The same for a line that will be written: other cores give it up. Processors that cannot take it
/// ahead do nothing.
///
/// By the instruction's name: of its intrinsic the compiler makes a plain prefetch where not all
/// processors that it builds for have PREFETCHW, and then the first store waits for the others.
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction, on the packet path")]
pub fn prefetch_to_write<T>(place: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as for `prefetch`; where it is not known it does nothing.
    unsafe {
        core::arch::asm!(
            "prefetchw byte ptr [{}]",
            in(reg) place,
            options(readonly, nostack, preserves_flags)
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

/// Stores all of `value`, in one store.
///
/// Of setting a bit the compiler makes a store of the one octet that changes. A load of the whole
/// word soon after cannot be served from it, and waits until that store, with all before it, is in
/// the cache: hundreds of cycles behind a frame whose lines another core had.
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction, on the packet path")]
pub fn store_whole(place: &mut u32, value: u32) {
    // SAFETY: a reference is valid and aligned; volatile says only that the store stays as it is.
    unsafe { core::ptr::write_volatile(place, value) }
}

#[cfg(all(test, not(any(loom, miri))))]
mod scratch;

/// How often a property is tried: seldom under miri, which is a thousand times slower.
#[cfg(all(test, not(loom)))]
fn test_runs() -> proptest::test_runner::Config {
    let cases = if cfg!(miri) { 4 } else { 256 };
    // Failures are not kept in files: the crate's directory may be read-only, and miri has no
    // files.
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
