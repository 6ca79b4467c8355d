//! The application on a host: plays its side of each script and checks every call it gets.
//!
//! Connections of liars are played in [`strangers`]: of them nothing is expected.

mod strangers;

use self::strangers::Strangers;
use crate::addresses;
use crate::book::{Book, Stage};
use crate::luck::Luck;
use crate::mix::Mix;
use crate::pattern;
use crate::script::{Closes, Kind};
use crore::{Closed, Conn, ConnId, ConnectError, Payload, Service, State, Turn};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::rc::Rc;

/// The service of one host. Its times are the host's own clock's.
pub(crate) struct Player {
    host: usize,
    book: Rc<RefCell<Book>>,
    luck: Luck,
    /// The host's clock is so far ahead of the run's.
    clock_us: u64,
    /// It leapt, or the host stood still: what is late says nothing.
    pub(crate) is_unsteady: bool,
    /// Peers that vanish are found out by the stack.
    has_keepalive: bool,
    /// The stack may make connections of what is left of older ones: it answers with cookies, takes
    /// octets on SYNs, or has forgotten what was before a restart.
    may_forget: bool,
    /// Nodes from this number on are liars.
    liars_from: usize,
    wakes: BinaryHeap<Reverse<(u64, Wake)>>,
    strangers: Strangers,
    /// Blocks that a fault has it keep, while there is one.
    hoard: Option<Vec<Payload>>,
    /// How often it closed in SYN-RECEIVED.
    pub(crate) closed_in_syn_received: u64,
    buffer: Vec<u8>,
}

/// What a point in time is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wake {
    /// Opens a session's connection.
    Open(u32),
    /// Goes on with a session after a pause.
    Go(u32),
    /// Closes a session's connection, if it is not open yet.
    GiveUp(u32),
    /// Opens a connection to a liar.
    Visit(u32),
}

impl Player {
    /// `clock_us`: what the host's clock is ahead of the run's; `now_us`: the run's time.
    pub(crate) fn new(
        host: usize,
        book: Rc<RefCell<Book>>,
        luck: Luck,
        mix: &Mix,
        clock_us: u64,
        now_us: u64,
        restarts: u64,
    ) -> Self {
        let mut player = Self {
            host,
            luck,
            clock_us,
            is_unsteady: false,
            has_keepalive: mix.hosts[host].keepalive_idle_ms.is_some(),
            may_forget: mix.hosts[host].may_forget(mix.sessions.len())
                || mix.hosts[host].fast_open
                || restarts > 0,
            liars_from: mix.hosts.len(),
            wakes: BinaryHeap::new(),
            strangers: Strangers::default(),
            hoard: None,
            closed_in_syn_received: 0,
            buffer: vec![0; BUFFER_BYTES],
            book,
        };
        player.plan(mix, now_us);
        player
    }

    /// What it has to open from `now_us` on, by its scripts.
    fn plan(&mut self, mix: &Mix, now_us: u64) {
        let book = Rc::clone(&self.book);
        for (n, session) in book.borrow().sessions.iter().enumerate() {
            let script = &session.script;
            let [opener, other] = script.hosts;
            let opens = opener == self.host || script.kind == Kind::BothOpen && other == self.host;
            let side = script.side_on(self.host);
            if opens && session.sides[side].stage == Stage::Unopened {
                let at_us = script.at_us.max(now_us) + self.clock_us;
                self.wakes.push(Reverse((at_us, Wake::Open(n as u32))));
            }
        }
        for (n, liar) in mix.liars.iter().enumerate() {
            for &(host, at_us) in &liar.visits {
                if host == self.host && at_us >= now_us {
                    self.wakes.push(Reverse((at_us + self.clock_us, Wake::Visit(n as u32))));
                }
            }
        }
    }

    /// The clock leapt ahead.
    pub(crate) fn leapt(&mut self, by_us: u64) {
        self.clock_us += by_us;
        self.is_unsteady = true;
    }

