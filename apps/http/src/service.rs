//! The server as a `crore` service: one [`Server`] for each core, its connections as [`Output`].

use std::time::SystemTime;

use crore::{Closed, Conn, Service};

use crate::config::{HttpConfig, StartError};
use crate::connection::Connection;
use crate::output::Output;
use crate::server::Server;

/// HTTP for one core.
#[derive(Debug)]
pub struct Http {
    server: Server,
}

impl Http {
    /// A service with these settings. Opens the root.
    pub fn new(config: HttpConfig) -> Result<Self, StartError> {
        Ok(Self { server: Server::new(config)? })
    }

    /// The server behind it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Runs one event of a connection. Its 16 bytes are copied out and back, because the server
    /// needs them and the connection they live in at the same time.
    fn run<'c, R>(
        &mut self,
        conn: &mut Conn<'c, Connection>,
        event: impl FnOnce(&mut Server, &mut Connection, &mut Conn<'c, Connection>) -> R,
    ) -> R {
        let mut connection = *conn.state();
        let outcome = event(&mut self.server, &mut connection, conn);
        *conn.state() = connection;
        outcome
    }
}

impl Service for Http {
    type State = Connection;

    fn accepted(&mut self, conn: &mut Conn<'_, Connection>) {
        // A reply ends in a segment that is not full; Nagle would hold it for the peer's ACK.
        conn.set_nodelay(true);
        self.run(conn, Server::accepted);
    }

    fn data(&mut self, conn: &mut Conn<'_, Connection>, bytes: &[u8]) -> usize {
        self.run(conn, |server, connection, conn| server.data(connection, conn, bytes))
    }

    fn writable(&mut self, conn: &mut Conn<'_, Connection>) {
        self.run(conn, Server::writable);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Connection>) {
        self.run(conn, Server::peer_closed);
    }

    fn closed(&mut self, conn: &mut Conn<'_, Connection>, _why: Closed) {
        self.run(conn, |server, connection, _| server.closed(connection));
    }

    fn timer(&mut self, conn: &mut Conn<'_, Connection>) {
        self.run(conn, Server::timer);
    }
}

/// The inherent methods of a connection do what the server asks for.
impl Output for Conn<'_, Connection> {
    fn send(&mut self, bytes: &[u8]) -> usize {
        Conn::send(self, bytes)
    }

    fn send_room(&self) -> usize {
        Conn::send_room(self)
    }

    fn send_queued(&self) -> usize {
        Conn::send_queued(self)
    }

    fn close(&mut self) {
        Conn::close(self);
    }

    fn abort(&mut self) {
        Conn::abort(self);
    }

    fn resume(&mut self) {
        Conn::resume(self);
    }

    fn set_timer_ms(&mut self, after: u32) {
        Conn::set_timer_ms(self, Some(after));
    }

    fn now_us(&self) -> u64 {
        Conn::now_us(self)
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }
}
