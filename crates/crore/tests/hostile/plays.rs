//! What the server and the bait do: between them they reach every state of a connection.

use crore::{Closed, Conn, Service, Turn};
use std::net::{IpAddr, SocketAddr};

use crate::lan::{BAIT, HONEST, NOBODY, SERVER, v4, v6};
use crate::luck::Luck;

/// The server: echoes on port 80, reads half of what it is offered on port 81, and opens
/// connections to the bait. What does not come from the honest client it ends after a while.
pub(crate) struct Echo {
    luck: Luck,
    /// Opens no more connections.
    pub(crate) quiet: bool,
    /// Told of as begun, not yet as ended.
    pub(crate) live: i64,
    pub(crate) opens: bool,
}

impl Echo {
    pub(crate) fn new(seed: u64) -> Self {
        Self { luck: Luck(seed ^ 0x5555), quiet: false, live: 0, opens: false }
    }
}

impl Service for Echo {
    type State = u64;

    fn accepted(&mut self, conn: &mut Conn<'_, u64>) {
        self.live += 1;
        let from = conn.remote().ip();
        if from != IpAddr::V4(v4(HONEST)) && from != IpAddr::V6(v6(HONEST)) {
            conn.set_timer_ms(Some(200 + self.luck.below(2000) as u32));
        }
    }

    fn connected(&mut self, conn: &mut Conn<'_, u64>) {
        conn.send(&[7; 3000]);
        conn.set_timer_ms(Some(200 + self.luck.below(2000) as u32));
    }

    fn data(&mut self, conn: &mut Conn<'_, u64>, bytes: &[u8]) -> usize {
        *conn.state() += bytes.len() as u64;
        match conn.local().port() {
            81 => bytes.len() / 2,
            _ => conn.send(bytes),
        }
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, u64>) {
        if conn.local().port() != 81 {
            conn.close();
        }
    }

    fn closed(&mut self, _: &mut Conn<'_, u64>, _: Closed) {
        self.live -= 1;
    }

    fn timer(&mut self, conn: &mut Conn<'_, u64>) {
        if self.luck.one_in(3) {
            conn.abort();
        } else {
            conn.close();
            conn.set_timer_ms(Some(4000));
        }
    }

    fn turn(&mut self, turn: &mut Turn<'_, u64>) {
        if self.opens && !self.quiet && turn.conns() < 200 && self.luck.one_in(16) {
            let ip = match self.luck.below(8) {
                0 => IpAddr::V4(v4(NOBODY)),
                1..4 => IpAddr::V6(v6(BAIT)),
                _ => IpAddr::V4(v4(BAIT)),
            };
            let port = if self.luck.one_in(4) { 91 } else { 90 };
            self.live += i64::from(turn.connect((ip, port).into(), None).is_ok());
        }
    }
}

/// The bait: opens connections, sends, closes and aborts at random.
pub(crate) struct Bait {
    luck: Luck,
    pub(crate) quiet: bool,
}

impl Bait {
    pub(crate) fn new(seed: u64) -> Self {
        Self { luck: Luck(seed ^ 0xaaaa), quiet: true }
    }

    fn act(&mut self, conn: &mut Conn<'_, u64>) {
        match self.luck.below(12) {
            0 => conn.abort(),
            1 => conn.close(),
            2..6 => {
                let len = self.luck.below(5000);
                conn.send(&vec![5; len]);
            }
            _ => {}
        }
        conn.set_timer_ms(Some(1 + self.luck.below(400) as u32));
    }
}

impl Service for Bait {
    type State = u64;

    fn accepted(&mut self, conn: &mut Conn<'_, u64>) {
        self.act(conn);
    }

    fn connected(&mut self, conn: &mut Conn<'_, u64>) {
        self.act(conn);
    }

    fn data(&mut self, conn: &mut Conn<'_, u64>, bytes: &[u8]) -> usize {
        *conn.state() += 1;
        if self.luck.one_in(4) { bytes.len() / 2 } else { bytes.len() }
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, u64>) {
        if self.luck.one_in(2) {
            conn.close();
        }
    }

    fn timer(&mut self, conn: &mut Conn<'_, u64>) {
        self.act(conn);
    }

    fn turn(&mut self, turn: &mut Turn<'_, u64>) {
        if self.quiet || turn.conns() > 100 || !self.luck.one_in(4) {
            return;
        }
        let ip = if self.luck.one_in(2) { IpAddr::V4(v4(SERVER)) } else { IpAddr::V6(v6(SERVER)) };
        let port = [80, 80, 80, 81, 81, 82][self.luck.below(6)];
        // A tuple that is still in TIME-WAIT here is refused; another one comes soon.
        let _ = turn.connect(SocketAddr::new(ip, port), None);
    }
}
