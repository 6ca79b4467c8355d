//! An engine on a link without a driver, with a service that knows which octets are right.

use crate::frames;
use crate::lan::{BAIT, SERVER, mac, v4, v6};
use crate::pattern;
use crore::mem::frames::heap::HeapFrames;
use crore::mem::{Memory, PoolClass};
use crore::{AddressRange, Closed, Conn, ConnId, Engine, Interface, Service};
use crore::{StackConfig, Turn};
use crore_wire::ethernet::{self, EtherType};
use crore_wire::{ipv4, ipv6, tcp};
use std::collections::HashMap;
use std::net::IpAddr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the peer's octets are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Octets {
    /// Anything: they cannot be checked.
    Any,
    /// Each is its sequence number's: what is read must follow on what was read.
    Pattern,
}

/// What the service keeps for a connection.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Progress {
    /// Octets that `send` took.
    sent: u32,
    /// The last octet read, when there was one.
    last: u8,
    has_read: u8,
    ended: u8,
    _unused: u8,
}

/// Reads all, half, or nothing; sends octets that tell their place.
pub(crate) struct Reader {
    octets: Octets,
    /// How much it reads of what it is offered, in quarters.
    pub(crate) quarters: usize,
    /// Calls of `closed` that are still owed.
    live: i64,
}

impl Reader {
    /// Offers `len` octets of the pattern to be sent; says how many were taken.
    pub(crate) fn send(conn: &mut Conn<'_, Progress>, len: usize) -> usize {
        let sent = conn.state().sent;
        let taken = conn.send(&pattern::from(sent, len));
        conn.state().sent = sent.wrapping_add(taken as u32);
        taken
    }

    /// Notes a connection that was opened by us.
    pub(crate) fn opened(&mut self) {
        self.live += 1;
    }

    fn check(&self, progress: &mut Progress, bytes: &[u8]) {
        for &octet in bytes {
            if self.octets == Octets::Pattern && progress.has_read == 1 {
                assert_eq!(octet, pattern::after(progress.last), "the next octet of the stream");
            }
            (progress.last, progress.has_read) = (octet, 1);
        }
    }
}

impl Service for Reader {
    type State = Progress;

    fn accepted(&mut self, _: &mut Conn<'_, Progress>) {
        self.live += 1;
    }

    fn data(&mut self, conn: &mut Conn<'_, Progress>, bytes: &[u8]) -> usize {
        let consumed = (bytes.len() * self.quarters).div_ceil(4);
        let mut progress = *conn.state();
        assert_eq!(progress.ended, 0, "nothing after the end");
        self.check(&mut progress, &bytes[..consumed]);
        *conn.state() = progress;
        // What was not consumed is right as well.
        self.check(&mut progress, &bytes[consumed..]);
        consumed
    }

    fn closed(&mut self, conn: &mut Conn<'_, Progress>, _: Closed) {
        assert_eq!(conn.state().ended, 0, "one end");
        conn.state().ended = 1;
        self.live -= 1;
    }
}

/// A segment that the engine sent, in numbers.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) ports: (u16, u16),
    pub(crate) is_v6: bool,
    pub(crate) header: tcp::Header,
    pub(crate) len: u32,
}

pub(crate) struct Host {
    pub(crate) engine: Engine<Reader>,
    pub(crate) now_us: u64,
    frames: HeapFrames,
    /// Our initial sequence number, by the ports of the last SYN we sent between them.
    iss: HashMap<(bool, u16, u16), u32>,
}

impl Host {
    /// An engine that listens on port 80. Everything is small enough to run full.
    pub(crate) fn new(octets: Octets) -> Self {
        let interface = Interface::new(
            mac(SERVER),
            1500,
            vec![
                AddressRange::one(IpAddr::V4(v4(SERVER)), 24),
                AddressRange::one(IpAddr::V6(v6(SERVER)), 64),
            ],
        );
        let config = StackConfig {
            half_open_max: 4,
            time_wait_max: 4,
            neighbours_max: 8,
            snd_buf_bytes: 24 << 10,
            rcv_buf_bytes: 24 << 10,
            pool: [(160, 16), (480, 16), (2016, 16)]
                .map(|(payload_bytes, count)| PoolClass { payload_bytes, count }),
            keepalive_idle_ms: Some(10_000),
            ..StackConfig::for_connections(CONNS)
        };
        let service = Reader { octets, quarters: 4, live: 0 };
        let mut memory = Memory::heap();
        let mut engine = Engine::new(config, &interface, service, &mut memory, [7; 32]).unwrap();
        engine.listen(80);
        let frames = HeapFrames::new(64, 1600);
        Self { engine, now_us: 1_000_000, frames, iss: HashMap::new() }
    }

    /// The same with one connection, opened by the bait from port 40,000.
    pub(crate) fn with_connection(octets: Octets) -> Self {
        let mut host = Self::new(octets);
        host.open_from(40_000);
        assert_eq!(host.engine.stack().conns(), 1);
        host
    }

