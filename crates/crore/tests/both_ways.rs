//! Two ends that fill the link towards each other: each must go on receiving, or neither ever sends
//! again.

use crore::driver::{Link, pipe};
use crore::mem::Memory;
use crore::{AddressRange, Conn, Core, CoreConfig, Engine, Interface, Service, StackConfig, Turn};
use std::net::{IpAddr, SocketAddr};

/// Sends without end, takes what comes.
#[derive(Default)]
struct Stream {
    opens: bool,
    received: u64,
}

impl Stream {
    fn fill(conn: &mut Conn<'_, ()>) {
        while conn.send(&[7; 4096]) == 4096 {}
    }
}

impl Service for Stream {
    type State = ();
    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        Self::fill(conn);
    }
    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        Self::fill(conn);
    }
    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        Self::fill(conn);
    }
    fn data(&mut self, _: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.received += bytes.len() as u64;
        bytes.len()
    }
    fn turn(&mut self, turn: &mut Turn<'_, ()>) {
        if std::mem::take(&mut self.opens) {
            for _ in 0..CONNS {
                turn.connect(SocketAddr::new(address(2), 7), None).unwrap();
            }
        }
    }
}

#[test]
fn bulk_both_ways_goes_on_when_the_link_is_full() {
    let mut memory = Memory::heap();
    // Fewer slots than the two windows could fill.
    let (near, far) = pipe::pair(&mut memory, 128, 1500).unwrap();
    let mut server = engine(2, Stream::default(), &mut memory);
    server.listen(7);
    let client = engine(1, Stream { opens: true, received: 0 }, &mut memory);
    let config = CoreConfig { turn_max: None, ..CoreConfig::default() };
    let mut server = Core::new(server, Link::Pipe(far), config.clone());
    let mut client = Core::new(client, Link::Pipe(near), config);
    // Each runs while the other is set aside, so each finds the link full both ways. All of it is
    // less than the time after which an end without room receives in spite of it.
    for spell in 0..SPELLS {
        for turn in 0..8 {
            client.turn_at(spell * 200 + turn * 10);
        }
        for turn in 0..8 {
            server.turn_at(spell * 200 + 100 + turn * 10);
        }
    }
    let received = [client.engine().service().received, server.engine().service().received];
    // A burst a spell is what an end gets that receives only while it has something to send.
    let bursts = received.map(|octets| octets / (32 * 1448));
    assert!(bursts.iter().all(|&bursts| bursts > 2 * SPELLS), "{bursts:?} bursts");
    let sides = [client.engine().stack().counters(), server.engine().stack().counters()];
    assert!(sides.iter().all(|side| side.retransmits == 0), "nothing was lost");
}

fn engine(host: u8, service: Stream, memory: &mut Memory) -> Engine<Stream> {
    let interface =
        Interface::new([2, 0, 0, 0, 0, host], 1500, vec![AddressRange::one(address(host), 24)]);
    let config = StackConfig::for_connections(1024);
    Engine::new(config, &interface, service, memory, [host; 32]).unwrap()
}

fn address(host: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, host])
}

const CONNS: usize = 8;

/// Of 200 us each.
const SPELLS: u64 = 90;
