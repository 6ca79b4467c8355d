//! Sending: what becomes of a reply until its last byte is queued, and of a connection after it.

use crate::connection::{Connection, Phase};
use crate::content::Content;
use crate::files::FilePart;
use crate::output::Output;
use crate::reply::Persistence;
use crate::server::Server;
use crate::status::Status;

impl Server {
    /// Answers with an error and closes. False when the answer has to wait.
    pub(crate) fn refuse(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        status: Status,
    ) -> bool {
        if let Some(slot) = connection.exchange() {
            self.exchanges.drop_collected(slot);
        }
        self.write_error(status, Persistence::Close, false, &[]);
        self.deliver(connection, output, None, None, Persistence::Close)
    }

    /// Sends the reply that was written, then a part of a file, then reads `content` off. What
    /// finds no room is held by an exchange; false when none can hold it: nothing was done then.
    ///
    /// The caller made sure that an exchange is free when `file` or `content` needs it.
    pub(crate) fn deliver(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        file: Option<FilePart>,
        content: Option<Content>,
        persistence: Persistence,
    ) -> bool {
        let reply = self.reply.as_bytes();
        let owns = connection.exchange();
        let can_hold = self.exchanges.has_free() && self.exchanges.has_room(reply.len());
        if owns.is_none() && !can_hold && output.send_room() < reply.len() {
            block(connection, output);
            return false;
        }
        connection.set(Connection::CLOSE, persistence == Persistence::Close);
        // An interim reply that still waits goes first.
        let waits = owns.is_some_and(|slot| !self.exchanges.get(slot).unsent.is_empty());
        let sent = if waits { 0 } else { output.send(reply) };
        let is_all = sent == reply.len() && file.is_none() && content.is_none();
        if is_all && owns.is_none() {
            self.finish(connection, output);
            return true;
        }
        let Some(slot) = owns.or_else(|| self.exchanges.take()) else {
            // The queue took less than it had room for, and nobody can hold the rest.
            self.give_up(connection, output);
            return true;
        };
        connection.set_exchange(Some(slot));
        self.exchanges.hold_unsent(slot, &reply[sent..]);
        if let (Some(part), Some(files)) = (&file, &mut self.files) {
            files.hold(part.file);
        }
        let exchange = self.exchanges.get(slot);
        exchange.file = file;
        exchange.content = content;
        connection.enter(Phase::Send);
        connection.limit_ms(output, Some(self.config.stall_timeout_ms));
        self.pump(connection, output);
        true
    }

    /// Sends what an exchange still has to send, as far as there is room.
    pub(crate) fn pump(&mut self, connection: &mut Connection, output: &mut impl Output) {
        let Some(slot) = connection.exchange() else { return };
        let exchange = self.exchanges.get(slot);
        let sent = output.send(&exchange.unsent[exchange.sent..]);
        exchange.sent += sent;
        let is_drained = exchange.sent == exchange.unsent.len();
        if is_drained {
            self.exchanges.drop_unsent(slot);
        }
        if connection.phase() != Phase::Send {
            return;
        }
        let outcome = if is_drained { self.pump_file(slot, output) } else { Pumped::Part(sent) };
        match outcome {
            Pumped::All => self.finish(connection, output),
            Pumped::Part(0) if sent == 0 => {}
            // Something moved: the peer has its time again.
            Pumped::Part(_) => {
                connection.limit_ms(output, Some(self.config.stall_timeout_ms));
            }
            Pumped::Broken => self.give_up(connection, output),
        }
    }

