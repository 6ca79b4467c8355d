//! What both applications have done and seen so far, session by session, and what is wrong with it.
//!
//! The book is the one thing that both hosts share: it knows what one side sent, so it can judge
//! what the other side gets.

use crate::addresses::{address, nobody};
use crate::pattern;
use crate::script::{Kind, Script};
use crore::{Closed, ConnId};
use std::collections::HashMap;
use std::net::SocketAddr;

/// All sessions of a run.
pub(crate) struct Book {
    pub(crate) sessions: Vec<Session>,
    /// Sessions by the opener's and the acceptor's endpoint, with the opener's initial sequence
    /// number: a tuple's next user may be there while segments of the last one still come.
    tuples: HashMap<(SocketAddr, SocketAddr), Vec<(u32, u32)>>,
    /// The first thing that went wrong.
    failure: Option<String>,
    /// Connections accepted that no session stands for, see [`Book::accepted`].
    pub(crate) ghosts: u64,
    /// How often each host moved to other addresses.
    pub(crate) moved: Vec<u8>,
    /// Sessions from this one on are over.
    open: usize,
    /// What happened, for the trace: drained by the run.
    pub(crate) lines: Option<Vec<String>>,
}

/// One session: its script and its two sides.
pub(crate) struct Session {
    pub(crate) script: Script,
    pub(crate) sides: [Progress; 2],
}

impl Session {
    /// True when nothing more will happen to it.
    fn is_over(&self) -> bool {
        let ended = |side: usize| self.sides[side].stage.has_ended();
        if self.script.kind == Kind::BothOpen {
            return ended(0) && ended(1);
        }
        let never = self.sides[1].stage == Stage::Unopened;
        ended(0) && (never || ended(1))
    }
}

/// How far one side of a session is.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what happened so far, each independent")]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) conn: Option<ConnId>,
    /// Octets that the stack took.
    pub(crate) sent: u64,
    /// Octets consumed.
    pub(crate) received: u64,
    /// It may send: it does not wait for the peer any more.
    pub(crate) started: bool,
    /// `send` took less than offered; `writable` is awaited.
    pub(crate) blocked: bool,
    /// It pauses: a wake-up is set.
    pub(crate) paused: bool,
    /// Left octets unconsumed.
    pub(crate) stalled: bool,
    /// The time before which, and after which, the connection's timer must not fire.
    pub(crate) timer_us: Option<(u64, u64)>,
    /// It called `close`.
    pub(crate) closed_own: bool,
    /// It called `abort`.
    pub(crate) aborted: bool,
    /// When it was opened, and when it ended, in the run's time.
    pub(crate) opened_us: Option<u64>,
    /// It was open, and not only opening.
    pub(crate) was_open: bool,
    /// It was accepted with its SYN, before it was sure that somebody opens it.
    pub(crate) was_early: bool,
    pub(crate) ended_us: Option<u64>,
}

/// Where a side is in the legal order of calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Stage {
    /// Nothing yet.
    #[default]
    Unopened,
    /// `connect` was called.
    Opening,
    /// After `connected` or `accepted`.
    Open,
    /// After `peer_closed`.
    PeerClosed,
    /// After `closed`.
    Closed(Closed),
    /// Its host was switched off.
    Lost,
}

impl Stage {
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Stage::Open | Stage::PeerClosed)
    }

    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Stage::Closed(_) | Stage::Lost)
    }

    /// It ended before its time, so that the peer's end may be early as well.
    pub(crate) fn was_cut_short(self) -> bool {
        self == Stage::Lost || matches!(self, Stage::Closed(why) if why != Closed::Finished)
    }

    pub(crate) fn has_begun_and_not_ended(self) -> bool {
        self == Stage::Opening || self.is_open()
    }
}

impl Book {
    pub(crate) fn new(scripts: &[Script], hosts: usize, has_trace: bool) -> Self {
        let sessions: Vec<Session> = scripts
            .iter()
            .cloned()
            .map(|script| Session { script, sides: [Progress::default(), Progress::default()] })
            .collect();
        let lines = has_trace.then(Vec::new);
        let open = sessions.len();
        let moved = vec![0; hosts];
        Self { sessions, tuples: HashMap::new(), failure: None, ghosts: 0, moved, open, lines }
    }

