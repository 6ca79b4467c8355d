//! Two threads, one virtual clock: a call that waits, and packetdrill's main thread, on whose
//! calls the clock moves.
//!
//! packetdrill makes a call that its script expects to block on a second thread, sees it sleep, and
//! goes on. When what the main thread does lets that call end, the main thread waits here, with the
//! clock standing still, until the second thread has read the clock for its end: packetdrill does
//! that once after each such call, before it takes any lock.
//!
//! ```text
//!   second:  call ── Waiting ────────────── Retry ── Returned ── gettimeofday: Idle ──>
//!   main:           usleep, netdev_send ... ── a change: stands still ─────── goes on ──>
//! ```

use crate::errno::{Errno, Stop};
use crate::world::World;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The world as both threads see it.
pub(crate) struct Shared {
    behind: Mutex<Behind>,
    turned: Condvar,
    main: ThreadId,
}

/// The world, and how the second thread's call goes.
pub(crate) struct Behind {
    pub(crate) world: World,
    call: Call,
}

/// The second thread's call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// None, or it has not had to wait.
    Idle,
    /// It waits for a change after this one, or for a time.
    Waiting { seen: u64, until_us: Option<u64> },
    /// It is to look again.
    Retry,
    /// It is over; its end was not timed yet.
    Returned,
}

type Guard<'a> = MutexGuard<'a, Behind>;

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        let behind = Mutex::new(Behind { world, call: Call::Idle });
        Self { behind, turned: Condvar::new(), main: thread::current().id() }
    }

    fn lock(&self) -> Guard<'_> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_main(&self) -> bool {
        thread::current().id() == self.main
    }

    /// True while a call on the second thread waits.
    pub(crate) fn has_waiting_call(&self) -> bool {
        matches!(self.lock().call, Call::Waiting { .. })
    }

    /// A call that never waits.
    pub(crate) fn call<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        let mut behind = self.lock();
        let result = f(&mut behind.world);
        behind.world.write_states();
        drop(self.hand_over(behind));
        result
    }

    /// A call that may have to wait, until the virtual time `until_us` at most: `attempt` is made
    /// again whenever something changed. `None`: the time ran out.
    pub(crate) fn wait_for<T>(
        &self,
        timeout_us: Option<u64>,
        mut attempt: impl FnMut(&mut World) -> Result<T, Stop>,
    ) -> Result<Option<T>, Errno> {
        let mut behind = self.lock();
        let until_us = timeout_us.map(|us| behind.world.host.now_us().saturating_add(us));
        let given_up_us = behind.world.host.now_us() + PATIENCE_US;
        let mut waited = false;
        let result = loop {
            let result = attempt(&mut behind.world);
            behind.world.write_states();
            match result {
                Ok(value) => break Ok(Some(value)),
                Err(Stop::Failed(errno)) => break Err(errno),
                Err(Stop::Wait) => {}
            }
            let now_us = behind.world.host.now_us();
            if until_us.is_some_and(|until| now_us >= until) || now_us >= given_up_us {
                break Ok(None);
            }
            if self.is_main() {
                // Nobody else moves the clock.
                behind.world.step_towards(until_us.unwrap_or(given_up_us));
            } else {
                let seen = behind.world.sockets.changes;
                behind.call = Call::Waiting { seen, until_us };
                waited = true;
                self.turned.notify_all();
                let asleep = |behind: &mut Behind| behind.call != Call::Retry;
                let woken = self.turned.wait_while(behind, asleep);
                behind = woken.unwrap_or_else(PoisonError::into_inner);
            }
        };
        if waited {
            behind.call = Call::Returned;
            self.turned.notify_all();
        } else {
            drop(self.hand_over(behind));
        }
        result
    }

    /// Moves the clock to `us` from now, through all that is due on the way.
    pub(crate) fn sleep(&self, us: u64) {
        let mut behind = self.lock();
        let until_us = behind.world.host.now_us() + us;
        while behind.world.host.now_us() < until_us {
            behind.world.step_towards(until_us);
            behind = self.hand_over(behind);
        }
        behind.world.write_states();
    }

    /// Reads the clock, which moves by it: packetdrill spins on it.
    pub(crate) fn now_us(&self) -> u64 {
        let mut behind = self.lock();
        if !self.is_main() && behind.call == Call::Returned {
            behind.call = Call::Idle;
            self.turned.notify_all();
            return behind.world.host.now_us();
        }
        let next_us = behind.world.host.now_us() + 1;
        behind.world.step_towards(next_us);
        behind.world.write_states();
        behind = self.hand_over(behind);
        behind.world.host.now_us()
    }

    /// The next packet out; moves the clock to it. `None`: there will be none.
    pub(crate) fn next_packet(&self) -> Option<(Vec<u8>, u64)> {
        let mut behind = self.lock();
        let until_us = behind.world.host.now_us() + PATIENCE_US;
        loop {
            if let Some(packet) = behind.world.host.outgoing.pop_front() {
                behind.world.write_states();
                return Some((packet.packet, packet.time_us));
            }
            let idle = behind.world.host.stack.next_timer_ms().is_none();
            if idle || behind.world.host.now_us() >= until_us {
                behind.world.write_states();
                return None;
            }
            behind.world.step_towards(until_us);
            behind = self.hand_over(behind);
        }
    }

    /// If the second thread's call may end now, lets it, and waits until its end is timed.
    fn hand_over<'a>(&self, mut behind: Guard<'a>) -> Guard<'a> {
        let Call::Waiting { seen, until_us } = behind.call else { return behind };
        let now_us = behind.world.host.now_us();
        let changed = behind.world.sockets.changes != seen;
        if !self.is_main() || !(changed || until_us.is_some_and(|until| now_us >= until)) {
            return behind;
        }
        behind.world.write_states();
        behind.call = Call::Retry;
        self.turned.notify_all();
        let busy = |behind: &mut Behind| matches!(behind.call, Call::Retry | Call::Returned);
        self.turned.wait_while(behind, busy).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest virtual time that anybody waits for something to happen.
const PATIENCE_US: u64 = 600_000_000;
