//! The frames of one queue, in memory that the kernel reads and writes, and whose each one is.
//!
//! ```text
//!   chunk:   0 .. frames          frames .. 2 * frames
//!           | for receiving      | for sending          |     each chunk_bytes long
//!
//!   receiving:  waiting to be filled ─> the kernel ─> lent to the stack ─> waiting to be filled
//!   sending:    free ─> lent to the stack ─> the kernel ─> free
//! ```
//!
//! The two halves never mix, so sending cannot starve receiving, and no ring can overflow. An XDP
//! socket's rings name chunks; each name is a claim until it is checked here: inside the memory,
//! and of a chunk that the kernel has. So no chunk is ever ours and the kernel's at once.

use std::sync::Arc;

use crore_mem::frames::FramePlace;
use crore_mem::{Memory, MemoryError, Region};

/// Who may touch a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// In our list of free chunks.
    Free,
    /// In a burst that the stack has.
    Lent,
    /// Waiting to be filled or sent, on the way, or filled and not looked at yet.
    Kernel,
}

/// The frames of one queue.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Shared only to be kept alive when chunks are still lent at the end.
    region: Arc<Region>,
    chunk_bytes: u32,
    /// Chunks for receiving, and as many for sending.
    frames: u32,
    owners: Box<[Owner]>,
    free: Vec<u32>,
    lent: usize,
}

impl Chunks {
    /// Room for `frames` frames to receive and as many to send, of an interface with this MTU.
    pub(crate) fn new(
        memory: &mut Memory,
        name: &'static str,
        frames: u32,
        mtu: u32,
    ) -> Result<Self, MemoryError> {
        Self::with_chunks_of(memory, name, frames, chunk_bytes(mtu))
    }

    /// As [`Chunks::new`], with chunks of this size: a power of two.
    pub(crate) fn with_chunks_of(
        memory: &mut Memory,
        name: &'static str,
        frames: u32,
        chunk_bytes: u32,
    ) -> Result<Self, MemoryError> {
        assert!(chunk_bytes.is_power_of_two());
        let bytes = 2 * frames as usize * chunk_bytes as usize;
        let region = Arc::new(memory.region(name, bytes)?);
        let mut owners = vec![Owner::Free; 2 * frames as usize].into_boxed_slice();
        // The owner of the queue hands all of them over before anything else.
        owners[..frames as usize].fill(Owner::Kernel);
        // Reversed: the chunks are used from the first on.
        let free = (frames..2 * frames).rev().collect();
        Ok(Self { region, chunk_bytes, frames, owners, free, lent: 0 })
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.region.start().as_ptr()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.owners.len() * self.chunk_bytes as usize
    }

    pub(crate) fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    /// Chunks for receiving, and as many for sending: also the size of each ring.
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Where a chunk begins, as the kernel names it.
    pub(crate) fn address_of(&self, chunk: u32) -> u64 {
        u64::from(chunk) * u64::from(self.chunk_bytes)
    }

