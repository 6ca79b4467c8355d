use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use super::*;

/// Two sides of `near` and `far` queues, with 64 slots each.
fn sides(near: u16, far: u16) -> (Vec<Queue>, Vec<Queue>) {
    queues(&mut Memory::heap(), (near, far), 64, 1500).unwrap()
}

/// The start of a TCP segment from this port, over IPv4, with a number in it.
fn segment(port: u16, number: u64) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 20];
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[14 + 9] = 6;
    frame[14 + 12..14 + 20].copy_from_slice(&[10, 0, 0, 1, 10, 255, 0, 1]);
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame[36..38].copy_from_slice(&7u16.to_be_bytes());
    frame[38..46].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number_in(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[38..46].try_into().unwrap())
}

/// Writes a frame if there is room.
fn write(tx: &mut TxBurst, bytes: &[u8]) -> bool {
    let Some(frame) = tx.frame() else { return false };
    frame[..bytes.len()].copy_from_slice(bytes);
    tx.commit(bytes.len());
    true
}

fn send(queue: &mut Queue, frames: &[Vec<u8>]) {
    let mut tx = TxBurst::new();
    queue.tx_reserve(&mut tx, frames.len());
    assert!(frames.iter().all(|frame| write(&mut tx, frame)));
    assert_eq!(queue.tx_burst(&mut tx), frames.len());
}

fn receive(queue: &mut Queue) -> Vec<Vec<u8>> {
    let mut rx = RxBurst::new();
    queue.rx_burst(&mut rx, 64);
    let frames = (0..rx.len()).map(|i| rx.frame(i).to_vec()).collect();
    queue.rx_release(&mut rx);
    frames
}

#[test]
fn each_frame_arrives_at_the_queue_that_its_hash_names() {
    let (mut near, mut far) = sides(2, 5);
    let frames: Vec<Vec<u8>> = (0..60).map(|port| segment(1000 + port, u64::from(port))).collect();
    let (first, second) = frames.split_at(30);
    send(&mut near[0], first);
    send(&mut near[1], second);
    let mut arrived = 0;
    for (number, queue) in far.iter_mut().enumerate() {
        let steering = queue.steering();
        assert_eq!((steering.queue as usize, steering.rss.queues()), (number, 5));
        let got = receive(queue);
        assert!(!got.is_empty() && got.len() < 60, "queue {number} has {}", got.len());
        for frame in got {
            assert_eq!(usize::from(steering.rss.queue_of_frame(&frame)), number);
            assert_eq!(frame, frames[number_in(&frame) as usize]);
            arrived += 1;
        }
    }
    assert_eq!(arrived, 60);
}