    /// Sends from the exchange's file until it or the room is at its end.
    fn pump_file(&mut self, slot: u32, output: &mut impl Output) -> Pumped {
        let exchange = self.exchanges.get(slot);
        let (Some(part), Some(files)) = (&mut exchange.file, &mut self.files) else {
            return Pumped::All;
        };
        let mut moved = 0;
        while part.left > 0 {
            // One byte more than there is room for, so the queue knows that there is more to come.
            let room = output.send_room().saturating_add(1).min(self.scratch.len());
            let want = usize::try_from(part.left).unwrap_or(usize::MAX).min(room);
            let Ok(read) = files.get(part.file).read_at(&mut self.scratch[..want], part.offset)
            else {
                return Pumped::Broken;
            };
            let sent = output.send(&self.scratch[..read]);
            part.offset += sent as u64;
            part.left -= sent as u64;
            moved += sent;
            if sent < read {
                return Pumped::Part(moved);
            }
        }
        files.release(part.file);
        exchange.file = None;
        Pumped::All
    }

    /// The reply is queued to its last byte.
    pub(crate) fn finish(&mut self, connection: &mut Connection, output: &mut impl Output) {
        if connection.has(Connection::CLOSE) {
            return self.shut(connection, output);
        }
        let slot = connection.exchange();
        if slot.is_some_and(|slot| self.exchanges.get(slot).content.is_some()) {
            connection.enter(Phase::Discard);
            return connection.limit_ms(output, Some(self.config.body_timeout_ms));
        }
        self.release(connection);
        connection.enter(Phase::Idle);
        connection.limit_ms(output, self.config.idle_timeout_ms);
    }

    /// Closes our direction. The peer's is read on for a while, because a reset that answers its
    /// bytes could overtake our last reply (RFC 9112 9.6).
    pub(crate) fn shut(&mut self, connection: &mut Connection, output: &mut impl Output) {
        self.release(connection);
        output.close();
        connection.enter(Phase::Linger);
        connection.mark = queue_mark(output);
        connection.limit_ms(output, Some(self.config.linger_timeout_ms));
    }

    /// The peer did not close in time. While it still takes our bytes, it may go on.
    pub(crate) fn linger(&mut self, connection: &mut Connection, output: &mut impl Output) {
        let mark = queue_mark(output);
        if mark == connection.mark {
            return self.give_up(connection, output);
        }
        connection.mark = mark;
        connection.limit_ms(output, Some(self.config.linger_timeout_ms));
    }

    /// A reply began that cannot be brought to its end.
    pub(crate) fn give_up(&mut self, connection: &mut Connection, output: &mut impl Output) {
        self.release(connection);
        connection.enter(Phase::Linger);
        connection.limit_ms(output, None);
        connection.set(Connection::GONE, true);
        output.abort();
    }

    /// A request waited for room; after too long, its connection has to go.
    pub(crate) fn retry(&mut self, connection: &mut Connection, output: &mut impl Output) {
        connection.mark = connection.mark.saturating_add(1);
        if u32::from(connection.mark).saturating_mul(RETRY_MS) > self.config.stall_timeout_ms {
            return self.give_up(connection, output);
        }
        connection.limit_ms(output, Some(RETRY_MS));
    }

    pub(crate) fn release(&mut self, connection: &mut Connection) {
        let Some(slot) = connection.exchange() else { return };
        connection.set_exchange(None);
        if let (Some(part), Some(files)) = (self.exchanges.release(slot), &mut self.files) {
            files.release(part.file);
        }
    }
}

/// Bytes that were left with the stack may be read again.
pub(crate) fn resume(connection: &Connection, output: &mut impl Output) {
    if !connection.has(Connection::GONE) {
        output.resume();
    }
}

/// No room for a reply anywhere: its request stays with the stack.
fn block(connection: &mut Connection, output: &mut impl Output) {
    if connection.phase() != Phase::Blocked {
        connection.enter(Phase::Blocked);
        connection.limit_ms(output, Some(RETRY_MS));
    }
}

/// How far a file was sent.
enum Pumped {
    /// To its end.
    All,
    /// So many bytes, and there is no more room.
    Part(usize),
    /// It cannot be read to the end that its reply promised.
    Broken,
}

/// The send queue's length, of which the last bits are enough to see it move.
fn queue_mark(output: &impl Output) -> u16 {
    output.send_queued() as u16
}

/// How long a request waits that found no room for its reply.
const RETRY_MS: u32 = 100;
