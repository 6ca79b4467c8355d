//! Accounts of cores that never ran.

use super::*;
use crore::zerocopy::FromZeros;
use crore::{Callback, ConnId, SlowCall};

fn core() -> Snapshot {
    Snapshot { cycles_a_us: 2000, ..Snapshot::new_zeroed() }
}

#[test]
fn an_account_of_nothing_divides_by_nothing() {
    let account = Account::between(&[core()], &[core()]);
    assert_eq!(account.service.calls_timed, 0);
    assert!(account.turns.p50_us.abs() < f64::EPSILON && account.turns.worst.is_none());
    assert_eq!(account.lines().len(), 2);
    assert!(account.cores[0].idle_percent.abs() < f64::EPSILON);
}

#[test]
fn the_slowest_call_and_the_longest_turn_are_named_with_their_core() {
    let (mut quick, mut slow) = (core(), core());
    quick.service.slowest[Callback::Data as usize].cycles = 90;
    let conn = ConnId { index: 12, generation: 3 };
    slow.service.slowest[Callback::Data as usize] =
        SlowCall { cycles: 85_123, conn, at_us: 1_500_000 };
    slow.service.slowest[Callback::Turn as usize].cycles = 100;
    slow.service.calls.add(1_000);
    slow.service.calls.add(85_123);
    slow.service.over_budget = 1;
    slow.worst.cycles = 400_000;
    slow.worst.stages[Stage::Timers as usize] = 398_000;
    slow.worst.timers = 32;
    slow.worst.set_aside = 1;
    let account = Account::between(&[core(), core()], &[quick, slow]);
    let named: Vec<_> = account.service.slowest.iter().map(|call| call.callback).collect();
    assert_eq!(named, ["data", "turn"]);
    assert_eq!(account.service.slowest[0].connection.as_deref(), Some("12#3"));
    assert_eq!(account.service.slowest[1].connection, None);
    assert_eq!(
        account.service.line(),
        "service: cycles a call p50 1,023, p99 98,303, p99.9 98,303; 50 % above the budget of \
         1,400; slowest: data 85,123 for connection 12#3 of core 1"
    );
    assert_eq!(
        account.turns.line(),
        "turns: p50 0 us, p99.9 0 us; 0 above the cap; longest 200 us, timers of it 199 us, and \
         the system had no part in it (0 frames in, 0 out, 32 timers)"
    );
}

/// Where there are counters they count; where there are none it is said why.
#[test]
fn the_processors_counters_are_read_or_it_is_said_why_not() {
    let figures = Hardware::of(&[u64::from(std::process::id())]).look(1);
    let line = figures.line().unwrap();
    match figures.unavailable {
        None => assert!(figures.instructions_per_packet > Some(0.0), "{line}"),
        Some(why) => assert!(line.ends_with(&why) && !why.is_empty()),
    }
    assert_eq!(HardwareFigures::default().line(), None, "nobody looked");
}