#[test]
fn what_is_not_ip_arrives_at_queue_0() {
    let (mut near, mut far) = sides(1, 4);
    let mut arp = vec![0xff; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    send(&mut near[0], &[arp.clone()]);
    assert_eq!(receive(&mut far[0]), [arp]);
    assert!(far[1..].iter_mut().all(|queue| receive(queue).is_empty()));
}

#[test]
fn slots_come_back_from_each_receiver_in_any_order() {
    let (mut near, mut far) = sides(1, 2);
    let (mut tx, mut rx) = (TxBurst::new(), RxBurst::new());
    near[0].tx_reserve(&mut tx, 256);
    assert_eq!(tx.room(), 64);
    let mut to_0 = 0;
    for port in 0..64 {
        let frame = segment(port, 0);
        to_0 += usize::from(far[0].steering().rss.queue_of_frame(&frame) == 0);
        assert!(write(&mut tx, &frame));
    }
    assert_eq!(near[0].tx_burst(&mut tx), 64);
    near[0].tx_reserve(&mut tx, 1);
    assert_eq!(tx.room(), 0, "all are under way");
    assert_eq!(far[1].rx_burst(&mut rx, 64), 64 - to_0);
    near[0].tx_reserve(&mut tx, 64);
    assert_eq!(tx.room(), 0, "taken is not released");
    far[1].rx_release(&mut rx);
    near[0].tx_reserve(&mut tx, 64);
    assert_eq!(tx.room(), 64 - to_0, "the other queue has the rest");
    assert_eq!(receive(&mut far[0]).len(), to_0);
    near[0].tx_reserve(&mut tx, 64);
    assert_eq!(tx.room(), 64);
    near[0].tx_cancel(&mut tx);
    near[0].tx_reserve(&mut tx, 64);
    assert_eq!(tx.room(), 64, "cancelled slots can be had again");
    near[0].tx_cancel(&mut tx);
}

/// Many times around all rings of three senders and two receivers, on five threads.
#[test]
fn nothing_is_lost_doubled_or_torn_between_threads() {
    const EACH: u64 = if cfg!(miri) { 60 } else { 200_000 };
    let (near, far) = sides(3, 2);
    let senders = near.into_iter().enumerate().map(|(sender, mut queue)| {
        thread::spawn(move || {
            let mut tx = TxBurst::new();
            let mut next = 0;
            while next < EACH {
                queue.tx_reserve(&mut tx, 32);
                while next < EACH
                    && write(&mut tx, &segment(next as u16, next << 2 | sender as u64))
                {
                    next += 1;
                }
                if queue.tx_burst(&mut tx) == 0 {
                    thread::yield_now();
                }
            }
            queue.tx_cancel(&mut tx);
        })
    });
    let senders: Vec<_> = senders.collect();
    let receivers = far.into_iter().map(|mut queue| {
        thread::spawn(move || {
            let rss = queue.steering().rss;
            let own = queue.steering().queue;
            let of_us = |&number: &u64| rss.queue_of_frame(&segment(number as u16, 0)) == own;
            // From each sender in its order, and nothing that is not ours.
            let mut expected: Vec<_> = (0..3).map(|_| (0..EACH).filter(of_us).peekable()).collect();
            let mut rx = RxBurst::new();
            while expected.iter_mut().any(|of_sender| of_sender.peek().is_some()) {
                if queue.rx_burst(&mut rx, 33) == 0 {
                    thread::yield_now();
                }
                for i in 0..rx.len() {
                    let number = number_in(rx.frame(i));
                    assert_eq!(expected[(number & 3) as usize].next(), Some(number >> 2));
                }
                queue.rx_release(&mut rx);
            }
        })
    });
    let receivers: Vec<_> = receivers.collect();
    senders.into_iter().chain(receivers).for_each(|thread| thread.join().unwrap());
}

/// One frame back and forth, both ends asleep in between: a lost wake-up would cost 20 s.
#[test]
fn no_wake_up_is_lost() {
    const ROUNDS: u16 = if cfg!(miri) { 3 } else { 5_000 };
    let (mut near, mut far) = sides(2, 1);
    let mut echo = far.remove(0);
    let thread = thread::spawn(move || {
        for _ in 0..ROUNDS {
            let frame = receive_one(&mut echo);
            send(&mut echo, &[frame]);
        }
    });
    // Whichever of our queues a port comes back to.
    let mut back = near.remove(1);
    let rss = back.steering().rss;
    let port = (0..u16::MAX).find(|&port| rss.queue_of_frame(&segment(port, 0)) == 1).unwrap();
    for round in 0..ROUNDS {
        send(&mut near[0], &[segment(port, u64::from(round))]);
        assert_eq!(number_in(&receive_one(&mut back)), u64::from(round));
    }
    thread.join().unwrap();
}

/// Waits without a limit that would hide a lost wake-up.
fn receive_one(queue: &mut Queue) -> Vec<u8> {
    let start = Instant::now();
    loop {
        if let Some(frame) = receive(queue).pop() {
            return frame;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "a wake-up was lost");
        queue.wait(Duration::from_secs(30));
    }
}

#[test]
fn a_burst_of_another_queue_is_refused() {
    let (mut near, mut far) = sides(2, 1);
    let mut tx = TxBurst::new();
    near[0].tx_reserve(&mut tx, 2);
    assert!(write(&mut tx, &segment(1, 1)));
    assert!(catch_unwind(AssertUnwindSafe(|| near[1].tx_burst(&mut tx))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| near[1].tx_cancel(&mut tx))).is_err());
    let (mut rx, mut other) = (RxBurst::new(), RxBurst::new());
    send(&mut near[1], &[segment(1, 1), segment(2, 2)]);
    far[0].rx_burst(&mut rx, 1);
    far[0].rx_burst(&mut other, 1);
    // Half of what is lent: it would free what somebody still reads.
    assert!(catch_unwind(AssertUnwindSafe(|| far[0].rx_release(&mut rx))).is_err());
}

#[test]
fn frames_that_are_still_lent_outlive_both_sides() {
    let (mut near, mut far) = sides(1, 1);
    let (mut tx, mut rx) = (TxBurst::new(), RxBurst::new());
    send(&mut near[0], &[segment(5, 77)]);
    near[0].tx_reserve(&mut tx, 2);
    far[0].rx_burst(&mut rx, 1);
    drop((near, far));
    assert_eq!(number_in(rx.frame(0)), 77);
    tx.frame().unwrap().fill(1);
}

#[test]
fn sizes_that_make_no_sense_are_refused_with_the_limits() {
    let mut memory = Memory::heap();
    let mut refusal = |near, far, slots, mtu| {
        queues(&mut memory, (near, far), slots, mtu).unwrap_err().to_string()
    };
    assert!(refusal(0, 1, 64, 1500).contains("1 to 128 queues"));
    assert!(refusal(1, 129, 64, 1500).contains("129"));
    assert!(refusal(1, 1, 64, 576).contains("1280"));
    assert!(refusal(1, 1, 3, 1500).contains("slots"));
}
