use super::Attempt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, mpsc};
use std::thread;

/// An attempt that goes on until the sender is used or dropped, and then leaves its mark.
fn held_up() -> (Attempt<u32>, mpsc::Sender<()>, Arc<AtomicBool>) {
    let (go, wait) = channel();
    let mark = Arc::new(AtomicBool::new(false));
    let left = Arc::clone(&mark);
    let attempt = Attempt::start("attempt", move || {
        let _ = wait.recv();
        left.store(true, Ordering::Release);
        7
    });
    (attempt.unwrap(), go, mark)
}

#[test]
fn who_asks_whether_it_is_over_does_not_wait() {
    let (attempt, go, _) = held_up();
    assert!(!attempt.is_over());
    go.send(()).unwrap();
    while !attempt.is_over() {
        thread::yield_now();
    }
    assert_eq!(attempt.outcome().unwrap(), 7);
}

#[test]
fn one_that_is_given_up_is_over_before_anything_else_goes_on() {
    let (attempt, go, mark) = held_up();
    drop(go);
    drop(attempt);
    assert!(mark.load(Ordering::Acquire));
}

#[test]
fn a_panic_is_an_error_of_this_program() {
    let attempt = Attempt::<u32>::start("attempt", || panic!("a test")).unwrap();
    assert!(attempt.outcome().unwrap_err().to_string().contains("fault of this program"));
}
