use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Bursts with room that is never freed: from here miri can see that it is not lost.
static KEPT: Mutex<Vec<TxBurst>> = Mutex::new(Vec::new());

/// Commits each arrived frame, reversed.
fn answer(rx: &RxBurst, tx: &mut TxBurst) {
    for i in 0..rx.len() {
        let (arrived, frame) = (rx.frame(i), tx.frame().unwrap());
        for (to, from) in frame.iter_mut().zip(arrived.iter().rev()) {
            *to = *from;
        }
        tx.commit(arrived.len());
    }
}

fn turn(frames: &mut HeapFrames, arrived: &[&str]) -> Vec<String> {
    let mut sent = Vec::new();
    frames.lend(arrived, answer, |frame| sent.push(String::from_utf8(frame.to_vec()).unwrap()));
    sent
}

#[test]
fn a_turn_sees_what_arrived_and_what_it_commits_is_sent() {
    let mut frames = HeapFrames::new(3, 8);
    assert_eq!(turn(&mut frames, &["abc", "", "defg"]), ["cba", "", "gfed"]);
    assert_eq!(turn(&mut frames, &["xy"]), ["yx"]);
    assert_eq!(turn(&mut frames, &[]), [""; 0]);
}

#[test]
fn there_is_room_for_so_many_frames_and_no_more() {
    let mut frames = HeapFrames::new(2, 8);
    let mut sent = 0;
    frames.lend(
        &[""; 0],
        |_, tx| {
            for _ in 0..2 {
                assert_eq!(tx.frame().unwrap().len(), 8);
                tx.commit(8);
            }
            assert!(tx.frame().is_none());
        },
        |_| sent += 1,
    );
    assert_eq!(sent, 2);
}

#[test]
fn a_burst_that_a_turn_keeps_stays_writable_and_its_room_is_not_lent_again() {
    let mut frames = HeapFrames::new(1, 8);
    let mut kept = TxBurst::new();
    let swapped = catch_unwind(AssertUnwindSafe(|| {
        frames.lend(&[""; 0], |_, tx| core::mem::swap(&mut kept, tx), |_| {});
    }));
    assert!(swapped.is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| turn(&mut frames, &[]))).is_err());
    drop(frames);
    kept.frame().unwrap().fill(7);
    kept.commit(8);
    assert_eq!(kept.committed(0), [7; 8]);
    KEPT.lock().unwrap().push(kept);
}

#[test]
fn a_burst_that_a_turn_keeps_stays_writable_after_a_panic() {
    let mut frames = HeapFrames::new(1, 8);
    let mut kept = TxBurst::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let keep = |_: &RxBurst, tx: &mut TxBurst| {
            core::mem::swap(&mut kept, tx);
            panic!("in the midst of a turn");
        };
        frames.lend(&[""; 0], keep, |_| {});
    }));
    assert!(panicked.is_err());
    drop(frames);
    kept.frame().unwrap().fill(7);
    KEPT.lock().unwrap().push(kept);
}

#[test]
#[cfg_attr(miri, ignore = "one of the rooms is lost, as it must be")]
fn two_rooms_swapped_are_both_kept_out_of_use() {
    let (mut left, mut right) = (HeapFrames::new(1, 8), HeapFrames::new(1, 8));
    let mut of_left = TxBurst::new();
    let mut lend = |frames: &mut HeapFrames| {
        let swap = |_: &RxBurst, tx: &mut TxBurst| core::mem::swap(&mut of_left, tx);
        catch_unwind(AssertUnwindSafe(|| frames.lend(&[""; 0], swap, |_| {})))
    };
    assert!(lend(&mut left).is_err());
    // The burst of `left` comes in here; it is not taken for the room of `right`.
    assert!(lend(&mut right).is_err());
    of_left.frame().unwrap().fill(1);
}

#[test]
#[should_panic(expected = "more frames than a burst holds")]
fn more_than_a_burst_is_refused() {
    HeapFrames::new(1, 8).lend(&[""; super::super::RX_BURST_MAX + 1], |_, _| {}, |_| {});
}
