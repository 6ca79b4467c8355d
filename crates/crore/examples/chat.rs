//! A chat room of lines: what one says, all others hear. One copy of a line serves all queues.
//!
//! `cargo run --release --example chat` as root, then on the same machine
//! `ip addr add 10.99.0.1/24 dev crore0`, and `nc 10.99.0.2 6667` in several terminals.

use crore::{Closed, Conn, ConnId, Server, Service, Stop};

/// The longest line; who sends a longer one is not understood and leaves.
const LINE_BYTES_MAX: usize = 1000;

#[derive(Default)]
struct Room {
    /// Who is here. A guest's state is the place in this list, plus one.
    guests: Vec<ConnId>,
}

impl Room {
    fn say(&self, conn: &mut Conn<'_, u32>, line: &[u8]) {
        let Some(payload) = conn.share(line) else { return };
        let speaker = conn.id();
        for &guest in self.guests.iter().filter(|&&guest| guest != speaker) {
            // Who does not read what is said misses it: a full queue takes nothing more.
            if let Some(mut other) = conn.other(guest) {
                other.send_shared(&payload);
            }
        }
        conn.release(payload);
    }
}

impl Service for Room {
    type State = u32;

    fn accepted(&mut self, conn: &mut Conn<'_, u32>) {
        self.guests.push(conn.id());
        *conn.state() = self.guests.len() as u32;
        self.say(conn, format!("* {} came\n", conn.remote()).as_bytes());
    }

    fn data(&mut self, conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        // What follows the last newline is left for the next time.
        let mut consumed = 0;
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if line.len() > LINE_BYTES_MAX {
                conn.abort();
            } else if line.ends_with(b"\n") {
                self.say(conn, line);
                consumed += line.len();
            }
        }
        consumed
    }

    fn closed(&mut self, conn: &mut Conn<'_, u32>, _: Closed) {
        let place = *conn.state() as usize - 1;
        self.guests.swap_remove(place);
        if let Some(&moved) = self.guests.get(place)
            && let Some(mut other) = conn.other(moved)
        {
            *other.state() = place as u32 + 1;
        }
        self.say(conn, format!("* {} left\n", conn.remote()).as_bytes());
    }
}

fn main() -> Result<(), crore::ServerError> {
    let server = Server::on_tap("crore0", "10.99.0.2/24")?.listen(6667);
    server.run(Room::default(), &Stop::new()).map(|_| ())
}
