//! Rings on one thread and on two; the orders of events that matter are in `models`.

use core::ptr::NonNull;
use std::{panic::AssertUnwindSafe, sync::Arc, thread};

use super::*;

#[test]
fn values_arrive_in_order_and_a_full_channel_gives_them_back() {
    let (mut producer, mut consumer) = channel(3);
    assert_eq!(producer.capacity(), 4, "rounded up to a power of two");
    assert_eq!(consumer.pop(), None);
    for value in 0..4 {
        producer.push(value).unwrap();
    }
    assert_eq!(producer.push(4), Err(4));
    assert_eq!((consumer.available(), consumer.pop()), (4, Some(0)));
    producer.push(4).unwrap();
    let rest: Vec<_> = core::iter::from_fn(|| consumer.pop()).collect();
    assert_eq!(rest, [1, 2, 3, 4]);
}

#[test]
fn a_burst_takes_what_fits_and_leaves_the_rest() {
    let (mut producer, mut consumer) = channel(4);
    let mut values = 0..10;
    assert_eq!(producer.push_burst(&mut values), 4);
    assert_eq!(values.next(), Some(4), "nothing is lost");
    let mut seen = Vec::new();
    assert_eq!(consumer.pop_burst(3, |value| seen.push(value)), 3);
    assert_eq!(producer.push_burst(&mut values), 3);
    assert_eq!(consumer.pop_burst(100, |value| seen.push(value)), 4);
    assert_eq!(seen, [0, 1, 2, 3, 5, 6, 7]);
    assert_eq!(consumer.pop_burst(100, drop), 0);
}

#[test]
fn two_threads_pass_everything_on() {
    let count = if cfg!(miri) { 100 } else { 300_000 };
    let (mut producer, mut consumer) = channel(16);
    let sender = thread::spawn(move || {
        let mut values = (0..count).map(Box::new).peekable();
        while values.peek().is_some() {
            if producer.push_burst(&mut values.by_ref().take(5)) == 0 {
                thread::yield_now();
            }
        }
    });
    let mut expected = 0;
    while expected < count {
        let popped = consumer.pop_burst(7, |value: Box<u64>| {
            assert_eq!(*value, expected);
            expected += 1;
        });
        if popped == 0 {
            thread::yield_now();
        }
    }
    sender.join().unwrap();
    assert_eq!(consumer.pop(), None);
}

#[test]
fn what_nobody_received_is_dropped_once() {
    let value = Arc::new(());
    let (mut producer, mut consumer) = channel(8);
    assert_eq!(producer.push_burst(&mut (0..6).map(|_| Arc::clone(&value))), 6);
    consumer.pop_burst(2, drop);
    assert_eq!(Arc::strong_count(&value), 1 + 4);
    drop(consumer);
    assert!(producer.is_closed());
    drop(producer);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn values_sent_before_the_producer_left_still_arrive() {
    let (mut producer, mut consumer) = channel(8);
    assert!(!consumer.is_closed());
    producer.push("last words").unwrap();
    drop(producer);
    assert!(consumer.is_closed());
    assert_eq!((consumer.pop(), consumer.pop()), (Some("last words"), None));
}

#[test]
fn a_panic_within_a_burst_neither_loses_nor_doubles_a_value() {
    let value = Arc::new(());
    let (mut producer, mut consumer) = channel(8);
    let mut sent = 0;
    let mut values = core::iter::from_fn(|| {
        sent += 1;
        assert!(sent < 4, "no fourth value");
        Some(Arc::clone(&value))
    });
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| producer.push_burst(&mut values)));
    assert!(outcome.is_err());
    assert_eq!(consumer.available(), 3);

    let mut received = 0;
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        consumer.pop_burst(8, |_| {
            received += 1;
            assert!(received < 2, "the second value is too much");
        })
    }));
    assert!(outcome.is_err());
    assert_eq!((consumer.available(), Arc::strong_count(&value)), (1, 2));
    drop((producer, consumer));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn frames_in_place_go_round_the_ring() {
    let (mut producer, mut consumer) = index_pair(4);
    let mut frames = [0u32; 4];
    let (mut written, mut read) = (0, 0);
    for _ in 0..10 {
        let span = producer.reserve(3);
        assert_eq!(span.len(), 3);
        for place in span.places() {
            written += 1;
            frames[place as usize] = written;
        }
        assert_eq!(consumer.available(), 0, "nothing is seen before it is published");
        producer.publish(3);
        let span = consumer.take(64);
        assert_eq!(span.len(), 3);
        for i in 0..span.len() {
            read += 1;
            assert_eq!(frames[span.place(i) as usize], read);
        }
        consumer.release(3);
    }
}