    /// The chunks to receive into that wait to be filled, as the kernel names them.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = u64> + '_ {
        let waits = |chunk: &u32| self.owners[*chunk as usize] == Owner::Kernel;
        (0..self.frames).filter(waits).map(|chunk| self.address_of(chunk))
    }

    /// The kernel has let go of this memory, and what it had not sent yet it will not send: those
    /// chunks are free again. Those to receive into wait for whom they are handed to next.
    pub(crate) fn reclaim(&mut self) {
        for chunk in self.frames..2 * self.frames {
            if self.owners[chunk as usize] == Owner::Kernel {
                self.owners[chunk as usize] = Owner::Free;
                self.free.push(chunk);
            }
        }
    }

    /// Takes a received frame from the kernel. `None` when what it says cannot be.
    #[inline]
    pub(crate) fn receive(&mut self, address: u64, len: u32) -> Option<FramePlace> {
        let chunk = self.chunk_at(address).filter(|chunk| *chunk < self.frames)?;
        let capacity = (self.address_of(chunk + 1) - address) as u32;
        if self.owners[chunk as usize] != Owner::Kernel || len > capacity {
            return None;
        }
        self.owners[chunk as usize] = Owner::Lent;
        self.lent += 1;
        // `chunk_at` found the address inside the region.
        let start = self.start().wrapping_add(address as usize);
        Some(FramePlace { start, len, capacity, token: chunk.into() })
    }

    /// The bytes of a chunk that waits to be filled, for a driver that fills it by a copy of its
    /// own.
    ///
    /// # Panics
    /// When the chunk is not one to receive into, or not waiting.
    pub(crate) fn waiting_bytes(&mut self, address: u64) -> &mut [u8] {
        let chunk = self.chunk_at(address).filter(|chunk| *chunk < self.frames);
        let chunk = chunk.expect("an address of a chunk to receive into");
        assert!(self.owners[chunk as usize] == Owner::Kernel);
        let start = self.start().wrapping_add(self.address_of(chunk) as usize);
        // SAFETY: a whole chunk inside the region, initialised (regions begin zeroed), and lent to
        // nobody; through `&mut self` it stays so as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(start, self.chunk_bytes as usize) }
    }

    /// Takes back a received frame, to be given to the kernel; returns the chunk's name.
    ///
    /// # Panics
    /// When the place is not one that `receive` lent.
    #[inline]
    pub(crate) fn release(&mut self, place: &FramePlace) -> u64 {
        let chunk = self.lent_chunk(place);
        assert!(chunk < self.frames, "a frame to be sent was released as a received one");
        self.owners[chunk as usize] = Owner::Kernel;
        self.lent -= 1;
        self.address_of(chunk)
    }

    /// Lends a free chunk to write a frame into.
    #[inline]
    pub(crate) fn lend(&mut self) -> Option<FramePlace> {
        let chunk = self.free.pop()?;
        self.owners[chunk as usize] = Owner::Lent;
        self.lent += 1;
        let start = self.start().wrapping_add(self.address_of(chunk) as usize);
        Some(FramePlace { start, len: 0, capacity: self.chunk_bytes, token: chunk.into() })
    }

    /// Takes a written frame, to be given to the kernel; returns the chunk's name.
    ///
    /// # Panics
    /// When the place is not one that `lend` lent.
    #[inline]
    pub(crate) fn send(&mut self, place: &FramePlace) -> u64 {
        let chunk = self.lent_chunk(place);
        assert!(chunk >= self.frames, "a received frame was sent in place");
        self.owners[chunk as usize] = Owner::Kernel;
        self.lent -= 1;
        self.address_of(chunk)
    }

    /// Takes back a chunk that was lent to write, unwritten.
    ///
    /// # Panics
    /// When the place is not one that `lend` lent.
    pub(crate) fn take_back(&mut self, place: &FramePlace) {
        let chunk = self.lent_chunk(place);
        assert!(chunk >= self.frames, "a received frame was taken back as one to be sent");
        self.owners[chunk as usize] = Owner::Free;
        self.lent -= 1;
        self.free.push(chunk);
    }

    /// The kernel has sent the frame in this chunk. False when what it says cannot be.
    #[inline]
    pub(crate) fn complete(&mut self, address: u64) -> bool {
        let sending = |chunk: &u32| *chunk >= self.frames;
        let Some(chunk) = self.chunk_at(address).filter(sending) else { return false };
        if self.owners[chunk as usize] != Owner::Kernel {
            return false;
        }
        self.owners[chunk as usize] = Owner::Free;
        self.free.push(chunk);
        true
    }

    /// Chunks that can be lent to write.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// The chunk that an address of the kernel's lies in, at any offset.
    fn chunk_at(&self, address: u64) -> Option<u32> {
        let chunk = address / u64::from(self.chunk_bytes);
        (chunk < self.owners.len() as u64).then_some(chunk as u32)
    }

    fn lent_chunk(&self, place: &FramePlace) -> u32 {
        let chunk = usize::try_from(place.token).ok().filter(|chunk| *chunk < self.owners.len());
        let chunk = chunk.expect("a burst of another link was given back here");
        let first = self.start().wrapping_add(chunk * self.chunk_bytes as usize).addr();
        let inside = (first..first + self.chunk_bytes as usize).contains(&place.start.addr());
        let lent = inside && self.owners[chunk] == Owner::Lent;
        assert!(lent, "a burst of another link was given back here");
        chunk as u32
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // Frames that are still lent stay readable and writable for whoever has them.
        if self.lent > 0 {
            std::mem::forget(Arc::clone(&self.region));
        }
    }
}

/// XDP takes powers of two. The kernel keeps 256 bytes in front of a received frame, and an
/// Ethernet header with one tag takes 18.
pub(crate) fn chunk_bytes(mtu: u32) -> u32 {
    (mtu + 256 + 18).next_power_of_two().max(2048)
}

#[cfg(test)]
mod tests;
