//! CUBIC (RFC 9438): W(t) = C (t - K)^3 + `W_max`, in whole numbers.
//!
//! ```text
//!   cwnd                             .
//!    |        W_max ______-------'''
//!    |          .-'      ^ K
//!    |        /   concave | convex: looks for more
//!    |______/_____________|____________ t since the epoch's start
//! ```

use super::{Avoidance, Signal, Step, scaled};

/// RFC 9438-4.6, RFC 9438-4.7, RFC 9438-4.8: seven tenths remain; a flow that did not get back to
/// its last plateau makes room for others by a lower one. RFC 8511-3.1a: after a mark 0.85 remain.
pub(super) fn reduced(past: &mut Avoidance, signal: Signal, cwnd: u32, flight: u32) -> u32 {
    past.w_max_octets = if cwnd < past.w_max_octets { scaled(cwnd, 17, 20) } else { cwnd };
    past.epoch_ms = 0;
    match signal {
        Signal::Loss => scaled(flight, 7, 10),
        Signal::Mark => scaled(flight, 17, 20),
    }
}

/// RFC 9438-4.2.
pub(super) fn growth(past: &mut Avoidance, step: &Step) -> u32 {
    if past.epoch_ms == 0 {
        begin_epoch(past, step);
    }
    let friendly = friendly_octets(past, step);
    let cwnd = step.cwnd.max(1);
    let elapsed_ms = step.now_ms.wrapping_sub(past.epoch_ms);
    if curve(past, step.mss, elapsed_ms) < friendly {
        // RFC 9438-4.3: where NewReno would have more, we have as much.
        return friendly.saturating_sub(cwnd).min(step.newly);
    }
    // RFC 9438-4.4: towards where the curve is a round trip from now, by half at most.
    let target = curve(past, step.mss, elapsed_ms.wrapping_add(step.srtt_ms));
    let target = target.clamp(cwnd, cwnd.saturating_add(cwnd / 2));
    (u64::from(target - cwnd) * u64::from(step.newly) / u64::from(cwnd)) as u32
}

/// The present window is where the curve begins.
fn begin_epoch(past: &mut Avoidance, step: &Step) {
    past.epoch_ms = step.now_ms.max(1);
    past.w_est = segments_16(step.cwnd, step.mss);
    if step.cwnd < past.w_max_octets {
        let below = u64::from(past.w_max_octets - step.cwnd);
        // K = cbrt(segments below / C) seconds, with C = 4 / 10 and milliseconds: times 10^9.
        past.k_ms = cube_root(below * 2_500_000_000 / u64::from(step.mss.max(1)));
    } else {
        past.k_ms = 0;
        past.w_max_octets = step.cwnd;
    }
}

/// 4.3: `NewReno`'s window with CUBIC's reduction, so with a gentler slope until it is back at the
/// plateau.
fn friendly_octets(past: &mut Avoidance, step: &Step) -> u32 {
    let plateau = segments_16(past.w_max_octets, step.mss);
    // alpha = 3 (1 - 0.7) / (1 + 0.7) = 9 / 17.
    let alpha = if past.w_est < plateau { 65_536 * 9 / 17 } else { 65_536 };
    let share = alpha * u64::from(step.newly.min(step.cwnd)) / u64::from(step.cwnd.max(1));
    past.w_est = past.w_est.saturating_add(share as u32);
    ((u64::from(past.w_est) * u64::from(step.mss)) >> 16).min(u64::from(u32::MAX)) as u32
}

/// The curve, `elapsed_ms` after the epoch's start, in octets.
fn curve(past: &Avoidance, mss: u32, elapsed_ms: u32) -> u32 {
    let t_ms = i64::from(elapsed_ms) - i64::from(past.k_ms);
    let t_ms = t_ms.clamp(-TIME_MAX_MS, TIME_MAX_MS);
    let octets = t_ms * t_ms * t_ms / 1000 * (4 * i64::from(mss)) / 10_000_000;
    (i64::from(past.w_max_octets) + octets).clamp(0, i64::from(u32::MAX)) as u32
}

/// Octets in 65,536ths of a segment.
fn segments_16(octets: u32, mss: u32) -> u32 {
    ((u64::from(octets) << 16) / u64::from(mss.max(1))).min(u64::from(u32::MAX)) as u32
}

/// The cube root, rounded down, by Newton's method from above.
pub(super) fn cube_root(n: u64) -> u32 {
    if n == 0 {
        return 0;
    }
    let mut x = 1u64 << (64 - n.leading_zeros()).div_ceil(3);
    loop {
        let next = (2 * x + n / (x * x)) / 3;
        if next >= x {
            return x as u32;
        }
        x = next;
    }
}

/// Farther from the plateau the curve is beyond every limit: 0.4 x 100^3 segments.
const TIME_MAX_MS: i64 = 100_000;
