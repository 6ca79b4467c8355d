//! One thread of clients: it opens its share of the connections, asks on random ones of them with
//! so many requests under way, and checks every byte of the replies; or it opens, asks and closes.

use crate::epoll::{Events, Poll};
use crate::shared::{Done, Orders, Phase, add};
use crate::{KernelError, sockets};
use socket2::Socket;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What one thread has to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) number: u32,
    pub(crate) connections: u32,
    pub(crate) in_flight: u32,
    pub(crate) server: SocketAddrV4,
    /// Connections come from the addresses after this one, so many from each.
    pub(crate) first_address: Ipv4Addr,
}

/// Octets of a request and its reply.
pub(crate) const PAYLOAD_BYTES: usize = 64;

/// A connection and what was asked on it.
struct Conn {
    socket: Socket,
    requests: u32,
    is_waiting: bool,
}

struct Client<'a> {
    share: Share,
    orders: &'a Orders,
    done: &'a Done,
    poll: Poll,
    conns: Vec<Conn>,
    random: u64,
    waiting: u32,
    /// Connections made so far: where the next one comes from.
    made: u32,
}

/// Does what the orders say until they say that it is over.
pub(crate) fn run(share: Share, orders: &Orders, done: &Done) -> Result<(), KernelError> {
    let mut client = Client {
        share,
        orders,
        done,
        poll: Poll::new()?,
        conns: Vec::with_capacity(share.connections as usize),
        random: u64::from(share.number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        waiting: 0,
        made: 0,
    };
    client.open()?;
    loop {
        let phase = orders.phase();
        match phase {
            Phase::Open => {
                done.idle_in.store(phase as u32 + 1, Ordering::Release);
                orders.wait_while_open();
            }
            Phase::Ask => client.ask()?,
            Phase::Churn => client.churn()?,
            Phase::Close => return Ok(()),
        }
    }
}

impl Client<'_> {
    fn open(&mut self) -> Result<(), KernelError> {
        for _ in 0..self.share.connections {
            if !self.orders.may_open() {
                break;
            }
            let socket = match self.connect() {
                Ok(socket) => socket,
                Err(why) => {
                    self.orders.cannot_open(why);
                    break;
                }
            };
            self.poll.add(&socket, self.conns.len() as u64)?;
            self.conns.push(Conn { socket, requests: 0, is_waiting: false });
            add(&self.done.opened, 1);
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<Socket, KernelError> {
        // A set of addresses for each thread.
        let address =
            self.share.number * ADDRESSES_EACH + self.made / CONNS_AN_ADDRESS % ADDRESSES_EACH;
        self.made = self.made.wrapping_add(1);
        let first = self.share.first_address.to_bits();
        sockets::connect(Ipv4Addr::from_bits(first + address), self.share.server)
    }

    /// Requests on random connections, so many under way, until there are other orders and all
    /// replies are here.
    fn ask(&mut self) -> Result<(), KernelError> {
        self.done.idle_in.store(0, Ordering::Release);
        let mut events = Events::new();
        let mut last_reply = Instant::now();
        let wanted = self.share.in_flight.min(self.conns.len() as u32);
        loop {
            if self.orders.phase() == Phase::Ask {
                while self.waiting < wanted {
                    self.ask_one()?;
                }
            } else if self.waiting == 0 || last_reply.elapsed() > PATIENCE {
                add(&self.done.lost, u64::from(self.waiting));
                self.waiting = 0;
                return Ok(());
            }
            for token in self.poll.wait(&mut events, 20)? {
                let conn = &mut self.conns[token as usize];
                if conn.is_waiting && take_reply(conn, token, self.done)? {
                    self.waiting -= 1;
                    last_reply = Instant::now();
                }
            }
        }
    }

    /// Asks on a connection that waits for nothing.
    fn ask_one(&mut self) -> Result<(), KernelError> {
        loop {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let at = ((self.random >> 32) * self.conns.len() as u64) >> 32;
            let conn = &mut self.conns[at as usize];
            if !conn.is_waiting {
                send_request(conn, at)?;
                self.waiting += 1;
                return Ok(());
            }
        }
    }

    /// Short connections, so many at a time: open, a request, its reply, close.
    fn churn(&mut self) -> Result<(), KernelError> {
        self.done.idle_in.store(0, Ordering::Release);
        let poll = Poll::new()?;
        let mut events = Events::new();
        let mut short: Vec<Option<Conn>> = Vec::new();
        for place in 0..self.share.in_flight.min(CHURN_AT_ONCE_MAX) {
            short.push(Some(self.begin_short(&poll, u64::from(place))?));
        }
        while short.iter().any(Option::is_some) {
            for token in poll.wait(&mut events, 20)? {
                let Some(conn) = &mut short[token as usize] else { continue };
                if !take_reply(conn, token, self.done)? {
                    continue;
                }
                // Closed here first: TIME-WAIT is ours, as it is in the other measurement.
                short[token as usize] = None;
                add(&self.done.churned, 1);
                if self.orders.phase() == Phase::Churn {
                    short[token as usize] = Some(self.begin_short(&poll, token)?);
                }
            }
        }
        Ok(())
    }

    fn begin_short(&mut self, poll: &Poll, token: u64) -> Result<Conn, KernelError> {
        let socket = self.connect()?;
        poll.add(&socket, token)?;
        let mut conn = Conn { socket, requests: 0, is_waiting: false };
        send_request(&mut conn, token)?;
        Ok(conn)
    }
}

fn send_request(conn: &mut Conn, token: u64) -> Result<(), KernelError> {
    conn.requests += 1;
    let sent = conn.socket.write(&payload(token, conn.requests));
    let sent = sent.map_err(|why| KernelError::System { what: "send", why })?;
    if sent != PAYLOAD_BYTES {
        return Err(KernelError::Ended(format!("a request was sent in part: {sent} bytes")));
    }
    conn.is_waiting = true;
    Ok(())
}

/// Reads a reply and compares it with what was asked; false when there is none yet. It comes whole:
/// it was sent in one piece, and is smaller than a segment.
fn take_reply(conn: &mut Conn, token: u64, done: &Done) -> Result<bool, KernelError> {
    let mut reply = [0; 2 * PAYLOAD_BYTES];
    let len = match conn.socket.read(&mut reply) {
        Ok(0) => return Err(KernelError::Ended("the server closed a connection".to_owned())),
        Ok(len) => len,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
        Err(why) => return Err(KernelError::System { what: "recv", why }),
    };
    let expected = payload(token, conn.requests);
    let same = reply[..len].iter().zip(&expected).filter(|(got, want)| got == want).count();
    add(&done.bad_bytes, (len.max(PAYLOAD_BYTES) - same) as u64);
    add(&done.replies, 1);
    conn.is_waiting = false;
    Ok(true)
}

/// What is asked: no two requests are the same.
fn payload(token: u64, number: u32) -> [u8; PAYLOAD_BYTES] {
    let mut payload = [0; PAYLOAD_BYTES];
    let mut word = token << 32 | u64::from(number);
    for place in payload.chunks_exact_mut(8) {
        word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ token;
        place.copy_from_slice(&word.to_le_bytes());
    }
    payload
}

/// Addresses that a thread connects from; each has 28,232 ports unless that was changed.
pub(crate) const ADDRESSES_EACH: u32 = 256;
const CONNS_AN_ADDRESS: u32 = 4096;

/// Short connections of one thread that are under way.
const CHURN_AT_ONCE_MAX: u32 = 64;

/// A reply that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_are_the_same() {
        assert_ne!(payload(1, 1), payload(1, 2));
        assert_ne!(payload(1, 1), payload(2, 1));
        assert_eq!(payload(7, 9), payload(7, 9));
    }
}
