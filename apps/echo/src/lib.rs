//! Echo: sends back what it receives.
//!
//! What finds no room in the send queue is not consumed, so the peer's window closes and opens
//! with the speed at which it reads: there is no buffer here to run over.
#![forbid(unsafe_code)]

use crore::{Conn, Service};

/// The service. It keeps nothing about a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Service for Echo {
    type State = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send(bytes)
    }
}
