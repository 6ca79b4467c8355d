//! A client that keeps to the rules: it sends a pattern on each connection and checks the echo.

use crore::{Closed, Conn, ConnId, Service, Turn};

/// Octets sent, echoed, and to be sent in all, of one connection.
type State = [u32; 4];
const SENT: usize = 0;
const ECHOED: usize = 1;

#[derive(Debug, Default)]
pub(crate) struct Honest {
    pub(crate) conns: Vec<ConnId>,
    pub(crate) opening: u32,
    pub(crate) bad_octets: u64,
    /// Connections that ended otherwise than by our close.
    pub(crate) lost: u32,
    quota: u32,
    done: u32,
}

impl Honest {
    /// All connections send so many more.
    pub(crate) fn more(&mut self, octets: u32) {
        self.quota += octets;
        self.done = 0;
    }

    /// Everything sent has come back.
    pub(crate) fn is_done(&self) -> bool {
        self.done as usize == self.conns.len()
    }

    fn push(&mut self, conn: &mut Conn<'_, State>) {
        let sent = conn.state()[SENT];
        let in_flight = sent - conn.state()[ECHOED];
        let len = (self.quota - sent).min(4000u32.saturating_sub(in_flight));
        let bytes: Vec<u8> = (sent..sent + len).map(octet).collect();
        let taken = conn.send(&bytes);
        conn.state()[SENT] += taken as u32;
    }
}

impl Service for Honest {
    type State = State;

    fn connected(&mut self, conn: &mut Conn<'_, State>) {
        self.conns.push(conn.id());
        self.opening -= 1;
    }

    fn data(&mut self, conn: &mut Conn<'_, State>, bytes: &[u8]) -> usize {
        for &byte in bytes {
            let at = conn.state()[ECHOED];
            self.bad_octets += u64::from(byte != octet(at));
            conn.state()[ECHOED] = at + 1;
        }
        bytes.len()
    }

    fn closed(&mut self, conn: &mut Conn<'_, State>, why: Closed) {
        self.lost += u32::from(why != Closed::Finished);
        let id = conn.id();
        self.conns.retain(|&other| other != id);
    }

    fn turn(&mut self, turn: &mut Turn<'_, State>) {
        self.done = 0;
        for id in self.conns.clone() {
            let Some(mut conn) = turn.conn(id) else { continue };
            if conn.is_established() {
                self.push(&mut conn);
                self.done += u32::from(conn.state()[ECHOED] == self.quota);
            }
        }
    }
}

fn octet(at: u32) -> u8 {
    (at.wrapping_mul(31).wrapping_add(at / 251)) as u8
}
