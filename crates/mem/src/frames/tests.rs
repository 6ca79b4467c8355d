//! Bursts, with a piece of heap as the driver's memory.

use super::*;

const FRAME_BYTES: usize = 128;

/// A driver whose frames lie in a heap buffer; `token` is the frame's number.
struct Driver {
    memory: Vec<u8>,
}

impl Driver {
    fn new(frames: usize) -> Self {
        Self { memory: vec![0; frames * FRAME_BYTES] }
    }

    fn place(&mut self, number: usize, len: usize) -> FramePlace {
        let start = self.memory.as_mut_ptr().wrapping_add(number * FRAME_BYTES);
        let (len, capacity) = (len as u32, FRAME_BYTES as u32);
        FramePlace { start, len, capacity, token: number as u64 }
    }

    fn reserve(&mut self, burst: &mut TxBurst, numbers: core::ops::Range<usize>) {
        for number in numbers {
            let place = self.place(number, 0);
            // SAFETY: the frame lies in our buffer, which outlives the burst, and only it has it.
            unsafe { burst.reserve(place) };
        }
    }
}

fn tokens(places: &[FramePlace]) -> Vec<u64> {
    places.iter().map(|place| place.token).collect()
}

#[test]
fn received_frames_are_read_in_order_and_given_back() {
    let mut driver = Driver::new(2);
    driver.memory[..4].copy_from_slice(b"ping");
    driver.memory[FRAME_BYTES..][..5].copy_from_slice(b"hello");
    let mut burst = RxBurst::default();
    assert!(burst.is_empty());
    for (number, len) in [(0, 4), (1, 5)] {
        let place = driver.place(number, len);
        // SAFETY: the frame lies in our buffer, and is not written until `clear`.
        unsafe { burst.push(place) };
    }
    burst.prefetch(0);
    burst.prefetch(RX_BURST_MAX + 1);
    assert_eq!((burst.len(), burst.is_full()), (2, false));
    assert_eq!((burst.frame(0), burst.frame(1)), (&b"ping"[..], &b"hello"[..]));
    assert_eq!(tokens(burst.places()), [0, 1]);
    burst.clear();
    assert!(burst.is_empty());
}

#[test]
fn a_burst_is_full_at_its_limit() {
    let mut driver = Driver::new(1);
    let mut burst = RxBurst::new();
    for _ in 0..RX_BURST_MAX {
        let place = driver.place(0, 1);
        // SAFETY: the frame lies in our buffer, and is only read.
        unsafe { burst.push(place) };
    }
    assert!(burst.is_full());
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn a_frame_that_did_not_arrive_cannot_be_read() {
    let _ = RxBurst::new().frame(0);
}

#[test]
fn a_frame_goes_out_when_it_is_committed_and_not_before() {
    let mut driver = Driver::new(2);
    let mut burst = TxBurst::default();
    assert!(burst.frame().is_none());
    driver.reserve(&mut burst, 0..2);
    assert_eq!((burst.room(), burst.unreserved()), (2, TX_BURST_MAX - 2));

    burst.frame().unwrap()[..5].copy_from_slice(b"wrong");
    burst.frame().unwrap()[..5].copy_from_slice(b"right");
    assert!(burst.is_empty());
    burst.commit(5);
    assert_eq!((burst.len(), burst.room()), (1, 1));
    assert_eq!(burst.committed(0), b"right");
    assert_eq!((tokens(burst.places()), tokens(burst.unused())), (vec![0], vec![1]));
    assert_eq!(&driver.memory[..5], b"right");
}

#[test]
fn what_the_driver_could_not_send_stays_in_order() {
    let mut driver = Driver::new(6);
    let mut burst = TxBurst::new();
    driver.reserve(&mut burst, 0..5);
    for text in [b"a", b"b", b"c"] {
        burst.frame().unwrap()[..1].copy_from_slice(text);
        burst.commit(1);
    }
    burst.take_back(2);
    assert_eq!((burst.len(), burst.room(), burst.committed(0)), (1, 2, &b"c"[..]));
    assert_eq!((tokens(burst.places()), tokens(burst.unused())), (vec![2], vec![3, 4]));

    driver.reserve(&mut burst, 5..6);
    burst.frame().unwrap()[..1].copy_from_slice(b"d");
    burst.commit(1);
    assert_eq!(burst.committed(1), b"d");
    assert_eq!((tokens(burst.places()), tokens(burst.unused())), (vec![2, 3], vec![4, 5]));
    burst.take_back(2);
    assert_eq!((burst.len(), tokens(burst.unused())), (0, vec![4, 5]));
}

#[test]
fn what_is_set_aside_is_no_room_and_is_the_drivers_still() {
    let mut driver = Driver::new(6);
    let mut burst = TxBurst::new();
    driver.reserve(&mut burst, 0..4);
    burst.set_aside(3);
    assert_eq!((burst.room(), burst.unreserved()), (1, TX_BURST_MAX - 4));
    burst.prefetch(0);
    burst.prefetch(3);
    burst.commit(0);
    assert!(burst.frame().is_none());
    assert_eq!((tokens(burst.places()), tokens(burst.unused())), (vec![0], vec![1, 2, 3]));

    // As many are aside after the driver took some back and lent another.
    burst.take_back(1);
    driver.reserve(&mut burst, 4..5);
    assert_eq!((burst.room(), tokens(burst.unused())), (1, vec![1, 2, 3, 4]));
    burst.open_all();
    burst.open_all();
    assert_eq!(burst.room(), 4);
    burst.set_aside(TX_BURST_MAX);
    assert_eq!(burst.room(), 0);
    burst.open_all();
    for _ in 0..4 {
        burst.commit(0);
    }
    assert_eq!(tokens(burst.places()), [1, 2, 3, 4]);
}

#[test]
#[should_panic(expected = "self.used < self.open")]
fn nothing_is_committed_to_what_is_set_aside() {
    let mut driver = Driver::new(1);
    let mut burst = TxBurst::new();
    driver.reserve(&mut burst, 0..1);
    burst.set_aside(1);
    burst.commit(0);
}

#[test]
#[should_panic(expected = "len <= place.capacity")]
fn a_frame_longer_than_its_place_is_not_committed() {
    let mut driver = Driver::new(1);
    let mut burst = TxBurst::new();
    driver.reserve(&mut burst, 0..1);
    burst.commit(FRAME_BYTES + 1);
}

#[test]
#[should_panic(expected = "self.used < self.open")]
fn nothing_is_committed_without_room() {
    TxBurst::new().commit(0);
}

#[test]
#[should_panic(expected = "sent <= self.used")]
fn no_more_is_sent_than_was_committed() {
    let mut driver = Driver::new(1);
    let mut burst = TxBurst::new();
    driver.reserve(&mut burst, 0..1);
    burst.take_back(1);
}