    /// When it next has something to do by itself, by its own clock.
    pub(crate) fn next_wake_us(&self) -> Option<u64> {
        self.wakes.peek().map(|Reverse((at_us, _))| *at_us)
    }

    /// Takes all blocks of the pool that there are, in each turn from now on; or gives them back.
    pub(crate) fn hoard(&mut self, begins: bool, turn: &mut Turn<'_, u32>) {
        if begins {
            self.hoard.get_or_insert_default();
            self.take_blocks(turn);
        } else {
            for payload in self.hoard.take().into_iter().flatten() {
                turn.release(payload);
            }
        }
    }

    /// Blocks that it keeps.
    pub(crate) fn hoarded(&self) -> u32 {
        self.hoard.as_ref().map_or(0, Vec::len) as u32
    }

    fn take_blocks(&mut self, turn: &mut Turn<'_, u32>) {
        let Some(hoard) = &mut self.hoard else { return };
        for len in [2016, 480, 160] {
            while let Some(payload) = turn.share(&self.buffer[..len]) {
                hoard.push(payload);
            }
        }
    }

    fn open(&mut self, session: u32, turn: &mut Turn<'_, u32>) {
        let side = self.side_of(session);
        let (remote, local) = self.book.borrow().endpoints(session, side);
        match self.connect(session, side, (remote, local), turn) {
            Ok((id, queued)) => {
                let Some(mut conn) = turn.conn(id) else {
                    return self.book.borrow_mut().fail("an opened connection is not live");
                };
                *conn.state() = session + 1;
                let tuple = (conn.local(), conn.remote());
                let (now_us, clock_us) = (turn.now_us(), self.clock_us);
                let iss = turn.stack().tcb(id.index).snd_una.0;
                let mut book = self.book.borrow_mut();
                book.opening(session, side, tuple, iss, now_us - clock_us);
                let entry = &mut book.sessions[session as usize];
                entry.sides[side].conn = Some(id);
                entry.sides[side].sent = queued as u64;
                if let (0, Some(ms)) = (side, entry.script.gives_up_ms) {
                    let wake = Wake::GiveUp(session);
                    self.wakes.push(Reverse((now_us + ms * 1000, wake)));
                }
            }
            // The tuple lingers, or others have all places: later, and less and less often.
            Err(ConnectError::InUse | ConnectError::TableFull | ConnectError::NoPort) => {
                let at_us = self.book.borrow().sessions[session as usize].script.at_us;
                let now_us = turn.now_us();
                let waited_us = now_us.saturating_sub(self.clock_us + at_us);
                self.wake_in(now_us, (waited_us / 32).max(50_000), Wake::Open(session));
            }
            Err(error) => self.book.borrow_mut().fail(format!("session {session}: {error}")),
        }
    }

    /// Opens a connection, with its first octets on the SYN if the script says so; also says how
    /// many octets it took.
    fn connect(
        &mut self,
        session: u32,
        side: usize,
        (remote, local): (SocketAddr, Option<SocketAddr>),
        turn: &mut Turn<'_, u32>,
    ) -> Result<(ConnId, usize), ConnectError> {
        let len = match side {
            0 => self.book.borrow().sessions[session as usize].script.octets_on_syn(),
            _ => 0,
        };
        if len == 0 {
            return turn.connect(remote, local).map(|id| (id, 0));
        }
        let bytes = &mut self.buffer[..len];
        pattern::fill(pattern::key(session, side), 0, bytes);
        turn.connect_fast_open(remote, local, bytes)
    }

    /// Which side of a session is played here.
    fn side_of(&self, session: u32) -> usize {
        self.book.borrow().sessions[session as usize].script.side_on(self.host)
    }

