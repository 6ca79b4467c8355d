//! The frames of one turn, lent by a driver: what arrived, and room for what will be sent.
//!
//! A driver and the stack never see each other. The engine passes these two values between them.
//! They hold places in the driver's memory, not copies:
//!
//! ```text
//!   driver ── rx_burst ──> RxBurst ── frame(i) ──> stack          driver memory
//!   driver <─ rx_release ─ RxBurst                                 stays put until here
//!
//!   driver ── tx_reserve ─> TxBurst ── frame() ──> stack writes, commit(len)
//!   driver <─ tx_burst ──── TxBurst
//! ```

use core::{ops::Range, slice};

pub mod heap;

/// The most frames one receive burst can hold.
pub const RX_BURST_MAX: usize = 64;

/// The most frames one transmit burst can hold.
pub const TX_BURST_MAX: usize = 256;

/// A place in a driver's memory. `token` is the driver's own name for it.
#[derive(Clone, Copy, Debug)]
pub struct FramePlace {
    /// Where the frame begins.
    pub start: *mut u8,
    /// Received: bytes in the frame. To be sent: bytes committed.
    pub len: u32,
    /// Bytes that may be written from `start` on.
    pub capacity: u32,
    /// Given back to the driver unchanged.
    pub token: u64,
}

const NOWHERE: FramePlace =
    FramePlace { start: core::ptr::null_mut(), len: 0, capacity: 0, token: 0 };

/// Frames received in one turn, in order of arrival.
#[derive(Debug)]
pub struct RxBurst {
    places: [FramePlace; RX_BURST_MAX],
    count: usize,
}

// SAFETY: the places are lent to whoever holds the burst, and to nobody else (contract of `push`).
unsafe impl Send for RxBurst {}

impl RxBurst {
    /// An empty burst.
    pub const fn new() -> Self {
        Self { places: [NOWHERE; RX_BURST_MAX], count: 0 }
    }

    /// Number of frames.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when nothing arrived.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True when no further frame fits.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.count == RX_BURST_MAX
    }

    /// The bytes of frame `i`, from its Ethernet header on.
    ///
    /// # Panics
    /// When `i` is not below [`RxBurst::len`].
    #[inline]
    pub fn frame(&self, i: usize) -> &[u8] {
        let place = &self.places[..self.count][i];
        // SAFETY: `push` promised `len` readable bytes that nobody writes until `clear`.
        unsafe { slice::from_raw_parts(place.start, place.len as usize) }
    }

    /// Those of the frames of a group, in order.
    ///
    /// # Panics
    /// When the group does not end by [`RxBurst::len`].
    #[inline]
    pub fn frames(&self, group: Range<usize>) -> impl Iterator<Item = &[u8]> {
        // SAFETY: as in `frame`.
        let bytes =
            |place: &FramePlace| unsafe { slice::from_raw_parts(place.start, place.len as usize) };
        self.places()[group].iter().map(bytes)
    }

    /// Asks for the frame's first two cache lines, and for a third when it has one: a small request
    /// ends there.
    #[inline]
    pub fn prefetch(&self, i: usize) {
        self.prefetch_group(i..i + 1);
    }

    /// The same for those frames of a group that are there.
    #[inline]
    pub fn prefetch_group(&self, group: Range<usize>) {
        let end = group.end.min(self.count);
        for &FramePlace { start, len, .. } in self.places.get(group.start..end).unwrap_or(&[]) {
            crate::prefetch(start);
            crate::prefetch(start.wrapping_add(64));
            if len > 128 {
                crate::prefetch(start.wrapping_add(128));
            }
        }
    }

    /// The driver's side: adds a frame.
    ///
    /// # Safety
    /// `place.start` has `place.len` readable bytes, and until the burst is cleared nobody writes
    /// them. The burst must not be full.
    #[inline]
    pub unsafe fn push(&mut self, place: FramePlace) {
        debug_assert!(self.count < RX_BURST_MAX);
        self.places[self.count] = place;
        self.count += 1;
    }

    /// The driver's side: the places to take back.
    #[inline]
    pub fn places(&self) -> &[FramePlace] {
        &self.places[..self.count]
    }

    /// The driver's side: forgets all frames, after it took the places back.
    #[inline]
    pub fn clear(&mut self) {
        self.count = 0;
    }
}

impl Default for RxBurst {
    fn default() -> Self {
        Self::new()
    }
}

