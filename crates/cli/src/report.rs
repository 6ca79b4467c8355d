//! Figures of a run: cycles per packet, latencies, and JSON files of them.

use anyhow::{Context, Result};
use crore::{Snapshot, Stage};
use crore_load::LatencySummary;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// Cycles of a core for each packet it received or sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CyclesPerPacket {
    pub(crate) driver_rx: f64,
    pub(crate) stack_in: f64,
    pub(crate) service: f64,
    pub(crate) stack_out: f64,
    pub(crate) driver_tx: f64,
    pub(crate) timers: f64,
    pub(crate) total: f64,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LatencyUs {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl CyclesPerPacket {
    /// What each packet cost between two moments of some cores, idle time not counted.
    pub(crate) fn between(earlier: &[Snapshot], later: &[Snapshot]) -> Self {
        let packets = packets_between(earlier, later);
        if packets == 0 {
            return Self::default();
        }
        let of = |stage: Stage| {
            let cycles = earlier.iter().zip(later).map(|(earlier, later)| {
                later.cycles.of(stage).saturating_sub(earlier.cycles.of(stage))
            });
            rounded(cycles.sum::<u64>() as f64 / packets as f64)
        };
        let mut found = Self {
            driver_rx: of(Stage::DriverRx),
            stack_in: of(Stage::StackIn),
            service: of(Stage::Service),
            stack_out: of(Stage::StackOut),
            driver_tx: of(Stage::DriverTx),
            timers: of(Stage::Timers),
            total: 0.0,
        };
        found.total = rounded(found.driver_and_stack() + found.service);
        found
    }

    /// All but the application's.
    pub(crate) fn driver_and_stack(&self) -> f64 {
        self.driver_rx + self.stack_in + self.stack_out + self.driver_tx + self.timers
    }

    /// The parts, in the order of a turn, with their names.
    pub(crate) fn stages(&self) -> [(&'static str, f64); 6] {
        [
            ("driver rx", self.driver_rx),
            ("stack in", self.stack_in),
            ("service", self.service),
            ("stack out", self.stack_out),
            ("driver tx", self.driver_tx),
            ("timers", self.timers),
        ]
    }

    /// `312 (driver rx 20, stack in 150, ...)`.
    pub(crate) fn line(&self) -> String {
        let part = |(name, cycles)| format!("{name} {cycles:.0}");
        format!("{:.0} ({})", self.total, self.stages().map(part).join(", "))
    }
}

impl From<LatencySummary> for LatencyUs {
    fn from(summary: LatencySummary) -> Self {
        let us = |ns: u64| rounded(ns as f64 / 1e3);
        Self {
            p50: us(summary.p50_ns),
            p99: us(summary.p99_ns),
            p999: us(summary.p999_ns),
            max: us(summary.max_ns),
        }
    }
}

/// Packets that some cores received and sent between two moments.
pub(crate) fn packets_between(earlier: &[Snapshot], later: &[Snapshot]) -> u64 {
    let packets = |of: &Snapshot| of.counters.rx_frames + of.counters.tx_frames;
    let differences = earlier.iter().zip(later);
    differences.map(|(earlier, later)| packets(later).saturating_sub(packets(earlier))).sum()
}

/// Cycles in which some cores had something to do between two moments, and the percentage of their
/// time. A core that polls in vain is idle, as is one that sleeps.
pub(crate) fn busy(earlier: &[Snapshot], later: &[Snapshot]) -> (u64, f64) {
    let (mut all, mut busy) = (0, 0);
    for (earlier, later) in earlier.iter().zip(later) {
        let cycles = later.cycles.since(&earlier.cycles);
        let spent: u64 = cycles.stages.iter().sum();
        all += spent;
        busy += spent - cycles.of(Stage::Idle);
    }
    (busy, rounded(busy as f64 * 100.0 / all.max(1) as f64))
}

/// To one decimal: no measurement here is better than that.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Writes figures to a file, whole or not at all.
pub(crate) fn write_json(path: &Path, figures: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(figures)?;
    text.push('\n');
    write_whole(path, &text)
}

/// Writes a text to a file, whole or not at all.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    written.with_context(|| format!("the figures could not be written to {}", path.display()))
}
