//! The cap on a turn, and what is known of turns that were long, in virtual cycles: a server whose
//! clock goes on by what its service, or a stage, is said to take.

mod virtual_clock;

use crore::driver::{Link, pipe};
use crore::mem::Memory;
use crore::{AddressRange, Callback, Conn, ConnId, Core, CoreConfig, Engine, Interface, Service};
use crore::{SERVICE_BUDGET_CYCLES, Snapshot, StackConfig, Stage, Stop, Turn};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use virtual_clock::VirtualClock;

/// Answers with what it got; its calls take as long as it is told.
struct Slow {
    clock: VirtualClock,
    data: u64,
    timer: u64,
    rung: u32,
    served: u32,
    turns: u32,
}

impl Service for Slow {
    type State = ();
    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        conn.set_timer_ms(Some(TIMER_MS));
    }
    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.clock.pass(self.data);
        self.served += 1;
        conn.send(bytes)
    }
    fn timer(&mut self, _: &mut Conn<'_, ()>) {
        self.clock.pass(self.timer);
        self.rung += 1;
    }
    fn turn(&mut self, _: &mut Turn<'_, ()>) {
        self.turns += 1;
    }
}

/// Opens connections, and asks when it is told to.
#[derive(Default)]
struct Client {
    conns: Vec<ConnId>,
    connected: u32,
    answers: u32,
}

impl Service for Client {
    type State = ();
    fn connected(&mut self, _: &mut Conn<'_, ()>) {
        self.connected += 1;
    }
    fn data(&mut self, _: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.answers += 1;
        bytes.len()
    }
    fn turn(&mut self, turn: &mut Turn<'_, ()>) {
        while self.conns.len() < CONNS as usize {
            let Ok(conn) = turn.connect(SocketAddr::new(address(2), 7), None) else { return };
            self.conns.push(conn);
        }
    }
}

/// A server on a virtual clock, and its client, which has all the time it wants.
struct Scene {
    clock: VirtualClock,
    server: Core<Slow, VirtualClock>,
    client: Core<Client, VirtualClock>,
}

impl Scene {
    /// All connections stand, and the server has learned how fast its counter is.
    fn open(turn_max: Option<Duration>) -> Self {
        let mut memory = Memory::heap();
        let (near, far) = pipe::pair(&mut memory, 1024, 1500).unwrap();
        let clock = VirtualClock::default();
        clock.set_step(10);
        let slow = Slow { clock: clock.clone(), data: 0, timer: 0, rung: 0, served: 0, turns: 0 };
        let mut engine = engine(2, slow, &mut memory);
        engine.listen(7);
        let config = CoreConfig { turn_max, ..CoreConfig::default() };
        let server = Core::with_clock(engine, Link::Pipe(far), config.clone(), clock.clone());
        let client = self::engine(1, Client::default(), &mut memory);
        let client = Core::with_clock(client, Link::Pipe(near), config, clock.clone());
        let mut scene = Self { clock, server, client };
        while scene.client.engine().service().connected < CONNS {
            scene.clock.pass(100_000);
            scene.client.turn();
            scene.server.turn();
        }
        scene.server.turn();
        scene.clock.pass(30_000_000);
        scene.settle();
        scene
    }

    /// Nothing is left to do on either side.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.client.turn();
            self.server.turn();
        }
    }

    /// A request on every connection waits for the server.
    fn ask(&mut self) {
        self.client.engine_mut().with_turn(|client, turn| {
            for &conn in &client.conns {
                assert_eq!(turn.conn(conn).unwrap().send(b"request"), 7);
            }
        });
        for _ in 0..8 {
            self.client.turn();
        }
    }

    /// A turn of the server; says what it took.
    fn turn(&mut self) -> u64 {
        let before = self.clock.shows();
        self.server.turn();
        self.clock.shows() - before
    }

    fn slow(&mut self) -> &mut Slow {
        self.server.engine_mut().service_mut()
    }

    fn snapshot(&self) -> Snapshot {
        self.server.snapshot()
    }
}

