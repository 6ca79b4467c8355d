//! What goes through one queue of the link.

use std::time::{Duration, Instant};

use crore::driver::Link;
use crore::mem::frames::{RxBurst, TxBurst};
use crore::{Clock as _, MachineClock};
use crore_dpdk_tests::frame::{self, Numbered};
use crore_dpdk_tests::frames::Traffic;

/// A queue, and the bursts that it lends frames to.
pub(crate) struct End {
    link: Link,
    rx: RxBurst,
    tx: TxBurst,
}

/// The time and the cycles of what goes on. By the processor's counter: a look at the system's
/// clock for each burst takes as long as some of its frames.
struct Account {
    traffic: Traffic,
    begin: (Instant, u64),
    /// The ends of the first and of the last burst with frames in it.
    first: Option<u64>,
    last: u64,
    /// How often more was hoped for since then.
    looks: u32,
}

impl End {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, rx: RxBurst::new(), tx: TxBurst::new() }
    }

    /// Nothing to do: what comes now is of no interest, and who comes is noticed.
    pub(crate) fn rest(&mut self) {
        if self.link.rx_burst(&mut self.rx, BURST) == 0 {
            self.link.wait(IDLE);
        }
        self.link.rx_release(&mut self.rx);
    }

    /// Sends frames of `len` bytes, numbered from zero, as there is room.
    pub(crate) fn send(&mut self, count: u64, len: usize) -> Traffic {
        let (frames, mut account) = (Numbered::new(len), Account::new());
        while account.traffic.sent < count && account.is_patient() {
            let begin = MachineClock.cycles();
            let sent = self.send_from(&frames, account.traffic.sent, count);
            account.traffic.sent += sent;
            account.book(sent, begin);
        }
        account.end()
    }

    /// Takes what comes, until nothing more does and it is as much as `told` says: only a
    /// sender that has stopped knows how much that was.
    pub(crate) fn receive(&mut self, mut told: impl FnMut() -> Option<u64>) -> Traffic {
        let (mut account, mut all) = (Account::new(), None);
        while account.is_patient() {
            let begin = MachineClock.cycles();
            let count = self.link.rx_burst(&mut self.rx, BURST) as u64;
            if count > 0 {
                // One of each burst is looked into: the others would be the measurement.
                let bad = !frame::is_of_txonly(self.rx.frame(0));
                account.traffic.bad += u64::from(bad);
                self.link.rx_release(&mut self.rx);
                account.traffic.received += count;
            } else if all.is_some_and(|all| account.traffic.received >= all) {
                break;
            } else {
                all = all.or_else(&mut told);
            }
            account.book(count, begin);
        }
        account.end()
    }

    /// Sends numbered frames, at most `window` of which are under way; each must come back in its
    /// turn, as it was or with its ends swapped.
    pub(crate) fn exchange(
        &mut self,
        count: u64,
        len: usize,
        window: u64,
        is_swapped: bool,
    ) -> Traffic {
        let (frames, mut expected) = (Numbered::new(len), Numbered::new(len));
        let mut account = Account::new();
        while account.traffic.received < count && account.is_patient() {
            let begin = MachineClock.cycles();
            let received = self.link.rx_burst(&mut self.rx, BURST);
            for i in 0..received {
                let number = account.traffic.received + i as u64;
                let right = expected.is(number, is_swapped, self.rx.frame(i));
                account.traffic.bad += u64::from(!right);
            }
            self.link.rx_release(&mut self.rx);
            account.traffic.received += received as u64;
            let limit = count.min(account.traffic.received + window);
            let sent = self.send_from(&frames, account.traffic.sent, limit);
            account.traffic.sent += sent;
            account.book(received as u64 + sent, begin);
        }
        account.end()
    }

    /// Sends echo requests, each when the one before was answered.
    pub(crate) fn ping(&mut self, count: u16) -> Traffic {
        let mut account = Account::new();
        for seq in 0..count {
            while account.traffic.sent == u64::from(seq) && account.is_patient() {
                self.link.tx_reserve(&mut self.tx, 1);
                if let Some(frame) = self.tx.frame() {
                    let len = frame::write_ping(seq, frame);
                    self.tx.commit(len);
                }
                account.traffic.sent += self.link.tx_burst(&mut self.tx) as u64;
            }
            while account.traffic.received == u64::from(seq) && account.is_patient() {
                let begin = MachineClock.cycles();
                let received = self.link.rx_burst(&mut self.rx, BURST);
                for i in 0..received {
                    account.traffic.bad += u64::from(!frame::is_pong(seq, self.rx.frame(i)));
                }
                self.link.rx_release(&mut self.rx);
                account.traffic.received += received as u64;
                account.book(received as u64, begin);
            }
        }
        account.end()
    }

    /// Sends frames from number `from` up to `limit`, as many as go in one burst.
    fn send_from(&mut self, frames: &Numbered, from: u64, limit: u64) -> u64 {
        let want = limit.saturating_sub(from).min(BURST as u64) as usize;
        if want == 0 {
            return 0;
        }
        self.link.tx_reserve(&mut self.tx, want);
        // What did not go in the burst before is still there.
        let waiting = self.tx.len();
        for i in waiting..want {
            let Some(place) = self.tx.frame() else { break };
            frames.write(from + i as u64, place);
            self.tx.commit(frames.frame_len());
        }
        self.link.tx_burst(&mut self.tx) as u64
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.link.rx_release(&mut self.rx);
        self.link.tx_cancel(&mut self.tx);
    }
}

impl Account {
    fn new() -> Self {
        let (begin, now) = (Instant::now(), MachineClock.cycles());
        let (traffic, first) = (Traffic::default(), None);
        Self { traffic, begin: (begin, now), first, last: now, looks: 0 }
    }

    /// Books a burst that began at this cycle, if there was anything in it.
    fn book(&mut self, frames: u64, begin: u64) {
        if frames > 0 {
            self.last = MachineClock.cycles();
            self.traffic.busy_cycles += self.last - begin;
            self.first.get_or_insert(self.last);
            self.looks = 0;
        }
    }

    /// False when nothing has happened for so long that nothing will.
    fn is_patient(&mut self) -> bool {
        self.looks = self.looks.wrapping_add(1);
        !self.looks.is_multiple_of(LOOKS)
            || self.seconds(self.last, MachineClock.cycles()) < PATIENCE.as_secs_f64()
    }

    fn end(self) -> Traffic {
        let seconds = self.first.map_or(0.0, |first| self.seconds(first, self.last));
        Traffic { seconds, ..self.traffic }
    }

    /// From one reading of the counter to another one.
    fn seconds(&self, from: u64, to: u64) -> f64 {
        let (begin, then) = self.begin;
        let (passed, now) = (begin.elapsed().as_secs_f64(), MachineClock.cycles());
        passed * (to - from) as f64 / (now - then) as f64
    }
}

/// As many as testpmd takes at once.
const BURST: usize = 32;

/// Bursts from one look at the clock to the next.
const LOOKS: u32 = 1 << 16;

const IDLE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);