    /// The bait's handshake from `port` to 80.
    pub(crate) fn open_from(&mut self, port: u16) {
        let sent = self.turn(&[self.syn_from(port)]);
        let to_port = |s: &&Sent| s.ports.1 == port && s.header.flags.contains(tcp::Flags::SYN);
        let Some(syn_ack) = sent.iter().find(to_port) else { return };
        let acked = syn_ack.header.seq.wrapping_add(1);
        let mut ack = frames::header((port, 80), PEER_ISS + 1, acked, tcp::Flags::ACK);
        let echo = syn_ack.header.options.timestamps.map_or(0, |t| t.value);
        ack.options.timestamps = Some(self.peer_clock(echo));
        self.turn(&[frames::in_segment(IpAddr::V4(v4(BAIT)), None, &ack, &[])]);
    }

    /// The bait's SYN from `port` to 80, with all options.
    pub(crate) fn syn_from(&self, port: u16) -> Vec<u8> {
        let mut syn = frames::header((port, 80), PEER_ISS, 0, tcp::Flags::SYN);
        syn.options = tcp::Options {
            mss: Some(1460),
            sack_permitted: true,
            window_scale: Some(2),
            timestamps: Some(self.peer_clock(0)),
            ..syn.options
        };
        frames::in_segment(IpAddr::V4(v4(BAIT)), None, &syn, &[])
    }

    /// Timestamps as the bait has them now.
    pub(crate) fn peer_clock(&self, echo: u32) -> tcp::Timestamps {
        tcp::Timestamps { value: (self.now_us / 1000) as u32, echo }
    }

    /// The live connections' names.
    pub(crate) fn conns(&self) -> Vec<ConnId> {
        (0..CONNS).filter_map(|index| self.engine.conn_id(index)).collect()
    }

    /// One turn; every invariant holds after it, and what it sends is right.
    pub(crate) fn turn(&mut self, arrived: &[Vec<u8>]) -> Vec<Sent> {
        let sent = self.engine.turn_over(&mut self.frames, arrived, self.now_us);
        self.engine.stack().check();
        sent.iter().filter_map(|frame| self.check_sent(frame)).collect()
    }

    /// Octets that we send are those of the pattern at their place.
    fn check_sent(&mut self, frame: &[u8]) -> Option<Sent> {
        let (is_v6, segment) = segment_of(frame)?;
        let (header, text) = tcp::Header::parse(segment).expect("what we send can be read");
        let ports = (header.src_port, header.dst_port);
        let key = (is_v6, ports.0, ports.1);
        if header.flags.contains(tcp::Flags::SYN) {
            self.iss.insert(key, header.seq);
        }
        if !text.is_empty() {
            let iss = self.iss.get(&key).expect("a SYN came first");
            let position = header.seq.wrapping_sub(iss.wrapping_add(1));
            let probe = text.len() == 1 && position == u32::MAX;
            assert!(probe || text == pattern::from(position, text.len()), "octets at their place");
        }
        Some(Sent { ports, is_v6, header, len: text.len() as u32 })
    }

    /// A call of the application, outside of a turn.
    pub(crate) fn with_conn(&mut self, id: ConnId, f: impl FnOnce(&mut Conn<'_, Progress>)) {
        self.engine.with_turn(|_, turn| turn.conn(id).as_mut().map(f));
    }

    /// Opens a connection to the bait's `port`.
    pub(crate) fn connect(&mut self, port: u16) {
        self.engine.with_turn(|service: &mut Reader, turn: &mut Turn<'_, Progress>| {
            if turn.connect((v4(BAIT), port).into(), None).is_ok() {
                service.opened();
            }
        });
    }

    /// Ends what there is and lets all timers run out: nothing is left.
    pub(crate) fn end(mut self) {
        for id in self.conns() {
            self.with_conn(id, |conn| conn.abort());
        }
        // The last SYN-ACKs of half-open connections and TIME-WAIT take a minute; an entry of the
        // wheel whose connection ended stays until its time, 4.7 h at most.
        for seconds in [20; 15].into_iter().chain([600; 30]) {
            self.now_us += seconds * 1_000_000;
            self.turn(&[]);
            if self.engine.stack().flow_entries() + self.engine.stack().timer_entries() == 0 {
                break;
            }
        }
        let stack = self.engine.stack();
        assert_eq!((stack.conns(), stack.half_open(), stack.time_wait()), (0, 0, 0));
        assert_eq!((stack.flow_entries(), stack.blocks_in_use()), (0, 0));
        assert_eq!((stack.timer_entries(), stack.output_waiting()), (0, 0));
        assert_eq!(self.engine.service().live, 0, "each was told of its end");
    }
}

fn segment_of(frame: &[u8]) -> Option<(bool, &[u8])> {
    let (header, packet) = ethernet::Header::parse(frame).ok()?;
    match header.ether_type {
        EtherType::IPV4 => {
            let (ip, payload) = ipv4::Header::parse(packet).ok()?;
            (ip.protocol == crore_wire::Protocol::TCP).then_some((false, payload))
        }
        EtherType::IPV6 => {
            let (ip, payload) = ipv6::Header::parse(packet).ok()?;
            (ip.next_header == crore_wire::Protocol::TCP).then_some((true, payload))
        }
        _ => None,
    }
}

/// The bait's initial sequence number.
pub(crate) const PEER_ISS: u32 = 1 << 20;

/// Frames in a burst, at most.
pub(crate) const BURST_MAX: usize = 8;

pub(crate) const CONNS: u32 = 8;
