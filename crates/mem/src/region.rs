//! One piece of memory with a header that says what is in it.
//!
//! ```text
//!   0        64               4096 (heap: as near as alignment allows)         len
//!   | header | state of a pool |  slot 0 | slot 1 | ...            | rounding |
//! ```
//!
//! Nothing in a region is a pointer: slots name each other by index, so the region means the same
//! at any address, in any process.

use core::{alloc::Layout, mem::size_of, ptr::NonNull};
use std::{
    alloc::{alloc_zeroed, dealloc, handle_alloc_error},
    os::fd::BorrowedFd,
};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    HUGE_PAGE_BYTES, HugePages, MemoryError, Pages, Pod, SMALL_PAGE_BYTES, free_list::FreeList,
    mapping::Mapping,
};

/// A piece of memory: zero-filled, present, and given back to the system on drop.
#[derive(Debug)]
pub struct Region {
    name: &'static str,
    base: NonNull<u8>,
    content_at: usize,
    content_bytes: usize,
    backing: Backing,
}

/// The first 64 bytes of a region. Whoever adopts or reads a region checks these first.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RegionHeader {
    /// [`RegionHeader::MAGIC`].
    pub magic: [u8; 8],
    /// [`RegionHeader::FORMAT`]: the version of this header.
    pub format: u32,
    /// The version of the slots, stated by the owner of the type.
    pub version: u32,
    /// Bytes of a slot. A pool counts in lines of 64 bytes, a plain region in pages of 4096.
    pub slot_bytes: u32,
    /// Number of slots.
    pub count: u32,
    /// Where slot 0 begins, in bytes from the header's first.
    pub content_at: u32,
    /// A slab's free slots.
    pub(crate) free: FreeList,
    /// The region's name, filled up with zeros.
    pub name: [u8; 24],
}

/// What a region is to hold.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    pub(crate) slot_bytes: usize,
    pub(crate) count: u32,
    /// Alignment of a slot.
    pub(crate) align: usize,
    /// Bytes kept between the header and slot 0, for a pool's classes.
    pub(crate) state_bytes: usize,
}

#[derive(Debug)]
enum Backing {
    Heap(Layout),
    Mapped(Mapping),
}

// SAFETY: a region owns its memory, alone in this process; it has no tie to a thread.
unsafe impl Send for Region {}
// SAFETY: through `&Region` only the header is read, and it changes only through `&mut Region`.
unsafe impl Sync for Region {}

impl Region {
    /// A region on the heap, with no system call.
    pub(crate) fn on_heap(plan: &Plan) -> Result<Self, MemoryError> {
        let align = plan.align.max(HEADER_BYTES);
        let content_at = (HEADER_BYTES + plan.state_bytes).next_multiple_of(align);
        let bytes =
            plan.content_bytes()?.checked_add(content_at).ok_or_else(|| plan.too_large())?;
        let layout = Layout::from_size_align(bytes, align).map_err(|_| plan.too_large())?;
        // SAFETY: the layout has at least the header's bytes, so its size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        Self::with_header(plan, base, content_at, Backing::Heap(layout))
    }

    /// A region on the best pages that `wish` allows and the system has.
    pub(crate) fn mapped(plan: &Plan, wish: HugePages) -> Result<Self, MemoryError> {
        assert!(HEADER_BYTES + plan.state_bytes <= SMALL_PAGE_BYTES);
        assert!(plan.align <= SMALL_PAGE_BYTES);
        let mapping = Mapping::create(plan.name, plan.mapped_bytes()?, wish)?;
        Self::with_header(plan, mapping.start(), SMALL_PAGE_BYTES, Backing::Mapped(mapping))
    }

    /// The same, and another process can always map it: [`Region::file`] is not `None`.
    pub(crate) fn shareable(plan: &Plan, wish: HugePages) -> Result<Self, MemoryError> {
        let mapping = Mapping::shareable(plan.name, plan.mapped_bytes()?, wish)?;
        Self::with_header(plan, mapping.start(), SMALL_PAGE_BYTES, Backing::Mapped(mapping))
    }

    /// A region as large as a mapped one, that takes memory only where it is written.
    pub(crate) fn planned(plan: &Plan) -> Result<Self, MemoryError> {
        let mapping = Mapping::absent(plan.name, plan.mapped_bytes()?)?;
        Self::with_header(plan, mapping.start(), SMALL_PAGE_BYTES, Backing::Mapped(mapping))
    }

    fn with_header(
        plan: &Plan,
        base: NonNull<u8>,
        content_at: usize,
        backing: Backing,
    ) -> Result<Self, MemoryError> {
        let content_bytes = plan.content_bytes()?;
        let mut region = Self { name: plan.name, base, content_at, content_bytes, backing };
        let mut name = [0; 24];
        let shown = plan.name.len().min(name.len());
        name[..shown].copy_from_slice(&plan.name.as_bytes()[..shown]);
        *region.header_mut() = RegionHeader {
            magic: RegionHeader::MAGIC,
            format: RegionHeader::FORMAT,
            version: plan.version,
            slot_bytes: u32::try_from(plan.slot_bytes).map_err(|_| plan.too_large())?,
            count: plan.count,
            content_at: content_at as u32,
            free: FreeList::new(),
            name,
        };
        Ok(region)
    }

