//! A client and a send queue without a network: what the tests talk to the server through.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::{Connection, HttpConfig, Output, Server};

/// One client of a server, with the stack between them played by hand.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) connection: Connection,
    pub(crate) line: Line,
    /// What the client sent and the server did not consume.
    pub(crate) unread: Vec<u8>,
}

/// The send queue, and what was asked of the connection.
#[expect(clippy::struct_excessive_bools, reason = "a record of what was asked")]
pub(crate) struct Line {
    /// Room of the whole queue, in bytes.
    pub(crate) queue_max: usize,
    /// Bytes queued that the client did not take.
    queue: Vec<u8>,
    /// Bytes that the client took.
    received: Vec<u8>,
    has_refused: bool,
    pub(crate) is_closed: bool,
    pub(crate) is_aborted: bool,
    is_resumed: bool,
    timer_us: Option<u64>,
    pub(crate) timers_set: usize,
    now_us: u64,
}

impl Output for Line {
    fn send(&mut self, bytes: &[u8]) -> usize {
        assert!(!self.is_closed || bytes.is_empty(), "sent after close");
        let taken = bytes.len().min(self.send_room());
        self.queue.extend_from_slice(&bytes[..taken]);
        self.has_refused |= taken < bytes.len();
        taken
    }

    fn send_room(&self) -> usize {
        self.queue_max - self.queue.len()
    }

    fn send_queued(&self) -> usize {
        self.queue.len()
    }

    fn close(&mut self) {
        assert!(!self.is_closed, "closed twice");
        self.is_closed = true;
    }

    fn abort(&mut self) {
        assert!(!self.is_aborted, "reset twice");
        self.is_aborted = true;
    }

    fn resume(&mut self) {
        assert!(!self.is_aborted, "resumed after a reset");
        self.is_resumed = true;
    }

    fn set_timer_ms(&mut self, after: u32) {
        self.timers_set += 1;
        self.timer_us = Some(self.now_us + u64::from(after) * 1_000);
    }

    fn now_us(&self) -> u64 {
        self.now_us
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S) + Duration::from_micros(self.now_us)
    }
}

impl Rig {
    pub(crate) fn new(config: HttpConfig) -> Self {
        let mut rig = Self {
            server: Server::new(config).expect("a server"),
            connection: Connection::default(),
            line: Line {
                queue_max: 64 << 10,
                queue: Vec::new(),
                received: Vec::new(),
                has_refused: false,
                is_closed: false,
                is_aborted: false,
                is_resumed: false,
                timer_us: None,
                timers_set: 0,
                now_us: 0,
            },
            unread: Vec::new(),
        };
        rig.server.accepted(&mut rig.connection, &mut rig.line);
        rig
    }

    /// The client sends; nothing is taken from the send queue.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.unread.extend_from_slice(bytes.as_ref());
        self.offer();
    }

    /// The client sends and takes all that comes back.
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.say(bytes);
        self.hear()
    }

    /// The client takes all that is queued, and what follows for that reason.
    pub(crate) fn hear(&mut self) -> String {
        while self.take(usize::MAX) > 0 {}
        let received = std::mem::take(&mut self.line.received);
        received.iter().map(|&byte| char::from(byte)).collect()
    }

    /// The client takes at most so many bytes from the queue.
    pub(crate) fn take(&mut self, most: usize) -> usize {
        let line = &mut self.line;
        let count = line.queue.len().min(most);
        line.received.extend(line.queue.drain(..count));
        if count > 0 && line.has_refused {
            line.has_refused = false;
            self.server.writable(&mut self.connection, &mut self.line);
            self.offer();
        }
        count
    }

    /// The client takes bytes from the queue, and the server is not told yet.
    pub(crate) fn take_quietly(&mut self, most: usize) {
        let line = &mut self.line;
        let count = line.queue.len().min(most);
        line.received.extend(line.queue.drain(..count));
    }

    /// The client sends its FIN, if the server took all before it.
    pub(crate) fn half_close(&mut self) {
        assert_eq!(self.unread, b"", "a FIN is only seen after all data");
        self.server.peer_closed(&mut self.connection, &mut self.line);
    }

    /// Time goes by; the timer runs out when its time comes.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let end = self.line.now_us + ms * 1_000;
        while let Some(due) = self.line.timer_us.filter(|&due| due <= end) {
            self.line.now_us = due;
            self.line.timer_us = None;
            self.server.timer(&mut self.connection, &mut self.line);
            if self.line.is_resumed {
                self.offer();
            }
        }
        self.line.now_us = end;
    }

    /// True when this connection owns nothing beyond its 16 bytes.
    pub(crate) fn owns_nothing(&self) -> bool {
        self.server.exchanges_in_use() == (0, 0)
    }

    fn offer(&mut self) {
        loop {
            self.line.is_resumed = false;
            if self.unread.is_empty() || self.line.is_aborted {
                return;
            }
            let used = self.server.data(&mut self.connection, &mut self.line, &self.unread);
            self.unread.drain(..used);
            if !self.line.is_resumed {
                return;
            }
        }
    }
}

