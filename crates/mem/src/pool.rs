//! Blocks of a few sizes, reference counted: for bytes that must stay longer than a turn.
//!
//! ```text
//!   block (a multiple of 64 bytes, at a multiple of 64)
//!   | link u32 | references u32 | H: the owner's header |  payload ...  |
//!   0          4                8                       8 + size of H
//!
//!   BlockId    | class: 3 bits | index in the class: 29 bits |
//! ```
//!
//! A block with one reference is its holder's own. A shared one has several holders, who read it;
//! it is free again when the last of them gave it up. All calls are O(1) in the number of blocks.

use core::{marker::PhantomData, ptr::NonNull};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    MemoryError, NO_SLOT, Pod, Region,
    free_list::FreeList,
    region::{Plan, region_bytes},
};

/// A pool of blocks in one region.
#[derive(Debug)]
pub struct Pool<H: Pod> {
    classes: [Class; CLASSES_MAX],
    class_count: usize,
    in_use: u32,
    block_count: u32,
    bytes_in_use: usize,
    bytes: usize,
    /// The free list of each class, in the region.
    state: NonNull<[FreeList; CLASSES_MAX]>,
    region: Region,
    of: PhantomData<H>,
}

/// A size of blocks, and how many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolClass {
    /// Bytes of payload that fit at least; rounded up so that blocks are multiples of 64 bytes.
    pub payload_bytes: u32,
    /// Number of blocks.
    pub count: u32,
}

/// The name of a block. Plain data: it may be kept in slots, headers and other blocks.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct BlockId(u32);

#[derive(Clone, Copy, Debug)]
struct Class {
    first: NonNull<u8>,
    block_bytes: u32,
    count: u32,
}

/// The pool's own words at the start of each block. `references` is 0 while the block is free.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Meta {
    link: u32,
    references: u32,
}

/// A block that was found: where it is, and where it ends.
#[derive(Clone, Copy)]
struct Place {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the pool owns its region, and `H` may go to another thread.
unsafe impl<H: Pod> Send for Pool<H> {}
// SAFETY: through `&Pool` blocks are only read.
unsafe impl<H: Pod + Sync> Sync for Pool<H> {}

impl<H: Pod> Pool<H> {
    /// The most classes a pool can have.
    pub const CLASSES_MAX: usize = CLASSES_MAX;

    /// Bytes of a block before its payload.
    pub const PAYLOAD_AT: usize = size_of::<Meta>() + size_of::<H>();

    /// Bytes that a mapped pool of these classes takes from the system.
    pub fn bytes_for(classes: &[PoolClass]) -> usize {
        let content = classes.iter().fold(0usize, |sum, class| {
            let bytes = Self::block_bytes(*class).saturating_mul(class.count as usize);
            sum.saturating_add(bytes)
        });
        region_bytes(content)
    }

    pub(crate) fn create(
        name: &'static str,
        classes: &[PoolClass],
        take: impl FnOnce(&Plan) -> Result<Region, MemoryError>,
    ) -> Result<Self, MemoryError> {
        const { assert!(align_of::<H>() <= size_of::<Meta>()) };
        assert!(!classes.is_empty() && classes.len() <= CLASSES_MAX, "a pool has 1 to 8 classes");
        let mut sorted = [PoolClass { payload_bytes: 0, count: 0 }; CLASSES_MAX];
        let sorted = &mut sorted[..classes.len()];
        sorted.copy_from_slice(classes);
        sorted.sort_by_key(|class| class.payload_bytes);

        let lines = Self::lines(name, sorted)?;
        let region = take(&Plan {
            name,
            version: META_VERSION,
            slot_bytes: LINE_BYTES,
            count: lines,
            align: LINE_BYTES,
            state_bytes: size_of::<[FreeList; CLASSES_MAX]>(),
        })?;
        Ok(Self::over(region, sorted))
    }

