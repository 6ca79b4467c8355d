//! Loads against servers in the same process, over a pipe, in turns of one thread: honest servers,
//! and some that are not.

use crore::driver::{Link, pipe};
use crore::mem::{Memory, PoolClass};
use crore::{AddressRange, Conn, Core, CoreConfig, Engine, Interface, Service, StackConfig};
use crore_load::{
    Churn, Clock, Control, Echo, Http, Load, LoadConfig, LocalAddresses, Numbers, Pace, Phase,
    Protocol, Stream, StreamClient,
};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Sends back what comes in, but every `lie_every`th time not quite.
#[derive(Default)]
struct Mirror {
    calls: u64,
    lie_every: u64,
    hang_up_every: u64,
}

impl Service for Mirror {
    type State = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.calls += 1;
        if self.hang_up_every > 0 && self.calls.is_multiple_of(self.hang_up_every) {
            conn.abort();
            return bytes.len();
        }
        let mut reply = bytes.to_vec();
        if self.lie_every > 0 && self.calls.is_multiple_of(self.lie_every) {
            reply[0] ^= 1;
        }
        conn.send(&reply)
    }
}

/// Answers each GET with the same page.
struct Page;

impl Service for Page {
    type State = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let requests = bytes.windows(4).filter(|end| end == b"\r\n\r\n").count();
        let reply = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world";
        conn.send(reply.repeat(requests).as_bytes());
        bytes.len()
    }
}

const SERVER: [u8; 4] = [10, 255, 0, 1];
const CLIENT: [u8; 4] = [10, 0, 0, 1];

fn core<S: Service>(address: [u8; 4], link: Link, service: S, listens: bool) -> Core<S> {
    let capabilities = link.capabilities();
    let interface = Interface::new(
        capabilities.mac,
        capabilities.mtu,
        vec![AddressRange::one(IpAddr::from(address), 8)],
    );
    let mut settings = StackConfig::for_connections(512);
    settings.nodelay = true;
    settings.pool = [160, 480, 2016].map(|payload_bytes| PoolClass { payload_bytes, count: 1024 });
    let mut memory = Memory::heap();
    let mut engine = Engine::new(settings, &interface, service, &mut memory, [7; 32]).unwrap();
    if listens {
        engine.listen(7);
    }
    Core::new(engine, link, CoreConfig::default())
}

fn config(connections: u32, pace: Pace) -> LoadConfig {
    let locals = [AddressRange::one(IpAddr::from(CLIENT), 8)];
    LoadConfig {
        remote: SocketAddr::from((SERVER, 7)),
        locals: LocalAddresses::for_remote(&locals, IpAddr::from(SERVER)),
        home: None,
        connections,
        opens_per_second: None,
        handshakes_max: 64,
        pace,
        beside: None,
        traffic_time: Some(Duration::from_millis(200)),
        seed: 1,
    }
}

/// The load from its first turn to its last, against this server.
fn play<S: Service, P: Protocol>(
    server: S,
    config: LoadConfig,
    protocol: P,
    port: bool,
) -> Numbers {
    let (near, far) = pipe::pair(&mut Memory::heap(), 256, 1500).unwrap();
    let mut server = core(SERVER, Link::Pipe(near), server, port);
    let control = Control::new();
    control.allow(Phase::Done);
    let load = Load::new(config, protocol, Clock::measured(), control.clone());
    let mut client = core(CLIENT, Link::Pipe(far), load, false);
    let begun = Instant::now();
    while client.engine().service().numbers().phase != Phase::Done {
        client.turn();
        server.turn();
        assert!(begun.elapsed() < Duration::from_mins(1), "stuck: {:?}", control.numbers());
    }
    *client.engine().service().numbers()
}

const FEW: Pace = Pace::Closed { in_flight: 16 };

#[test]
fn an_honest_server_is_found_honest() {
    let numbers = play(Mirror::default(), config(300, FEW), Echo::new(700), true);
    assert_eq!((numbers.opened, numbers.established, numbers.closed), (300, 300, 300));
    assert!(numbers.requests > 300 && numbers.replies == numbers.requests, "{numbers:?}");
    assert_eq!((numbers.bad_bytes, numbers.resets, numbers.lost), (0, 0, 0));
    assert!(numbers.latency.p50_ns > 0 && numbers.latency.max_ns >= numbers.latency.p999_ns);
}