/// Calls of 3 us each: a burst of 32 of them would make turns of 96 us.
#[test]
fn a_slow_service_makes_bursts_small_and_not_turns_long() {
    let mut scene = Scene::open(Some(CAP));
    scene.ask();
    scene.slow().data = 3_000;
    assert!(scene.turn() > 90_000, "nobody knew yet");
    let mut longest = 0;
    while scene.slow().served < CONNS {
        longest = longest.max(scene.turn());
    }
    assert!((3_000..10_000).contains(&longest), "{longest}");
    assert!(scene.snapshot().rx_burst <= 2);
    scene.settle();
    assert_eq!(scene.client.engine().service().answers, CONNS, "all are served");

    // The service is quick again, and so are bursts large.
    scene.slow().data = 0;
    for _ in 0..4 {
        scene.ask();
        scene.settle();
    }
    assert_eq!(scene.snapshot().rx_burst, 32);
}

#[test]
fn without_a_cap_bursts_stay_large() {
    let mut scene = Scene::open(None);
    scene.slow().data = 3_000;
    scene.ask();
    scene.turn();
    assert!(scene.turn() > 90_000);
    assert_eq!((scene.snapshot().rx_burst, scene.snapshot().cycles.long_turns), (32, 0));
}

/// All timers run out at the same time, and each call takes 2 us.
#[test]
fn timers_that_are_due_at_once_are_spread_over_turns() {
    let mut scene = Scene::open(Some(CAP));
    scene.slow().timer = 2_000;
    scene.clock.pass(u64::from(TIMER_MS + 64) * 1_000_000);
    scene.turn();
    let mut longest = 0;
    let mut turns = 0;
    while scene.slow().rung < CONNS {
        longest = longest.max(scene.turn());
        turns += 1;
        assert!(turns < 10 * CONNS, "each turn rings one at least");
    }
    assert!((2_000..10_000).contains(&longest), "{longest}");
}

/// Each stage takes 20 us whatever it does, as on a machine whose host is overloaded: a turn can
/// only be kept from doing more than one of each.
#[test]
fn a_slow_machine_still_gets_on_and_recovers() {
    let mut scene = Scene::open(Some(CAP));
    scene.ask();
    scene.clock.set_step(20_000);
    for _ in 0..20 {
        scene.turn();
    }
    assert_eq!(scene.snapshot().rx_burst, 1);
    assert!(scene.slow().served >= 20 - 1, "a frame a turn");
    scene.clock.set_step(10);
    scene.settle();
    for _ in 0..3 {
        scene.ask();
        scene.settle();
    }
    assert_eq!(scene.client.engine().service().answers, 4 * CONNS);
    assert_eq!(scene.snapshot().rx_burst, 32);
}

#[test]
fn the_worst_turn_is_kept_with_its_reason() {
    let mut scene = Scene::open(Some(CAP));
    scene.ask();
    scene.slow().data = 3_000;
    scene.turn();
    scene.slow().data = 0;
    scene.settle();
    let found = scene.snapshot();
    for worst in [found.worst, found.worst_lately] {
        assert_eq!((worst.main_stage(), worst.received, worst.timers), ("service", 32, 0));
        assert!((96_000..97_000).contains(&worst.cycles), "{worst:?}");
        assert_eq!(worst.stages[Stage::Service as usize], 96_000 + 2 * 10, "two laps");
        assert_eq!(worst.stages.iter().sum::<u64>(), worst.cycles, "all of it is in a stage");
        assert_eq!(worst.was_set_aside(), None, "nobody has asked the system");
    }
    assert_eq!(found.cycles.long_turns, 1);
    assert!(found.cycles.turns.quantile(1.0) >= 96_000);

    // Some seconds later it is the worst of all, and not of late.
    for _ in 0..3 {
        scene.clock.pass(1_100_000_000);
        scene.turn();
    }
    let later = scene.snapshot();
    assert_eq!(later.worst.cycles, found.worst.cycles);
    assert!(later.worst_lately.cycles < 10_000, "{:?}", later.worst_lately);
}

