//! Memory of our own for the frames of one queue, and how frames get into it.
//!
//! ```text
//!   | received: one for each place of a burst | a frame that is put together | to be sent ... |
//! ```

use std::sync::Arc;

use crore_mem::frames::{FramePlace, RX_BURST_MAX, TX_BURST_MAX};
use crore_mem::{Memory, MemoryError, Region};

use super::copy::copy;
use super::region::Fault;
use super::session::Piece;
use crate::pipe::slot_bytes;

/// The frames.
#[derive(Debug)]
pub(super) struct Frames {
    /// Shared only to be kept alive when frames are still lent at the end.
    region: Arc<Region>,
    frame_bytes: u32,
    chain: Chain,
}

/// A frame that comes in several buffers, as far as it has come.
#[derive(Debug, Default)]
struct Chain {
    buffers: u16,
    len: u32,
}

/// What came of a buffer with (a part of) a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    Frame(FramePlace),
    /// The rest of the frame is in buffers to come.
    Part,
    TooLong,
    Empty,
}

impl Frames {
    pub(super) fn new(memory: &mut Memory, mtu: u16) -> Result<Self, MemoryError> {
        let frame_bytes = slot_bytes(mtu);
        let bytes = (TX_AT + TX_BURST_MAX) * frame_bytes as usize;
        let region = Arc::new(memory.region("memif frames", bytes)?);
        Ok(Self { region, frame_bytes, chain: Chain::default() })
    }

    /// A frame of one buffer, copied into our place of this number.
    #[inline]
    pub(super) fn copied(&mut self, number: usize, piece: &Piece) -> Taken {
        if piece.len > self.frame_bytes {
            return Taken::TooLong;
        }
        let start = self.rx(number);
        // SAFETY: the piece was found to be inside its region, which its session keeps; our place
        // has room for it, and is lent to nobody: places up to `number` are.
        unsafe { copy(piece.start, start, piece.len as usize) };
        self.taken(start, piece.len, self.frame_bytes)
    }

    /// A frame of one buffer, where it is.
    #[inline]
    pub(super) fn in_place(&self, piece: &Piece) -> Taken {
        self.taken(piece.start, piece.len, piece.capacity)
    }

    /// True while the rest of a frame is missing.
    #[inline]
    pub(super) fn is_amid_frame(&self) -> bool {
        self.chain.buffers > 0
    }

    /// Adds a buffer to a frame of several; the whole frame goes into our place of this number.
    ///
    /// No frame has more buffers than there are places in the ring: its sender must have had room
    /// for all of them.
    #[cold]
    pub(super) fn joined(
        &mut self,
        number: usize,
        piece: &Piece,
        ring_size: u16,
    ) -> Result<Taken, Fault> {
        let at = self.chain.len;
        self.chain.buffers += 1;
        // What is too long stays so: no sum of lengths that fits into a ring overflows 64 bits.
        let len = u64::from(at) + u64::from(piece.len);
        self.chain.len = len.min(u64::from(self.frame_bytes) + 1) as u32;
        if self.chain.buffers > ring_size {
            return Err(Fault::Chain);
        }
        let fits = self.chain.len <= self.frame_bytes;
        if fits {
            let to = self.start(RX_BURST_MAX).wrapping_add(at as usize);
            // SAFETY: as in `copied`; the place for frames that are put together is never lent.
            unsafe { copy(piece.start, to, piece.len as usize) };
        }
        if piece.more {
            return Ok(Taken::Part);
        }
        let Chain { len, .. } = std::mem::take(&mut self.chain);
        if !fits {
            return Ok(Taken::TooLong);
        }
        let (from, to) = (self.start(RX_BURST_MAX), self.rx(number));
        // SAFETY: two different places of ours, neither of them lent.
        unsafe { copy(from, to, len as usize) };
        Ok(self.taken(to, len, self.frame_bytes))
    }

    /// Forgets the beginning of a frame: its sender is gone.
    pub(super) fn forget_part(&mut self) {
        self.chain = Chain::default();
    }

    /// The place to write the frame with this token into. As many tokens as there are places follow
    /// each other before one comes again.
    #[inline]
    pub(super) fn tx(&self, token: u64) -> (*mut u8, u32) {
        (self.start(TX_AT + token as usize % TX_BURST_MAX), self.frame_bytes)
    }

    /// The memory, for who keeps frames longer than the link lives.
    pub(super) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    #[inline]
    fn taken(&self, start: *mut u8, len: u32, capacity: u32) -> Taken {
        match len {
            0 => Taken::Empty,
            _ if len > self.frame_bytes => Taken::TooLong,
            _ => Taken::Frame(FramePlace { start, len, capacity, token: 0 }),
        }
    }

    #[inline]
    fn rx(&self, number: usize) -> *mut u8 {
        debug_assert!(number < RX_BURST_MAX);
        self.start(number)
    }

    #[inline]
    fn start(&self, place: usize) -> *mut u8 {
        debug_assert!(place < TX_AT + TX_BURST_MAX);
        self.region.start().as_ptr().wrapping_add(place * self.frame_bytes as usize)
    }
}

/// Places before those to be sent from.
const TX_AT: usize = RX_BURST_MAX + 1;