#[test]
fn places_taken_are_not_reserved_again_before_they_are_released() {
    let (mut producer, mut consumer) = index_pair(4);
    assert_eq!(producer.reserve(9).len(), 4);
    producer.publish(4);
    assert_eq!((consumer.take(2).len(), consumer.taken()), (2, 2));
    assert!(!producer.has_room());
    consumer.release(1);
    let span = producer.reserve(4);
    assert_eq!((span.len(), span.place(0), producer.reserved()), (1, 0, 1));
    assert_eq!((consumer.take(9).len(), consumer.taken()), (2, 3));
}

#[test]
fn a_cancelled_reservation_leaves_no_gap() {
    let (mut producer, mut consumer) = index_pair(4);
    producer.reserve(3);
    producer.publish(1);
    producer.cancel();
    assert_eq!(producer.reserve(1).place(0), 1);
    producer.publish(1);
    assert_eq!(consumer.take(4).places().collect::<Vec<_>>(), [0, 1]);
}

#[test]
#[should_panic(expected = "count <= self.reserved()")]
fn only_reserved_places_are_published() {
    let (mut producer, _consumer) = index_pair(4);
    producer.reserve(1);
    producer.publish(2);
}

#[test]
#[should_panic(expected = "count <= self.taken()")]
fn only_taken_places_are_released() {
    let (_producer, mut consumer) = index_pair(4);
    consumer.release(1);
}

#[test]
fn a_sleeper_is_woken_once_and_never_left_asleep() {
    let (mut producer, mut consumer) = index_pair(4);
    assert!(!producer.must_wake());
    assert!(consumer.will_sleep());
    producer.reserve(1);
    producer.publish(1);
    assert!(producer.must_wake());
    assert!(!producer.must_wake());
    consumer.woke();
    assert!(!consumer.will_sleep(), "something is there");
    assert!(!producer.must_wake());
}

/// Both sides of the ring in `shared`, each with its own idea of the capacity.
fn sides(shared: &RingShared, capacity: u32) -> (ProducerIndex, ConsumerIndex) {
    let place = NonNull::from(shared);
    // SAFETY: the tests keep the shared words alive, and all sides are on one thread.
    unsafe {
        (ProducerIndex::from_shared(place, capacity), ConsumerIndex::from_shared(place, capacity))
    }
}

#[test]
fn positions_go_on_where_the_counters_wrap() {
    let shared = RingShared::new();
    let (mut producer, mut consumer) = sides(&shared, 1 << 31);
    for count in [1 << 31, (1 << 31) - 2] {
        assert_eq!(producer.reserve(count).len(), count);
        producer.publish(count);
        assert_eq!(consumer.take(count).len(), count);
        consumer.release(count);
    }
    // Two before the wrap, another pair of sides takes over, as after an upgrade.
    let (mut producer, mut consumer) = sides(&shared, 4);
    let span = producer.reserve(5);
    assert_eq!(span.places().collect::<Vec<_>>(), [2, 3, 0, 1]);
    producer.publish(4);
    assert_eq!((producer.has_room(), consumer.available()), (false, 4));
    assert_eq!(consumer.take(4), span);
    consumer.release(4);
    assert_eq!(producer.reserve(5).len(), 4);
}

#[test]
fn a_peer_that_counts_wrongly_gets_nothing() {
    let shared = RingShared::new();
    let (mut producer, mut consumer) = sides(&shared, 4);
    let (mut liar_sends, mut liar_receives) = sides(&shared, 256);
    liar_sends.reserve(100);
    liar_sends.publish(100);
    assert_eq!(consumer.available(), 0, "a hundred frames do not fit into four places");
    assert!(consumer.take(4).is_empty());

    liar_receives.take(100);
    liar_receives.release(100);
    assert_eq!(producer.reserve(4).len(), 4, "what was free before the lie stays so");
    assert!(!producer.has_room());
    assert!(producer.reserve(1).is_empty(), "nobody can release what was never published");
}
