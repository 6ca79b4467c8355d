//! Which request gets which reply.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::condition::{self, Verdict};
use crate::connection::{Connection, Phase};
use crate::content::{Content, Framing};
use crate::files::{FilePart, NoFile, OpenFile};
use crate::head::{Method, Request};
use crate::output::Output;
use crate::range::{self, Part};
use crate::reply::{Persistence, Reply};
use crate::server::Server;
use crate::status::Status;
use crate::target;

impl Server {
    /// Answers a request whose head is complete. `after` is what follows the head. Returns how much
    /// of it was used, or `None` when the reply has to wait and the head must be offered again.
    pub(crate) fn answer(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        request: &Request<'_>,
        after: &[u8],
    ) -> Option<usize> {
        let path = target::path_of(request.target);
        // Content that is only added up takes no memory: any length will do.
        if request.method == Method::Post && path == Some("/sha256") {
            return self.sha256(connection, output, request, after);
        }
        if matches!(request.framing, Some(Framing::Length(n)) if n > self.config.body_bytes_max) {
            return self.refuse(connection, output, Status::CONTENT_TOO_LARGE).then_some(0);
        }
        if request.method == Method::Post && path == Some("/echo") {
            return self.echo(connection, output, request, after);
        }
        let persistence = self.persistence(request);
        let content = match persistence {
            Persistence::Close => None,
            _ => request.framing.map(Content::new),
        };
        let is_plain = request.method == Method::Get && path == Some("/plaintext");
        if is_plain && persistence == Persistence::Keep && content.is_none() {
            return self.answer_plaintext(connection, output);
        }
        let file = self.write_reply(request, path, persistence);
        if file.is_some() && !self.exchanges.has_free() {
            return self.refuse(connection, output, Status::UNAVAILABLE).then_some(0);
        }
        self.deliver(connection, output, file, content, persistence).then_some(0)
    }

    /// Writes the reply to a request that no shorter way answered; gives the part of it that is
    /// sent from a file.
    fn write_reply(
        &mut self,
        request: &Request<'_>,
        path: Option<&str>,
        persistence: Persistence,
    ) -> Option<FilePart> {
        let is_head = request.method == Method::Head;
        let (status, fields): Refusal = match (path, request.method) {
            (_, Method::Unknown) => (Status::NOT_IMPLEMENTED, &[]),
            (None, Method::Other) if request.target == "*" => ALLOW_READ,
            (None, _) => (Status::BAD_REQUEST, &[]),
            (Some("/echo" | "/sha256"), _) => ALLOW_POST,
            (Some(_), Method::Post | Method::Other) => ALLOW_READ,
            (Some("/plaintext"), _) => {
                self.write_plaintext(persistence);
                if is_head {
                    self.reply.cut_content(PLAINTEXT.len());
                }
                return None;
            }
            (Some(path), _) => return self.write_file(request, path, persistence),
        };
        self.write_error(status, persistence, is_head, fields);
        None
    }

    /// What becomes of the connection after a reply that does not wait for the request's content.
    fn persistence(&self, request: &Request<'_>) -> Persistence {
        let has_content = request.framing.is_some();
        // RFC 9110 10.1.1: a client that waits for 100 and gets a final reply may send its content
        // or not; only the end of the connection makes clear which.
        let is_unsure = has_content && (request.expects_continue || !self.exchanges.has_free());
        wished(request.keep_alive && !is_unsure, request.is_1_0)
    }

    fn answer_plaintext(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
    ) -> Option<usize> {
        self.reply.copy(&self.plaintext);
        self.deliver(connection, output, None, None, Persistence::Keep).then_some(0)
    }

    /// Writes the reply to `/plaintext`.
    pub(crate) fn write_plaintext(&mut self, persistence: Persistence) {
        self.reply.start(Status::OK, self.clock.date(), persistence);
        self.reply.field("Content-Type", "text/plain");
        self.reply.content_length(PLAINTEXT.len() as u64);
        self.reply.end();
        self.reply.content(PLAINTEXT);
    }

    /// Writes an error, with `fields` that belong to it.
    pub(crate) fn write_error(
        &mut self,
        status: Status,
        persistence: Persistence,
        is_head: bool,
        fields: &[(&str, &str)],
    ) {
        self.reply.start(status, self.clock.date(), persistence);
        for (name, value) in fields {
            self.reply.field(name, value);
        }
        self.reply.end_with_text(status, is_head);
    }

