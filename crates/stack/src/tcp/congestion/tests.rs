//! Windows over time, without a network.

use super::cubic::cube_root;
use super::*;
use crate::seq::Seq;
use alloc::vec::Vec;

const MSS: u32 = 1448;

/// A flow that is never idle: one acknowledgment for each two segments.
fn grow_for(cc: Congestion, past: &mut Avoidance, cwnd: &mut u32, from_ms: u32, ms: u32, rtt: u32) {
    let mut now_ms = from_ms;
    while now_ms < from_ms + ms {
        let mut acked = 0;
        let window = *cwnd;
        while acked < window {
            let newly = 2 * MSS;
            let step = Step { cwnd: *cwnd, mss: MSS, newly, now_ms, srtt_ms: rtt };
            *cwnd += cc.growth(Some(past), &step);
            acked += newly;
        }
        now_ms += rtt;
    }
}

#[test]
fn cube_roots_are_exact() {
    for n in [0u64, 1, 7, 8, 26, 27, 63, 64, 999, 1000, 1 << 60, 2_684_354_560_000_000_000] {
        let root = u64::from(cube_root(n));
        assert!(root.pow(3) <= n, "{n}");
        assert!(u128::from(root + 1).pow(3) > u128::from(n), "{n}");
    }
}

#[test]
fn newreno_halves_and_gains_a_segment_a_round_trip() {
    let mut past = Avoidance::default();
    let mut cwnd = Congestion::NewReno.reduced(&mut past, Signal::Loss, 200 * MSS, 200 * MSS);
    assert_eq!(cwnd, 100 * MSS);
    grow_for(Congestion::NewReno, &mut past, &mut cwnd, 1, 1000, 100);
    assert!(cwnd.abs_diff(110 * MSS) < MSS, "{}", cwnd / MSS);
}

/// RFC 9438-4.2, RFC 9438-4.6.
#[test]
fn cubic_is_back_at_the_plateau_after_k_and_goes_beyond() {
    let mut past = Avoidance::default();
    let mut cwnd = Congestion::Cubic.reduced(&mut past, Signal::Loss, 1000 * MSS, 1000 * MSS);
    assert_eq!(cwnd, 700 * MSS);
    // K = cbrt(300 / 0.4) = 9.086 s.
    grow_for(Congestion::Cubic, &mut past, &mut cwnd, 1, 9_000, 100);
    assert_eq!(past.k_ms, 9085);
    assert!(cwnd.abs_diff(1000 * MSS) < 10 * MSS, "{}", cwnd / MSS);
    grow_for(Congestion::Cubic, &mut past, &mut cwnd, 9_001, 4_000, 100);
    // 0.4 * 3.9^3 = 24 segments more.
    assert!((1015 * MSS..1035 * MSS).contains(&cwnd), "{}", cwnd / MSS);
}

/// RFC 9438-4.7.
#[test]
fn a_second_loss_below_the_plateau_makes_room_for_others() {
    let mut past = Avoidance::default();
    Congestion::Cubic.reduced(&mut past, Signal::Loss, 1000 * MSS, 1000 * MSS);
    Congestion::Cubic.reduced(&mut past, Signal::Loss, 800 * MSS, 800 * MSS);
    assert_eq!(past.w_max_octets, 680 * MSS);
}

/// RFC 9438-4.3.
#[test]
fn on_a_short_path_cubic_gets_what_newreno_gets() {
    let mut past = Avoidance::default();
    let mut cwnd = Congestion::Cubic.reduced(&mut past, Signal::Loss, 20 * MSS, 20 * MSS);
    grow_for(Congestion::Cubic, &mut past, &mut cwnd, 1, 200, 1);
    // 200 round trips: far beyond what 0.4 t^3 would give.
    assert!(cwnd > 100 * MSS, "{}", cwnd / MSS);
}

#[test]
fn without_a_past_cubic_grows_like_newreno() {
    let step = Step { cwnd: 10 * MSS, mss: MSS, newly: MSS, now_ms: 5, srtt_ms: 10 };
    let growth = Congestion::NewReno.growth(None, &step);
    assert_eq!(Congestion::Cubic.growth(None, &step), growth);
    assert_eq!(growth, MSS / 10);
}

/// RFC 9438-4.4.
#[test]
fn extreme_numbers_do_not_overflow() {
    let mut past = Avoidance::default();
    let cwnd = Congestion::Cubic.reduced(&mut past, Signal::Loss, 1 << 30, 1 << 30);
    for elapsed_ms in [0, 1, 100_000, u32::MAX / 2] {
        let step = Step { cwnd, mss: 9000, newly: 1 << 30, now_ms: 1 + elapsed_ms, srtt_ms: 1000 };
        assert!(Congestion::Cubic.growth(Some(&mut past), &step) <= cwnd / 2 + cwnd);
    }
}

/// A slow start whose rounds have these least round-trip times, in milliseconds, ten samples each;
/// says how many octets of a hundred the window grew by in each, and in which it was over.
fn slow_start(rounds_ms: &[u32]) -> (Vec<u32>, Option<usize>) {
    let mut hystart = HyStart::new(Seq(0));
    let (mut growth, mut una) = (Vec::new(), Seq(0));
    for (round, &ms) in rounds_ms.iter().enumerate() {
        for sample in 0..10 {
            una += 100;
            if hystart.is_over(una, una + 1000, Some(ms * 1000 + sample)) {
                return (growth, Some(round));
            }
        }
        growth.push(hystart.growth(100));
    }
    (growth, None)
}

/// RFC 9406-4.3a, RFC 9406-4.3b, RFC 9406-4.3d: a round trip that is an eighth longer makes slow
/// start cautious, and five rounds of that end it.
#[test]
fn slow_start_is_over_five_rounds_after_round_trips_grew() {
    let (growth, over) = slow_start(&[100, 100, 100, 113, 125, 140, 150, 160, 170, 180]);
    assert_eq!(growth[..5], [100, 100, 100, 25, 25]);
    assert_eq!(over, Some(8));
}

/// RFC 9406-4.3a: an eighth, but four milliseconds at least and sixteen at most.
#[test]
fn the_threshold_has_bounds() {
    assert_eq!(slow_start(&[10, 10, 13, 13]).0, [100; 4]);
    assert_eq!(slow_start(&[10, 10, 14]).0, [100, 100, 25]);
    assert_eq!(slow_start(&[1000, 1000, 1016]).0, [100, 100, 25]);
}

/// RFC 9406-4.3c: shorter round trips again, and slow start goes on as before.
#[test]
fn a_passing_delay_does_not_end_slow_start() {
    let (growth, over) = slow_start(&[100, 100, 120, 100, 100, 100, 100, 100, 100, 100]);
    assert_eq!(growth, [100, 100, 25, 100, 100, 100, 100, 100, 100, 100]);
    assert_eq!(over, None);
}