    /// The region's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The region's header.
    #[inline]
    pub fn header(&self) -> &RegionHeader {
        // SAFETY: every region begins with 64 bytes of header, aligned to 64 or more; they are
        // plain data, and written only through `header_mut`, which borrows the region alone.
        unsafe { self.base.cast::<RegionHeader>().as_ref() }
    }

    #[inline]
    pub(crate) fn header_mut(&mut self) -> &mut RegionHeader {
        // SAFETY: as in `header`; the region is borrowed alone.
        unsafe { self.base.cast::<RegionHeader>().as_mut() }
    }

    /// The plain data kept right after the header.
    pub(crate) fn state_ptr<S: Pod>(&self) -> NonNull<S> {
        const { assert!(align_of::<S>() <= HEADER_BYTES) };
        assert!(HEADER_BYTES + size_of::<S>() <= self.content_at);
        // SAFETY: the assertion keeps the place inside the region.
        unsafe { self.base.add(HEADER_BYTES) }.cast()
    }

    /// Where the content begins: 4096-aligned when mapped, aligned for its slots on the heap.
    ///
    /// The [`Region::len`] bytes from here on are initialised and stay in place until the region is
    /// dropped. Who reads and writes them by this pointer sees to it that no two do so at once.
    #[inline]
    pub fn start(&self) -> NonNull<u8> {
        // SAFETY: the header and `content_at` are inside the region.
        unsafe { self.base.add(self.content_at) }
    }

    /// Bytes of content that were asked for.
    #[inline]
    pub fn len(&self) -> usize {
        self.content_bytes
    }

    /// True when no content was asked for.
    pub fn is_empty(&self) -> bool {
        self.content_bytes == 0
    }

    /// The content.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start` has `len` initialised bytes, and the region is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.start().as_ptr(), self.content_bytes) }
    }

    /// Where the header is, and with it the first byte of [`Region::file`], if there is one.
    pub fn mapping(&self) -> NonNull<u8> {
        self.base
    }

    /// All bytes taken from the system: header, content and rounding.
    pub fn total_bytes(&self) -> usize {
        match &self.backing {
            Backing::Heap(layout) => layout.size(),
            Backing::Mapped(mapping) => mapping.bytes(),
        }
    }

    /// The pages that were got.
    pub fn pages(&self) -> Pages {
        match &self.backing {
            Backing::Heap(_) => Pages::Heap,
            Backing::Mapped(mapping) => mapping.pages(),
        }
    }

    /// The file by which another process can adopt the region; `None` for private memory.
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        match &self.backing {
            Backing::Heap(_) => None,
            Backing::Mapped(mapping) => mapping.file(),
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Backing::Heap(layout) = self.backing {
            // SAFETY: `base` came from the allocator with this layout; nothing refers to it any
            // more.
            unsafe { dealloc(self.base.as_ptr(), layout) };
        }
    }
}

impl RegionHeader {
    /// The first eight bytes of each region.
    pub const MAGIC: [u8; 8] = *b"CROREREG";

    /// The version of the header itself.
    pub const FORMAT: u32 = 1;
}

impl Plan {
    fn content_bytes(&self) -> Result<usize, MemoryError> {
        self.slot_bytes.checked_mul(self.count as usize).ok_or_else(|| self.too_large())
    }

    /// What it takes from the system when it is mapped.
    fn mapped_bytes(&self) -> Result<usize, MemoryError> {
        let content_bytes = self.content_bytes()?;
        if content_bytes > isize::MAX as usize - 2 * HUGE_PAGE_BYTES {
            return Err(self.too_large());
        }
        Ok(region_bytes(content_bytes))
    }

    fn too_large(&self) -> MemoryError {
        let (slot_bytes, count) = (self.slot_bytes, u64::from(self.count));
        MemoryError::TooLarge { name: self.name, slot_bytes, count }
    }
}

/// Bytes that a mapped region with `content_bytes` of slots takes from the system.
///
/// Header included; rounded to 2 MiB from 2 MiB on, to 4096 below, so that a small stack stays
/// small.
pub const fn region_bytes(content_bytes: usize) -> usize {
    let bytes = content_bytes.saturating_add(SMALL_PAGE_BYTES);
    let unit = if bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { SMALL_PAGE_BYTES };
    match bytes.checked_next_multiple_of(unit) {
        Some(rounded) => rounded,
        None => usize::MAX,
    }
}

pub(crate) const HEADER_BYTES: usize = 64;

const _: () = assert!(size_of::<RegionHeader>() == HEADER_BYTES);

#[cfg(all(test, not(loom)))]
mod tests;