/// Packets wait for the control plane's work too.
#[test]
fn the_control_planes_work_counts_as_a_turn() {
    let mut scene = Scene::open(Some(CAP));
    let (stop, clock) = (Stop::new(), scene.clock.clone());
    let switch = stop.clone();
    // The core would sleep soon, and lets the control plane work before.
    scene.server.run(&stop, move |_| {
        clock.pass(500_000);
        switch.set();
    });
    let worst = scene.snapshot().worst_lately;
    assert_eq!((worst.main_stage(), worst.cycles / 1000), ("control", 500));
    assert!(scene.snapshot().cycles.of(Stage::Control) >= 500_000);
}

/// A frame that ends a sleep is answered before anything else is done.
#[test]
fn the_control_plane_works_before_a_sleep_and_not_after_it() {
    let mut scene = Scene::open(Some(CAP));
    let (stop, waker, parks) = (Stop::new(), scene.server.waker(), scene.snapshot().cycles.parks);
    let mut turns = Vec::new();
    scene.server.run(&stop, |engine| {
        turns.push(engine.service().turns);
        // The sleep to come ends at once.
        waker.wake();
        if turns.len() == 2 {
            stop.set();
        }
    });
    assert_eq!(scene.snapshot().cycles.parks - parks, 1, "the first work came before any sleep");
    assert_eq!(turns[1] - turns[0], 2, "one for what the first left, one for what ended the sleep");
}

/// One burst of 61 is timed; after a turn that the service made long, the next ones.
#[test]
fn the_services_calls_are_in_a_histogram_and_the_slowest_is_named() {
    let mut scene = Scene::open(None);
    scene.slow().data = 700;
    for _ in 0..40 {
        scene.ask();
        scene.settle();
    }
    let service = scene.snapshot().service;
    let calls = service.calls.count();
    assert!((32..40 * u64::from(CONNS) / 10).contains(&calls), "some of them: {calls}");
    assert!((700..=900).contains(&service.calls.quantile(0.5)));
    assert_eq!(service.over_budget, 0);

    scene.slow().data = SERVICE_BUDGET_CYCLES;
    for _ in 0..40 {
        scene.ask();
        scene.settle();
    }
    let service = scene.snapshot().service.since(&service);
    assert_eq!(service.over_budget, service.calls.count(), "the counter's own step is too much");
    let slowest = service.slowest[Callback::Data as usize];
    assert_eq!(slowest.cycles, SERVICE_BUDGET_CYCLES + 10);
    assert_eq!(scene.server.engine().conn_id(slowest.conn.index), Some(slowest.conn));
    assert_eq!(service.slowest[Callback::PeerClosed as usize].cycles, 0, "there was none");
}

/// What is slow for one connection only would hardly be met by one burst of 61.
#[test]
fn a_long_turn_has_the_next_calls_timed() {
    let mut scene = Scene::open(Some(CAP));
    scene.ask();
    scene.slow().data = 4_000;
    scene.turn();
    assert_eq!(scene.snapshot().service.slowest[Callback::Data as usize].cycles, 0);
    scene.turn();
    assert_eq!(scene.snapshot().service.slowest[Callback::Data as usize].cycles, 4_010);
}

fn engine<S: Service>(host: u8, service: S, memory: &mut Memory) -> Engine<S> {
    let interface =
        Interface::new([2, 0, 0, 0, 0, host], 1500, vec![AddressRange::one(address(host), 24)]);
    let config = StackConfig::for_connections(1024);
    Engine::new(config, &interface, service, memory, [host; 32]).unwrap()
}

fn address(host: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, host])
}

const CAP: Duration = Duration::from_micros(10);
const CONNS: u32 = 64;
const TIMER_MS: u32 = 60_000;
