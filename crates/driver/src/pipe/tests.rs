use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crore_mem::Memory;
use crore_mem::frames::{RxBurst, TxBurst};

use super::{End, PipeError, pair, slot_bytes};

fn small_pipe() -> (End, End) {
    pair(&mut Memory::heap(), 64, 1500).unwrap()
}

/// Writes one frame of these bytes into the burst; false when there is no room.
fn write(burst: &mut TxBurst, bytes: &[u8]) -> bool {
    let Some(frame) = burst.frame() else { return false };
    frame[..bytes.len()].copy_from_slice(bytes);
    burst.commit(bytes.len());
    true
}

#[test]
fn slots_are_an_odd_number_of_cache_lines_and_hold_a_tagged_frame() {
    for mtu in [1280, 1500, 1518, 9000] {
        let bytes = slot_bytes(mtu);
        assert!(bytes >= u32::from(mtu) + 18 && bytes % 128 == 64, "{mtu}");
    }
}

#[test]
fn frames_arrive_in_order_with_their_lengths_in_both_directions() {
    let (mut a, mut b) = small_pipe();
    let (mut tx, mut rx) = (TxBurst::new(), RxBurst::new());
    a.tx_reserve(&mut tx, 8);
    assert!(write(&mut tx, b"one") && write(&mut tx, b"twenty"));
    assert_eq!(b.rx_burst(&mut rx, 64), 0, "nothing was published");
    assert_eq!(a.tx_burst(&mut tx), 2);
    assert_eq!(tx.room(), 6, "the rest of the room stays");
    assert_eq!(b.rx_burst(&mut rx, 64), 2);
    assert_eq!((rx.frame(0), rx.frame(1)), (b"one".as_slice(), b"twenty".as_slice()));
    b.rx_release(&mut rx);

    let mut back = TxBurst::new();
    b.tx_reserve(&mut back, 1);
    assert!(write(&mut back, &[0xab; 1514]));
    b.tx_burst(&mut back);
    assert_eq!(a.rx_burst(&mut rx, 64), 1);
    assert_eq!(rx.frame(0), [0xab; 1514]);
    a.rx_release(&mut rx);
    assert_eq!((a.counters().tx_frames, a.counters().rx_frames), (2, 1));
    a.tx_cancel(&mut tx);
}

#[test]
fn a_full_pipe_gives_no_room_until_the_receiver_releases() {
    let (mut a, mut b) = small_pipe();
    let (mut tx, mut rx) = (TxBurst::new(), RxBurst::new());
    a.tx_reserve(&mut tx, 256);
    assert_eq!(tx.room(), 64);
    while write(&mut tx, b"x") {}
    assert_eq!(a.tx_burst(&mut tx), 64);
    a.tx_reserve(&mut tx, 1);
    assert_eq!(tx.room(), 0);
    assert_eq!(b.rx_burst(&mut rx, 10), 10);
    a.tx_reserve(&mut tx, 64);
    assert_eq!(tx.room(), 0, "taken is not released");
    b.rx_release(&mut rx);
    a.tx_reserve(&mut tx, 64);
    assert_eq!(tx.room(), 10);
    a.tx_cancel(&mut tx);
    assert_eq!(tx.room(), 0);
    a.tx_reserve(&mut tx, 64);
    assert_eq!(tx.room(), 10, "cancelled slots can be had again");
    a.tx_cancel(&mut tx);
}

/// Two million frames of changing lengths and contents, many times around the ring.
#[test]
fn nothing_is_lost_doubled_or_torn_between_two_threads() {
    const FRAMES: u64 = if cfg!(miri) { 300 } else { 2_000_000 };
    let (mut a, mut b) = small_pipe();
    let sender = std::thread::spawn(move || {
        let mut tx = TxBurst::new();
        let mut next = 0u64;
        while next < FRAMES {
            a.tx_reserve(&mut tx, 32);
            while next < FRAMES && write(&mut tx, &next.to_le_bytes().repeat(1 + next as usize % 9))
            {
                next += 1;
            }
            if a.tx_burst(&mut tx) == 0 {
                std::thread::yield_now();
            }
        }
        a.tx_cancel(&mut tx);
    });
    let mut rx = RxBurst::new();
    let mut next = 0u64;
    while next < FRAMES {
        if b.rx_burst(&mut rx, 1 + next as usize % 64) == 0 {
            std::thread::yield_now();
        }
        for i in 0..rx.len() {
            let (words, rest) = rx.frame(i).as_chunks::<8>();
            assert!(rest.is_empty() && words.len() == 1 + next as usize % 9);
            assert!(words.iter().all(|word| u64::from_le_bytes(*word) == next));
            next += 1;
        }
        b.rx_release(&mut rx);
    }
    sender.join().unwrap();
}

