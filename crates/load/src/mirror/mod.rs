//! A client that holds connections in eight bytes each, for servers that hold a hundred million.
//!
//! It is TCP as the server sees it: handshakes with MSS, window scale, SACK and timestamps;
//! requests and their acknowledgments; FIN both ways, and TIME-WAIT at our end; retransmission with
//! back-off. It is no TCP to build anything else upon, because of what it knows beforehand: who its
//! server is, that a reply is as long as its request, that both fit into one segment, and that
//! nothing else is ever said. So nearly all of a control block follows from a connection's number:
//!
//! ```text
//!   the client's end       number / ports, number % ports                 tuples
//!   initial number         a keyed hash of the connection's number
//!   SND.NXT                initial number + 1 + payload x requests
//!   requests so far        all ask in the same order, round after round   shuffle
//!   payload                a hash of connection and request               pattern
//!   RCV.NXT, TS.Recent     what the server said last: the eight bytes     `Heard`
//!   what is not answered   one of a few hundred exchanges                 under_way
//! ```
//!
//! A segment for a connection that waits for nothing (the server did not get our acknowledgment)
//! is answered from what it says itself. TIME-WAIT needs no memory at all: no pair of ends is ever
//! used again, so every connection that we closed stays there for good.
//!
//! ```text
//!   Mirror       the machine: frames and the time come in, frames go out
//!     frames       what is read and written
//!     arrives      a segment takes effect
//!     phases       open all, ask all, count all, close all
//!     lives        open, ask once, close, over and over
//!   MirrorHost   a mirror with a link, a clock and a thread
//! ```

mod arrives;
mod frames;
mod host;
mod lives;
mod phases;
mod shuffle;
mod tuples;
mod under_way;

pub use host::MirrorHost;

use crate::control::{Control, Numbers, Publisher};
use crate::latency::Latency;
use crate::pattern::{Pattern, mixed};
use crate::schedule::Schedule;
use core::net::{Ipv4Addr, SocketAddrV4};
use crore::mem::frames::{RxBurst, TxBurst};
use crore::mem::{Memory, MemoryError, Table};
use crore::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use crore_wire::ethernet::MacAddr;
use crore_wire::plain::Options;
use crore_wire::tcp::{Flags, Timestamps, UsualSyn};
use frames::{Link, Said};
use shuffle::Shuffle;
use std::collections::VecDeque;
use std::time::Duration;
use tuples::Tuples;
use under_way::{Exchange, Kind, UnderWay};

/// What to do.
#[derive(Clone, Debug)]
pub struct MirrorConfig {
    /// The server.
    pub server: SocketAddrV4,
    /// Our hardware address.
    pub mac: [u8; 6],
    /// Our first address; others follow it, as many as it takes.
    pub first_address: Ipv4Addr,
    /// How many connections.
    pub connections: u32,
    /// Octets of a request: at most [`MirrorConfig::PAYLOAD_MAX`].
    pub payload_bytes: u16,
    /// Short lives: opened, asked once and closed, while the connections stand beside them.
    pub lives: Option<MirrorLives>,
    /// Connections being opened at the same time, or being closed, at most.
    pub handshakes_max: u32,
    /// Requests under way at any time, at most.
    pub in_flight: u32,
    /// Requests a second, whatever the replies do; `None`: a request for each reply.
    pub requests_per_second: Option<f64>,
    /// How long, at least: in a closed loop it goes on until every connection was asked.
    pub traffic_time: Duration,
    /// Decides on initial numbers and on the order in which connections are asked.
    pub seed: u64,
}

/// Short lives of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorLives {
    /// At the same time, from the SYN to the end.
    pub at_once: u32,
    /// How many in all. Each has ends of its own, because those before it are in TIME-WAIT; the
    /// numbers of lives follow those of the connections.
    pub count: u32,
}

impl MirrorConfig {
    /// Connections and lives: each has a number, ends and eight bytes.
    fn numbers(&self) -> u32 {
        self.connections + self.lives.map_or(0, |lives| lives.count)
    }

    /// The longest request: one segment on Ethernet, with timestamps.
    pub const PAYLOAD_MAX: u16 = 1448;
}