/// Room for frames to send: `used` committed ones, free ones up to `open`, and up to `reserved`
/// those that were set aside.
#[derive(Debug)]
pub struct TxBurst {
    places: [FramePlace; TX_BURST_MAX],
    used: usize,
    open: usize,
    reserved: usize,
}

// SAFETY: as for `RxBurst`, by the contract of `reserve`.
unsafe impl Send for TxBurst {}

impl TxBurst {
    /// A burst without any room.
    pub const fn new() -> Self {
        Self { places: [NOWHERE; TX_BURST_MAX], used: 0, open: 0, reserved: 0 }
    }

    /// How many more frames can be written.
    #[inline]
    pub fn room(&self) -> usize {
        self.open - self.used
    }

    /// Takes up to `count` free frames out of the room, until [`TxBurst::open_all`].
    #[inline]
    pub fn set_aside(&mut self, count: usize) {
        self.open -= count.min(self.room());
    }

    /// What was set aside is room again.
    #[inline]
    pub fn open_all(&mut self) {
        self.open = self.reserved;
    }

    /// How many frames were committed.
    #[inline]
    pub fn len(&self) -> usize {
        self.used
    }

    /// True when no frame was committed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The next free frame, whole; its bytes hold anything. `None` when there is no room.
    ///
    /// Nothing is sent until [`TxBurst::commit`]; asking again gives the same frame.
    #[inline]
    pub fn frame(&mut self) -> Option<&mut [u8]> {
        if self.used == self.open {
            return None;
        }
        let place = &self.places[self.used];
        // SAFETY: `reserve` promised `capacity` bytes that are ours alone, and initialised.
        Some(unsafe { slice::from_raw_parts_mut(place.start, place.capacity as usize) })
    }

    /// Asks for the first lines of the frame `ahead` places behind the next one, to be written.
    /// They may still be where the last receiver read them.
    #[inline]
    pub fn prefetch(&self, ahead: usize) {
        if let Some(place) = self.places[..self.open].get(self.used + ahead) {
            crate::prefetch_to_write(place.start);
            crate::prefetch_to_write(place.start.wrapping_add(64));
            crate::prefetch_to_write(place.start.wrapping_add(128));
        }
    }

    /// The frame last given out is complete: its first `len` bytes go out.
    ///
    /// # Panics
    /// When there is no room, or `len` is above the frame's capacity.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a handful of instructions for each frame")]
    pub fn commit(&mut self, len: usize) {
        assert!(self.used < self.open);
        let place = &mut self.places[self.used];
        assert!(len <= place.capacity as usize);
        place.len = len as u32;
        self.used += 1;
    }

    /// A committed frame, for captures and tests.
    #[inline]
    pub fn committed(&self, i: usize) -> &[u8] {
        let place = &self.places[..self.used][i];
        // SAFETY: as in `frame`; committed frames stay ours until `take_back`.
        unsafe { slice::from_raw_parts(place.start, place.len as usize) }
    }

    /// The driver's side: adds room for one frame.
    ///
    /// # Safety
    /// `place.start` has `place.capacity` initialised bytes that nobody else reads or writes until
    /// the place is taken back. Fewer than [`TX_BURST_MAX`] places are reserved.
    #[inline]
    pub unsafe fn reserve(&mut self, place: FramePlace) {
        debug_assert!(self.reserved < TX_BURST_MAX);
        self.places[self.reserved] = place;
        self.reserved += 1;
        self.open += 1;
    }

    /// The driver's side: how many more places it may reserve.
    #[inline]
    pub fn unreserved(&self) -> usize {
        TX_BURST_MAX - self.reserved
    }

    /// The driver's side: the committed frames, in order.
    #[inline]
    pub fn places(&self) -> &[FramePlace] {
        &self.places[..self.used]
    }

    /// The driver's side: the first `sent` frames are its own again; the rest stays, in order.
    #[inline]
    pub fn take_back(&mut self, sent: usize) {
        assert!(sent <= self.used);
        self.places.copy_within(sent..self.reserved, 0);
        self.used -= sent;
        self.open -= sent;
        self.reserved -= sent;
    }

    /// The driver's side: the places reserved and not committed, to be given back at the end.
    #[inline]
    pub fn unused(&self) -> &[FramePlace] {
        &self.places[self.used..self.reserved]
    }
}

impl Default for TxBurst {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
