//! The ring under every order of events that two threads can produce, by the model checker loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p crore-mem --release loom_`

use loom::{
    cell::UnsafeCell,
    sync::{Arc, Condvar, Mutex, atomic::AtomicU32, atomic::Ordering},
    thread,
};

use super::*;

// No side waits for the other: each tries a few times and then goes, and what is left in the ring
// is looked at in the end. So the number of orders is finite, and loom tries every one of them.

/// More values than places: a place is used again, and both sides meet a full and an empty ring.
#[test]
fn loom_values_arrive_once_and_in_order() {
    loom::model(|| {
        let (mut producer, mut consumer) = channel(2);
        let sender = thread::spawn(move || {
            let mut sent = 0;
            for _ in 0..3 {
                sent += u32::from(producer.push(sent).is_ok());
            }
            sent
        });
        let mut received = 0;
        for _ in 0..2 {
            if let Some(value) = consumer.pop() {
                assert_eq!(value, received);
                received += 1;
            }
        }
        let sent = sender.join().unwrap();
        while let Some(value) = consumer.pop() {
            assert_eq!(value, received);
            received += 1;
        }
        assert_eq!(received, sent);
        assert!(sent >= 2);
    });
}

#[test]
fn loom_bursts_arrive_once_and_in_order() {
    loom::model(|| {
        let (mut producer, mut consumer) = channel(2);
        let sender = thread::spawn(move || {
            let mut values = 0..4;
            producer.push_burst(&mut values) + producer.push_burst(&mut values)
        });
        let mut received = 0;
        let mut next = |value| {
            assert_eq!(value, received);
            received += 1;
        };
        consumer.pop_burst(2, &mut next);
        consumer.pop_burst(2, &mut next);
        let sent = sender.join().unwrap();
        consumer.pop_burst(4, &mut next);
        assert_eq!(received, sent);
        assert!((2..=4).contains(&sent));
    });
}

/// Loom's cells fail the model when one side writes a place while the other may read it.
#[test]
fn loom_a_place_belongs_to_one_side_at_a_time() {
    loom::model(|| {
        let (mut producer, mut consumer) = index_pair(2);
        let frames = Arc::new([UnsafeCell::new(0), UnsafeCell::new(0)]);
        let to_write = Arc::clone(&frames);
        let sender = thread::spawn(move || {
            let mut written = 0;
            for want in [2, 1, 1] {
                let span = producer.reserve(want);
                for place in span.places() {
                    written += 1;
                    // SAFETY: the place was reserved; the model proves that nobody else has it.
                    to_write[place as usize].with_mut(|frame| unsafe { *frame = written });
                }
                producer.publish(span.len());
            }
            written
        });
        let mut read = 0;
        for _ in 0..2 {
            read = read_frames(&mut consumer, &frames, read);
        }
        let written = sender.join().unwrap();
        read = read_frames(&mut consumer, &frames, read);
        assert_eq!(read, written);
    });
}

/// Takes what is there, checks that it goes on after `read`, releases it; says how far it came.
fn read_frames(consumer: &mut ConsumerIndex, frames: &[UnsafeCell<u32>; 2], mut read: u32) -> u32 {
    let span = consumer.take(2);
    for place in span.places() {
        read += 1;
        // SAFETY: the place was taken; the model proves that nobody writes it.
        frames[place as usize].with(|frame| assert_eq!(unsafe { *frame }, read));
    }
    consumer.release(span.len());
    read
}

/// The consumer waits without a limit: if a wake-up could be lost, loom would find a deadlock.
#[test]
fn loom_no_wake_up_is_lost() {
    loom::model(|| {
        let (mut producer, mut consumer) = index_pair(2);
        let bell = Arc::new((Mutex::new(false), Condvar::new()));
        let to_ring = Arc::clone(&bell);
        let sender = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(producer.reserve(1).len(), 1);
                producer.publish(1);
                if producer.must_wake() {
                    *to_ring.0.lock().unwrap() = true;
                    to_ring.1.notify_one();
                }
            }
        });
        let mut received = 0;
        while received < 2 {
            let span = consumer.take(2);
            received += span.len();
            consumer.release(span.len());
            if received < 2 && consumer.will_sleep() {
                let mut rung = bell.0.lock().unwrap();
                while !*rung {
                    rung = bell.1.wait(rung).unwrap();
                }
                *rung = false;
                drop(rung);
                consumer.woke();
            }
        }
        sender.join().unwrap();
    });
}

/// A value that is dropped counts; both sides may go in any order.
#[test]
fn loom_values_left_behind_are_dropped_once() {
    struct Counted(Arc<AtomicU32>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    loom::model(|| {
        let dropped = Arc::new(AtomicU32::new(0));
        let (mut producer, mut consumer) = channel(2);
        let to_count = Arc::clone(&dropped);
        let sender = thread::spawn(move || {
            let mut values = (0..2).map(|_| Counted(Arc::clone(&to_count)));
            assert_eq!(producer.push_burst(&mut values), 2);
        });
        let early = consumer.pop().is_some();
        let closed = consumer.is_closed();
        let late = consumer.pop().is_some();
        assert!(!closed || early || late, "after the producer left, its values are all there");
        drop(consumer);
        sender.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    });
}