/// What only a mirror counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MirrorCounts {
    /// Frames received.
    pub rx_frames: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Segments that we sent again, because nothing had answered them.
    pub resent: u64,
    /// Segments that the server sent again.
    pub repeated: u64,
    /// Segments with octets beyond those that come next: some before them are missing.
    pub beyond: u64,
    /// Frames that were damaged, or for nobody here.
    pub unusable: u64,
    /// Segments that fit no connection as it stands.
    pub unfit: u64,
    /// Connections that were never asked anything.
    pub never_asked: u64,
}

/// The client.
pub struct Mirror {
    config: MirrorConfig,
    link: Link,
    tuples: Tuples,
    order: Shuffle,
    heard: Table<Heard>,
    under_way: UnderWay,
    now_ns: u64,
    /// When the server's hardware address was asked for last.
    asked_for_server_ns: Option<u64>,
    opening_began_ns: Option<u64>,
    traffic_began_ns: u64,
    schedule: Option<Schedule>,
    was_paused: bool,
    /// Connections asked for so far.
    next_open: u32,
    /// The number of the next short life.
    next_life: u32,
    lives_under_way: u32,
    /// Places in the order that were picked, counted through all rounds.
    picks: u64,
    /// Connections picked, and asked for from memory, in the order they are to be asked.
    picked: VecDeque<u32>,
    /// How far a walk over all connections has come.
    walked: u32,
    /// Connections that are established.
    live: u64,
    numbers: Numbers,
    latency: Latency,
    counts: MirrorCounts,
    control: Control,
    publisher: Publisher,
}

/// What is kept of a connection: what the server said last on it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Heard {
    /// RCV.NXT.
    rcv_nxt: u32,
    /// TS.Recent (RFC 7323 4.3), and 1 for a 0; 0 when the connection is not established.
    ts_recent: u32,
}

impl Mirror {
    /// A client that begins with its first turn.
    ///
    /// # Panics
    /// When there are no connections, or the payload is empty or too long.
    pub fn new(
        config: MirrorConfig,
        memory: &mut Memory,
        control: Control,
    ) -> Result<Self, MemoryError> {
        assert!((1..=MirrorConfig::PAYLOAD_MAX).contains(&config.payload_bytes));
        let lives = config.lives.map_or(0, |lives| lives.at_once);
        let most = (config.in_flight + lives).max(config.handshakes_max);
        let link = Link {
            mac: MacAddr(config.mac),
            server_mac: None,
            server: config.server,
            payload: vec![0; usize::from(config.payload_bytes)].into_boxed_slice(),
        };
        Ok(Self {
            link,
            tuples: Tuples::new(config.first_address, config.numbers()),
            order: Shuffle::new(config.connections, config.seed),
            heard: memory.table("mirror", 1, config.numbers())?,
            under_way: UnderWay::new(most),
            now_ns: 0,
            asked_for_server_ns: None,
            opening_began_ns: None,
            traffic_began_ns: 0,
            schedule: None,
            was_paused: false,
            next_open: 0,
            next_life: config.connections,
            lives_under_way: 0,
            picks: 0,
            picked: VecDeque::with_capacity(PICKS_AHEAD),
            walked: 0,
            live: 0,
            numbers: Numbers::default(),
            latency: Latency::new(),
            counts: MirrorCounts::default(),
            control,
            publisher: Publisher::new(),
            config,
        })
    }

    /// One turn: what was received takes effect, and what there is to say is written. `now_ns` is
    /// nanoseconds since any fixed start; latencies are from turn to turn.
    #[inline]
    pub fn turn(&mut self, rx: &RxBurst, tx: &mut TxBurst, now_ns: u64) {
        self.now_ns = now_ns;
        let before = tx.len();
        self.counts.rx_frames += rx.len() as u64;
        self.receive(rx, tx);
        if self.link.server_mac.is_some() {
            self.go_on(tx);
        } else {
            self.find_server(tx);
        }
        self.resend_due(tx);
        self.counts.tx_frames += (tx.len() - before) as u64;
        self.advance();
        let (numbers, latency) = (&mut self.numbers, &self.latency);
        self.publisher.publish_at_times(now_ns, numbers, latency, &self.control);
    }

    /// What was counted so far.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// How long replies took.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// What else was counted.
    pub fn counts(&self) -> &MirrorCounts {
        &self.counts
    }