    fn lines(name: &'static str, classes: &[PoolClass]) -> Result<u32, MemoryError> {
        let mut lines = 0u64;
        for &class in classes {
            let slot_bytes = Self::block_bytes(class);
            lines += (slot_bytes / LINE_BYTES) as u64 * u64::from(class.count);
            if class.count > INDEX_MAX || lines > u64::from(u32::MAX) {
                let count = u64::from(class.count);
                return Err(MemoryError::TooLarge { name, slot_bytes, count });
            }
        }
        Ok(lines as u32)
    }

    fn over(region: Region, sorted: &[PoolClass]) -> Self {
        let mut first = region.start();
        let nothing = Class { first, block_bytes: 0, count: 0 };
        let mut classes = [nothing; CLASSES_MAX];
        for (class, &wish) in classes.iter_mut().zip(sorted) {
            let block_bytes = Self::block_bytes(wish);
            *class = Class { first, block_bytes: block_bytes as u32, count: wish.count };
            // SAFETY: the region was made for the lines of all classes together.
            first = unsafe { first.add(block_bytes * wish.count as usize) };
        }
        let state = region.state_ptr();
        // SAFETY: `state_ptr` found room for it between header and content; the region is ours.
        unsafe { state.write([FreeList::new(); CLASSES_MAX]) };
        let block_count = sorted.iter().map(|class| class.count).sum();
        let bytes = sorted.iter().map(|&c| Self::block_bytes(c) * c.count as usize).sum();
        let class_count = sorted.len();
        Self {
            classes,
            class_count,
            in_use: 0,
            block_count,
            bytes_in_use: 0,
            bytes,
            state,
            region,
            of: PhantomData,
        }
    }

    fn block_bytes(class: PoolClass) -> usize {
        (Self::PAYLOAD_AT + class.payload_bytes as usize).next_multiple_of(LINE_BYTES)
    }

    /// A block with room for `payload_len` bytes: of the smallest class that fits, or of a larger
    /// one when that is used up. `None` when there is none.
    ///
    /// It has one reference, its header is zeroed, its payload holds anything.
    ///
    /// # Panics
    /// When the pool's own words were destroyed, which safe code cannot do.
    #[inline]
    pub fn alloc(&mut self, payload_len: usize) -> Option<BlockId> {
        let (id, start) = self.take(payload_len)?;
        // SAFETY: behind the pool's words comes an `H`, aligned to at most 8; the pool is borrowed
        // alone.
        unsafe { start.add(size_of::<Meta>()).cast().write(H::new_zeroed()) };
        Some(id)
    }

    /// [`Pool::alloc`] for all of `payload`, which the block then holds behind `header`.
    ///
    /// # Panics
    /// As [`Pool::alloc`].
    #[inline]
    pub fn alloc_filled(&mut self, header: H, payload: &[u8]) -> Option<BlockId> {
        let (id, start) = self.take(payload.len())?;
        // SAFETY: as in `alloc`; behind the header is room for the payload, which `take` was asked
        // for, and nobody else has the block.
        unsafe {
            start.add(size_of::<Meta>()).cast().write(header);
            let room = start.add(Self::PAYLOAD_AT).as_ptr();
            core::ptr::copy_nonoverlapping(payload.as_ptr(), room, payload.len());
        }
        Some(id)
    }

    /// Hands out a block with room for `payload_len` bytes, and says where it begins: its header
    /// is as it was left.
    #[inline]
    fn take(&mut self, payload_len: usize) -> Option<(BlockId, NonNull<u8>)> {
        let bytes = Self::PAYLOAD_AT.checked_add(payload_len)?;
        for class in 0..self.class_count {
            let Class { block_bytes, count, .. } = self.classes[class];
            if bytes > block_bytes as usize {
                continue;
            }
            let Some(index) = self.free_list(class).next(count) else { continue };
            let Place { start, .. } = self.place_in(class, index);
            // SAFETY: as in `meta`; the pool is borrowed alone.
            let meta = unsafe { start.cast::<Meta>().as_mut() };
            assert!(meta.references == 0, "a block in use was in the list of free ones");
            let link = meta.link;
            *meta = Meta { link: NO_SLOT, references: 1 };
            self.free_list_mut(class).take(index, link);
            self.in_use += 1;
            self.bytes_in_use += block_bytes as usize;
            return Some((BlockId::new(class, index), start));
        }
        None
    }

