//! The load as a service: its phases, one after the other.

use crate::addresses::LocalAddresses;
use crate::churn::{Churn, Lives};
use crate::clock::Clock;
use crate::control::{Control, Numbers, Phase, Publisher};
use crate::latency::Latency;
use crate::opening::Opening;
use crate::protocol::{Protocol, Request};
use crate::state::{Asked, Marks};
use crate::traffic::{Pace, Traffic};
use core::net::SocketAddr;
use crore::{Closed, Conn, ConnId, Service, Steering, Turn};
use std::time::Duration;

/// What to do.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// The server.
    pub remote: SocketAddr,
    /// Where to connect from.
    pub locals: LocalAddresses,
    /// Only from where segments arrive at this queue of the server's; `None`: at any.
    pub home: Option<Box<Steering>>,
    /// How many connections.
    pub connections: u32,
    /// Connections opened a second; `None`: as fast as the link takes them.
    pub opens_per_second: Option<f64>,
    /// Connections being opened at the same time, or being closed, at most. On a link that loses
    /// what finds no room, it must have room for so many answers.
    pub handshakes_max: u32,
    /// How requests follow each other.
    pub pace: Pace,
    /// Short lives beside the requests that `pace` says.
    pub beside: Option<Churn>,
    /// How long; `None`: until [`Control::hurry`].
    pub traffic_time: Option<Duration>,
    /// Chooses the order in which connections are asked.
    pub seed: u64,
}

/// A client core's service.
pub struct Load<P: Protocol> {
    pub(crate) config: LoadConfig,
    pub(crate) protocol: P,
    pub(crate) clock: Clock,
    pub(crate) numbers: Numbers,
    pub(crate) latency: Latency,
    pub(crate) opening: Opening,
    pub(crate) traffic: Traffic,
    pub(crate) lives: Lives,
    /// Slots that ever had a connection are below this.
    pub(crate) slots: u32,
    /// The slot that a walk over all of them has come to.
    pub(crate) walked: u32,
    /// Connections that have not ended.
    pub(crate) live: u64,
    /// Connections that we closed and that have not ended.
    pub(crate) closing: u64,
    /// When anything last ended, while closing or settling.
    pub(crate) progress_at: u64,
    control: Control,
    publisher: Publisher,
}

impl<P: Protocol> Load<P> {
    /// A load that begins with the engine's first turn.
    pub fn new(config: LoadConfig, protocol: P, clock: Clock, control: Control) -> Self {
        let traffic = Traffic::new(&config, usize::from(protocol.request_bytes()));
        Self {
            traffic,
            protocol,
            clock,
            numbers: Numbers::default(),
            latency: Latency::new(),
            opening: Opening::default(),
            lives: Lives::default(),
            slots: 0,
            walked: 0,
            live: 0,
            closing: 0,
            progress_at: 0,
            control,
            publisher: Publisher::new(),
            config,
        }
    }

    /// What was counted so far.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// How long replies took.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// What must be done before the next phase.
    fn is_finished(&self, now: u64) -> bool {
        match self.numbers.phase {
            Phase::Opening => self.is_opening_finished(),
            Phase::Traffic => self.is_traffic_finished(now),
            Phase::Settling => self.is_settled() || self.is_stuck(now),
            Phase::Checking => self.walked >= self.slots,
            Phase::Closing => self.live == 0 || self.is_stuck(now),
            Phase::Done => false,
        }
    }

    fn is_settled(&self) -> bool {
        self.traffic.in_flight == 0 && self.lives.under_way == 0
    }

    /// Nothing has come to an end for so long that nothing more will.
    fn is_stuck(&self, now: u64) -> bool {
        now.wrapping_sub(self.progress_at) > self.clock.ticks(STUCK_AFTER)
    }

    fn advance(&mut self, now: u64) {
        if !self.is_finished(now) {
            return;
        }
        let next = self.numbers.phase.next();
        if self.control.allows(next) {
            self.leave(now);
            self.numbers.phase = next;
            self.numbers.waits = false;
            self.publisher.is_urgent = true;
            self.enter(now);
        } else if !self.numbers.waits {
            self.numbers.waits = true;
            self.publisher.is_urgent = true;
        }
    }