    /// Connections that are established, and exchanges that are under way: what would be left over
    /// if it all ended now.
    pub fn left_over(&self) -> u64 {
        self.live + u64::from(self.under_way.len())
    }

    /// ISS: connections of one run never share a pair of ends, so no clock is in it.
    #[inline]
    fn iss(&self, index: u32) -> u32 {
        mixed(self.config.seed ^ u64::from(index)) as u32
    }

    /// SND.NXT after so many requests.
    #[inline]
    fn snd_nxt(&self, index: u32, requests: u32) -> u32 {
        let sent = requests.wrapping_mul(u32::from(self.config.payload_bytes));
        self.iss(index).wrapping_add(1).wrapping_add(sent)
    }

    /// The first sequence number of an exchange, and the one behind it.
    #[inline]
    fn numbers_of(&self, index: u32, kind: Kind, requests: u32) -> (u32, u32) {
        match kind {
            Kind::Opening => (self.iss(index), self.iss(index).wrapping_add(1)),
            Kind::Asking => (self.snd_nxt(index, requests - 1), self.snd_nxt(index, requests)),
            Kind::Closing => {
                let fin = self.snd_nxt(index, requests);
                (fin, fin.wrapping_add(1))
            }
        }
    }

    /// Sends what an exchange is about; false when there is no room.
    #[inline]
    fn say(&mut self, index: u32, kind: Kind, requests: u32, tx: &mut TxBurst) -> bool {
        let (seq, _) = self.numbers_of(index, kind, requests);
        let heard = self.heard[index];
        let (flags, options, payload) = match kind {
            Kind::Opening => (Flags::SYN, self.options_of_syn(), None),
            Kind::Asking => {
                let payload = Pattern::new(index, 0, requests);
                let len = usize::from(self.config.payload_bytes);
                (Flags::ACK | Flags::PSH, self.options(heard.ts_recent), Some((payload, len)))
            }
            Kind::Closing => (Flags::ACK | Flags::FIN, self.options(heard.ts_recent), None),
        };
        let said = Said { index, seq, ack: heard.rcv_nxt, flags, options, payload };
        self.link.say(&said, &self.tuples, tx)
    }

    fn options_of_syn(&self) -> Options {
        let timestamps = self.timestamps(0);
        Options::Syn(UsualSyn { mss: MSS, timestamps, window_scale: frames::WINDOW_SHIFT })
    }

    #[inline]
    fn options(&self, ts_recent: u32) -> Options {
        Options::Timestamps(self.timestamps(ts_recent))
    }

    #[inline]
    fn timestamps(&self, echo: u32) -> Timestamps {
        Timestamps { value: self.now_ms() as u32, echo }
    }

    /// True for the number of a short life.
    #[inline]
    fn is_life(&self, index: u32) -> bool {
        index >= self.config.connections
    }

    #[inline]
    fn now_ms(&self) -> u64 {
        self.now_ns / 1_000_000
    }

    /// Sends again what was not answered in time; after some tries the connection is given up.
    fn resend_due(&mut self, tx: &mut TxBurst) {
        let now_ms = self.now_ms();
        let due = self.under_way.due(now_ms);
        for &index in &due {
            let Some(&mut Exchange { kind, requests, tries, .. }) = self.under_way.get(index)
            else {
                continue;
            };
            if tries >= TRIES_MAX {
                self.give_up(index);
            } else if self.say(index, kind, requests, tx) {
                self.counts.resent += 1;
                if let Some(exchange) = self.under_way.get(index) {
                    // RFC 6298 5.5.
                    exchange.resend_at_ms = now_ms + (RTO_MS << exchange.tries);
                    exchange.tries += 1;
                }
            }
        }
        self.under_way.done_with(due);
    }
}

/// The MSS that we offer: Ethernet's.
const MSS: u16 = 1460;

/// Connections picked ahead, so that their memory comes while others are asked.
const PICKS_AHEAD: usize = 64;

/// The retransmission timeout (RFC 6298 2.1); it is not measured, because a memory link loses
/// nothing.
const RTO_MS: u64 = 1_000;

/// 31 seconds in all.
const TRIES_MAX: u8 = 5;

#[cfg(test)]
mod tests;
