//! The server of one core: what each connection does next.
//!
//! ```text
//!            head ends, reply fits             content ends
//!   Idle <────────────────────> (routes)  Discard ─────────> Idle
//!    │ ^                          │   │      ^
//!    v │                          │   v      │ all sent
//!   Head                   Collect└─>Send ───┴──────> Idle, or Linger when it was the last
//! ```
//!
//! Requests of a connection are answered one at a time and in order. While a reply waits for room
//! no byte is consumed, so back-pressure reaches the peer through the stack.

use crate::clock::Clock;
use crate::config::{HttpConfig, StartError};
use crate::connection::{Connection, Phase};
use crate::exchange::Exchanges;
use crate::files::Files;
use crate::output::Output;
use crate::reply::{Persistence, Reply};
use crate::sending::resume;
use crate::status::Status;

/// The server of one core. It keeps nothing about an idle connection but its [`Connection`].
#[derive(Debug)]
pub struct Server {
    pub(crate) config: HttpConfig,
    pub(crate) clock: Clock,
    pub(crate) files: Option<Files>,
    pub(crate) exchanges: Exchanges,
    /// The reply being put together.
    pub(crate) reply: Reply,
    /// The path being looked for.
    pub(crate) path: Vec<u8>,
    /// The whole reply to `/plaintext`, new each second.
    pub(crate) plaintext: Vec<u8>,
    /// Bytes between a file and a send queue.
    pub(crate) scratch: Box<[u8]>,
}

impl Server {
    /// A server with these settings. Opens the root.
    pub fn new(config: HttpConfig) -> Result<Self, StartError> {
        for (name, limit) in
            [("exchanges_max", config.exchanges_max), ("files_max", config.files_max)]
        {
            if limit == 0 {
                return Err(StartError::Zero { name });
            }
        }
        let files = match &config.root {
            Some(root) => Some(Files::open(root, config.files_max, config.small_file_bytes_max)?),
            None => None,
        };
        Ok(Self {
            clock: Clock::new(),
            files,
            exchanges: Exchanges::new(config.exchanges_max, config.held_bytes_max),
            reply: Reply::default(),
            path: Vec::new(),
            plaintext: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            config,
        })
    }

    /// A connection was opened to us.
    pub fn accepted(&mut self, connection: &mut Connection, output: &mut impl Output) {
        connection.limit_ms(output, self.config.idle_timeout_ms);
    }

    /// All bytes that were not consumed yet, from the first one on. Returns how many are done with.
    pub fn data(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        bytes: &[u8],
    ) -> usize {
        self.look_at_clock(output);
        let mut consumed = 0;
        while consumed < bytes.len() {
            let rest = &bytes[consumed..];
            let taken = match connection.phase() {
                Phase::Idle | Phase::Head | Phase::Blocked => {
                    self.request(connection, output, rest)
                }
                Phase::Collect => self.collect(connection, output, rest),
                Phase::Discard => self.discard(connection, output, rest),
                Phase::Send => 0,
                Phase::Linger => rest.len(),
            };
            if taken == 0 {
                break;
            }
            consumed += taken;
        }
        consumed
    }

    /// The send queue has room again. Unconsumed bytes are offered after this without our asking.
    pub fn writable(&mut self, connection: &mut Connection, output: &mut impl Output) {
        if matches!(connection.phase(), Phase::Send | Phase::Collect) {
            self.pump(connection, output);
        }
    }

    /// The peer sends no more, and all it sent was consumed. What it asked for it still gets.
    pub fn peer_closed(&mut self, connection: &mut Connection, output: &mut impl Output) {
        match connection.phase() {
            Phase::Send => connection.set(Connection::CLOSE, true),
            Phase::Linger => {}
            _ => self.shut(connection, output),
        }
    }

    /// The timer ran out.
    pub fn timer(&mut self, connection: &mut Connection, output: &mut impl Output) {
        if !connection.is_overdue(output) {
            return;
        }
        self.look_at_clock(output);
        match connection.phase() {
            Phase::Idle | Phase::Discard => self.shut(connection, output),
            Phase::Head | Phase::Collect => {
                self.refuse(connection, output, Status::REQUEST_TIMEOUT);
            }
            Phase::Send => self.give_up(connection, output),
            Phase::Blocked => self.retry(connection, output),
            Phase::Linger => self.linger(connection, output),
        }
        resume(connection, output);
    }

    /// The connection is gone: what it owned is free again.
    pub fn closed(&mut self, connection: &mut Connection) {
        self.release(connection);
        connection.enter(Phase::Linger);
    }

    /// Exchanges under way, and the bytes they hold.
    pub fn exchanges_in_use(&self) -> (usize, usize) {
        self.exchanges.in_use()
    }

    fn look_at_clock(&mut self, output: &impl Output) {
        if self.clock.advance(output.now_us(), || output.time_of_day()) {
            self.write_plaintext(Persistence::Keep);
            self.plaintext.clear();
            self.plaintext.extend_from_slice(self.reply.as_bytes());
        }
    }
}

/// One read of a file.
const SCRATCH_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
