//! The table as a picture: `docs/congestion.svg`.

use super::cells::{Cell, RTTS_MS};
use crore::Congestion;
use std::fmt::Write as _;
use std::path::Path;

/// Draws measured points over the curves of theory, for the longest queue.
pub(crate) fn write(points: &[(Cell, f64)]) {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n",
        2.0 * WIDTH
    );
    for (panel, congestion) in [Congestion::NewReno, Congestion::Cubic].into_iter().enumerate() {
        let left = panel as f64 * WIDTH;
        axes(&mut svg, left, congestion);
        for (rtt_ms, colour) in RTTS_MS.into_iter().zip(COLOURS) {
            curve(&mut svg, left, (congestion, rtt_ms), colour);
            let mine = points.iter().filter(|(cell, _)| {
                cell.congestion == congestion
                    && cell.rtt_ms == rtt_ms
                    && cell.buffer_percent == 100
                    && cell.loss_per_million > 0
            });
            for (cell, mbit) in mine {
                let (x, y) = place(left, cell.loss_per_million as f64 / 1e6, *mbit);
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
                );
            }
        }
    }
    svg += "</svg>\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/congestion.svg");
    std::fs::write(path, svg).expect("docs/ can be written");
}

fn axes(svg: &mut String, left: f64, congestion: Congestion) {
    let (x0, y0) = place(left, LOSS_MIN, MBIT_MIN);
    let (x1, y1) = place(left, LOSS_MAX, MBIT_MAX);
    let _ = writeln!(
        svg,
        "<path d=\"M{x0:.1} {y1:.1}V{y0:.1}H{x1:.1}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{x0:.1}\" y=\"20\">{congestion:?}: Mbit/s over loss; lines: theory</text>"
    );
    for (loss, text) in [(1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %")] {
        let (x, y) = place(left, loss, MBIT_MIN);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            y + 16.0
        );
    }
    for mbit in [1.0, 10.0, 50.0] {
        let (x, y) = place(left, LOSS_MIN, mbit);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mbit}</text>",
            x - 4.0,
            y + 4.0
        );
    }
    for (n, (rtt_ms, colour)) in RTTS_MS.into_iter().zip(COLOURS).enumerate() {
        let y = y1 + 16.0 * (n as f64 + 1.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x1:.1}\" y=\"{y:.1}\" text-anchor=\"end\" fill=\"{colour}\">{rtt_ms} \
             ms</text>"
        );
    }
}

fn curve(svg: &mut String, left: f64, (congestion, rtt_ms): (Congestion, u64), colour: &str) {
    let mut path = String::new();
    for n in 0..=40 {
        let loss = LOSS_MIN * (LOSS_MAX / LOSS_MIN).powf(f64::from(n) / 40.0);
        let cell = Cell {
            congestion,
            rtt_ms,
            loss_per_million: (loss * 1e6).round() as u64,
            buffer_percent: 100,
        };
        let (x, y) = place(left, loss, cell.expected().max(MBIT_MIN));
        let _ = write!(path, "{}{x:.1} {y:.1}", if n == 0 { "M" } else { "L" });
    }
    let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\"/>");
}

/// Where a point lies, both axes logarithmic.
fn place(left: f64, loss: f64, mbit: f64) -> (f64, f64) {
    let x = (loss / LOSS_MIN).ln() / (LOSS_MAX / LOSS_MIN).ln();
    let y = (mbit / MBIT_MIN).ln() / (MBIT_MAX / MBIT_MIN).ln();
    (left + 45.0 + x * (WIDTH - 60.0), HEIGHT - 30.0 - y * (HEIGHT - 60.0))
}

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 320.0;
const LOSS_MIN: f64 = 5e-5;
const LOSS_MAX: f64 = 2e-2;
const MBIT_MIN: f64 = 0.5;
const MBIT_MAX: f64 = 60.0;
const COLOURS: [&str; 3] = ["#1b6ca8", "#c0392b", "#2e7d32"];
