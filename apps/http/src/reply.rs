//! The bytes of a reply, put together in one buffer of the core.

use std::io::Write;

use crate::status::Status;

/// What a reply says about the connection after it (RFC 9112 9.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Persistence {
    /// Persistent, which HTTP/1.1 need not say.
    Keep,
    /// Persistent at the wish of an HTTP/1.0 client, which must be told.
    KeepTold,
    /// This is the last reply.
    Close,
}

/// A reply being written: start, fields, end, content.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    bytes: Vec<u8>,
}

impl Reply {
    /// The bytes written since [`Reply::start`].
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the last reply, and writes a status line and the fields that all replies have.
    pub(crate) fn start(&mut self, status: Status, date: &str, persistence: Persistence) {
        self.bytes.clear();
        let Status { code, reason } = status;
        self.print(format_args!("HTTP/1.1 {code} {reason}\r\nServer: crore\r\nDate: {date}\r\n"));
        match persistence {
            Persistence::Keep => {}
            Persistence::KeepTold => self.field("Connection", "keep-alive"),
            Persistence::Close => self.field("Connection", "close"),
        }
    }

    /// One field.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
    }

    /// Whole field lines.
    pub(crate) fn lines(&mut self, lines: &[u8]) {
        self.bytes.extend_from_slice(lines);
    }

    /// `Content-Length`.
    pub(crate) fn content_length(&mut self, length: u64) {
        self.print(format_args!("Content-Length: {length}\r\n"));
    }

    /// `Content-Range` of a part of `size` bytes, or of a range outside of them.
    pub(crate) fn content_range(&mut self, part: Option<(u64, u64)>, size: u64) {
        match part {
            Some((first, last)) => {
                self.print(format_args!("Content-Range: bytes {first}-{last}/{size}\r\n"));
            }
            None => self.print(format_args!("Content-Range: bytes */{size}\r\n")),
        }
    }

    /// The empty line.
    pub(crate) fn end(&mut self) {
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Content, after [`Reply::end`].
    pub(crate) fn content(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the last bytes, which are content, off again: HEAD.
    pub(crate) fn cut_content(&mut self, length: usize) {
        self.bytes.truncate(self.bytes.len() - length);
    }

    /// A whole reply, written before.
    pub(crate) fn copy(&mut self, reply: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(reply);
    }

    /// The end of an error: its status as a line of text, left out for HEAD.
    pub(crate) fn end_with_text(&mut self, status: Status, is_head: bool) {
        let Status { code, reason } = status;
        // Three digits, a space, the line feed.
        self.field("Content-Type", "text/plain; charset=utf-8");
        self.content_length(reason.len() as u64 + 5);
        self.end();
        if !is_head {
            self.print(format_args!("{code} {reason}\n"));
        }
    }

    fn print(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a vector has no way to fail.
        let _ = self.bytes.write_fmt(text);
    }
}
