//! What every connection carries: 16 bytes, zero for a new one.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::output::Output;

/// The state of one connection. An idle one owns nothing else.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Connection {
    /// Its slot in the table of exchanges plus one; 0 without one.
    exchange: u32,
    /// When the present phase has lasted too long, if `TIMED`.
    deadline_ms: u32,
    /// When the connection's timer runs out, if `ARMED`. It may be earlier than the deadline.
    armed_ms: u32,
    /// In `Head`: bytes of the head seen so far. In `Linger`: what was unacknowledged when it was
    /// looked at last. In `Blocked`: how often the request was tried again.
    pub(crate) mark: u16,
    phase: u8,
    flags: u8,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// Between requests.
    Idle = 0,
    /// A part of a request's head is here; it is left with the stack.
    Head,
    /// The content of a request to `/echo` is being collected.
    Collect,
    /// A reply waits for room. Nothing is read meanwhile.
    Send,
    /// The reply is queued; the rest of its request's content is read and dropped.
    Discard,
    /// A request waits until its reply fits anywhere.
    Blocked,
    /// Our direction is closed; what still comes is read and dropped.
    Linger,
}

impl Connection {
    /// Close after the reply under way.
    pub(crate) const CLOSE: u8 = 1;
    /// The request under way was of HTTP/1.0 and asked to keep the connection.
    pub(crate) const KEEP_1_0: u8 = 2;
    /// It was reset: nothing is asked of it any more.
    pub(crate) const GONE: u8 = 4;
    const TIMED: u8 = 8;
    const ARMED: u8 = 16;

    pub(crate) fn phase(&self) -> Phase {
        match self.phase {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Collect,
            3 => Phase::Send,
            4 => Phase::Discard,
            5 => Phase::Blocked,
            _ => Phase::Linger,
        }
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase as u8;
        self.mark = 0;
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    pub(crate) fn exchange(&self) -> Option<u32> {
        self.exchange.checked_sub(1)
    }

    pub(crate) fn set_exchange(&mut self, slot: Option<u32>) {
        self.exchange = slot.map_or(0, |slot| slot + 1);
    }

    /// The present phase may last this long. The timer is only touched when it would be late:
    /// a busy keep-alive connection moves its deadline with each request and arms nothing.
    pub(crate) fn limit_ms(&mut self, output: &mut impl Output, after: Option<u32>) {
        self.set(Self::TIMED, after.is_some());
        let Some(after) = after else { return };
        self.deadline_ms = now_ms(output).wrapping_add(after);
        if !self.has(Self::ARMED) || is_before(self.deadline_ms, self.armed_ms) {
            self.arm(output, after);
        }
    }

    /// The timer ran out. True when the deadline has passed; else the timer is armed for it.
    pub(crate) fn is_overdue(&mut self, output: &mut impl Output) -> bool {
        self.set(Self::ARMED, false);
        if !self.has(Self::TIMED) {
            return false;
        }
        let now = now_ms(output);
        if is_before(now, self.deadline_ms) {
            self.arm(output, self.deadline_ms.wrapping_sub(now));
            return false;
        }
        self.set(Self::TIMED, false);
        true
    }

    fn arm(&mut self, output: &mut impl Output, after: u32) {
        self.armed_ms = now_ms(output).wrapping_add(after);
        self.set(Self::ARMED, true);
        output.set_timer_ms(after);
    }
}

fn now_ms(output: &impl Output) -> u32 {
    (output.now_us() / 1_000) as u32
}

/// True when `a` comes before `b` on a clock that wraps after 49 days.
fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

const _: () = assert!(size_of::<Connection>() == 16);
