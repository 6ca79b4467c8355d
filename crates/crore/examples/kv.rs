//! A tiny key-value server: `SET key value`, `GET key`, `DEL key`, a line each.
//!
//! `cargo run --release --example kv` as root, then on the same machine
//! `ip addr add 10.99.0.1/24 dev crore0` and `nc 10.99.0.2 6379`.

use crore::{Conn, Server, Service, Stop};
use std::collections::HashMap;

/// The longest line, and the most keys: a server bounds what strangers can make it keep.
const LINE_BYTES_MAX: usize = 4096;
const KEYS_MAX: usize = 1 << 20;

#[derive(Default)]
struct Store {
    values: HashMap<Vec<u8>, Vec<u8>>,
}

impl Store {
    fn answer(&mut self, line: &[u8]) -> Vec<u8> {
        let mut words = line.trim_ascii().splitn(3, |&b| b == b' ');
        match (words.next(), words.next(), words.next()) {
            (Some(b"GET"), Some(key), None) => match self.values.get(key) {
                Some(value) => [value.as_slice(), b"\n"].concat(),
                None => b"(none)\n".to_vec(),
            },
            (Some(b"SET"), Some(key), Some(value)) => {
                if self.values.len() == KEYS_MAX && !self.values.contains_key(key) {
                    return b"ERROR full\n".to_vec();
                }
                self.values.insert(key.to_vec(), value.to_vec());
                b"OK\n".to_vec()
            }
            (Some(b"DEL"), Some(key), None) => match self.values.remove(key) {
                Some(_) => b"OK\n".to_vec(),
                None => b"(none)\n".to_vec(),
            },
            _ => b"ERROR use GET key, SET key value, DEL key\n".to_vec(),
        }
    }
}

impl Service for Store {
    type State = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let mut consumed = 0;
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if line.len() > LINE_BYTES_MAX {
                conn.abort();
                return bytes.len();
            }
            // Half a line is left for the next time; so is one whose answer has no room.
            if !line.ends_with(b"\n") || conn.send_room() <= LINE_BYTES_MAX {
                break;
            }
            conn.send(&self.answer(line));
            consumed += line.len();
        }
        consumed
    }

    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        conn.resume();
    }
}

fn main() -> Result<(), crore::ServerError> {
    let server = Server::on_tap("crore0", "10.99.0.2/24")?.listen(6379);
    server.run(Store::default(), &Stop::new()).map(|_| ())
}