    /// Adds a holder; each holder calls [`Pool::free`].
    ///
    /// # Panics
    /// When the block is free or unknown, or has 2^32 - 1 holders.
    #[inline]
    pub fn share(&mut self, id: BlockId) {
        let meta = self.meta_mut(id);
        assert!(meta.references != 0, "{id:?} is shared, and it is free");
        meta.references = meta.references.checked_add(1).expect("fewer than 2^32 holders");
    }

    /// Gives up one reference. True when it was the last one: the block is free.
    ///
    /// # Panics
    /// When the block is free already, or unknown.
    #[inline]
    pub fn free(&mut self, id: BlockId) -> bool {
        let meta = self.meta_mut(id);
        assert!(meta.references != 0, "{id:?} is freed, and it is free");
        meta.references -= 1;
        if meta.references != 0 {
            return false;
        }
        let link = self.free_list_mut(id.class()).give_back(id.index());
        self.meta_mut(id).link = link;
        self.in_use -= 1;
        self.bytes_in_use -= self.classes[id.class()].block_bytes as usize;
        true
    }

    /// Number of holders of the block; 0 when it is free.
    ///
    /// # Panics
    /// When the block is unknown.
    #[inline]
    pub fn references(&self, id: BlockId) -> u32 {
        self.meta(id).references
    }

    /// The owner's header in the block.
    ///
    /// # Panics
    /// When the block is unknown; in debug builds also when it is free.
    #[inline]
    pub fn header(&self, id: BlockId) -> &H {
        debug_assert!(self.references(id) != 0, "{id:?} is read, and it is free");
        // SAFETY: after the pool's words comes an `H`, aligned to at most 8, within the block's
        // bytes; any bytes are an `H`, and it is written only through `&mut self`.
        unsafe { self.place(id).start.add(size_of::<Meta>()).cast().as_ref() }
    }

    /// The owner's header in the block.
    ///
    /// # Panics
    /// As [`Pool::header`].
    #[inline]
    pub fn header_mut(&mut self, id: BlockId) -> &mut H {
        self.parts_mut(id).0
    }

    /// All bytes of payload that the block can hold.
    ///
    /// # Panics
    /// As [`Pool::header`].
    #[inline]
    pub fn payload(&self, id: BlockId) -> &[u8] {
        debug_assert!(self.references(id) != 0, "{id:?} is read, and it is free");
        let Place { start, bytes } = self.place(id);
        // SAFETY: the bytes behind the header, up to the end of the block; regions are initialised,
        // and written only through `&mut self`.
        unsafe {
            let payload = start.add(Self::PAYLOAD_AT).as_ptr();
            core::slice::from_raw_parts(payload, bytes - Self::PAYLOAD_AT)
        }
    }

    /// All bytes of payload that the block can hold. Every holder of the block sees the change.
    ///
    /// # Panics
    /// As [`Pool::header`].
    #[inline]
    pub fn payload_mut(&mut self, id: BlockId) -> &mut [u8] {
        self.parts_mut(id).1
    }

    /// Header and payload at once.
    ///
    /// # Panics
    /// As [`Pool::header`].
    #[inline]
    pub fn parts_mut(&mut self, id: BlockId) -> (&mut H, &mut [u8]) {
        debug_assert!(self.references(id) != 0, "{id:?} is written, and it is free");
        let Place { start, bytes } = self.place(id);
        // SAFETY: as in `header` and `payload`; the two do not overlap, and the pool is borrowed
        // alone.
        unsafe {
            let header = start.add(size_of::<Meta>()).cast().as_mut();
            let payload = start.add(Self::PAYLOAD_AT).as_ptr();
            (header, core::slice::from_raw_parts_mut(payload, bytes - Self::PAYLOAD_AT))
        }
    }

    /// Number of blocks handed out.
    #[inline]
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Number of blocks that can still be handed out, of all classes together.
    #[inline]
    pub fn free_blocks(&self) -> u32 {
        self.block_count - self.in_use
    }