    /// Sends a request's content back: at once when all of it is here, else when it is collected.
    fn echo(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        request: &Request<'_>,
        after: &[u8],
    ) -> Option<usize> {
        let persistence = wished(request.keep_alive, request.is_1_0);
        let here = match request.framing {
            None => after.get(..0),
            Some(Framing::Length(length)) => {
                after.get(..usize::try_from(length).unwrap_or(usize::MAX))
            }
            Some(Framing::Chunked(_)) => None,
        };
        if let Some(content) = here {
            self.write_echo(persistence, content);
            let is_done = self.deliver(connection, output, None, None, persistence);
            return is_done.then_some(content.len());
        }
        self.await_content(connection, output, request, after, None)
    }

    /// Sends back what `sha256sum` would say of a request's content.
    fn sha256(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        request: &Request<'_>,
        after: &[u8],
    ) -> Option<usize> {
        let sum = Sha256::new();
        if request.framing.is_none() {
            let persistence = wished(request.keep_alive, request.is_1_0);
            self.write_sum(persistence, sum);
            return self.deliver(connection, output, None, None, persistence).then_some(0);
        }
        self.await_content(connection, output, request, after, Some(sum))
    }

    /// Begins to read content that its reply waits for: to add it up, or else to hold it.
    fn await_content(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        request: &Request<'_>,
        after: &[u8],
        sum: Option<Sha256>,
    ) -> Option<usize> {
        let persistence = wished(request.keep_alive, request.is_1_0);
        let Some(slot) = self.exchanges.take() else {
            return self.refuse(connection, output, Status::UNAVAILABLE).then_some(0);
        };
        connection.set_exchange(Some(slot));
        let exchange = self.exchanges.get(slot);
        exchange.content = request.framing.map(Content::new);
        exchange.sum = sum.map(Box::new);
        connection.enter(Phase::Collect);
        connection.set(Connection::CLOSE, persistence == Persistence::Close);
        connection.set(Connection::KEEP_1_0, persistence == Persistence::KeepTold);
        connection.limit_ms(output, Some(self.config.body_timeout_ms));
        // RFC 9110 10.1.1: no 100 is needed once the content has begun to arrive.
        if request.expects_continue && after.is_empty() {
            self.exchanges.hold_unsent(slot, CONTINUE);
            self.pump(connection, output);
        }
        Some(0)
    }

    /// Answers with the content that was collected.
    pub(crate) fn answer_echo(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        slot: u32,
    ) {
        let keep = !connection.has(Connection::CLOSE);
        let persistence = wished(keep, connection.has(Connection::KEEP_1_0));
        let content = std::mem::take(&mut self.exchanges.get(slot).collected);
        self.write_echo(persistence, &content);
        self.exchanges.get(slot).collected = content;
        self.exchanges.drop_collected(slot);
        self.deliver(connection, output, None, None, persistence);
    }

    /// Answers with the sum of the content that was read.
    pub(crate) fn answer_sum(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Output,
        slot: u32,
    ) {
        let keep = !connection.has(Connection::CLOSE);
        let persistence = wished(keep, connection.has(Connection::KEEP_1_0));
        let sum = self.exchanges.get(slot).sum.take();
        self.write_sum(persistence, *sum.unwrap_or_default());
        self.deliver(connection, output, None, None, persistence);
    }

    fn write_sum(&mut self, persistence: Persistence, sum: Sha256) {
        let mut line = String::with_capacity(2 * 32 + 1);
        for byte in sum.finalize() {
            // A string takes whatever is written.
            let _ = write!(line, "{byte:02x}");
        }
        line.push('\n');
        self.reply.start(Status::OK, self.clock.date(), persistence);
        self.reply.field("Content-Type", "text/plain");
        self.reply.content_length(line.len() as u64);
        self.reply.end();
        self.reply.content(line.as_bytes());
    }

    fn write_echo(&mut self, persistence: Persistence, content: &[u8]) {
        self.reply.start(Status::OK, self.clock.date(), persistence);
        self.reply.field("Content-Type", "application/octet-stream");
        self.reply.content_length(content.len() as u64);
        self.reply.end();
        self.reply.content(content);
    }

    /// Writes the reply to a request for a file; gives the part of it that is sent from the file.
    fn write_file(
        &mut self,
        request: &Request<'_>,
        path: &str,
        persistence: Persistence,
    ) -> Option<FilePart> {
        let is_head = request.method == Method::Head;
        if !target::decode(path, &mut self.path) {
            self.write_error(Status::BAD_REQUEST, persistence, is_head, &[]);
            return None;
        }
        let is_directory = self.path.last().is_none_or(|&b| b == b'/');
        if is_directory {
            self.path.extend_from_slice(b"index.html");
        }
        let now = self.clock.now();
        let found = match &mut self.files {
            Some(files) => files.find(&self.path, now),
            None => Err(NoFile::Missing),
        };
        let status = match (found, &self.files) {
            (Ok(slot), Some(files)) => {
                let file = files.get(slot);
                let mut writer = FileReply {
                    reply: &mut self.reply,
                    file,
                    date: self.clock.date(),
                    persistence,
                };
                let (offset, left) = writer.write(request, now);
                return (left > 0).then_some(FilePart { file: slot, offset, left });
            }
            (Err(NoFile::Directory), _) if !is_directory => {
                self.write_redirect(request, path, persistence);
                return None;
            }
            (Err(NoFile::Forbidden), _) => Status::FORBIDDEN,
            (Err(NoFile::Busy), _) => Status::UNAVAILABLE,
            (Err(NoFile::Broken), _) => Status::INTERNAL_ERROR,
            _ => Status::NOT_FOUND,
        };
        self.write_error(status, persistence, is_head, &[]);
        None
    }