#[test]
fn every_byte_that_a_server_changes_is_counted() {
    let liar = Mirror { lie_every: 10, ..Mirror::default() };
    let numbers = play(liar, config(50, FEW), Echo::new(64), true);
    // A request of 64 bytes is one segment, and so one call.
    assert_eq!(numbers.bad_bytes, numbers.replies / 10, "{numbers:?}");
    assert!(numbers.bad_bytes > 0);
}

#[test]
fn a_server_that_hangs_up_shows_in_resets_and_lost_requests() {
    let rude = Mirror { hang_up_every: 50, ..Mirror::default() };
    let numbers = play(rude, config(40, FEW), Echo::new(64), true);
    assert!(numbers.resets > 0, "{numbers:?}");
    assert_eq!(numbers.resets, numbers.lost);
    assert_eq!(numbers.requests, numbers.replies + numbers.lost);
    assert_eq!(numbers.established, 40 - numbers.resets);
    assert_eq!(numbers.closed, numbers.established, "those that stood were closed in order");
}

#[test]
fn requests_come_at_their_rate() {
    let pace = Pace::Open { per_second: 5_000.0 };
    let numbers = play(Mirror::default(), config(100, pace), Echo::new(64), true);
    assert_eq!(numbers.requests + numbers.missed, 1_000, "200 ms at 5,000 a second");
    assert_eq!(numbers.missed, 0);
}

#[test]
fn connections_open_at_their_rate() {
    let slow = LoadConfig { opens_per_second: Some(400.0), ..config(100, FEW) };
    let numbers = play(Mirror::default(), slow, Echo::new(64), true);
    assert_eq!(numbers.opened, 100);
    assert!(numbers.open_seconds >= 0.247, "99 steps of 2.5 ms: {}", numbers.open_seconds);
}

#[test]
fn when_nobody_listens_the_load_gives_up_early_and_says_why() {
    let numbers = play(Mirror::default(), config(500, FEW), Echo::new(64), false);
    assert_eq!((numbers.opened, numbers.established, numbers.requests), (0, 0, 0));
    assert!((100..300).contains(&numbers.refused), "{numbers:?}");
    assert_eq!(numbers.refused, numbers.connect_errors);
}

#[test]
fn more_connections_than_the_stack_has_room_for_are_refused_by_name() {
    let numbers = play(Mirror::default(), config(600, FEW), Echo::new(64), true);
    assert_eq!(numbers.opened, 512);
    assert_eq!(numbers.stopped_by, Some(crore::ConnectError::TableFull));
    assert_eq!(numbers.closed, 512);
}

#[test]
fn pipelined_http_requests_are_answered_and_compared() {
    let requests = Http::new("10.255.0.1", "/", 4).unwrap();
    let numbers = play(Page, config(60, FEW), requests, true);
    assert!(numbers.requests > 60 && numbers.requests.is_multiple_of(4), "{numbers:?}");
    assert_eq!((numbers.replies, numbers.bad_replies), (numbers.requests, 0));
    assert_eq!(numbers.bad_bytes, 0);
}

