//! The application on both hosts: plays its side of each script and checks every call it gets.

use crate::book::{Book, Stage};
use crate::luck::Luck;
use crate::pattern;
use crate::script::{Closes, Kind};
use crore::{Closed, Conn, ConnId, ConnectError, Service, Turn};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// The service of one host.
pub(crate) struct Player {
    side: usize,
    book: Rc<RefCell<Book>>,
    luck: Luck,
    /// Peers that vanish are found out by the stack.
    has_keepalive: bool,
    /// The stack answers with cookies at times.
    may_forget: bool,
    wakes: BinaryHeap<Reverse<(u64, Wake)>>,
    buffer: Vec<u8>,
}

/// What a point in time is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wake {
    /// Opens a session's connection.
    Open(u32),
    /// Goes on with a session after a pause.
    Go(u32),
}

impl Player {
    pub(crate) fn new(
        side: usize,
        book: Rc<RefCell<Book>>,
        luck: Luck,
        start_us: u64,
        config: &crore::StackConfig,
    ) -> Self {
        let mut wakes = BinaryHeap::new();
        for (n, session) in book.borrow().sessions.iter().enumerate() {
            let script = &session.script;
            if script.opener == side || script.kind == Kind::BothOpen {
                wakes.push(Reverse((start_us + script.at_us, Wake::Open(n as u32))));
            }
        }
        let has_keepalive = config.keepalive_idle_ms.is_some();
        let sessions = book.borrow().sessions.len();
        let may_forget = config.always_cookies || (config.half_open_max as usize) < sessions;
        Self { side, book, luck, has_keepalive, may_forget, wakes, buffer: vec![0; 64 << 10] }
    }

    /// When it next has something to do by itself.
    pub(crate) fn next_wake_us(&self) -> Option<u64> {
        self.wakes.peek().map(|Reverse((at_us, _))| *at_us)
    }

    fn open(&mut self, session: u32, turn: &mut Turn<'_, u32>) {
        let (remote, local) = self.book.borrow().endpoints(session, self.side);
        match turn.connect(remote, local) {
            Ok(id) => {
                let Some(mut conn) = turn.conn(id) else {
                    return self.book.borrow_mut().fail("an opened connection is not live");
                };
                *conn.state() = session + 1;
                let tuple = (conn.local(), conn.remote());
                let mut book = self.book.borrow_mut();
                book.opening(session, self.side, tuple);
                book.sessions[session as usize].sides[self.side].conn = Some(id);
            }
            // The tuple lingers, or others have all places: later.
            Err(ConnectError::InUse | ConnectError::TableFull | ConnectError::NoPort) => {
                self.wake_in(turn.now_us(), 50_000, Wake::Open(session));
            }
            Err(error) => self.book.borrow_mut().fail(format!("session {session}: {error}")),
        }
    }

    fn wake_in(&mut self, now_us: u64, after_us: u64, wake: Wake) {
        self.wakes.push(Reverse((now_us + after_us, wake)));
    }

    /// Pauses a session for `ms` at most, by the means that its script names.
    fn pause(&mut self, conn: &mut Conn<'_, u32>, session: u32, ms: u64) {
        let now_us = conn.now_us();
        let ms = self.luck.below(ms + 1);
        let mut book = self.book.borrow_mut();
        let entry = &mut book.sessions[session as usize];
        let progress = &mut entry.sides[self.side];
        progress.paused = true;
        if entry.script.sides[self.side].uses_timer && progress.timer_us.is_none() {
            conn.set_timer_ms(Some(ms as u32));
            let due_us = (now_us / 1000 + ms) * 1000;
            progress.timer_us = Some((due_us, due_us + 64_000));
        } else {
            drop(book);
            self.wake_in(now_us, ms * 1000, Wake::Go(session));
        }
    }

    /// Sends as the script says, then closes or aborts if it is time to.
    fn go_on(&mut self, conn: &mut Conn<'_, u32>, session: u32) {
        for _ in 0..CHUNKS_MAX {
            if !self.send_chunk(conn, session) {
                return self.maybe_end(conn, session);
            }
        }
        self.wake_in(conn.now_us(), 1, Wake::Go(session));
    }

