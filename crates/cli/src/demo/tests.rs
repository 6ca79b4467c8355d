use super::*;
use crate::args::{ClientChoice, DemoOptions, HugePagesChoice, MemoryOptions, OutputOptions};
use crate::demo::figures::Figures;

fn options(connections: u32) -> DemoOptions {
    DemoOptions {
        connections: Some(connections),
        seconds: 0.5,
        in_flight: 64,
        rate: None,
        payload: 64,
        client: Some(ClientChoice::Full),
        cpus: None,
        memory: MemoryOptions { huge_pages: Some(HugePagesChoice::None) },
        output: OutputOptions { json: None, plain: true },
    }
}

fn played(options: &DemoOptions) -> Figures {
    let (connections, client) = choose(options, HugePages::None).unwrap();
    let (demand, control) = (demand(options, connections), Control::new());
    let client = EchoClient::of(&demand, client, options.payload, control.clone());
    let sides = Sides::new(&demand, EchoServer, client, HugePages::None).unwrap();
    let places = TwoPlaces::choose(None).unwrap();
    play(&demand, sides, &control, places, View::Nowhere).unwrap()
}

#[test]
fn two_thousand_connections_are_opened_used_checked_and_closed() {
    let figures = played(&options(2_000));
    assert_eq!(figures.complaints(), Vec::<String>::new());
    assert_eq!(figures.connections, 2_000);
    assert_eq!([figures.established_server, figures.established_client], [2_000; 2]);
    assert_eq!((figures.closed, figures.leaked, figures.bad_bytes), (2_000, 0, 0));
    assert!(figures.requests > 2_000, "{} requests", figures.requests);
    assert!(figures.cycles_per_packet.total > 0.0);
    assert!(figures.latency_us.p50 > 0.0 && figures.latency_us.p50 <= figures.latency_us.max);
}

#[test]
fn a_mirror_opens_uses_checks_and_closes_as_many() {
    let options = DemoOptions { client: Some(ClientChoice::Mirror), ..options(5_000) };
    let figures = played(&options);
    assert_eq!(figures.complaints(), Vec::<String>::new());
    assert_eq!([figures.established_server, figures.established_client], [5_000; 2]);
    assert_eq!((figures.closed, figures.leaked, figures.bad_bytes), (5_000, 0, 0));
    assert!(figures.requests >= 5_000, "{} requests", figures.requests);
    assert!(figures.cycles_per_packet.total > 0.0);
    assert!(figures.bytes_outside > 0);
}

#[test]
fn large_requests_at_a_rate_come_back_whole_and_at_that_rate() {
    let options = DemoOptions { rate: Some(2_000.0), payload: 5_000, seconds: 1.0, ..options(300) };
    let figures = played(&options);
    assert_eq!(figures.complaints(), Vec::<String>::new());
    assert_eq!(figures.requests, 2_000, "as many as were due in that second");
}

/// Others read these names.
#[test]
fn the_json_has_the_promised_names() {
    let figures = serde_json::to_value(played(&options(100))).unwrap();
    let names = |value: &serde_json::Value| {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let mut promised = [
        "connections",
        "established_server",
        "established_client",
        "requests",
        "bad_bytes",
        "resets",
        "retransmits",
        "open_seconds",
        "connections_per_second",
        "requests_per_second",
        "packets_per_second",
        "bytes_per_connection_server",
        "bytes_per_connection_client",
        "bytes_outside",
        "cycles_per_packet",
        "account",
        "latency_us",
        "closed",
        "leaked",
    ];
    promised.sort_unstable();
    assert_eq!(names(&figures), promised);
    let mut stages =
        ["driver_rx", "stack_in", "service", "stack_out", "driver_tx", "timers", "total"];
    stages.sort_unstable();
    assert_eq!(names(&figures["cycles_per_packet"]), stages);
    assert_eq!(names(&figures["latency_us"]), ["max", "p50", "p99", "p999"]);
}

#[test]
fn what_went_wrong_is_said_in_a_sentence() {
    let mut figures = played(&options(10));
    figures.bad_bytes = 3;
    figures.established_server = 9;
    figures.leaked = 1;
    let complaints = figures.complaints();
    assert_eq!(
        complaints,
        [
            "9 of 10 connections were still established at the server",
            "3 bytes of replies were wrong",
            "1 slots, buffers or timers leaked",
        ]
    );
}

#[test]
fn ten_million_connections_stay_below_320_bytes_each_on_each_side() {
    let demand = demand(&options(1), 10_000_000);
    let planned = plan_echo::<EchoServer>(&demand, ClientChoice::Full).unwrap();
    for side in [&planned.server, &planned.client] {
        let each = side.total_bytes() / 10_000_000;
        assert!((150..=320).contains(&each), "{each} bytes: {}", side.line());
    }
}

/// 24 GiB, as a machine sells them, of which the kernel keeps some.
#[test]
fn a_hundred_million_connections_and_a_mirror_fit_into_20_gib() {
    let planned =
        plan_echo::<EchoServer>(&demand(&options(1), 100_000_000), ClientChoice::Mirror).unwrap();
    let each = planned.server.total_bytes() / 100_000_000;
    assert!((100..=200).contains(&each), "{each} bytes: {}", planned.server.line());
    assert!(planned.client.total_bytes() / 100_000_000 <= 8, "{}", planned.client.line());
    assert!(planned.total_bytes() < 20 << 30, "{}", text::bytes(planned.total_bytes()));
}
