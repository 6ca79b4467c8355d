//! Memory for frames that two cores hand to each other: a region of slots of one size.
//!
//! ```text
//!   | len 0 | len 1 | ...   | slot 0      | slot 1      | ...
//!     u16 each                a frame
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use crore_mem::{Memory, MemoryError, Region};

/// Places for frames in one region, and how long each frame is. Whose turn it is at a slot, the
/// indices of a ring say.
#[derive(Debug)]
pub(crate) struct Slots {
    region: Region,
    /// A power of two.
    count: u32,
    slot_bytes: u32,
    frames_at: usize,
    stamps: Option<Stamps>,
}

/// For each slot when it was filled, by a clock of whoever measures.
#[derive(Debug)]
struct Stamps {
    clock: fn() -> u64,
    at: Box<[AtomicU64]>,
}

impl Slots {
    /// `count` slots, a power of two, of `slot_bytes` each.
    pub(crate) fn new(
        memory: &mut Memory,
        count: u32,
        slot_bytes: u32,
    ) -> Result<Self, MemoryError> {
        assert!(count.is_power_of_two());
        let frames_at = (count as usize * size_of::<u16>()).next_multiple_of(LINE_BYTES);
        let bytes = frames_at + count as usize * slot_bytes as usize;
        let region = memory.region("pipe frames", bytes)?;
        Ok(Self { region, count, slot_bytes, frames_at, stamps: None })
    }

    /// The same, and each slot is stamped by this clock when it is filled.
    pub(crate) fn stamped(mut self, clock: fn() -> u64) -> Self {
        let at = (0..self.count).map(|_| AtomicU64::new(0)).collect();
        self.stamps = Some(Stamps { clock, at });
        self
    }

    /// The clock of its stamps.
    pub(crate) fn clock(&self) -> Option<fn() -> u64> {
        self.stamps.as_ref().map(|stamps| stamps.clock)
    }

    /// Stamps the slots of these positions, which are about to be published.
    #[inline]
    pub(crate) fn stamp(&self, first: u32, count: u32) {
        if let Some(stamps) = &self.stamps {
            let now = (stamps.clock)();
            for position in 0..count {
                let slot = self.slot_at(first.wrapping_add(position));
                stamps.at[slot as usize].store(now, Ordering::Relaxed);
            }
        }
    }

    /// When a slot that was taken was filled; 0 without stamps.
    #[inline]
    pub(crate) fn stamp_of(&self, slot: u32) -> u64 {
        self.stamps.as_ref().map_or(0, |it| it.at[slot as usize].load(Ordering::Relaxed))
    }

    /// Number of slots.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of a slot.
    #[inline]
    pub(crate) fn slot_bytes(&self) -> u32 {
        self.slot_bytes
    }

    /// The slot at a position that counts on for ever.
    #[inline]
    pub(crate) fn slot_at(&self, position: u32) -> u32 {
        position & (self.count - 1)
    }

    /// Where the frame in a slot begins.
    #[inline]
    pub(crate) fn frame(&self, slot: u32) -> *mut u8 {
        debug_assert!(slot < self.count);
        let at = self.frames_at + slot as usize * self.slot_bytes as usize;
        // SAFETY: inside the region, which has `count` slots from `frames_at` on.
        unsafe { self.region.start().add(at) }.as_ptr()
    }

    /// Bytes of the frame in a slot that was taken.
    #[inline]
    pub(crate) fn len(&self, slot: u32) -> u32 {
        // SAFETY: inside the region, aligned; published before it was taken, so not written now.
        u32::from(unsafe { self.len_of(slot).read() })
    }

    /// # Safety
    /// The slot is reserved by the caller.
    #[inline]
    pub(crate) unsafe fn set_len(&self, slot: u32, len: u32) {
        // SAFETY: inside the region, aligned; nobody reads it before it is published. A slot's
        // capacity, which bounds `len`, fits into 16 bits.
        unsafe { self.len_of(slot).write(len as u16) };
    }

    #[inline]
    fn len_of(&self, slot: u32) -> *mut u16 {
        debug_assert!(slot < self.count);
        // SAFETY: inside the region, which begins with `count` lengths.
        unsafe { self.region.start().cast::<u16>().add(slot as usize) }.as_ptr()
    }
}

pub(crate) const LINE_BYTES: usize = 64;
