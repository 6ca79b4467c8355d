//! One flow: loss x round-trip time x buffer, for each algorithm.

use super::dumbbell::{Bottleneck, Dumbbell, Flow};
use super::theory;
use crore::Congestion;

/// A cell of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) congestion: Congestion,
    pub(crate) loss_per_million: u64,
    pub(crate) rtt_ms: u64,
    /// The queue, in hundredths of a bandwidth-delay product.
    pub(crate) buffer_percent: u64,
}

impl Cell {
    /// What theory says, in megabits a second.
    pub(crate) fn expected(&self) -> f64 {
        let buffer = self.buffer_percent as f64 / 100.0;
        let link = theory::link_mbit(RATE) * theory::share_of_link(self.congestion, buffer);
        if self.loss_per_million == 0 {
            return link;
        }
        let p = self.loss_per_million as f64 / 1e6;
        link.min(theory::under_loss(self.congestion, p, self.rtt_ms as f64 / 1e3))
    }

    /// What comes over, after the start is forgotten.
    pub(crate) fn measured(&self) -> f64 {
        let rtt_us = self.rtt_ms * 1000;
        let link = Bottleneck {
            rate: RATE,
            queue_bytes: RATE * self.rtt_ms * self.buffer_percent / 100_000,
            mark_bytes: u64::MAX,
            loss_per_million: self.loss_per_million,
        };
        let seed = self.loss_per_million + self.rtt_ms;
        let mut net = Dumbbell::new(link, &[Flow::new(self.congestion, rtt_us)], seed);
        net.run_for(WARM_UP_US);
        net.goodputs(MEASURED_US)[0]
    }

    /// Measures, and says so when theory is far.
    fn check(&self) -> f64 {
        let (measured, expected) = (self.measured(), self.expected());
        let ratio = measured / expected;
        assert!(BAND.contains(&ratio), "{self:?}: {measured:.2}, expected {expected:.2} Mbit/s");
        measured
    }
}

/// Every cell of the table, in its order.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        for buffer_percent in BUFFERS_PERCENT {
            for loss_per_million in LOSSES {
                for rtt_ms in RTTS_MS {
                    cells.push(Cell { congestion, loss_per_million, rtt_ms, buffer_percent });
                }
            }
        }
    }
    cells
}

/// A few cells that take no time, of each kind.
#[test]
fn some_cells_are_where_theory_has_them() {
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        for (loss_per_million, rtt_ms) in [(10_000, 10), (10_000, 100), (1_000, 100)] {
            Cell { congestion, loss_per_million, rtt_ms, buffer_percent: 100 }.check();
        }
    }
}

/// The whole table; `docs/congestion.md` has it.
#[test]
#[ignore = "a measurement of half a minute: run it in release"]
fn every_cell_is_where_theory_has_it() {
    println!("| | queue | loss | {} |", RTTS_MS.map(|rtt| format!("{rtt} ms")).join(" | "));
    println!("|---|---|---|{}", "---|".repeat(RTTS_MS.len()));
    let mut points = Vec::new();
    let mut worst: Vec<String> = Vec::new();
    for row in all().chunks(RTTS_MS.len()) {
        let first = row[0];
        let texts: Vec<String> = row
            .iter()
            .map(|cell| {
                let (measured, expected) = (cell.measured(), cell.expected());
                points.push((*cell, measured));
                if !BAND.contains(&(measured / expected)) {
                    worst.push(format!("{cell:?}: {measured:.2} of {expected:.2}"));
                }
                format!("{measured:.1} / {expected:.1}")
            })
            .collect();
        let loss = first.loss_per_million as f64 / 1e4;
        let queue = first.buffer_percent as f64 / 100.0;
        println!("| {:?} | {queue} | {loss} % | {} |", first.congestion, texts.join(" | "));
    }
    super::plot::write(&points);
    assert!(worst.is_empty(), "outside of {BAND:?}: {worst:#?}");
}

/// 50 Mbit/s.
pub(crate) const RATE: u64 = 6_250_000;
const WARM_UP_US: u64 = 20_000_000;
const MEASURED_US: u64 = 60_000_000;
pub(crate) const LOSSES: [u64; 4] = [0, 100, 1_000, 10_000];
pub(crate) const RTTS_MS: [u64; 3] = [10, 40, 100];
const BUFFERS_PERCENT: [u64; 2] = [25, 100];

/// Measured over expected, in every cell.
const BAND: std::ops::RangeInclusive<f64> = 0.75..=1.35;