/// One frame back and forth, both ends asleep in between: a lost wake-up would cost a second each.
#[test]
fn no_wake_up_is_lost() {
    const ROUNDS: usize = 20_000;
    let (mut a, mut b) = small_pipe();
    let echo = std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            receive_one(&mut b);
            send_one(&mut b);
        }
        b.counters().system_calls
    });
    let start = Instant::now();
    for _ in 0..ROUNDS {
        send_one(&mut a);
        receive_one(&mut a);
    }
    echo.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

fn send_one(end: &mut End) {
    let mut tx = TxBurst::new();
    end.tx_reserve(&mut tx, 1);
    assert!(write(&mut tx, b"ball"));
    assert_eq!(end.tx_burst(&mut tx), 1);
}

/// Waits without a limit that would hide a lost wake-up.
fn receive_one(end: &mut End) {
    let mut rx = RxBurst::new();
    let start = Instant::now();
    while end.rx_burst(&mut rx, 64) == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "a wake-up was lost");
        end.wait(Duration::from_secs(30));
    }
    assert_eq!((rx.len(), rx.frame(0)), (1, b"ball".as_slice()));
    end.rx_release(&mut rx);
}

#[test]
fn a_wait_ends_at_its_timeout_at_a_frame_and_by_the_waker() {
    let (mut a, mut b) = small_pipe();
    let start = Instant::now();
    b.wait(Duration::from_millis(30));
    assert!(start.elapsed() >= Duration::from_millis(30));
    send_one(&mut a);
    let start = Instant::now();
    b.wait(Duration::from_secs(20));
    b.waker().wake();
    receive_one(&mut b);
    b.wait(Duration::from_secs(20));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_busy_pipe_makes_no_system_call() {
    let (mut a, mut b) = small_pipe();
    let mut rx = RxBurst::new();
    for _ in 0..1000 {
        send_one(&mut a);
        assert_eq!(b.rx_burst(&mut rx, 64), 1);
        b.rx_release(&mut rx);
    }
    assert_eq!((a.counters().system_calls, b.counters().system_calls), (0, 0));
}

#[test]
fn a_burst_of_another_link_is_refused() {
    let (mut a, mut b) = small_pipe();
    let (mut c, _d) = small_pipe();
    let mut tx = TxBurst::new();
    a.tx_reserve(&mut tx, 1);
    assert!(write(&mut tx, b"mine"));
    let wrong = catch_unwind(AssertUnwindSafe(|| c.tx_burst(&mut tx)));
    assert!(wrong.is_err());
    assert_eq!(a.tx_burst(&mut tx), 1);
    let mut rx = RxBurst::new();
    b.rx_burst(&mut rx, 1);
    let wrong = catch_unwind(AssertUnwindSafe(|| c.rx_release(&mut rx)));
    assert!(wrong.is_err());
    b.rx_release(&mut rx);
    // Room in two bursts at once: only the older one may send.
    let mut later = TxBurst::new();
    a.tx_reserve(&mut tx, 1);
    a.tx_reserve(&mut later, 1);
    assert!(write(&mut later, b"too early"));
    assert!(catch_unwind(AssertUnwindSafe(|| a.tx_burst(&mut later))).is_err());
}

#[test]
fn frames_that_are_still_lent_outlive_both_ends() {
    let (mut a, mut b) = small_pipe();
    let (mut tx, mut rx) = (TxBurst::new(), RxBurst::new());
    a.tx_reserve(&mut tx, 2);
    assert!(write(&mut tx, b"kept"));
    a.tx_burst(&mut tx);
    b.rx_burst(&mut rx, 1);
    drop((a, b));
    assert_eq!(rx.frame(0), b"kept");
    tx.frame().unwrap().fill(1);
}

#[test]
fn sizes_that_make_no_sense_are_refused_with_the_limits() {
    let mut memory = Memory::heap();
    let error = pair(&mut memory, 64, 576).unwrap_err();
    assert!(matches!(error, PipeError::Mtu { mtu: 576 }));
    assert!(error.to_string().contains("1280"), "{error}");
    assert!(matches!(pair(&mut memory, 64, 9001), Err(PipeError::Mtu { .. })));
    assert!(matches!(pair(&mut memory, 0, 1500), Err(PipeError::Slots { slots: 0 })));
    assert!(matches!(pair(&mut memory, 1 << 21, 1500), Err(PipeError::Slots { .. })));
}

#[test]
fn the_two_ends_have_different_addresses() {
    let (a, b) = small_pipe();
    assert_ne!(a.capabilities().mac, b.capabilities().mac);
    assert_eq!((a.capabilities().name, b.capabilities().name), ("pipe a".into(), "pipe b".into()));
}
