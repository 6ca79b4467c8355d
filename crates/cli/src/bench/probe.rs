//! What the machine does to everybody just now: a miss to memory, a line between cores, stalls.

use crate::huge_pages::Reserved;
use crate::places::TwoPlaces;
use anyhow::Result;
use crore::mem::{HugePages, Memory, Pages, Table, huge_pages_needed};
use crore::tsc;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Cycles of a read that no cache has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Miss {
    pub(crate) cycles: f64,
    /// What the memory was on: on small pages a walk of the page table is part of it.
    pub(crate) pages: String,
}

/// Times in which a thread that does nothing but read the time-stamp counter did not run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Stalls {
    pub(crate) seconds: f64,
    pub(crate) over_1_us_per_second: f64,
    pub(crate) over_10_us_per_second: f64,
    pub(crate) over_100_us_per_second: f64,
    pub(crate) longest_us: f64,
    /// Of the time.
    pub(crate) lost_percent: f64,
    /// From all but one in a thousand moments the loop goes on within so long: what comes at any
    /// moment waits as long, whatever the program.
    pub(crate) wait_p999_us: f64,
    /// Readings of at least so many nanoseconds and less than twice as many.
    pub(crate) histogram: Vec<(u64, u64)>,
}

/// A pointer chase over half a gibibyte, at this processor.
pub(crate) fn miss(cpu: usize, wish: HugePages) -> Result<Miss> {
    let _reserved = Reserved::new(wish, huge_pages_needed(64 * LINES as usize))?;
    let mut memory = Memory::new(wish);
    let mut lines: Table<Line> = memory.table("chase", 1, LINES)?;
    let pages = memory.main_pages().unwrap_or(Pages::Small).to_string();
    let cycles = on(cpu, move || {
        // A full cycle over all lines (Hull and Dobell, 1962) whose steps no prefetcher foresees.
        for at in 0..LINES {
            lines[at][0] = u64::from(at.wrapping_mul(FACTOR).wrapping_add(STEP) % LINES);
        }
        let mut rounds: Vec<_> = (0..ROUNDS).map(|round| chase(&lines, round)).collect();
        rounds.sort_unstable_by(f64::total_cmp);
        rounds[ROUNDS as usize / 2]
    });
    Ok(Miss { cycles, pages })
}

/// Each read says where the next one is: none can begin before the one before has ended.
fn chase(lines: &Table<Line>, round: u32) -> f64 {
    let mut at = round.wrapping_mul(FACTOR) % LINES;
    let start = tsc();
    for _ in 0..READS {
        at = lines[at][0] as u32;
    }
    let cycles = tsc() - start;
    std::hint::black_box(at);
    cycles as f64 / f64::from(READS)
}

/// Cycles until what one core wrote is read by the other; `None` where there is only one.
pub(crate) fn line_between(places: TwoPlaces) -> Option<f64> {
    if places.is_shared() {
        return None;
    }
    let ball = Ball(AtomicU64::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        let answering = scope.spawn(|| {
            let _ = crore::pin::pin_to(places.second);
            pass(&ball, 1, began);
        });
        let asking = scope.spawn(|| {
            let _ = crore::pin::pin_to(places.first);
            let start = tsc();
            let passes = pass(&ball, 0, began);
            (tsc() - start) as f64 / (2 * passes.max(1)) as f64
        });
        let _ = answering.join();
        asking.join().ok()
    })
}

/// Adds one each time that the number is even (`mine` 0) or odd (`mine` 1); says how often.
fn pass(ball: &Ball, mine: u64, began: Instant) -> u64 {
    let mut passes = 0;
    let mut looks = 0u32;
    while passes < PASSES {
        let number = ball.0.load(Ordering::Acquire);
        if number % 2 == mine {
            ball.0.store(number + 1, Ordering::Release);
            passes += 1;
        }
        looks = looks.wrapping_add(1);
        // The other one may not have a processor just now.
        if looks.is_multiple_of(1 << 16) && began.elapsed() > PATIENCE {
            break;
        }
    }
    passes
}

/// Reads the time-stamp counter for so long at this processor.
pub(crate) fn stalls(cpu: usize, time: Duration, tsc_hz: f64) -> Stalls {
    on(cpu, move || {
        let mut gaps = Histogram::<u64>::new_with_bounds(1, 1 << 40, 2).expect("bounds");
        let ends = tsc() + (time.as_secs_f64() * tsc_hz) as u64;
        let begin = tsc();
        let mut last = begin;
        while last < ends {
            let now = tsc();
            gaps.saturating_record(now - last);
            // What recording takes is no stall.
            last = tsc();
        }
        let seconds = (last - begin) as f64 / tsc_hz;
        summary(&gaps, seconds, 1e9 / tsc_hz)
    })
}