    fn leave(&mut self, now: u64) {
        if self.numbers.phase == Phase::Traffic {
            self.end_traffic(now);
        }
    }

    fn enter(&mut self, now: u64) {
        self.progress_at = now;
        match self.numbers.phase {
            Phase::Traffic => self.begin_traffic(now),
            Phase::Checking => {
                self.walked = 0;
                self.numbers.established = 0;
            }
            Phase::Closing => self.walked = 0,
            Phase::Opening | Phase::Settling | Phase::Done => {}
        }
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.control.is_hurried()
    }

    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        self.control.is_paused()
    }

    /// A connection that was established has ended.
    fn count_end(&mut self, marks: Marks, why: Closed) {
        match why {
            Closed::Finished if marks.has(Marks::CLOSING) => self.numbers.closed += 1,
            Closed::Finished => self.numbers.closed_early += 1,
            Closed::Reset => self.numbers.resets += 1,
            Closed::TimedOut | Closed::Unreachable => self.numbers.timeouts += 1,
            // Only by ourselves, and then the reason was counted.
            Closed::Refused | Closed::Aborted | Closed::Evicted => {}
        }
    }
}

impl<P: Protocol> Service for Load<P> {
    type State = Asked;

    fn connected(&mut self, conn: &mut Conn<'_, Asked>) {
        if conn.state().marks.has(Marks::SHORT) {
            return self.ask_once(conn);
        }
        conn.state().marks.put(Marks::OPENED, true);
        self.note_opened();
    }

    #[inline]
    fn data(&mut self, conn: &mut Conn<'_, Asked>, bytes: &[u8]) -> usize {
        self.reply(conn, bytes)
    }

    fn writable(&mut self, conn: &mut Conn<'_, Asked>) {
        self.send_rest(conn);
    }

    fn closed(&mut self, conn: &mut Conn<'_, Asked>, why: Closed) {
        let id = conn.id();
        let asked = *conn.state();
        self.live -= 1;
        self.progress_at = self.clock.now();
        if asked.marks.has(Marks::SHORT) {
            self.note_life(&asked, why);
        } else if !asked.marks.has(Marks::OPENED) {
            return self.note_not_opened(why);
        } else {
            self.closing -= u64::from(asked.marks.has(Marks::CLOSING));
            self.count_end(asked.marks, why);
        }
        if asked.awaited > 0 {
            self.traffic.in_flight -= u32::from(asked.awaited);
            self.numbers.lost += u64::from(asked.awaited);
            self.protocol.lost(request_of(id, &asked));
        }
    }

    #[inline]
    fn turn(&mut self, turn: &mut Turn<'_, Asked>) {
        let now = self.clock.now();
        match self.numbers.phase {
            Phase::Opening => self.open_some(turn, now),
            Phase::Traffic => self.ask_some(turn, now),
            Phase::Checking => self.check_some(turn),
            Phase::Closing => self.close_some(turn),
            Phase::Settling | Phase::Done => {}
        }
        self.advance(now);
        let now_ns = self.clock.ns(now);
        self.publisher.publish_at_times(now_ns, &mut self.numbers, &self.latency, &self.control);
    }

    fn wants_turns(&self) -> bool {
        !self.numbers.waits
            && match self.numbers.phase {
                Phase::Opening => self.wants_to_open(),
                Phase::Traffic => self.wants_to_ask(),
                Phase::Checking => true,
                Phase::Closing => self.wants_to_close(),
                Phase::Settling | Phase::Done => self.publisher.is_urgent,
            }
    }
}

/// The request that a connection has not answered.
#[inline]
pub(crate) fn request_of(conn: ConnId, asked: &Asked) -> Request {
    Request { conn, number: asked.requests }
}

const STUCK_AFTER: Duration = Duration::from_secs(20);