/// A directory of files to serve, gone when dropped.
pub(crate) struct Site {
    outer: PathBuf,
}

impl Site {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("crore-http-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let site = Self { outer: std::env::temp_dir().join(name) };
        for directory in ["root/docs", "root/bare", "root/deep/index.html"] {
            fs::create_dir_all(site.outer.join(directory)).expect("a directory");
        }
        fs::write(site.outer.join("secret.txt"), "secret").expect("a file");
        fs::create_dir_all(site.outer.join("rootless")).expect("a directory");
        fs::write(site.outer.join("rootless/secret.txt"), "secret").expect("a file");
        site.write("index.html", b"<p>home</p>\n");
        site.write("hello.txt", b"0123456789");
        site.write("empty.bin", b"");
        site.write("big.bin", &big());
        site.write("docs/index.html", b"<p>docs</p>\n");
        site.write("docs/a b%.css", b"p {}\n");
        for (name, leads_to) in [
            ("inside", "docs/../hello.txt"),
            ("up", "../secret.txt"),
            ("up-directory", ".."),
            ("absolute", "/etc/passwd"),
            ("process", "/proc/self/environ"),
            ("round", "round"),
        ] {
            symlink(leads_to, site.root().join(name)).expect("a link");
        }
        site
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.outer.join("root")
    }

    pub(crate) fn config(&self) -> HttpConfig {
        HttpConfig { root: Some(self.root()), ..HttpConfig::default() }
    }

    /// Writes a file that was last changed at [`CHANGED`].
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        self.write_as_of(name, content, CHANGED_S);
    }

    /// Writes a file that was last changed at this time.
    pub(crate) fn write_as_of(&self, name: &str, content: &[u8], changed_s: u64) {
        let path = self.root().join(name);
        fs::write(&path, content).expect("a file");
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed_s);
        fs::File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(changed))
            .expect("a time of change");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A directory left behind hurts nobody; a panic while panicking would hide the first.
        let _ = fs::remove_dir_all(&self.outer);
    }
}

/// A file that is sent in pieces: no two pieces of it are alike.
pub(crate) fn big() -> Vec<u8> {
    (0..BIG_BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A reply with these fields and content, as it must be on the line.
pub(crate) fn reply(status: &str, fields: &str, content: &str) -> String {
    format!("HTTP/1.1 {status}\r\nServer: crore\r\nDate: {DATE}\r\n{fields}\r\n{content}")
}

/// An error reply after which the connection persists.
pub(crate) fn error(status: &str, fields: &str) -> String {
    reply(status, &format!("{fields}{}", error_fields(status)), &format!("{status}\n"))
}

/// An error reply that is the last one.
pub(crate) fn last_error(status: &str) -> String {
    error(status, "Connection: close\r\n")
}

/// The field lines that describe an error's content.
pub(crate) fn error_fields(status: &str) -> String {
    let length = status.len() + 1;
    format!("Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n")
}

/// The reply to `/plaintext`.
pub(crate) fn hello() -> String {
    reply("200 OK", "Content-Type: text/plain\r\nContent-Length: 13\r\n", "Hello, World!")
}

/// The reply to a POST to `/echo`.
pub(crate) fn echoed(content: &str) -> String {
    let length = content.len();
    let fields = format!("Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n");
    reply("200 OK", &fields, content)
}

/// Length of `big.bin`.
pub(crate) const BIG_BYTES: usize = 300_001;

/// When all rigs begin.
pub(crate) const NOW_S: u64 = 1_700_000_000;
pub(crate) const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// When all files of a site were last changed.
const CHANGED_S: u64 = 1_600_000_000;
pub(crate) const CHANGED: &str = "Sun, 13 Sep 2020 12:26:40 GMT";