    /// CLOSE of a connection that is not open yet (RFC 9293 3.10.4): in SYN-SENT it ends at once,
    /// in SYN-RECEIVED a FIN follows when it opens.
    fn give_up(&mut self, session: u32, turn: &mut Turn<'_, u32>) {
        let mut book = self.book.borrow_mut();
        let entry = &mut book.sessions[session as usize];
        let ([script, peer], progress) = (&mut entry.script.sides, &mut entry.sides[0]);
        let Some(conn) = progress.conn.filter(|_| progress.stage == Stage::Opening) else { return };
        let in_syn_received = turn.stack().tcb(conn.index).state() == State::SynReceived;
        let Some(mut conn) = turn.conn(conn) else { return };
        if in_syn_received && self.luck.chance(500) {
            progress.aborted = true;
            conn.abort();
            return book.say(|| format!("       [{session}.0] aborts before it is open"));
        }
        if in_syn_received {
            self.closed_in_syn_received += 1;
            // Nobody gets more than was sent by now, nor waits for it.
            script.send_bytes = progress.sent;
            script.echoes = false;
            if peer.echoes {
                (peer.echoes, peer.send_bytes) = (false, 0);
            }
            progress.closed_own = true;
        } else {
            progress.aborted = true;
        }
        conn.close();
        book.say(|| format!("       [{session}.0] closes before it is open"));
    }

    fn wake_in(&mut self, now_us: u64, after_us: u64, wake: Wake) {
        self.wakes.push(Reverse((now_us + after_us, wake)));
    }

