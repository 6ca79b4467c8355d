//! What an application does with peers that may be up to anything: it reads all, sends a bounded
//! stream, and ends what takes too long. Nothing is expected of such a connection but that it ends.

use super::STRANGER;
use crate::addresses;
use crate::book::LISTENING_PORT;
use crate::luck::Luck;
use crore::{Conn, ConnId, Turn};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Connections to liars, and how many octets each still gets.
#[derive(Default)]
pub(super) struct Strangers(HashMap<(u32, u32), u64>);

/// Opens a connection to the liar that is node `n`.
pub(super) fn visit(n: usize, turn: &mut Turn<'_, u32>, luck: &mut Luck) {
    let remote = SocketAddr::new(addresses::address(n, 0, 0, n % 2 == 1), LISTENING_PORT);
    if let Ok(id) = turn.connect(remote, None)
        && let Some(mut conn) = turn.conn(id)
    {
        *conn.state() = STRANGER;
        conn.set_timer_ms(Some(luck.scaled(64, PATIENCE_MS) as u32));
    }
}

impl Strangers {
    pub(super) fn begin(&mut self, conn: &mut Conn<'_, u32>, luck: &mut Luck) {
        self.0.insert(key(conn.id()), luck.scaled(1, STREAM_BYTES_MAX));
        conn.set_timer_ms(Some(luck.scaled(64, PATIENCE_MS) as u32));
        self.go_on(conn);
    }

    pub(super) fn data(&mut self, conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        self.go_on(conn);
        bytes.len()
    }

    pub(super) fn go_on(&mut self, conn: &mut Conn<'_, u32>) {
        let Some(left) = self.0.get_mut(&key(conn.id())) else { return };
        let chunk = [0x5a; 1 << 10];
        for _ in 0..CHUNKS_MAX {
            let len = (*left).min(chunk.len() as u64) as usize;
            let taken = conn.send(&chunk[..len]);
            *left -= taken as u64;
            if taken < chunk.len() {
                break;
            }
        }
        if *left == 0 {
            conn.close();
        }
    }

    pub(super) fn end(&mut self, conn: &mut Conn<'_, u32>) {
        self.0.remove(&key(conn.id()));
    }
}

fn key(id: ConnId) -> (u32, u32) {
    (id.index, id.generation)
}

/// The longest stream that a stranger gets.
const STREAM_BYTES_MAX: u64 = 200_000;

/// How long a stranger's connection may take.
const PATIENCE_MS: u64 = 160_000;

/// Chunks sent in one call; the rest follows when there is room.
const CHUNKS_MAX: usize = 64;