    /// Sends one chunk; false when there is nothing (more) to send now.
    fn send_chunk(&mut self, conn: &mut Conn<'_, u32>, session: u32) -> bool {
        let side = self.side;
        let mut book = self.book.borrow_mut();
        let entry = &mut book.sessions[session as usize];
        let (script, progress) = (&entry.script.sides[side], &mut entry.sides[side]);
        let left = script.send_bytes - progress.sent;
        let quiet = !progress.started || progress.blocked || progress.paused || progress.aborted;
        if !progress.stage.is_open() || quiet || script.echoes || left == 0 {
            return false;
        }
        if self.luck.chance(script.pause_per_mille) {
            let ms = script.pause_ms;
            drop(book);
            self.pause(conn, session, ms);
            return false;
        }
        let len = left.min(script.chunk_bytes as u64) as usize;
        let bytes = &mut self.buffer[..len];
        pattern::fill(pattern::key(session, side), progress.sent, bytes);
        let taken =
            if script.shares && len <= 1000 { send_shared(conn, bytes) } else { conn.send(bytes) };
        progress.sent += taken as u64;
        progress.blocked = taken < len;
        if taken > len {
            book.fail(format!("session {session}.{side}: send took {taken} of {len}"));
        }
        taken == len
    }

    fn maybe_end(&mut self, conn: &mut Conn<'_, u32>, session: u32) {
        let side = self.side;
        let mut book = self.book.borrow_mut();
        let entry = &mut book.sessions[session as usize];
        let (mine, peer) = (&entry.script.sides[side], &entry.script.sides[1 - side]);
        let progress = &mut entry.sides[side];
        if !progress.stage.is_open() || progress.aborted {
            return;
        }
        if mine.aborts_at.is_some_and(|at| progress.sent + progress.received >= at) {
            progress.aborted = true;
            conn.abort();
            book.say(|| format!("       [{session}.{side}] abort"));
            return;
        }
        let sent_all = progress.sent == mine.send_bytes;
        let time = match mine.closes {
            Closes::Sent => true,
            Closes::Received => progress.received == peer.send_bytes,
            Closes::PeerClosed => progress.stage == Stage::PeerClosed,
        };
        if sent_all && time && !progress.closed_own {
            progress.closed_own = true;
            conn.close();
            book.say(|| format!("       [{session}.{side}] close"));
        }
    }

    /// How many of the octets offered it consumes.
    fn consume(&mut self, conn: &mut Conn<'_, u32>, session: u32, bytes: &[u8]) -> usize {
        let side = self.side;
        let mut book = self.book.borrow_mut();
        book.offered(session, side, bytes);
        let entry = &mut book.sessions[session as usize];
        let (script, progress) = (&entry.script.sides[side], &mut entry.sides[side]);
        progress.started = true;
        if script.echoes && !progress.aborted {
            let mut copy = vec![0; bytes.len()];
            pattern::fill(pattern::key(session, side), progress.sent, &mut copy);
            let taken = conn.send(&copy);
            progress.sent += taken as u64;
            progress.received += taken as u64;
            return taken;
        }
        let stalls = progress.paused || self.luck.chance(script.stall_per_mille);
        let taken = if stalls { 0 } else { bytes.len().min(script.read_bytes) };
        progress.received += taken as u64;
        progress.stalled = taken < bytes.len();
        let (paused, ms) = (progress.paused, script.pause_ms);
        let waits_on = progress.stalled && !paused;
        drop(book);
        if waits_on && stalls {
            self.pause(conn, session, ms);
        } else if waits_on {
            self.wake_in(conn.now_us(), 0, Wake::Go(session));
        }
        taken
    }

    /// Goes on after a pause.
    fn resume(&mut self, conn: &mut Conn<'_, u32>, session: u32) {
        {
            let mut book = self.book.borrow_mut();
            let progress = &mut book.sessions[session as usize].sides[self.side];
            progress.paused = false;
            if progress.stalled {
                conn.resume();
            }
        }
        self.go_on(conn, session);
    }

    /// A peer that ended without a word that arrived is not missed before it is asked for
    /// (RFC 9293 3.5.1): whoever has nothing to say waits for ever. Such a side gives up here.
    pub(crate) fn bury_orphans(&mut self, turn: &mut Turn<'_, u32>) {
        let mut orphans = Vec::new();
        for session in &self.book.borrow().sessions {
            let [mine, peer] = [&session.sides[self.side], &session.sides[1 - self.side]];
            let gone = matches!(peer.stage, Stage::Closed(why) if why != Closed::Finished);
            let never = peer.stage == Stage::Unopened && session.script.kind == Kind::Listener;
            if (gone || never) && !self.has_keepalive {
                orphans.extend(mine.conn);
            }
        }
        for id in orphans {
            if let Some(mut conn) = turn.conn(id) {
                conn.abort();
            }
        }
    }
}