    /// To the directory's own name, which relative links in its page need.
    fn write_redirect(&mut self, request: &Request<'_>, path: &str, persistence: Persistence) {
        let query = request.target.find('?').map_or("", |at| &request.target[at..]);
        // Of several slashes one is kept: two would name another host.
        let location = format!("/{}/{query}", path.trim_start_matches('/'));
        let is_head = request.method == Method::Head;
        let fields = [("Location", location.as_str())];
        self.write_error(Status::MOVED_PERMANENTLY, persistence, is_head, &fields);
    }
}

/// The reply to a request for a file that is there.
struct FileReply<'a> {
    reply: &'a mut Reply,
    file: &'a OpenFile,
    date: &'a str,
    persistence: Persistence,
}

impl FileReply<'_> {
    /// Writes head and content. Returns offset and length of what the reply does not hold itself.
    fn write(&mut self, request: &Request<'_>, now: std::time::SystemTime) -> (u64, u64) {
        let (file, is_head) = (self.file, request.method == Method::Head);
        match condition::judge(request, file.validators()) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                self.start(Status::NOT_MODIFIED);
                self.reply.lines(&file.validator_lines);
                self.reply.end();
                return (0, 0);
            }
            Verdict::Failed => {
                self.start(Status::PRECONDITION_FAILED);
                self.reply.end_with_text(Status::PRECONDITION_FAILED, is_head);
                return (0, 0);
            }
        }
        match self.part(request, now) {
            Part::Whole => {
                self.start(Status::OK);
                self.content(0, file.size, is_head)
            }
            Part::Bytes { first, last } => {
                self.start(Status::PARTIAL_CONTENT);
                self.reply.content_range(Some((first, last)), file.size);
                self.content(first, last - first + 1, is_head)
            }
            Part::Unsatisfiable => {
                self.start(Status::RANGE_NOT_SATISFIABLE);
                self.reply.content_range(None, file.size);
                self.reply.end_with_text(Status::RANGE_NOT_SATISFIABLE, is_head);
                (0, 0)
            }
        }
    }

    /// RFC 9110 14.2: a range counts for GET only, and only while `If-Range` lets it.
    fn part(&self, request: &Request<'_>, now: std::time::SystemTime) -> Part {
        match request.fields.range.one() {
            Some(value)
                if request.method == Method::Get
                    && condition::range_applies(request, self.file.validators(), now) =>
            {
                range::part(value, self.file.size)
            }
            _ => Part::Whole,
        }
    }

    fn start(&mut self, status: Status) {
        self.reply.start(status, self.date, self.persistence);
    }

    fn content(&mut self, offset: u64, length: u64, is_head: bool) -> (u64, u64) {
        self.reply.lines(&self.file.validator_lines);
        self.reply.lines(&self.file.type_line);
        self.reply.field("Accept-Ranges", "bytes");
        self.reply.content_length(length);
        self.reply.end();
        match self.file.content() {
            _ if is_head => (0, 0),
            Some(content) => {
                self.reply.content(&content[offset as usize..(offset + length) as usize]);
                (0, 0)
            }
            None => (offset, length),
        }
    }
}

fn wished(keep: bool, is_1_0: bool) -> Persistence {
    match (keep, is_1_0) {
        (false, _) => Persistence::Close,
        (true, true) => Persistence::KeepTold,
        (true, false) => Persistence::Keep,
    }
}

const PLAINTEXT: &[u8] = b"Hello, World!";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An error and the fields that belong to it.
type Refusal = (Status, &'static [(&'static str, &'static str)]);

/// RFC 9110 15.5.6: 405 names the methods that the resource has.
const ALLOW_READ: Refusal = (Status::METHOD_NOT_ALLOWED, &[("Allow", "GET, HEAD")]);
const ALLOW_POST: Refusal = (Status::METHOD_NOT_ALLOWED, &[("Allow", "POST")]);

#[cfg(test)]
mod tests;
