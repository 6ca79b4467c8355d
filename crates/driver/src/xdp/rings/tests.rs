use std::sync::atomic::{AtomicU32, Ordering};

use super::{Consumer, Mapping, Producer, Ring};

/// A ring of 4 entries, and this test as the kernel at its other end.
struct Kernel {
    producer: *const AtomicU32,
    consumer: *const AtomicU32,
    flags: *const AtomicU32,
    entries: *mut u64,
}

const SIZE: u32 = 4;
const AT: libc::xdp_ring_offset =
    libc::xdp_ring_offset { producer: 0, consumer: 64, flags: 128, desc: 256 };

/// `start` is where both indices stand at first.
fn ring(start: u32) -> (Ring<u64>, Kernel) {
    let mapping = Mapping::anonymous(4096).unwrap();
    let kernel = Kernel {
        producer: mapping.word(0),
        consumer: mapping.word(64),
        flags: mapping.word(128),
        entries: mapping.word(256).cast_mut().cast(),
    };
    kernel.producer().store(start, Ordering::Relaxed);
    kernel.consumer().store(start, Ordering::Relaxed);
    (Ring::new(mapping, &AT, SIZE).unwrap(), kernel)
}

impl Kernel {
    fn producer(&self) -> &AtomicU32 {
        // SAFETY: the mapping lives in the ring, which each test keeps to its end.
        unsafe { &*self.producer }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { &*self.consumer }
    }

    fn flags(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { &*self.flags }
    }

    fn entry(&self, index: u32) -> *mut u64 {
        self.entries.wrapping_add((index % SIZE) as usize)
    }

    /// Consumes one entry of a ring that is filled by us.
    fn take(&self) -> Option<u64> {
        let at = self.consumer().load(Ordering::Relaxed);
        if at == self.producer().load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: inside the ring, and published.
        let entry = unsafe { self.entry(at).read() };
        self.consumer().store(at.wrapping_add(1), Ordering::Release);
        Some(entry)
    }

    /// Puts one entry into a ring that is emptied by us.
    fn put(&self, entry: u64) {
        let at = self.producer().load(Ordering::Relaxed);
        // SAFETY: inside the ring; the tests do not overfill it.
        unsafe { self.entry(at).write(entry) };
        self.producer().store(at.wrapping_add(1), Ordering::Release);
    }
}

#[test]
fn entries_are_seen_when_published_and_there_are_no_more_than_the_ring_holds() {
    // Both indices wrap around on the way.
    let (ring, kernel) = ring(u32::MAX - 2);
    let mut ours = Producer::new(ring);
    for entry in 0..4 {
        assert!(ours.push(entry));
    }
    assert!(!ours.push(4), "the ring is full");
    assert_eq!(kernel.take(), None, "nothing is published yet");
    ours.publish();
    assert_eq!(kernel.take(), Some(0));
    assert_eq!(ours.pending(), 3);
    assert!(ours.push(4), "one entry was consumed");
    assert!(!ours.push(5));
    ours.publish();
    assert_eq!(std::iter::from_fn(|| kernel.take()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(ours.pending(), 0);
}

#[test]
fn entries_are_read_in_order_and_their_places_given_back_together() {
    let (ring, kernel) = ring(u32::MAX);
    let mut ours = Consumer::new(ring);
    assert_eq!(ours.pop(), None);
    assert!(!ours.has_more());
    kernel.put(10);
    kernel.put(11);
    assert!(ours.has_more());
    assert_eq!((ours.pop(), ours.pop(), ours.pop()), (Some(10), Some(11), None));
    assert_eq!(kernel.consumer().load(Ordering::Relaxed), u32::MAX, "not given back yet");
    ours.release();
    assert_eq!(kernel.consumer().load(Ordering::Relaxed), 1);
}

#[test]
fn an_index_that_cannot_be_is_cut_to_the_ring() {
    // The kernel says it produced a thousand entries into a ring of four.
    let (ring_in, kernel) = ring(0);
    kernel.producer().store(1000, Ordering::Relaxed);
    let mut ours = Consumer::new(ring_in);
    for _ in 0..SIZE {
        assert!(ours.pop().is_some());
    }
    // The kernel says it consumed more than was produced.
    let (ring_out, kernel) = ring(0);
    let mut ours = Producer::<u64>::new(ring_out);
    kernel.consumer().store(7, Ordering::Relaxed);
    assert_eq!(ours.pending(), SIZE);
    assert!(!ours.push(1), "nothing is overwritten");
}

#[test]
fn the_wakeup_flag_is_seen() {
    let (ring, kernel) = ring(0);
    let ours = Producer::<u64>::new(ring);
    assert!(!ours.needs_wakeup());
    kernel.flags().store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
    assert!(ours.needs_wakeup());
}

#[test]
fn a_ring_that_does_not_fit_its_memory_is_refused() {
    for at in [
        libc::xdp_ring_offset { desc: 4096 - 24, ..AT },
        libc::xdp_ring_offset { desc: u64::MAX - 8, ..AT },
        libc::xdp_ring_offset { desc: 257, ..AT },
        libc::xdp_ring_offset { producer: 4094, ..AT },
        libc::xdp_ring_offset { flags: 1 << 40, ..AT },
    ] {
        let mapping = Mapping::anonymous(4096).unwrap();
        assert!(Ring::<u64>::new(mapping, &at, SIZE).is_err(), "{at:?}");
    }
}