fn summary(gaps: &Histogram<u64>, seconds: f64, ns_per_tick: f64) -> Stalls {
    let mut found = Stalls { seconds, ..Stalls::default() };
    let mut lost_ns = 0.0;
    let mut over = [0u64; 3];
    for step in gaps.iter_recorded() {
        let ns = step.value_iterated_to() as f64 * ns_per_tick;
        let count = step.count_since_last_iteration();
        for (over, bound_ns) in over.iter_mut().zip([1e3, 1e4, 1e5]) {
            *over += if ns >= bound_ns { count } else { 0 };
        }
        lost_ns += if ns >= 1e3 { ns * count as f64 } else { 0.0 };
        let floor_ns = 1u64 << (ns.max(1.0).log2().floor() as u32);
        match found.histogram.last_mut() {
            Some((floor, sum)) if *floor == floor_ns => *sum += count,
            _ => found.histogram.push((floor_ns, count)),
        }
    }
    let per_second = over.map(|count| count as f64 / seconds);
    [found.over_1_us_per_second, found.over_10_us_per_second, found.over_100_us_per_second] =
        per_second;
    found.wait_p999_us =
        wait_of_all_but(1e-3, gaps, seconds * 1e9 / ns_per_tick) * ns_per_tick / 1e3;
    found.longest_us = gaps.max() as f64 * ns_per_tick / 1e3;
    found.lost_percent = lost_ns / 1e7 / seconds;
    found
}

/// How long at most it is from a moment to the end of the gap that it is in, for all moments but
/// this part of them, in ticks; `total` is the time in all.
fn wait_of_all_but(part: f64, gaps: &Histogram<u64>, total: f64) -> f64 {
    let lengths: Vec<_> = gaps
        .iter_recorded()
        .map(|step| (step.value_iterated_to() as f64, step.count_since_last_iteration() as f64))
        .collect();
    // Of a gap, the moments that are more than `wait` before its end are what is over it.
    let (mut count, mut sum, mut wait) = (0.0, 0.0, 0.0);
    for (at, &(length, gaps)) in lengths.iter().enumerate().rev() {
        count += gaps;
        sum += length * gaps;
        wait = (sum - part * total) / count;
        let next = at.checked_sub(1).map_or(0.0, |at| lengths[at].0);
        if wait >= next {
            break;
        }
    }
    wait.max(0.0)
}

/// Runs something on a thread at this processor.
pub(crate) fn on<R: Send>(cpu: usize, work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            // Being elsewhere only costs speed.
            let _ = crore::pin::pin_to(cpu);
            work()
        });
        thread.join().expect("a measurement does not panic")
    })
}

/// A cache line.
type Line = [u64; 8];

/// A cache line of its own, and the one that is fetched with it.
#[repr(align(128))]
struct Ball(AtomicU64);

/// Half a gibibyte: no cache has it, and huge pages of it are more than any TLB holds.
const LINES: u32 = 1 << 23;

/// One more than a multiple of four, and an odd number: the cycle is full.
const FACTOR: u32 = 0x4c95_7f2d;
const STEP: u32 = 0x14057;

const READS: u32 = 200_000;
const ROUNDS: u32 = 7;
const PASSES: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chase_visits_every_line_once() {
        let mut seen = vec![false; LINES as usize];
        let mut at = 0u32;
        for _ in 0..LINES {
            assert!(!std::mem::replace(&mut seen[at as usize], true), "{at} twice");
            at = at.wrapping_mul(FACTOR).wrapping_add(STEP) % LINES;
        }
        assert_eq!(at, 0);
    }

    #[test]
    fn stalls_are_counted_by_length() {
        let mut gaps = Histogram::<u64>::new_with_bounds(1, 1 << 40, 2).unwrap();
        gaps.record_n(20, 1_000_000).unwrap();
        gaps.record_n(50_000, 4).unwrap();
        let found = summary(&gaps, 2.0, 1.0);
        let over = [found.over_1_us_per_second, found.over_10_us_per_second];
        assert_eq!(over.map(|per_second| per_second as u64), [2, 2]);
        assert!(found.over_100_us_per_second < 0.5);
        assert_eq!(found.histogram, [(16, 1_000_000), (32_768, 4)]);
        assert!((0.009..0.011).contains(&found.lost_percent), "{}", found.lost_percent);
    }

    #[test]
    fn what_comes_at_any_moment_waits_for_the_end_of_the_stall_that_it_is_in() {
        let mut gaps = Histogram::<u64>::new_with_bounds(1, 1 << 40, 3).unwrap();
        gaps.record_n(10, 98_000).unwrap();
        gaps.record_n(1_000, 20).unwrap();
        // 20,000 of a million ticks are in stalls: a thousand moments are over 950 before the end.
        let wait = wait_of_all_but(1e-3, &gaps, 1e6);
        assert!((949.0..=951.0).contains(&wait), "{wait}");
        // A fifth of the moments are in no stall that long: those in short gaps wait for less.
        let wait = wait_of_all_but(0.2, &gaps, 1e6);
        assert!((7.0..9.0).contains(&wait), "{wait}");
        let quiet = Histogram::<u64>::new_with_bounds(1, 1 << 40, 3).unwrap();
        assert!(wait_of_all_but(1e-3, &quiet, 1e6).abs() < 1e-9);
    }

    #[test]
    fn the_ball_is_passed_until_both_have_had_it_often_enough() {
        let places = TwoPlaces::choose(None).unwrap();
        assert_eq!(line_between(places).is_none(), places.is_shared());
    }
}
