//! Frames on the heap in place of a driver's: for simulators, tests and fuzzers, without `unsafe`
//! of their own.
//!
//! ```text
//!   arrived ── lend ──> RxBurst ─┐
//!   room    ── lend ──> TxBurst ─┴─> turn ──> committed frames ──> sent
//! ```

use super::{FramePlace, RxBurst, TX_BURST_MAX, TxBurst};

/// Room for the frames that a turn sends; it lends them, and those that arrived, for one turn.
///
/// # Why this is sound
/// The bursts have no lifetime, so a turn could swap its `&mut TxBurst` for another one, keep it,
/// and write to it later. Therefore the room belongs to the burst while it is lent, as memory that
/// nobody frees, and comes back only when the burst is seen to hold every place of it: a place is
/// in one burst at a time, so then nobody else has any. Else, and when the turn panics, the room is
/// never freed nor lent again. The `&RxBurst` cannot be kept, and its frames are borrowed for
/// longer than it lives.
#[derive(Debug)]
pub struct HeapFrames {
    /// `None` while lent, and after a turn that did not leave the burst as it was.
    room: Option<Box<[u8]>>,
    frame_bytes: usize,
}

impl HeapFrames {
    /// Room for `frames` frames of `frame_bytes` each.
    ///
    /// # Panics
    /// When a frame has no bytes, or there are more frames than [`TX_BURST_MAX`].
    pub fn new(frames: usize, frame_bytes: usize) -> Self {
        assert!(frames <= TX_BURST_MAX, "at most {TX_BURST_MAX} frames fit into a burst");
        assert!(frame_bytes > 0, "a frame without bytes");
        Self { room: Some(vec![0; frames * frame_bytes].into_boxed_slice()), frame_bytes }
    }

    /// Lends `arrived` and the room to one turn; then hands what it committed to `sent`, in order.
    ///
    /// # Panics
    /// When more frames arrived than an [`RxBurst`] holds, or one has 4 GiB; when the turn did not
    /// leave the burst that it was lent, with all its places; when an earlier turn did not, or
    /// panicked.
    pub fn lend<F: AsRef<[u8]>>(
        &mut self,
        arrived: &[F],
        turn: impl FnOnce(&RxBurst, &mut TxBurst),
        mut sent: impl FnMut(&[u8]),
    ) {
        let mut rx = RxBurst::new();
        for frame in arrived {
            assert!(!rx.is_full(), "more frames than a burst holds");
            let bytes = frame.as_ref();
            let len = u32::try_from(bytes.len()).expect("a frame below 4 GiB");
            let start = bytes.as_ptr().cast_mut();
            // SAFETY: `arrived` is borrowed until after the last use of the burst; the place has no
            // capacity to write to. The burst is not full.
            unsafe { rx.push(FramePlace { start, len, capacity: 0, token: 0 }) };
        }
        let room = self.room.take().expect("the room that an earlier turn did not give back");
        let room = Lent { start: Box::into_raw(room), frame_bytes: self.frame_bytes };
        let mut tx = TxBurst::new();
        for start in room.places() {
            let capacity = self.frame_bytes as u32;
            // SAFETY: the place lies in `room`: initialised, apart from the others, and nobody's
            // but the burst's until the check below. No more than a burst holds, by `new`.
            unsafe { tx.reserve(FramePlace { start, len: 0, capacity, token: 0 }) };
        }
        turn(&rx, &mut tx);
        let back = tx.places().iter().chain(tx.unused()).map(|place| place.start);
        assert!(back.eq(room.places()), "a turn leaves the burst that it was lent, whole");
        for i in 0..tx.len() {
            sent(tx.committed(i));
        }
        // SAFETY: `into_raw` gave the pointer. Every place is in `tx`, which is not used any more,
        // so nobody has one.
        self.room = Some(unsafe { Box::from_raw(room.start) });
    }
}

/// The room while it is lent. It is not freed by itself.
struct Lent {
    start: *mut [u8],
    frame_bytes: usize,
}

impl Lent {
    /// Where each frame begins.
    fn places(&self) -> impl Iterator<Item = *mut u8> + use<> {
        let (start, step) = (self.start.cast::<u8>(), self.frame_bytes);
        (0..self.start.len() / step).map(move |i| start.wrapping_add(i * step))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
