use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Event, Waker};

#[test]
fn a_signal_given_before_the_wait_ends_it_at_once_and_only_once() {
    let event = Event::new().unwrap();
    event.signal();
    event.signal();
    let start = Instant::now();
    event.wait(None, Duration::from_secs(10));
    assert!(start.elapsed() < Duration::from_secs(5));
    // Both signals are used up: the next wait runs to its limit.
    let start = Instant::now();
    event.wait(None, Duration::from_millis(20));
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_waker_ends_a_wait_of_another_thread() {
    let event = Arc::new(Event::new().unwrap());
    let waker = Waker::new(&event);
    let sleeper = std::thread::spawn(move || {
        let start = Instant::now();
        event.wait(None, Duration::from_secs(20));
        start.elapsed()
    });
    std::thread::sleep(Duration::from_millis(20));
    waker.wake();
    assert!(sleeper.join().unwrap() < Duration::from_secs(10));
}
