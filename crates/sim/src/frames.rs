//! Frames on the heap in place of a driver: what a host receives in a turn, and room to send.

use crore::mem::frames::{FramePlace, RxBurst, TX_BURST_MAX, TxBurst};

/// Room for the frames that one turn sends.
pub(crate) struct FrameRoom {
    bytes: Box<[u8]>,
    frame_bytes: usize,
}

impl FrameRoom {
    /// Room for `frames` of `frame_bytes` each.
    pub(crate) fn new(frames: usize, frame_bytes: usize) -> Self {
        assert!(frames <= TX_BURST_MAX && frame_bytes > 0);
        Self { bytes: vec![0; frames * frame_bytes].into_boxed_slice(), frame_bytes }
    }

    /// Lends `arrived` and the room to one turn; what it sent is handed to `sent`, in order.
    pub(crate) fn lend(
        &mut self,
        arrived: &mut [Box<[u8]>],
        turn: impl FnOnce(&RxBurst, &mut TxBurst),
        mut sent: impl FnMut(&[u8]),
    ) {
        let mut rx = RxBurst::new();
        for frame in arrived {
            assert!(!rx.is_full(), "a turn takes no more frames than a burst holds");
            let (start, len) = (frame.as_mut_ptr(), frame.len() as u32);
            // SAFETY: `arrived` is borrowed for longer than the burst lives, and nothing below
            // touches it; the burst is not full.
            unsafe { rx.push(FramePlace { start, len, capacity: len, token: 0 }) };
        }
        let mut tx = TxBurst::new();
        for frame in self.bytes.chunks_exact_mut(self.frame_bytes) {
            let (start, capacity) = (frame.as_mut_ptr(), frame.len() as u32);
            // SAFETY: the chunks are initialised, do not overlap, and are borrowed for longer than
            // the burst lives; there are no more of them than a burst holds (asserted in `new`).
            unsafe { tx.reserve(FramePlace { start, len: 0, capacity, token: 0 }) };
        }
        turn(&rx, &mut tx);
        for i in 0..tx.len() {
            sent(tx.committed(i));
        }
    }
}
