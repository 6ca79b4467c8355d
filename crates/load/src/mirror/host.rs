//! A mirror with a link, a clock and a thread.

use super::Mirror;
use crore::driver::{Link, Waker};
use crore::mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use crore::{CoreConfig, Stop};
use std::time::{Duration, Instant};

/// A mirror on a link: receive, go on, send, over and over.
pub struct MirrorHost {
    mirror: Mirror,
    lent: Lent,
    config: CoreConfig,
    started: Instant,
}

impl MirrorHost {
    /// Puts a mirror on a link. Of the configuration what is about timers has no meaning here.
    pub fn new(mirror: Mirror, link: Link, config: CoreConfig) -> Self {
        let lent = Lent { link, rx: RxBurst::new(), tx: TxBurst::new() };
        Self { mirror, lent, config, started: Instant::now() }
    }

    /// The mirror.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Ends this host's sleep from another thread.
    pub fn waker(&self) -> Waker {
        self.lent.link.waker()
    }

    /// One turn. Returns whether anything happened.
    pub fn turn(&mut self) -> bool {
        let now_ns = self.started.elapsed().as_nanos() as u64;
        let Lent { link, rx, tx } = &mut self.lent;
        link.tx_reserve(tx, TX_RESERVE);
        // Each frame may need an answer at once.
        let received = link.rx_burst(rx, self.config.rx_burst.min(RX_BURST_MAX).min(tx.room()));
        for i in 0..rx.len() {
            rx.prefetch(i);
        }
        self.mirror.turn(rx, tx, now_ns);
        if received > 0 {
            link.rx_release(rx);
        }
        let sent = if tx.is_empty() { 0 } else { link.tx_burst(tx) };
        received + sent > 0
    }

    /// Turns until `stop` is set.
    pub fn run(&mut self, stop: &Stop) {
        if let Some(cpu) = self.config.pin_to {
            // Being elsewhere only costs speed.
            let _ = crore::pin::pin_to(cpu);
        }
        let mut idle_since: Option<Instant> = None;
        while !stop.is_set() {
            if self.turn() || self.mirror.wants_turns() {
                idle_since = None;
                continue;
            }
            let since = *idle_since.get_or_insert_with(Instant::now);
            if self.config.spin_before_sleep.is_some_and(|spin| since.elapsed() >= spin) {
                self.lent.link.wait(PARK_MAX);
            }
        }
    }
}

/// A link with the bursts it lends frames to: they go back to it before it is dropped.
struct Lent {
    link: Link,
    rx: RxBurst,
    tx: TxBurst,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.link.rx_release(&mut self.rx);
        self.link.tx_cancel(&mut self.tx);
    }
}

/// Frames of room asked for before each turn: for a burst, its answers, and what is said unasked.
const TX_RESERVE: usize = 2 * RX_BURST_MAX;

/// The longest sleep: then the stop switch, and what was not answered, is looked at.
const PARK_MAX: Duration = Duration::from_millis(100);
