//! Echo, on a TAP device: `cargo run --release --example echo` as root, then on the same machine
//! `ip addr add 10.99.0.1/24 dev crore0` and `nc 10.99.0.2 7`.

use crore::{Conn, Server, Service, Stop};

struct Echo;

impl Service for Echo {
    type State = ();
    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send(bytes)
    }
}

fn main() -> Result<(), crore::ServerError> {
    Server::on_tap("crore0", "10.99.0.2/24")?.listen(7).run(Echo, &Stop::new()).map(|_| ())
}
