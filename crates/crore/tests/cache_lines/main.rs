//! Nothing shared is written per packet: two hosts of two cores each serve requests of each other,
//! in turns of one thread, and after each turn of a core it is seen which cache lines of all memory
//! it changed. No line is changed by two cores; not even those with the indices of the rings
//! between them, because each side of a ring has a line of its own.

mod memory;

use crore::driver::{Link, pipe, siblings};
use crore::mem::{Memory, PoolClass};
use crore::{
    AddressRange, Closed, Conn, Core, CoreConfig, Engine, Interface, ReassemblyLimits, Service,
    StackConfig, Turn,
};
use memory::Snapshot;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

const CORES: u16 = 2;
const CONNS: u32 = 64;
const PORT: u16 = 7;

/// Asks on its connections, one question after the other; ends each after some and opens another.
#[derive(Default)]
struct Peer {
    remote: Option<SocketAddr>,
    ours: u32,
    answers: u64,
    opened: u64,
}

impl Service for Peer {
    /// Questions asked; 0 on connections of the other side's making.
    type State = u64;

    fn connected(&mut self, conn: &mut Conn<'_, u64>) {
        self.opened += 1;
        *conn.state() = 1;
        assert_eq!(conn.send(b"question"), 8);
    }

    fn data(&mut self, conn: &mut Conn<'_, u64>, bytes: &[u8]) -> usize {
        if *conn.state() == 0 {
            return conn.send(bytes);
        }
        assert_eq!(bytes, b"question");
        self.answers += 1;
        *conn.state() += 1;
        if *conn.state() > 20 {
            conn.close();
        } else {
            assert_eq!(conn.send(b"question"), 8);
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, u64>) {
        conn.close();
    }

    fn closed(&mut self, conn: &mut Conn<'_, u64>, _: Closed) {
        self.ours -= u32::from(*conn.state() > 0);
    }

    fn turn(&mut self, turn: &mut Turn<'_, u64>) {
        let Some(remote) = self.remote else { return };
        if self.ours < CONNS && turn.connect(remote, None).is_ok() {
            self.ours += 1;
        }
    }
}

fn host(queues: Vec<pipe::Queue>, last: u8, peer: Option<u8>) -> Vec<Core<Peer>> {
    let links: Vec<Link> = queues.into_iter().map(Link::PipeQueue).collect();
    let joined = siblings(&mut Memory::heap(), &links).unwrap();
    let core = |(link, siblings): (Link, crore::driver::Siblings)| {
        let interface = Interface::new(
            link.capabilities().mac,
            link.capabilities().mtu,
            vec![AddressRange::one(IpAddr::from([10, 0, 0, last]), 24)],
        );
        let mut config = StackConfig::for_connections(4 * CONNS);
        config.cores = CORES;
        config.steering = link.steering().map(Box::new);
        config.pool = [160, 480, 2016].map(|payload_bytes| PoolClass { payload_bytes, count: 256 });
        config.reassembly = ReassemblyLimits { datagrams_max: 0, ..config.reassembly };
        let mut memory = Memory::heap();
        let remote = peer.map(|peer| SocketAddr::from(([10, 0, 0, peer], PORT)));
        let service = Peer { remote, ..Peer::default() };
        let mut engine = Engine::new(config, &interface, service, &mut memory, [last; 32]).unwrap();
        engine.listen(PORT);
        Core::new(engine, link, CoreConfig::default()).with_siblings(siblings)
    };
    links.into_iter().zip(joined).map(core).collect()
}

/// Which cores changed each line, as bits, until they have given so many answers. How much a turn
/// does depends on how long it takes.
fn writers(cores: &mut [Core<Peer>], enough: u64, now_us: &mut u64) -> HashMap<usize, u32> {
    let mut writers: HashMap<usize, u32> = HashMap::new();
    let mut snapshot = Snapshot::take();
    assert!(snapshot.bytes() > 1 << 20, "the cores' memory is looked at");
    let before = answers(cores);
    for turn in 0.. {
        if answers(cores) - before >= enough {
            break;
        }
        assert!(turn < 5000, "{} answers in so many turns", answers(cores) - before);
        *now_us += 500;
        for (number, core) in cores.iter_mut().enumerate() {
            core.turn_at(*now_us);
            for line in snapshot.changed() {
                *writers.entry(line).or_default() |= 1 << number;
            }
        }
    }
    writers
}

fn answers(cores: &[Core<Peer>]) -> u64 {
    cores.iter().map(|core| core.engine().service().answers).sum()
}

#[test]
fn no_cache_line_is_written_by_two_cores() {
    let mut cores = memory::recorded(|| {
        let (near, far) = pipe::queues(&mut Memory::heap(), (CORES, CORES), 64, 1500).unwrap();
        // In one piece of memory, as close to each other as can be.
        let mut cores = host(near, 1, Some(2));
        cores.extend(host(far, 2, None));
        cores
    });
    // So two of them have no line in common, wherever they are.
    assert_eq!(align_of::<Core<Peer>>() % 128, 0);
    let mut now_us = 0;
    for _ in 0..2000 {
        now_us += 500;
        for core in &mut cores {
            core.turn_at(now_us);
        }
    }
    let writers = writers(&mut cores, 300, &mut now_us);
    for number in 0..cores.len() {
        let lines = writers.values().filter(|&&cores| cores == 1 << number).count();
        assert!(lines > 20, "core {number} wrote {lines} lines");
        let counters = cores[number].engine().stack().counters();
        assert!(counters.accepted + counters.connected > 10);
    }
    let shared: Vec<_> = writers.iter().filter(|(_, cores)| cores.count_ones() > 1).collect();
    assert!(shared.is_empty(), "{} lines, by address and cores: {shared:x?}", shared.len());
}

/// The same test sees two cores that write a line in turn.
#[test]
fn a_line_that_two_write_is_seen() {
    let mut counters = memory::recorded(|| vec![0u64; 64]);
    let mut snapshot = Snapshot::take();
    let mut lines = Vec::new();
    for owner in [0, 1] {
        std::hint::black_box(&mut counters)[owner] += 1;
        lines.push(snapshot.changed());
    }
    assert_eq!(lines[0].len(), 1);
    // Two numbers on a 16-byte border are on one line, unless the vector begins at its end.
    let apart = std::ptr::from_ref(&counters[0]).addr() / 64
        != std::ptr::from_ref(&counters[1]).addr() / 64;
    assert_eq!(lines[0] == lines[1], !apart);
}
