//! Frames and time steps into an engine with an established connection. After each turn every
//! invariant of the stack is checked, and in the end nothing may be left.
//!
//! The input is a list of acts, cut as [`act`] says: raw frames, frames whose checksums are made
//! right, segments with numbers relative to the connection's, calls of the application.

#![no_main]

#[expect(dead_code, reason = "the hostile test uses the rest")]
#[path = "../../crates/crore/tests/hostile/frames.rs"]
mod frames;

use crore::mem::frames::heap::HeapFrames;
use crore::mem::{Memory, PoolClass};
use crore::{AddressRange, Closed, Conn, Cycles, Engine, Interface, Service};
use crore::{StackConfig, Stopwatch, Turn};
use crore_wire::{ethernet, ipv4, tcp};
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;

use lan::{BAIT, SERVER, mac, v4, v6};

fuzz_target!(|input: &[u8]| {
    let mut host = Host::with_connection();
    let mut rest = input;
    while let Some(after) = act(&mut host, rest) {
        rest = after;
        host.engine.stack().check();
    }
    host.end();
});

/// The addresses that `frames` builds with.
mod lan {
    use std::net::{Ipv4Addr, Ipv6Addr};

    pub(crate) const SERVER: u8 = 2;
    pub(crate) const BAIT: u8 = 1;

    pub(crate) fn mac(host: u8) -> [u8; 6] {
        [2, 0, 0, 0, 0, host]
    }

    pub(crate) fn v4(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, host)
    }

    pub(crate) fn v6(host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host))
    }
}

/// Does what the front of `input` says and returns the rest; `None` when it says nothing more.
///
/// ```text
///   kind u8 | step u8 | len u8 | len bytes
/// ```
///
/// The step is 1/16 ms, or with the kind's highest bit 64 ms, each.
fn act<'a>(host: &mut Host, input: &'a [u8]) -> Option<&'a [u8]> {
    let (&[kind, step, len], rest) = input.split_first_chunk()?;
    let (bytes, rest) = rest.split_at(rest.len().min(len.into()));
    let unit_us = if kind & 0x80 == 0 { 62 } else { 64_000 };
    host.now_us += u64::from(step) * unit_us;
    let frame = match kind & 3 {
        0 => Some(bytes.to_vec()),
        1 => {
            let mut frame = bytes.to_vec();
            frames::fix_checksums(&mut frame);
            Some(frame)
        }
        2 => near_segment(host, kind, bytes),
        _ => {
            call(host, kind, bytes);
            None
        }
    };
    host.turn(frame.as_slice());
    Some(rest)
}

/// A segment of the first connection, its numbers close to what is expected.
fn near_segment(host: &Host, kind: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    let (&[flags, seq_high, seq_low, ack_high, ack_low, window], text) =
        bytes.split_first_chunk()?;
    let id = (0..CONNS).find_map(|index| host.engine.conn_id(index))?;
    let tcb = host.engine.stack().tcb(id.index);
    let delta = |high, low| i32::from(i16::from_be_bytes([high, low])) as u32;
    let mut header = frames::header(
        (tcb.remote_port, tcb.local_port),
        tcb.rcv_nxt.0.wrapping_add(delta(seq_high, seq_low)),
        tcb.snd_nxt.0.wrapping_add(delta(ack_high, ack_low)),
        tcp::Flags(flags),
    );
    header.window = u16::from(window) << 4;
    if kind & 4 == 0 {
        let value = (host.now_us / 1000) as u32;
        header.options.timestamps = Some(tcp::Timestamps { value, echo: value });
    }
    Some(frames::in_segment(IpAddr::V4(v4(BAIT)), None, &header, text))
}

/// The application sends, closes, aborts, reads on, sets a timer, or opens a connection.
fn call(host: &mut Host, kind: u8, bytes: &[u8]) {
    let id = (0..CONNS).find_map(|index| host.engine.conn_id(index));
    host.engine.with_turn(|service, turn| {
        service.greedy = kind & 0x40 == 0;
        let Some(mut conn) = id.and_then(|id| turn.conn(id)) else { return };
        match kind >> 2 & 7 {
            0 | 1 => {
                for _ in 0..16 {
                    conn.send(bytes);
                }
            }
            2 => conn.close(),
            3 => conn.abort(),
            4 => conn.resume(),
            5 => conn.set_timer_ms(Some(u32::from(kind))),
            _ => service.open = true,
        }
    });
}

/// Reads all, or half; opens a connection when told to.
#[derive(Default)]
struct Reader {
    greedy: bool,
    open: bool,
    live: i64,
}