    /// Pauses a session for `ms` at most, by the means that its script names.
    fn pause(&mut self, conn: &mut Conn<'_, u32>, session: u32, ms: u64) {
        let now_us = conn.now_us();
        let ms = self.luck.below(ms + 1);
        let side = self.side_of(session);
        let mut book = self.book.borrow_mut();
        let entry = &mut book.sessions[session as usize];
        let progress = &mut entry.sides[side];
        progress.paused = true;
        if entry.script.sides[side].uses_timer && progress.timer_us.is_none() {
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
        let side = self.side_of(session);
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
        let side = self.side_of(session);
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
        let side = self.side_of(session);
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
        let side = self.side_of(session);
        {
            let mut book = self.book.borrow_mut();
            let progress = &mut book.sessions[session as usize].sides[side];
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
            if !session.script.hosts.contains(&self.host) {
                continue;
            }
            let side = session.script.side_on(self.host);
            let [mine, peer] = [&session.sides[side], &session.sides[1 - side]];
            let gone = peer.stage.was_cut_short();
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

/// The session of a connection; `None` for a ghost, and for a stranger's.
fn session_of(conn: &mut Conn<'_, u32>) -> Option<u32> {
    conn.state().checked_sub(1).filter(|&session| session != STRANGER - 1)
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
    /// The session's number plus one; 0 for a ghost, [`STRANGER`] for a liar's.
    type State = u32;

    fn accepted(&mut self, conn: &mut Conn<'_, u32>) {
        let from = addresses::place_of(conn.remote().ip());
        if from.is_some_and(|place| place.node >= self.liars_from) {
            *conn.state() = STRANGER;
            return self.strangers.begin(conn, &mut self.luck);
        }
        let tuple = (conn.remote(), conn.local());
        let rcv_nxt = conn.tcb().rcv_nxt.0;
        let mut book = self.book.borrow_mut();
        let is_early = conn.tcb().state() == State::FastOpened;
        let session = book.accepted(self.host, tuple, (rcv_nxt, is_early), self.may_forget);
        drop(book);
        let Some(session) = session else { return conn.abort() };
        *conn.state() = session + 1;
        self.opened(conn, session, Stage::Unopened);
    }

    fn connected(&mut self, conn: &mut Conn<'_, u32>) {
        if *conn.state() == STRANGER {
            return self.strangers.begin(conn, &mut self.luck);
        }
        let Some(session) = session_of(conn) else {
            return self.book.borrow_mut().fail("connected: a connection without a session");
        };
        self.opened(conn, session, Stage::Opening);
    }

    fn data(&mut self, conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        if *conn.state() == STRANGER {
            return self.strangers.data(conn, bytes);
        }
        let Some(session) = session_of(conn) else { return bytes.len() };
        let taken = self.consume(conn, session, bytes);
        self.go_on(conn, session);
        taken
    }

    fn writable(&mut self, conn: &mut Conn<'_, u32>) {
        if *conn.state() == STRANGER {
            return self.strangers.go_on(conn);
        }
        let Some(session) = session_of(conn) else { return };
        let side = self.side_of(session);
        self.book.borrow_mut().sessions[session as usize].sides[side].blocked = false;
        self.go_on(conn, session);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, u32>) {
        if *conn.state() == STRANGER {
            return conn.close();
        }
        let Some(session) = session_of(conn) else { return };
        let side = self.side_of(session);
        {
            let mut book = self.book.borrow_mut();
            book.peer_closed(session, side);
            book.sessions[session as usize].sides[side].started = true;
        }
        self.go_on(conn, session);
    }

    fn closed(&mut self, conn: &mut Conn<'_, u32>, why: Closed) {
        if *conn.state() == STRANGER {
            self.strangers.end(conn);
        }
        let Some(session) = session_of(conn) else { return };
        let (side, now_us) = (self.side_of(session), conn.now_us() - self.clock_us);
        self.book.borrow_mut().closed(session, side, why, now_us);
        *conn.state() = 0;
    }

    fn timer(&mut self, conn: &mut Conn<'_, u32>) {
        if *conn.state() == STRANGER {
            return conn.abort();
        }
        let Some(session) = session_of(conn) else { return };
        let (side, now_us) = (self.side_of(session), conn.now_us());
        let mut book = self.book.borrow_mut();
        let progress = &mut book.sessions[session as usize].sides[side];
        match progress.timer_us.take() {
            None => book.fail(format!("session {session}.{side}: a timer nobody set")),
            Some((due_us, late_us))
                if now_us < due_us || now_us > late_us + TURNS_LATE_US && !self.is_unsteady =>
            {
                book.fail(format!(
                    "session {session}.{side}: a timer for {due_us} to {late_us} us fired at \
                     {now_us}"
                ));
            }
            Some(_) => {}
        }
        drop(book);
        self.resume(conn, session);
    }

    fn turn(&mut self, turn: &mut Turn<'_, u32>) {
        self.take_blocks(turn);
        while let Some(Reverse((at_us, wake))) = self.wakes.peek().copied()
            && at_us <= turn.now_us()
        {
            self.wakes.pop();
            match wake {
                Wake::Open(session) => self.open(session, turn),
                Wake::Go(session) => {
                    let side = self.side_of(session);
                    let id: Option<ConnId> =
                        self.book.borrow().sessions[session as usize].sides[side].conn;
                    if let Some(mut conn) = id.and_then(|id| turn.conn(id)) {
                        self.resume(&mut conn, session);
                    }
                }
                Wake::GiveUp(session) => self.give_up(session, turn),
                Wake::Visit(liar) => self.visit(liar, turn),
            }
        }
    }
}

impl Player {
    fn visit(&mut self, liar: u32, turn: &mut Turn<'_, u32>) {
        strangers::visit(self.liars_from + liar as usize, turn, &mut self.luck);
    }

    fn opened(&mut self, conn: &mut Conn<'_, u32>, session: u32, from: Stage) {
        let (side, now_us) = (self.side_of(session), conn.now_us() - self.clock_us);
        {
            let mut book = self.book.borrow_mut();
            book.opened(session, side, conn.id(), from, now_us);
            let entry = &mut book.sessions[session as usize];
            let script = &entry.script.sides[side];
            if let Some(on) = script.nodelay {
                conn.set_nodelay(on);
            }
            entry.sides[side].started = !script.waits;
        }
        self.go_on(conn, session);
    }
}

/// The state of a connection to a liar.
const STRANGER: u32 = u32::MAX;

/// Chunks sent in one call; more follow in the next turn.
const CHUNKS_MAX: usize = 256;

/// Hosts with a small budget of timers for a turn come late to some.
const TURNS_LATE_US: u64 = 200_000;

/// The largest chunk.
const BUFFER_BYTES: usize = 16 << 10;
