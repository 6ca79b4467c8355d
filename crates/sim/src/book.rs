//! What both applications have done and seen so far, session by session, and what is wrong with it.
//!
//! The book is the one thing that both hosts share: it knows what one side sent, so it can judge
//! what the other side gets.

use crate::mix::address;
use crate::pattern;
use crate::script::{Kind, Script};
use crore::{Closed, ConnId};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// All sessions of a run.
pub(crate) struct Book {
    pub(crate) sessions: Vec<Session>,
    /// Sessions by the opener's and the acceptor's endpoint, the newest of each.
    tuples: HashMap<(SocketAddr, SocketAddr), u32>,
    /// The first thing that went wrong.
    failure: Option<String>,
    /// Connections accepted that no session stands for, see [`Book::accepted`].
    pub(crate) ghosts: u64,
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
        let ended = |side: usize| matches!(self.sides[side].stage, Stage::Closed(_));
        let opener = self.script.opener;
        if self.script.kind == Kind::BothOpen {
            return ended(0) && ended(1);
        }
        let never = self.sides[1 - opener].stage == Stage::Unopened;
        ended(opener) && (never || ended(1 - opener))
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
}

impl Stage {
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Stage::Open | Stage::PeerClosed)
    }

    fn has_begun_and_not_ended(self) -> bool {
        self == Stage::Opening || self.is_open()
    }
}

impl Book {
    pub(crate) fn new(scripts: Vec<Script>, has_trace: bool) -> Self {
        let sessions = scripts
            .into_iter()
            .map(|script| Session { script, sides: [Progress::default(), Progress::default()] })
            .collect();
        let lines = has_trace.then(Vec::new);
        Self { sessions, tuples: HashMap::new(), failure: None, ghosts: 0, lines }
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
        let host = |side: usize| address(side, script.address[side], script.over_v6);
        let port = match script.kind {
            Kind::Listener | Kind::Nobody => LISTENING_PORT,
            Kind::ClosedPort => 81,
            Kind::BothOpen => script.local_port.unwrap_or_default(),
        };
        let to = match (script.kind, host(1 - side)) {
            (Kind::Nobody, IpAddr::V4(v4)) => IpAddr::V4((v4.to_bits() | 0x80).into()),
            (Kind::Nobody, IpAddr::V6(v6)) => IpAddr::V6((v6.to_bits() | 0x8000).into()),
            (_, to) => to,
        };
        let local = script.local_port.map(|port| SocketAddr::new(host(side), port));
        (SocketAddr::new(to, port), local)
    }

    /// `side` opened the session's connection, from `local` to `remote`.
    pub(crate) fn opening(&mut self, session: u32, side: usize, tuple: (SocketAddr, SocketAddr)) {
        self.tuples.insert(tuple, session);
        let progress = &mut self.sessions[session as usize].sides[side];
        if progress.stage != Stage::Unopened {
            let stage = progress.stage;
            self.fail(format!("session {session}: opened in stage {stage:?}"));
            return;
        }
        progress.stage = Stage::Opening;
        self.say(|| format!("       [{session}.{side}] connect"));
    }

    /// The session that a connection accepted by `side` is of. `None`: an old duplicate with a
    /// valid cookie made a connection that its opener has long left; see RFC 4987 3.6.
    pub(crate) fn accepted(
        &mut self,
        side: usize,
        tuple: (SocketAddr, SocketAddr),
        may_be_ghost: bool,
    ) -> Option<u32> {
        let session = self.tuples.get(&tuple).copied();
        let fresh = session.filter(|&session| {
            let session = &self.sessions[session as usize];
            session.script.opener == 1 - side && session.sides[side].stage == Stage::Unopened
        });
        if fresh.is_none() {
            self.ghosts += 1;
            if !may_be_ghost {
                self.fail(format!("side {side} accepted {tuple:?}, session {session:?}, again"));
            }
        }
        fresh
    }

    /// A side's `accepted` or `connected` call.
    pub(crate) fn opened(&mut self, session: u32, side: usize, conn: ConnId, from: Stage) {
        let progress = &mut self.sessions[session as usize].sides[side];
        let stage = progress.stage;
        progress.stage = Stage::Open;
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
    pub(crate) fn closed(&mut self, session: u32, side: usize, why: Closed) {
        let entry = &mut self.sessions[session as usize];
        let bytes = [0, 1].map(|side| entry.script.sides[side].send_bytes);
        let mine = &mut entry.sides[side];
        let stage = mine.stage;
        mine.stage = Stage::Closed(why);
        mine.conn = None;
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

    /// True when nothing more will happen to any session.
    pub(crate) fn all_over(&self) -> bool {
        self.sessions.iter().all(Session::is_over)
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

/// The port that both hosts listen on.
pub(crate) const LISTENING_PORT: u16 = 80;