    /// Notes that something is wrong; the first note counts.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        if self.failure.is_none() {
            self.failure = Some(what.into());
        }
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Adds to the trace.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    /// The remote endpoint that `side` opens to, and the local one if the script names it.
    pub(crate) fn endpoints(&self, session: u32, side: usize) -> (SocketAddr, Option<SocketAddr>) {
        let script = &self.sessions[session as usize].script;
        let host = |side: usize| {
            let n = script.hosts[side];
            address(n, self.moved[n], script.address[side], script.over_v6)
        };
        let (to, port) = match script.kind {
            Kind::Listener => (host(1 - side), LISTENING_PORT),
            Kind::ClosedPort => (host(1 - side), 81),
            Kind::BothOpen => (host(1 - side), script.local_port.unwrap_or_default()),
            Kind::Nobody => {
                let k = script.address[1];
                (nobody(script.hosts[1 - side], k, script.over_v6), LISTENING_PORT)
            }
        };
        let local = script.local_port.map(|port| SocketAddr::new(host(side), port));
        (SocketAddr::new(to, port), local)
    }

    /// Endpoints of a session's connection, opener's first; `None` while it has none.
    pub(crate) fn tuple_of(&self, session: u32) -> Option<(SocketAddr, SocketAddr)> {
        let is_of = |users: &[(u32, u32)]| users.iter().any(|&(user, _)| user == session);
        self.tuples.iter().filter(|(_, users)| is_of(users)).map(|(&tuple, _)| tuple).min()
    }

    /// `side` opened the session's connection, from `local` to `remote`.
    pub(crate) fn opening(
        &mut self,
        session: u32,
        side: usize,
        tuple: (SocketAddr, SocketAddr),
        iss: u32,
        now_us: u64,
    ) {
        self.tuples.entry(tuple).or_default().push((session, iss));
        let progress = &mut self.sessions[session as usize].sides[side];
        if progress.stage != Stage::Unopened {
            let stage = progress.stage;
            self.fail(format!("session {session}: opened in stage {stage:?}"));
            return;
        }
        progress.stage = Stage::Opening;
        progress.opened_us = Some(now_us);
        self.say(|| format!("       [{session}.{side}] connect"));
    }

    /// The session that a connection accepted by `host` is of. `None`: an old duplicate with a
    /// valid cookie made a connection that its opener has long left; see RFC 4987 3.6.
    pub(crate) fn accepted(
        &mut self,
        host: usize,
        tuple: (SocketAddr, SocketAddr),
        (rcv_nxt, is_early): (u32, bool),
        may_be_ghost: bool,
    ) -> Option<u32> {
        // What came with the handshake's last segment is counted already.
        let is_of = |iss: u32| rcv_nxt.wrapping_sub(iss) <= SEGMENT_MAX;
        let users = self.tuples.get(&tuple).into_iter().flatten();
        // Who has not heard an answer to its SYN cannot have acknowledged it: its numbers are near
        // when octets of the tuple's last user are counted in the same turn. With Fast Open the SYN
        // is enough.
        let was_open = |session: u32| self.sessions[session as usize].sides[0].was_open;
        let has_answer = |session: u32| is_early || was_open(session);
        let users = users.filter(|&&(session, iss)| is_of(iss) && has_answer(session));
        // One tuple's numbers go up with time (RFC 6528): the last that began before is it.
        let session = users.min_by_key(|&&(_, iss)| rcv_nxt.wrapping_sub(iss));
        let session = session.map(|&(session, _)| session);
        let fresh = session.filter(|&session| {
            let session = &self.sessions[session as usize];
            session.script.hosts[1] == host && session.sides[1].stage == Stage::Unopened
        });
        if let Some(session) = fresh {
            self.sessions[session as usize].sides[1].was_early = is_early;
        } else {
            self.ghosts += 1;
            if !may_be_ghost {
                self.fail(format!("host {host} accepted {tuple:?}, session {session:?}, again"));
            }
        }
        fresh
    }

    /// A side's `accepted` or `connected` call.
    pub(crate) fn opened(
        &mut self,
        session: u32,
        side: usize,
        conn: ConnId,
        from: Stage,
        now_us: u64,
    ) {
        let progress = &mut self.sessions[session as usize].sides[side];
        let stage = progress.stage;
        progress.stage = Stage::Open;
        progress.was_open = true;
        progress.opened_us.get_or_insert(now_us);
        progress.conn = Some(conn);
        if stage != from {
            self.fail(format!("session {session}.{side}: opened in stage {stage:?}"));
        }
        self.say(|| format!("       [{session}.{side}] open"));
    }

    /// Octets offered to a side: they must continue the peer's stream.
    pub(crate) fn offered(&mut self, session: u32, side: usize, bytes: &[u8]) {
        let both = &self.sessions[session as usize].sides;
        let (mine, peer) = (&both[side], &both[1 - side]);
        let (at, stage) = (mine.received, mine.stage);
        let end = at + bytes.len() as u64;
        if stage != Stage::Open {
            self.fail(format!("session {session}.{side}: data in stage {stage:?}"));
        } else if bytes.is_empty() {
            self.fail(format!("session {session}.{side}: data without octets"));
        } else if end > peer.sent {
            let sent = peer.sent;
            self.fail(format!("session {session}.{side}: {end} octets came, {sent} were sent"));
        } else if let Some(wrong) = pattern::mismatch(pattern::key(session, 1 - side), at, bytes) {
            let len = bytes.len();
            self.fail(format!(
                "session {session}.{side}: octet {} is wrong ({wrong} of {len} offered at {at})",
                at + wrong as u64
            ));
        }
    }

    /// The peer's end: all that it sent must have been consumed.
    pub(crate) fn peer_closed(&mut self, session: u32, side: usize) {
        let both = &mut self.sessions[session as usize].sides;
        let (stage, received) = (both[side].stage, both[side].received);
        let peer = both[1 - side].clone();
        both[side].stage = Stage::PeerClosed;
        if stage != Stage::Open {
            self.fail(format!("session {session}.{side}: peer_closed in stage {stage:?}"));
        } else if !peer.closed_own || received != peer.sent {
            let (sent, closed) = (peer.sent, peer.closed_own);
            self.fail(format!(
                "session {session}.{side}: peer_closed after {received} octets; the peer sent \
                 {sent}, closed: {closed}"
            ));
        }
        self.say(|| format!("       [{session}.{side}] peer_closed after {received}"));
    }

    /// A side's last call.
    pub(crate) fn closed(&mut self, session: u32, side: usize, why: Closed, now_us: u64) {
        let entry = &mut self.sessions[session as usize];
        let bytes = [0, 1].map(|side| entry.script.sides[side].send_bytes);
        let mine = &mut entry.sides[side];
        let stage = mine.stage;
        mine.stage = Stage::Closed(why);
        mine.conn = None;
        mine.ended_us = Some(now_us);
        let all = mine.sent == bytes[side] && mine.received == bytes[1 - side];
        let proper = stage == Stage::PeerClosed && mine.closed_own && all;
        let (sent, received) = (mine.sent, mine.received);
        if !stage.has_begun_and_not_ended() {
            self.fail(format!("session {session}.{side}: closed ({why:?}) in stage {stage:?}"));
        } else if why == Closed::Finished && !proper {
            self.fail(format!(
                "session {session}.{side}: finished in stage {stage:?}, {sent} of {} sent, \
                 {received} of {} received",
                bytes[side],
                bytes[1 - side]
            ));
        }
        self.say(|| format!("       [{session}.{side}] closed {why:?}"));
    }

    /// A host was switched off: its sides of sessions are no more.
    pub(crate) fn lost(&mut self, host: usize, now_us: u64) {
        for session in &mut self.sessions {
            if !session.script.hosts.contains(&host) {
                continue;
            }
            let progress = &mut session.sides[session.script.side_on(host)];
            if progress.stage.has_begun_and_not_ended() {
                progress.stage = Stage::Lost;
                progress.conn = None;
                progress.ended_us = Some(now_us);
            }
        }
    }

    /// True when nothing more will happen to any session.
    pub(crate) fn all_over(&mut self) -> bool {
        // From the end, so that most calls look at one session only.
        while self.open > 0 && self.sessions[self.open - 1].is_over() {
            self.open -= 1;
        }
        self.open == 0
    }

    /// The sessions that are not over, for a failure's text.
    pub(crate) fn unfinished(&self) -> String {
        let mut text = String::new();
        for (n, session) in self.sessions.iter().enumerate() {
            if !session.is_over() {
                use std::fmt::Write as _;
                let _ = write!(text, "\n  session {n}: {:?}", session.script);
                for progress in &session.sides {
                    let _ = write!(text, "\n    {progress:?}");
                }
            }
        }
        text
    }
}

/// Sequence numbers that one segment can take.
const SEGMENT_MAX: u32 = 1 << 17;

/// The port that both hosts listen on.
pub(crate) const LISTENING_PORT: u16 = 80;