/// The session of a connection; `None` for a ghost.
fn session_of(conn: &mut Conn<'_, u32>) -> Option<u32> {
    conn.state().checked_sub(1)
}

fn send_shared(conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
    let Some(payload) = conn.share(bytes) else {
        // No block is free: plain `send` says so too, and sees to it that `writable` comes.
        return conn.send(bytes);
    };
    let taken = conn.send_shared(&payload);
    conn.release(payload);
    if taken { bytes.len() } else { 0 }
}

impl Service for Player {
    /// The session's number plus one; 0 for a ghost.
    type State = u32;

    fn accepted(&mut self, conn: &mut Conn<'_, u32>) {
        let tuple = (conn.remote(), conn.local());
        let session = self.book.borrow_mut().accepted(self.side, tuple, self.may_forget);
        let Some(session) = session else { return conn.abort() };
        *conn.state() = session + 1;
        self.book.borrow_mut().opened(session, self.side, conn.id(), Stage::Unopened);
        self.begin(conn, session);
    }

    fn connected(&mut self, conn: &mut Conn<'_, u32>) {
        let Some(session) = session_of(conn) else {
            return self.book.borrow_mut().fail("connected: a connection without a session");
        };
        self.book.borrow_mut().opened(session, self.side, conn.id(), Stage::Opening);
        self.begin(conn, session);
    }

    fn data(&mut self, conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        let Some(session) = session_of(conn) else { return bytes.len() };
        let taken = self.consume(conn, session, bytes);
        self.go_on(conn, session);
        taken
    }

    fn writable(&mut self, conn: &mut Conn<'_, u32>) {
        let Some(session) = session_of(conn) else { return };
        self.book.borrow_mut().sessions[session as usize].sides[self.side].blocked = false;
        self.go_on(conn, session);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, u32>) {
        let Some(session) = session_of(conn) else { return };
        {
            let mut book = self.book.borrow_mut();
            book.peer_closed(session, self.side);
            book.sessions[session as usize].sides[self.side].started = true;
        }
        self.go_on(conn, session);
    }

    fn closed(&mut self, conn: &mut Conn<'_, u32>, why: Closed) {
        let Some(session) = session_of(conn) else { return };
        self.book.borrow_mut().closed(session, self.side, why);
        *conn.state() = 0;
    }

    fn timer(&mut self, conn: &mut Conn<'_, u32>) {
        let Some(session) = session_of(conn) else { return };
        let now_us = conn.now_us();
        let mut book = self.book.borrow_mut();
        let progress = &mut book.sessions[session as usize].sides[self.side];
        match progress.timer_us.take() {
            None => book.fail(format!("session {session}.{}: a timer nobody set", self.side)),
            Some((due_us, late_us)) if now_us < due_us || now_us > late_us + TURNS_LATE_US => book
                .fail(format!(
                    "session {session}.{}: a timer for {due_us} to {late_us} us fired at {now_us}",
                    self.side
                )),
            Some(_) => {}
        }
        drop(book);
        self.resume(conn, session);
    }

    fn turn(&mut self, turn: &mut Turn<'_, u32>) {
        while let Some(Reverse((at_us, wake))) = self.wakes.peek().copied()
            && at_us <= turn.now_us()
        {
            self.wakes.pop();
            match wake {
                Wake::Open(session) => self.open(session, turn),
                Wake::Go(session) => {
                    let id: Option<ConnId> =
                        self.book.borrow().sessions[session as usize].sides[self.side].conn;
                    if let Some(mut conn) = id.and_then(|id| turn.conn(id)) {
                        self.resume(&mut conn, session);
                    }
                }
            }
        }
    }
}

impl Player {
    fn begin(&mut self, conn: &mut Conn<'_, u32>, session: u32) {
        {
            let mut book = self.book.borrow_mut();
            let entry = &mut book.sessions[session as usize];
            let script = &entry.script.sides[self.side];
            if let Some(on) = script.nodelay {
                conn.set_nodelay(on);
            }
            entry.sides[self.side].started = !script.waits;
        }
        self.go_on(conn, session);
    }
}

/// Chunks sent in one call; more follow in the next turn.
const CHUNKS_MAX: usize = 256;

/// Hosts with a small budget of timers for a turn come late to some.
const TURNS_LATE_US: u64 = 200_000;
