//! The engine under measurement, and what is counted of it.

use crate::client::{LOCAL_PORT, interface};
use crore::mem::frames::heap::HeapFrames;
use crore::mem::frames::{RxBurst, TxBurst};
use crore::mem::{HugePages, Memory};
use crore::{Cycles, Engine, Service, StackConfig, Stopwatch, tsc};

/// An engine, its frames, a clock that only [`Bench::turn`] moves, and what was counted.
pub(crate) struct Bench<S: Service> {
    pub(crate) engine: Engine<S>,
    pub(crate) now_us: u64,
    frames: HeapFrames,
    is_counting: bool,
    packets_before: u64,
    cycles: u64,
}

/// What a work cost.
pub(crate) struct Counted {
    /// What was counted: a packet, received or sent, unless the work says otherwise.
    pub(crate) unit: &'static str,
    pub(crate) units: u64,
    pub(crate) cycles: u64,
}

impl<S: Service> Bench<S> {
    /// The same for the same arguments: nothing in it is left to luck.
    pub(crate) fn new(conns: u32, service: S) -> Self {
        let (config, memory) = (settings(conns), &mut Memory::new(HugePages::Transparent));
        let engine = Engine::new(config, &interface(), service, memory, [7; 32]);
        let mut engine = engine.expect("the settings fit");
        engine.listen(LOCAL_PORT);
        let frames = HeapFrames::new(64, 1600);
        Self { engine, now_us: 1000, frames, is_counting: false, packets_before: 0, cycles: 0 }
    }

    /// What comes from here on is counted.
    pub(crate) fn count(&mut self) {
        self.is_counting = true;
        self.packets_before = self.packets();
    }

    /// What was counted, by packets.
    pub(crate) fn counted(&self) -> Counted {
        self.counted_by("packet", self.packets() - self.packets_before)
    }

    /// What was counted, by something else.
    pub(crate) fn counted_by(&self, unit: &'static str, units: u64) -> Counted {
        Counted { unit, units, cycles: self.cycles }
    }

    /// One turn; hands every frame that was sent to `sent`.
    pub(crate) fn turn(&mut self, arrived: &[Vec<u8>], sent: impl FnMut(&[u8])) {
        self.now_us += 20;
        let (engine, now_us, is_counting) = (&mut self.engine, self.now_us, self.is_counting);
        let cycles = &mut self.cycles;
        self.frames.lend(
            arrived,
            |rx, tx| {
                if is_counting {
                    *cycles += counted_turn(engine, rx, tx, now_us);
                } else {
                    stages(engine, rx, tx, now_us);
                }
            },
            sent,
        );
    }

    /// Milliseconds, as the engine's timers see them.
    pub(crate) fn now_ms(&self) -> u32 {
        (self.now_us / 1000) as u32
    }

    fn packets(&self) -> u64 {
        let counters = self.engine.stack().counters();
        counters.rx_frames + counters.tx_frames
    }
}

/// A turn that counts. Not inlined: callgrind collects from its entry to its end, by its name.
#[inline(never)]
pub(crate) fn counted_turn<S: Service>(
    engine: &mut Engine<S>,
    rx: &RxBurst,
    tx: &mut TxBurst,
    now_us: u64,
) -> u64 {
    let start = tsc();
    stages(engine, rx, tx, now_us);
    tsc() - start
}

#[inline(never)]
fn stages<S: Service>(engine: &mut Engine<S>, rx: &RxBurst, tx: &mut TxBurst, now_us: u64) {
    let (mut watch, mut cycles) = (Stopwatch::start(), Cycles::default());
    engine.receive(rx, tx, now_us, &mut watch, &mut cycles);
    engine.tick(tx, 32, &mut watch, &mut cycles);
    engine.send(tx, 64, &mut watch, &mut cycles);
}

/// Settings for a server of so many connections.
pub(crate) fn settings(conns: u32) -> StackConfig {
    let mut config = StackConfig::for_connections(conns.max(1) + 1024);
    config.time_wait_max = 1 << 10;
    // Next hops are learned from frames and not asked whether they are still there.
    config.answers_for_link = false;
    config
}
