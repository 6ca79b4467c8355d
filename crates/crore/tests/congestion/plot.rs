//! The table as a picture: `docs/congestion.svg`.

use super::cells::{Cell, RTTS_MS};
use crore::Congestion;
use crore_plot::{Axis, Mark, Plot, Series};
use std::path::Path;

/// Draws measured points over the curves of theory, for the longest queue.
pub(crate) fn write(points: &[(Cell, f64)]) {
    let plots = [Congestion::NewReno, Congestion::Cubic].map(|congestion| {
        let mut series = Vec::new();
        for (colour, rtt_ms) in RTTS_MS.into_iter().enumerate() {
            series.push(theory(congestion, rtt_ms, colour));
            series.push(measured(points, (congestion, rtt_ms), colour));
        }
        Plot {
            name: "congestion",
            title: format!("{congestion:?}: points measured, lines by theory"),
            x: Axis::log("loss, %").within(LOSS_MIN * 100.0, LOSS_MAX * 100.0),
            y: Axis::log("Mbit/s").within(0.5, 60.0),
            series,
            limits: Vec::new(),
        }
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/congestion.svg");
    std::fs::write(path, crore_plot::file(&plots)).expect("docs/ can be written");
}

fn measured(
    points: &[(Cell, f64)],
    (congestion, rtt_ms): (Congestion, u64),
    colour: usize,
) -> Series {
    let mine = points.iter().filter(|(cell, _)| {
        cell.congestion == congestion
            && cell.rtt_ms == rtt_ms
            && cell.buffer_percent == 100
            && cell.loss_per_million > 0
    });
    let points = mine.map(|(cell, mbit)| (cell.loss_per_million as f64 / 1e4, *mbit)).collect();
    Series { name: String::new(), points, mark: Mark::Points, colour: Some(colour) }
}

fn theory(congestion: Congestion, rtt_ms: u64, colour: usize) -> Series {
    let points = (0..=40).map(|n| {
        let loss = LOSS_MIN * (LOSS_MAX / LOSS_MIN).powf(f64::from(n) / 40.0);
        let cell = Cell {
            congestion,
            rtt_ms,
            loss_per_million: (loss * 1e6).round() as u64,
            buffer_percent: 100,
        };
        (loss * 100.0, cell.expected())
    });
    let name = format!("{rtt_ms} ms");
    Series { name, points: points.collect(), mark: Mark::Line, colour: Some(colour) }
}

const LOSS_MIN: f64 = 5e-5;
const LOSS_MAX: f64 = 2e-2;
