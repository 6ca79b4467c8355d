//! What a way does to frames, by seed and by hand.

use super::Way;
use crate::segment::Segment;
use crore_netns_tests::impairment::{HOLD_US, Impairment};

/// An IPv4 frame with a TCP segment of so many octets; the last one tells them apart.
fn frame(number: u8, payload: usize) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 20 + payload];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
    frame[23] = 6;
    frame[46] = 5 << 4;
    *frame.last_mut().expect("a header at least") = number;
    frame
}

/// The numbers of the frames that leave until then.
fn leaving(way: &mut Way, now_ns: u64) -> Vec<u8> {
    std::iter::from_fn(|| way.leave(now_ns)).filter_map(|frame| frame.last().copied()).collect()
}

#[test]
fn a_way_without_faults_delivers_all_in_order_after_its_delay() {
    let mut way = Way::new(Impairment { delay_us: 10, ..Impairment::default() }, 0);
    for number in 0..5 {
        way.enter(u64::from(number), &frame(number, 100));
    }
    assert!(leaving(&mut way, 9_999).is_empty());
    assert_eq!(leaving(&mut way, 10_002), [0, 1, 2]);
    assert_eq!(way.next_due_ns(), Some(10_003));
    assert_eq!(leaving(&mut way, u64::MAX), [3, 4]);
    assert_eq!((way.counts.frames, way.counts.segments, way.counts.data), (5, 5, 5));
}

#[test]
fn faults_strike_as_often_as_asked_and_the_counts_say_so() {
    let impairment = Impairment {
        seed: 3,
        loss: 5.0,
        reorder: 10.0,
        duplicate: 1.0,
        corrupt: 2.0,
        ..Impairment::default()
    };
    let mut way = Way::new(impairment, 0);
    let (sent, mut left, mut wrong) = (frame(0, 1000), 0, 0);
    for _ in 0..100_000 {
        way.enter(0, &sent);
    }
    while let Some(frame) = way.leave(u64::MAX) {
        left += 1;
        wrong += u64::from(frame != sent);
        way.give_back(frame);
    }
    let counts = way.counts;
    assert!((4_500..5_500).contains(&counts.lost), "{counts:?}");
    assert!((9_000..10_000).contains(&counts.reordered), "{counts:?}");
    assert!((850..1_050).contains(&counts.duplicated), "{counts:?}");
    assert!((1_700..2_100).contains(&counts.corrupted), "{counts:?}");
    assert_eq!(left, 100_000 - counts.lost + counts.duplicated);
    assert!(wrong >= counts.corrupted && wrong <= counts.corrupted + counts.duplicated);
    assert_eq!((counts.lost_data, counts.corrupted_data), (counts.lost, counts.corrupted));
}

#[test]
fn the_same_seed_has_the_same_luck_and_the_other_way_another() {
    let survivors = |seed, way| {
        let mut way = Way::new(Impairment { seed, loss: 50.0, ..Impairment::default() }, way);
        for number in 0..200 {
            way.enter(0, &frame(number, 1));
        }
        leaving(&mut way, 0)
    };
    assert_eq!(survivors(1, 0), survivors(1, 0));
    assert_ne!(survivors(1, 0), survivors(1, 1));
    assert_ne!(survivors(1, 0), survivors(2, 0));
}

#[test]
fn a_frame_that_is_held_back_is_overtaken() {
    let mut way = Way::new(Impairment { reorder: 100.0, ..Impairment::default() }, 0);
    way.enter(0, &frame(1, 1));
    way.impairment.reorder = 0.0;
    way.enter(5, &frame(2, 1));
    assert_eq!(leaving(&mut way, HOLD_US * 1_000 - 1), [2]);
    assert_eq!(leaving(&mut way, HOLD_US * 1_000), [1]);
}

#[test]
fn a_line_sends_at_its_rate_and_drops_what_its_queue_cannot_hold() {
    // 8 Mbit/s: a byte is a microsecond. The queue holds two frames of 1054 bytes.
    let impairment = Impairment { rate_kbit: 8_000, queue_bytes: 2_108, ..Impairment::default() };
    let mut way = Way::new(impairment, 0);
    for number in 1..=4 {
        way.enter(0, &frame(number, 1_000));
    }
    assert_eq!(way.counts.overflowed, 2);
    assert_eq!(leaving(&mut way, 1_054_000), [1]);
    way.enter(1_054_000, &frame(5, 1_000));
    assert_eq!(way.counts.overflowed, 2);
    assert_eq!(leaving(&mut way, u64::MAX), [2, 5]);
}

#[test]
fn a_wrong_byte_is_in_the_payload_or_in_the_checksum_of_a_segment_without() {
    for payload in [0, 1, 500] {
        let sent = frame(0, payload);
        let segment = Segment::find(&sent).expect("it is one");
        let may_change = if payload == 0 { segment.checksum } else { segment.payload };
        let mut way = Way::new(Impairment { corrupt: 100.0, ..Impairment::default() }, 0);
        for _ in 0..100 {
            way.enter(0, &sent);
            let got = way.leave(0).expect("it is due");
            let changed: Vec<_> = (0..sent.len()).filter(|&at| got[at] != sent[at]).collect();
            assert!(changed.len() == 1 && may_change.contains(&changed[0]), "{changed:?}");
        }
    }
}

#[test]
fn what_is_not_tcp_goes_through() {
    let everything = Impairment { loss: 100.0, ..Impairment::default() };
    let mut way = Way::new(everything, 0);
    let mut arp = frame(7, 0);
    arp[13] = 0x06;
    way.enter(0, &arp);
    assert_eq!(leaving(&mut way, 0), [7]);
    assert_eq!(way.counts.segments, 0);
}
