//! A host of several cores on one side of a pipe.

use crore::driver::{Link, pipe, siblings};
use crore::mem::Memory;
use crore::{
    AddressRange, Closed, Conn, ConnectError, Core, CoreConfig, Counters, Engine, Interface,
    Service, StackConfig, Turn,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Opens connections, says a word on each and wants it back; says back what others say.
#[derive(Default)]
pub(crate) struct Talker {
    /// Connections that are still to be opened.
    pub(crate) to_open: VecDeque<(SocketAddr, Option<SocketAddr>)>,
    /// Ends ours once the word came back.
    pub(crate) hangs_up: bool,
    pub(crate) opened: u32,
    pub(crate) accepted: u32,
    pub(crate) words: u32,
    pub(crate) refusals: Vec<ConnectError>,
    pub(crate) ends: Vec<Closed>,
    /// Our ends of the connections that we opened.
    pub(crate) locals: Vec<SocketAddr>,
}

impl Service for Talker {
    /// 1 on connections that we opened.
    type State = u32;

    fn accepted(&mut self, _: &mut Conn<'_, u32>) {
        self.accepted += 1;
    }

    fn connected(&mut self, conn: &mut Conn<'_, u32>) {
        *conn.state() = 1;
        self.opened += 1;
        self.locals.push(conn.local());
        assert_eq!(conn.send(&word(conn.local())), 4);
    }

    fn data(&mut self, conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        if *conn.state() == 0 {
            return conn.send(bytes);
        }
        assert_eq!(bytes, word(conn.local()));
        self.words += 1;
        if self.hangs_up {
            conn.close();
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, u32>) {
        conn.close();
    }

    fn closed(&mut self, _: &mut Conn<'_, u32>, why: Closed) {
        self.ends.push(why);
    }

    fn turn(&mut self, turn: &mut Turn<'_, u32>) {
        for _ in 0..8 {
            let Some((remote, local)) = self.to_open.pop_front() else { return };
            self.refusals.extend(turn.connect(remote, local).err());
        }
    }
}

/// What is said on a connection: nobody else's, most likely.
fn word(local: SocketAddr) -> [u8; 4] {
    u32::from(local.port()).wrapping_mul(2_654_435_761).to_be_bytes()
}

pub(crate) const PORT: u16 = 7;

/// A host with a core for each queue, its siblings joined.
pub(crate) struct Host {
    pub(crate) cores: Vec<Core<Talker>>,
}

impl Host {
    pub(crate) fn new(
        queues: Vec<pipe::Queue>,
        addresses: &[IpAddr],
        tweak: impl Fn(&mut StackConfig),
    ) -> Self {
        let mut memory = Memory::heap();
        let links: Vec<Link> = queues.into_iter().map(Link::PipeQueue).collect();
        let count = links.len() as u16;
        let joined = siblings(&mut memory, &links).unwrap();
        let core = |(link, siblings): (Link, crore::driver::Siblings)| {
            let capabilities = link.capabilities();
            let range = |&address: &IpAddr| {
                AddressRange::one(address, if address.is_ipv4() { 8 } else { 64 })
            };
            let interface = Interface::new(
                capabilities.mac,
                capabilities.mtu,
                addresses.iter().map(range).collect(),
            );
            let mut config = StackConfig::for_connections(4096);
            config.cores = count;
            config.steering = link.steering().map(Box::new);
            tweak(&mut config);
            let mut memory = Memory::heap();
            let service = Talker::default();
            let mut engine =
                Engine::new(config, &interface, service, &mut memory, [7; 32]).unwrap();
            engine.listen(PORT);
            Core::new(engine, link, CoreConfig::default()).with_siblings(siblings)
        };
        Self { cores: links.into_iter().zip(joined).map(core).collect() }
    }

    pub(crate) fn service(&mut self, core: usize) -> &mut Talker {
        self.cores[core].engine_mut().service_mut()
    }

    pub(crate) fn talkers(&self) -> impl Iterator<Item = &Talker> {
        self.cores.iter().map(|core| core.engine().service())
    }

    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.cores.iter().map(|core| core.engine().stack().counters())
    }

    /// A turn of each core.
    pub(crate) fn turn_at(&mut self, now_us: u64) {
        for core in &mut self.cores {
            core.turn_at(now_us);
        }
    }

    pub(crate) fn check(&self) {
        self.cores.iter().for_each(|core| core.engine().stack().check());
    }
}

/// Microseconds between the turns of a core.
pub(crate) const STEP_US: u64 = 20;
