use std::panic::{AssertUnwindSafe, catch_unwind};

use crore_mem::Memory;
use crore_mem::frames::FramePlace;

use super::{Chunks, chunk_bytes};

/// Four chunks to receive into and four to send from, of 2048 bytes.
fn chunks() -> Chunks {
    Chunks::new(&mut Memory::heap(), "test frames", 4, 1500).unwrap()
}

#[test]
fn a_chunk_holds_a_packet_with_all_that_goes_in_front() {
    assert_eq!(chunk_bytes(1500), 2048);
    assert_eq!(chunk_bytes(1774), 2048);
    assert_eq!(chunk_bytes(1775), 4096);
    assert_eq!(chunk_bytes(crate::xdp::MTU_MAX), 4096);
    assert_eq!(chunk_bytes(9000), 16_384);
}

#[test]
fn a_received_frame_goes_to_the_stack_and_back_to_the_kernel() {
    let mut chunks = chunks();
    // The kernel writes behind 256 bytes of its own.
    let place = chunks.receive(2048 + 256, 60).unwrap();
    assert_eq!(place.start, chunks.start().wrapping_add(2048 + 256));
    assert_eq!((place.len, place.capacity, place.token), (60, 2048 - 256, 1));
    assert_eq!(chunks.release(&place), 2048);
    assert!(chunks.receive(2048 + 256, 60).is_some(), "it can be received into again");
}

#[test]
fn what_the_kernel_says_is_checked() {
    let mut chunks = chunks();
    assert!(chunks.receive(4 * 2048, 60).is_none(), "a chunk to send from");
    assert!(chunks.receive(8 * 2048, 60).is_none(), "behind the memory");
    assert!(chunks.receive(u64::MAX, 60).is_none(), "far behind the memory");
    assert!(chunks.receive(256, 2048 - 256 + 1).is_none(), "longer than the chunk");
    assert!(chunks.receive(256, 2048 - 256).is_some());
    assert!(chunks.receive(256, 60).is_none(), "twice the same chunk");
    assert!(!chunks.complete(0), "a chunk to receive into");
    assert!(!chunks.complete(4 * 2048), "a chunk that was not sent");
    assert!(!chunks.complete(u64::MAX), "behind the memory");
}

#[test]
fn a_chunk_to_send_from_is_lent_sent_completed_and_lent_again() {
    let mut chunks = chunks();
    let places: Vec<_> = std::iter::from_fn(|| chunks.lend()).collect();
    assert_eq!(places.len(), 4);
    assert_eq!(chunks.free(), 0);
    let address = chunks.send(&places[2]);
    assert_eq!(address, 6 * 2048);
    assert!(chunks.complete(address));
    assert!(!chunks.complete(address), "it is completed once");
    chunks.take_back(&places[0]);
    assert_eq!(chunks.free(), 2);
    assert_eq!(chunks.lend().unwrap().token, 4, "the last one given back is the warmest");
}

#[test]
fn a_place_that_is_not_lent_is_refused() {
    let mut chunks = chunks();
    let place = chunks.lend().unwrap();
    let mut refuses = |what: &str, place: FramePlace| {
        let result = catch_unwind(AssertUnwindSafe(|| chunks.send(&place)));
        assert!(result.is_err(), "{what}");
    };
    refuses("a token of no chunk", FramePlace { token: 99, ..place });
    refuses("a token of a chunk that is free", FramePlace { token: 5, ..place });
    refuses("a place outside", FramePlace { start: std::ptr::dangling_mut(), ..place });
    chunks.send(&place);
    let result = catch_unwind(AssertUnwindSafe(|| chunks.send(&place)));
    assert!(result.is_err(), "sent twice");
}

#[test]
fn frames_that_are_still_lent_outlive_the_link() {
    let mut chunks = chunks();
    let place = chunks.lend().unwrap();
    drop(chunks);
    // SAFETY: this is the promise under test: lent bytes stay where they are (miri and valgrind
    // would tell).
    unsafe { place.start.write_bytes(7, place.capacity as usize) };
}

#[test]
fn what_the_kernel_had_when_it_let_go_is_ours_again_and_what_is_lent_stays_lent() {
    let mut chunks = chunks();
    let received = chunks.receive(2048 + 256, 60).unwrap();
    let (sent, written) = (chunks.lend().unwrap(), chunks.lend().unwrap());
    chunks.send(&sent);
    assert_eq!(chunks.free(), 2);
    assert_eq!(chunks.waiting().collect::<Vec<_>>(), [0, 2 * 2048, 3 * 2048]);
    chunks.reclaim();
    assert_eq!(chunks.free(), 3, "the one that was to be sent");
    assert!(!chunks.complete(chunks.address_of(4)), "a late word of it changes nothing");
    chunks.take_back(&written);
    assert_eq!(chunks.release(&received), 2048);
    assert_eq!((chunks.free(), chunks.waiting().count()), (4, 4));
}