    /// Bytes of the blocks handed out, their headers counted.
    #[inline]
    pub fn bytes_in_use(&self) -> usize {
        self.bytes_in_use
    }

    /// Bytes of all blocks, handed out or not.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of payload of the largest class: what [`Pool::alloc`] can give at most.
    pub fn payload_max(&self) -> usize {
        self.classes[self.class_count - 1].block_bytes as usize - Self::PAYLOAD_AT
    }

    /// The region below.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Asks for the block's first cache line: header and first bytes. Any id is allowed.
    #[inline]
    pub fn prefetch(&self, id: BlockId) {
        self.prefetch_line(id, 0);
    }

    /// Asks for cache line `line` of the block, counted from 0. Any id is allowed.
    #[inline]
    pub fn prefetch_line(&self, id: BlockId, line: u32) {
        let class = &self.classes[id.class()];
        let offset = id.index() as usize * class.block_bytes as usize + line as usize * LINE_BYTES;
        crate::prefetch(class.first.as_ptr().wrapping_add(offset));
    }

    /// Finds a block.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a handful of instructions, on every way to a block")]
    #[track_caller]
    fn place(&self, id: BlockId) -> Place {
        self.place_in(id.class(), id.index())
    }

    /// Finds a block of a class. This is the one check that keeps every access inside the region.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a handful of instructions, on every way to a block")]
    #[track_caller]
    fn place_in(&self, class: usize, index: u32) -> Place {
        let Class { first, block_bytes, count } = self.classes[class];
        if index >= count {
            no_such_block(self.region.name(), class, index);
        }
        let bytes = block_bytes as usize;
        // SAFETY: the index is below the class's count, so the whole block is inside the region.
        let start = unsafe { first.add(index as usize * bytes) };
        Place { start, bytes }
    }

    #[inline]
    fn meta(&self, id: BlockId) -> &Meta {
        // SAFETY: each block begins with the pool's words, aligned to 64; plain data, written only
        // through `&mut self`.
        unsafe { self.place(id).start.cast().as_ref() }
    }

    #[inline]
    fn meta_mut(&mut self, id: BlockId) -> &mut Meta {
        // SAFETY: as in `meta`; the pool is borrowed alone.
        unsafe { self.place(id).start.cast().as_mut() }
    }

    #[inline]
    fn free_list(&self, class: usize) -> &FreeList {
        // SAFETY: written in `over`; it changes only through `&mut self`.
        unsafe { &self.state.as_ref()[class] }
    }

    #[inline]
    fn free_list_mut(&mut self, class: usize) -> &mut FreeList {
        // SAFETY: as in `free_list`; the pool is borrowed alone.
        unsafe { &mut self.state.as_mut()[class] }
    }
}

impl BlockId {
    /// Names no block.
    pub const NONE: Self = Self(u32::MAX);

    #[inline]
    fn new(class: usize, index: u32) -> Self {
        Self((class as u32) << INDEX_BITS | index)
    }

    /// True for [`BlockId::NONE`].
    #[inline]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// True for everything but [`BlockId::NONE`].
    #[inline]
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }

    #[inline]
    fn class(self) -> usize {
        (self.0 >> INDEX_BITS) as usize
    }

    #[inline]
    fn index(self) -> u32 {
        self.0 & INDEX_MAX
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn no_such_block(name: &str, class: usize, index: u32) -> ! {
    panic!("`{name}` has no block of class {class}, index {index}");
}

const CLASSES_MAX: usize = 8;
const INDEX_BITS: u32 = 29;
/// Of the last class's indices the highest is `BlockId::NONE`.
const INDEX_MAX: u32 = (1 << INDEX_BITS) - 1;
const LINE_BYTES: usize = 64;
/// The layout of the pool's own words.
const META_VERSION: u32 = 1;

const _: () = assert!(size_of::<Meta>() == 8 && CLASSES_MAX == 1 << (32 - INDEX_BITS));

#[cfg(all(test, not(loom)))]
mod tests;