impl Service for Reader {
    type State = u32;
    fn accepted(&mut self, _: &mut Conn<'_, u32>) {
        self.live += 1;
    }
    fn data(&mut self, _: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        if self.greedy { bytes.len() } else { bytes.len() / 2 }
    }
    fn closed(&mut self, _: &mut Conn<'_, u32>, _: Closed) {
        self.live -= 1;
    }
    fn turn(&mut self, turn: &mut Turn<'_, u32>) {
        if std::mem::take(&mut self.open) {
            self.live += i64::from(turn.connect((v4(BAIT), 90).into(), None).is_ok());
        }
    }
}

struct Host {
    engine: Engine<Reader>,
    frames: HeapFrames,
    now_us: u64,
}

impl Host {
    /// An engine with one connection on port 80, opened by the bait.
    fn with_connection() -> Self {
        let interface = Interface {
            mac: mac(SERVER),
            mtu: 1500,
            vlan: None,
            addresses: vec![
                AddressRange::one(IpAddr::V4(v4(SERVER)), 24),
                AddressRange::one(IpAddr::V6(v6(SERVER)), 64),
            ],
            gateway_v4: None,
            gateway_v6: None,
            verify_checksums: true,
        };
        // Small enough that everything can run full.
        let config = StackConfig {
            half_open_max: 4,
            time_wait_max: 4,
            neighbours_max: 8,
            snd_buf_bytes: 8 << 10,
            rcv_buf_bytes: 8 << 10,
            pool: [(96, 16), (480, 8), (2016, 8)]
                .map(|(payload_bytes, count)| PoolClass { payload_bytes, count }),
            keepalive_idle_ms: Some(10_000),
            ..StackConfig::for_connections(CONNS)
        };
        let service = Reader { greedy: true, ..Reader::default() };
        let engine =
            Engine::new(config, &interface, service, &mut Memory::heap(), [7; 32]).unwrap();
        let mut host = Self { engine, frames: HeapFrames::new(64, 1600), now_us: 1_000_000 };
        host.engine.listen(80);
        let mut syn = frames::header((40_000, 80), 1000, 0, tcp::Flags::SYN);
        let timestamps = Some(tcp::Timestamps { value: 1, echo: 0 });
        syn.options =
            tcp::Options { mss: Some(1460), sack_permitted: true, timestamps, ..syn.options };
        let sent = host.turn(&[frames::in_segment(IpAddr::V4(v4(BAIT)), None, &syn, &[])]);
        let iss = sent.iter().find_map(|frame| seq_of(frame)).expect("a SYN-ACK");
        let mut ack = frames::header((40_000, 80), 1001, iss.wrapping_add(1), tcp::Flags::ACK);
        ack.options.timestamps = timestamps;
        host.turn(&[frames::in_segment(IpAddr::V4(v4(BAIT)), None, &ack, &[])]);
        assert_eq!(host.engine.stack().conns(), 1);
        host
    }

    fn turn(&mut self, arrived: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (mut watch, mut cycles) = (Stopwatch::start(), Cycles::default());
        let (engine, now_us) = (&mut self.engine, self.now_us);
        let mut sent = Vec::new();
        self.frames.lend(
            arrived,
            |rx, tx| {
                engine.receive(rx, tx, now_us, &mut watch, &mut cycles);
                engine.tick(tx, 64, &mut watch, &mut cycles);
                engine.send(tx, 64, &mut watch, &mut cycles);
            },
            |frame| sent.push(frame.to_vec()),
        );
        sent
    }

    /// Ends what there is and lets all timers run out: nothing is left.
    fn end(mut self) {
        let live = (0..CONNS).filter_map(|index| self.engine.conn_id(index));
        for id in live.collect::<Vec<_>>() {
            self.engine.with_turn(|_, turn| turn.conn(id).unwrap().abort());
        }
        // The last SYN-ACKs of half-open connections and TIME-WAIT take a minute.
        for _ in 0..200 {
            self.now_us += 1_000_000;
            self.turn(&[]);
            self.engine.stack().check();
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

/// The sequence number of a frame with TCP over IPv4.
fn seq_of(frame: &[u8]) -> Option<u32> {
    let (_, packet) = ethernet::Header::parse(frame).ok()?;
    let (_, segment) = ipv4::Header::parse(packet).ok()?;
    tcp::Header::parse(segment).ok().map(|(header, _)| header.seq)
}

const CONNS: u32 = 8;
