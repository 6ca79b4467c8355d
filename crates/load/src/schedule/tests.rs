use super::*;
use crate::latency::Latency;

#[test]
fn events_come_at_their_rate_and_never_early() {
    let mut schedule = Schedule::new(1_000, 2.5);
    assert_eq!(schedule.due(999), None);
    let mut due_times = Vec::new();
    for now in 1_000..1_010 {
        while let Some(at) = schedule.due(now) {
            due_times.push(at);
            schedule.take();
        }
    }
    assert_eq!(due_times, [1_000, 1_002, 1_005, 1_007]);
}

#[test]
fn the_rate_holds_over_hours_to_the_event() {
    let mut schedule = Schedule::new(0, 1000.0 / 3.0);
    for _ in 0..30_000_000 {
        schedule.take();
    }
    assert_eq!(schedule.next_at(), 10_000_000_000);
}

/// A server that answers at once, but stands still from 1.0 to 2.0 s. Requests are due every
/// millisecond, and while it stands still none can be sent.
#[test]
fn a_server_that_stands_still_shows_in_the_latency_of_all_requests_due_meanwhile() {
    const MS: u64 = 1_000_000;
    let mut schedule = Schedule::new(0, MS as f64);
    let mut from_due_time = Latency::new();
    let mut from_sending = Latency::new();
    for now_ms in 0..10_000 {
        let now = now_ms * MS;
        if (1_000..2_000).contains(&now_ms) {
            continue;
        }
        while let Some(due) = schedule.due(now) {
            schedule.take();
            from_due_time.record_ns(now - due + MS / 10, 1);
            from_sending.record_ns(MS / 10, 1);
        }
    }
    assert_eq!(from_due_time.count(), 10_000);
    let seen = from_due_time.summary();
    assert!(seen.p50_ns <= MS, "half of the requests saw nothing of it: {seen:?}");
    assert!(seen.p99_ns >= 890 * MS, "one in ten waited, up to a second: {seen:?}");
    assert!(seen.max_ns >= 1_000 * MS, "{seen:?}");
    assert!(from_sending.summary().max_ns < MS, "counted from sending, it would not show");
}
