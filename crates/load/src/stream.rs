//! Streams without end on few connections: how much a core carries. Either side may send, or both.
//!
//! The octets are those of a pattern that repeats after a prime number of them, from a place that
//! the connection's ports decide: what is lost, doubled or moved is seen, and a receiver compares
//! with memory instead of computing, so that it is the stack that is measured.

use crate::addresses::LocalAddresses;
use crate::control::Control;
use crate::random::Random;
use core::net::SocketAddr;
use crore::{Closed, Conn, ConnId, OFFER_BYTES_MAX, Service, Turn};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Who opens the connections, and to whom.
#[derive(Clone, Debug)]
pub struct StreamClient {
    /// The server.
    pub remote: SocketAddr,
    /// Where to connect from.
    pub locals: LocalAddresses,
    /// How many connections.
    pub connections: u32,
    /// [`Control::hurry`] ends the streams: all connections are closed in order.
    pub control: Control,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamNumbers {
    /// Connections that were established.
    pub opened: u64,
    /// Connections that ended in order.
    pub closed: u64,
    /// Connections that ended otherwise.
    pub failed: u64,
    /// Octets that the stack took to send.
    pub sent: u64,
    /// Octets that arrived.
    pub received: u64,
    /// Of these, those that were not what they must be.
    pub bad_bytes: u64,
}

/// One side of the streams: a service for a server or a client.
pub struct Stream {
    client: Option<StreamClient>,
    sends: bool,
    pattern: Box<[u8]>,
    conns: Vec<ConnId>,
    is_ending: bool,
    numbers: StreamNumbers,
}

/// Places in the pattern.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Streamed {
    sent_at: u32,
    received_at: u32,
    /// Not 0 when nothing more is to be sent.
    is_over: u32,
}

impl Stream {
    /// The side that is connected to. Whether it sends; it always receives.
    pub fn server(sends: bool) -> Self {
        Self::new(None, sends)
    }

    /// The side that connects.
    pub fn client(client: StreamClient, sends: bool) -> Self {
        Self::new(Some(client), sends)
    }

    fn new(client: Option<StreamClient>, sends: bool) -> Self {
        let mut random = Random::new(SEED);
        let period: Vec<_> = (0..PERIOD).map(|_| random.below(256) as u8).collect();
        // So long that what is offered at once is in one piece from any place.
        let pattern: Vec<_> =
            period.iter().copied().cycle().take(PERIOD + OFFER_BYTES_MAX).collect();
        let conns = Vec::with_capacity(client.as_ref().map_or(0, |it| it.connections as usize));
        Self {
            client,
            sends,
            pattern: pattern.into_boxed_slice(),
            conns,
            is_ending: false,
            numbers: StreamNumbers::default(),
        }
    }

    /// What was counted so far.
    pub fn numbers(&self) -> &StreamNumbers {
        &self.numbers
    }

    fn begin(&mut self, conn: &mut Conn<'_, Streamed>) {
        self.numbers.opened += 1;
        let is_client = self.client.is_some();
        let end = if is_client { conn.local() } else { conn.remote() };
        let of_client = u32::from(end.port()) * 31 % PERIOD as u32;
        let of_server = (of_client + PERIOD as u32 / 2) % PERIOD as u32;
        let (sent_at, received_at) =
            if is_client { (of_client, of_server) } else { (of_server, of_client) };
        *conn.state() = Streamed { sent_at, received_at, is_over: 0 };
        self.pump(conn);
    }

    /// Queues as much as there is room for.
    fn pump(&mut self, conn: &mut Conn<'_, Streamed>) {
        while self.sends && !self.is_ending && conn.state().is_over == 0 {
            let at = conn.state().sent_at as usize;
            let taken = conn.send(&self.pattern[at..at + CHUNK]);
            self.numbers.sent += taken as u64;
            conn.state().sent_at = ((at + taken) % PERIOD) as u32;
            if taken < CHUNK {
                return;
            }
        }
    }

    /// Opens what is missing; ends all when it is time.
    fn lead(&mut self, turn: &mut Turn<'_, Streamed>) {
        let Some(client) = &self.client else { return };
        if client.control.is_hurried() {
            if !self.is_ending {
                self.is_ending = true;
                for &id in &self.conns {
                    if let Some(mut conn) = turn.conn(id) {
                        conn.close();
                    }
                }
            }
            return;
        }
        while self.conns.len() < client.connections as usize {
            let local = client.locals.nth(self.conns.len() as u64);
            match turn.connect(client.remote, local) {
                Ok(id) => self.conns.push(id),
                Err(_) => return,
            }
        }
    }
}

impl Service for Stream {
    type State = Streamed;

    fn accepted(&mut self, conn: &mut Conn<'_, Streamed>) {
        self.begin(conn);
    }

    fn connected(&mut self, conn: &mut Conn<'_, Streamed>) {
        self.begin(conn);
    }

    #[inline]
    fn data(&mut self, conn: &mut Conn<'_, Streamed>, bytes: &[u8]) -> usize {
        let at = conn.state().received_at as usize;
        let wanted = &self.pattern[at..at + bytes.len()];
        if bytes != wanted {
            let bad = bytes.iter().zip(wanted).filter(|(byte, wanted)| byte != wanted).count();
            self.numbers.bad_bytes += bad as u64;
        }
        self.numbers.received += bytes.len() as u64;
        conn.state().received_at = ((at + bytes.len()) % PERIOD) as u32;
        bytes.len()
    }

    fn writable(&mut self, conn: &mut Conn<'_, Streamed>) {
        self.pump(conn);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Streamed>) {
        conn.state().is_over = 1;
        conn.close();
    }

    fn closed(&mut self, _: &mut Conn<'_, Streamed>, why: Closed) {
        let count = match why {
            Closed::Finished => &mut self.numbers.closed,
            _ => &mut self.numbers.failed,
        };
        *count += 1;
    }

    fn turn(&mut self, turn: &mut Turn<'_, Streamed>) {
        self.lead(turn);
    }
}

/// A prime, so that no power of two of octets goes by unseen.
const PERIOD: usize = 65_521;

/// Octets queued at once.
const CHUNK: usize = 32 << 10;

const SEED: u64 = 0x0005_eed0_fc40_4e00;

const _: () = assert!(CHUNK <= OFFER_BYTES_MAX);