#[test]
fn a_pause_keeps_requests_from_being_sent_and_lets_replies_come_in() {
    let (near, far) = pipe::pair(&mut Memory::heap(), 256, 1500).unwrap();
    let mut server = core(SERVER, Link::Pipe(near), Mirror::default(), true);
    let control = Control::new();
    control.allow(Phase::Done);
    let pace = Pace::Open { per_second: 20_000.0 };
    let config = LoadConfig { traffic_time: None, ..config(100, pace) };
    let load = Load::new(config, Echo::new(64), Clock::measured(), control.clone());
    let mut client = core(CLIENT, Link::Pipe(far), load, false);
    let begun = Instant::now();
    let mut turns_until = |client: &mut Core<Load<Echo>>, done: &dyn Fn(&Numbers) -> bool| {
        while !done(client.engine().service().numbers()) {
            client.turn();
            server.turn();
            assert!(begun.elapsed() < Duration::from_mins(1), "stuck: {:?}", control.numbers());
        }
    };
    turns_until(&mut client, &|numbers| numbers.replies > 500);
    control.pause(true);
    turns_until(&mut client, &|numbers| numbers.replies == numbers.requests);
    let before = client.engine().service().numbers().requests;
    let paused_at = Instant::now();
    turns_until(&mut client, &|_| paused_at.elapsed() > Duration::from_millis(100));
    assert_eq!(client.engine().service().numbers().requests, before);
    control.pause(false);
    turns_until(&mut client, &|numbers| numbers.replies > before + 500);
    control.hurry();
    turns_until(&mut client, &|numbers| numbers.phase == Phase::Done);
    let numbers = client.engine().service().numbers();
    assert_eq!((numbers.closed, numbers.bad_bytes), (100, 0));
    assert_eq!(numbers.requests, numbers.replies);
}

/// Answers one request and closes.
struct Once;

impl Service for Once {
    type State = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let sent = conn.send(bytes);
        conn.close();
        sent
    }
}

#[test]
fn short_lives_are_whole_whoever_closes_first() {
    let churn = Churn { at_once: 32, server_closes: false, local_ends: 2_000 };
    let ours = play(Mirror::default(), config(20, Pace::Churn(churn)), Echo::new(64), true);
    let churn = Churn { server_closes: true, ..churn };
    let theirs = play(Once, config(20, Pace::Churn(churn)), Echo::new(64), true);
    for numbers in [ours, theirs] {
        assert!(numbers.lives > 100, "{numbers:?}");
        assert_eq!((numbers.lives_failed, numbers.bad_bytes, numbers.lost), (0, 0, 0));
        assert_eq!((numbers.requests, numbers.replies), (numbers.lives, numbers.lives));
        assert_eq!(numbers.attempts, numbers.lives + 20);
        assert_eq!((numbers.opened, numbers.established, numbers.closed), (20, 20, 20));
    }
}

#[test]
fn a_life_that_the_server_cuts_short_is_counted_as_such() {
    let rude = Mirror { hang_up_every: 5, ..Mirror::default() };
    let churn = Churn { at_once: 8, server_closes: false, local_ends: 2_000 };
    let numbers = play(rude, config(1, Pace::Churn(churn)), Echo::new(64), true);
    assert!(numbers.lives_failed > 0 && numbers.lives_failed == numbers.lost, "{numbers:?}");
    assert_eq!(numbers.requests, numbers.lives + numbers.lives_failed);
}

#[test]
fn streams_carry_every_octet_both_ways_until_they_are_ended() {
    for (down, up) in [(true, false), (false, true), (true, true)] {
        let (near, far) = pipe::pair(&mut Memory::heap(), 256, 1500).unwrap();
        let mut server = core(SERVER, Link::Pipe(near), Stream::server(down), true);
        let control = Control::new();
        let LoadConfig { remote, locals, .. } = config(3, FEW);
        let client = StreamClient { remote, locals, connections: 3, control: control.clone() };
        let mut client = core(CLIENT, Link::Pipe(far), Stream::client(client, up), false);
        let numbers = |core: &Core<Stream>| *core.engine().service().numbers();
        let mut turns = 0;
        while numbers(&client).closed < 3 || numbers(&server).closed < 3 {
            client.turn();
            server.turn();
            if numbers(&client).received + numbers(&server).received > 5_000_000 {
                control.hurry();
            }
            turns += 1;
            assert!(turns < 5_000_000, "stuck: {:?} {:?}", numbers(&client), numbers(&server));
        }
        let (client, server) = (numbers(&client), numbers(&server));
        assert_eq!((client.sent, server.sent), (server.received, client.received));
        assert_eq!((client.sent > 0, server.sent > 0), (up, down));
        assert_eq!([client.bad_bytes, server.bad_bytes, client.failed, server.failed], [0; 4]);
    }
}
