//! Reading: request heads one at a time, and the content that follows them.

use sha2::Digest as _;

use crate::connection::{Connection, Phase};
use crate::head::{self, HEAD_BYTES_MAX};
use crate::output::Output;
use crate::server::Server;
use crate::status::Status;

impl Server {
    /// Reads one request head, and answers it when it is complete.
    pub(crate) fn request(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        bytes: &[u8],
    ) -> usize {
        let blank = blank_lines(bytes);
        if blank > 0 {
            if connection.phase() == Phase::Head {
                connection.enter(Phase::Idle);
                connection.limit_ms(output, self.config.idle_timeout_ms);
            }
            return blank;
        }
        let seen = usize::from(connection.mark).min(bytes.len());
        let is_partial = connection.phase() == Phase::Head;
        // A head is read again only when a line has ended, so one that drips in stays cheap.
        if is_partial && bytes.len() < HEAD_BYTES_MAX && !bytes[seen..].contains(&b'\n') {
            connection.mark = bytes.len() as u16;
            return 0;
        }
        let mut room = head::field_room();
        match head::parse(bytes, &mut room) {
            Ok(Some((request, len))) => {
                let after = self.answer(connection, output, &request, &bytes[len..]);
                after.map_or(0, |after| len + after)
            }
            Ok(None) => {
                if !is_partial {
                    connection.enter(Phase::Head);
                    connection.limit_ms(output, Some(self.config.header_timeout_ms));
                }
                connection.mark = bytes.len() as u16;
                0
            }
            Err(status) => {
                let is_refused = self.refuse(connection, output, status);
                if is_refused { bytes.len() } else { 0 }
            }
        }
    }

    /// Reads content for a reply that needs all of it.
    pub(crate) fn collect(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        bytes: &[u8],
    ) -> usize {
        let Some(slot) = connection.exchange() else { return bytes.len() };
        if self.exchanges.get(slot).sum.is_some() {
            return self.add_up(connection, output, slot, bytes);
        }
        let Some(content) = &mut self.exchanges.get(slot).content else { return bytes.len() };
        let refused = match content.next(bytes) {
            Err(_) => Status::BAD_REQUEST,
            Ok(_) if content.read > self.config.body_bytes_max => Status::CONTENT_TOO_LARGE,
            Ok(piece) if !self.exchanges.has_room(piece.bytes.len()) => Status::UNAVAILABLE,
            Ok(piece) => {
                self.exchanges.collect(slot, piece.bytes);
                if piece.is_last {
                    self.exchanges.get(slot).content = None;
                    self.answer_echo(connection, output, slot);
                }
                return piece.consumed;
            }
        };
        self.refuse(connection, output, refused);
        bytes.len()
    }

    /// Reads content of which the reply needs the sum alone.
    fn add_up(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        slot: u32,
        bytes: &[u8],
    ) -> usize {
        let exchange = self.exchanges.get(slot);
        let (Some(content), Some(sum)) = (&mut exchange.content, &mut exchange.sum) else {
            return bytes.len();
        };
        let Ok(piece) = content.next(bytes) else {
            self.refuse(connection, output, Status::BAD_REQUEST);
            return bytes.len();
        };
        sum.update(piece.bytes);
        if piece.is_last {
            exchange.content = None;
            self.answer_sum(connection, output, slot);
        } else {
            // Content of any length takes any time; what has a limit is standing still.
            connection.limit_ms(output, Some(self.config.body_timeout_ms));
        }
        piece.consumed
    }

    /// Reads content that its reply did not wait for.
    pub(crate) fn discard(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        bytes: &[u8],
    ) -> usize {
        let Some(slot) = connection.exchange() else { return bytes.len() };
        let Some(content) = &mut self.exchanges.get(slot).content else { return bytes.len() };
        match content.next(bytes) {
            Ok(piece) if content.read <= self.config.body_bytes_max => {
                if piece.is_last {
                    self.exchanges.get(slot).content = None;
                    self.finish(connection, output);
                }
                piece.consumed
            }
            // The reply is out: all that is left to say is that the connection ends.
            _ => {
                self.shut(connection, output);
                bytes.len()
            }
        }
    }
}

/// The length of the empty lines before a request; clients are known to send them (RFC 9112 2.2).
fn blank_lines(bytes: &[u8]) -> usize {
    let mut len = 0;
    loop {
        match bytes[len..] {
            [b'\n', ..] => len += 1,
            [b'\r', b'\n', ..] => len += 2,
            _ => return len,
        }
    }
}
