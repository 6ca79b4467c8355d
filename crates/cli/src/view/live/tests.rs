use super::*;
use crate::account::{Account, ServiceAccount, SlowestCall, TurnAccount, WorstAccount};
use crate::report::CyclesPerPacket;
use crate::view::{LinkSample, Progress};
use crore_load::LatencySummary;
use ratatui::backend::TestBackend;
use std::time::Duration;

fn drawn(sample: &Sample) -> String {
    let mut terminal = Terminal::new(TestBackend::new(100, LINES)).unwrap();
    terminal.draw(|frame| draw(frame, sample)).unwrap();
    terminal.backend().to_string()
}

/// As it would be of a server whose timers took long.
fn account() -> Account {
    let slowest = SlowestCall {
        callback: "writable",
        cycles: 7_000,
        connection: Some("12#3".to_owned()),
        ..SlowestCall::default()
    };
    let service = ServiceAccount {
        calls_timed: 1_000,
        p50_cycles: 90,
        p99_cycles: 1_800,
        budget_cycles: 1_400,
        over_budget_percent: 2.5,
        slowest: vec![slowest],
        ..ServiceAccount::default()
    };
    let worst = WorstAccount { us: 14.5, main_stage: "timers", ..WorstAccount::default() };
    let turns = TurnAccount { worst_lately: Some(worst), ..TurnAccount::default() };
    Account { service, turns, ..Account::default() }
}

fn link(name: &str, state: &'static str, packets_per_second: f64) -> LinkSample {
    LinkSample { name: name.to_owned(), state, connections: 3, packets_per_second }
}

#[test]
fn the_picture_shows_how_far_it_is_how_fast_and_what_it_costs() {
    let cycles = CyclesPerPacket {
        driver_rx: 20.0,
        stack_in: 150.0,
        service: 30.0,
        stack_out: 75.0,
        driver_tx: 20.0,
        timers: 5.0,
        total: 300.0,
    };
    let latency =
        LatencySummary { p50_ns: 45_000, p99_ns: 120_000, p999_ns: 300_000, max_ns: 9_000_000 };
    let progress = Progress {
        doing: "opening",
        done: 2_500_000,
        of: 10_000_000,
        unit: Unit::Count,
        replies: Some(7),
        latency,
        links: Vec::new(),
    };
    let sample = Sample {
        since_start: Duration::from_secs(6),
        progress,
        connections: 2_500_017,
        packets_per_second: 1_500_000.0,
        replies_per_second: 0.0,
        done_per_second: 412_000.0,
        cycles,
        account: account(),
        retransmits: 3,
        memory_bytes: 3 << 30,
        links: vec![link("xdp:eth0", "up", 1_200.0), link("tap:tap0", "gone", 0.0)],
    };
    let picture = drawn(&sample);
    for part in [
        "opening 2,500,000 of 10,000,000  412 k/s",
        "connections 2,500,017   packets/s 1.50 M",
        "retransmits 3   memory 3,072 MiB",
        "cycles/packet 300  ■ driver rx 20  ■ stack in 150",
        "service p50 90   p99 1,800   over 1,400 2.5 %   slowest writable 7,000 12#3",
        "longest turn 14.5 us in timers",
        "xdp:eth0 up 1200/s   tap:tap0 gone 0/s",
        "latency p50 45 us   p99 120 us   p99.9 300 us   max 9000 us",
    ] {
        assert!(picture.contains(part), "{part} is not in\n{picture}");
    }
    let bar = picture.lines().find(|line| line.contains('▄')).unwrap();
    assert_eq!(bar.matches('▄').count(), 100, "half of the bar is the half of the cycles");
}
