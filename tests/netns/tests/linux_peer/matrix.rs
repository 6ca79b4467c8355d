//! Every kind of harm to a link, singly and together: each byte arrives, both ways.
//!
//! With `CRORE_FULL=1` the kernel's own server, on the same host and the same link, moves the same
//! content to and from the same client, and the ratio of the goodputs is printed as a table and
//! written as JSON: `docs/linux-peer.md`. `CRORE_CELLS=TEXT` plays only the links whose name has
//! the text in it; `CRORE_LINK="loss=2 delay_us=5000"` plays one of your own instead of them all,
//! with `CRORE_BYTES` and `CRORE_ROUNDS` if those of the matrix do not suit; `CRORE_CAPTURE=PREFIX`
//! records what each end sent and got. All sides send by
//! CUBIC, or with `CRORE_CONGESTION=reno` as RFC 6582 has it.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use crore_netns_tests::content;
use crore_netns_tests::impairment::{Counts, Impairment};
use crore_netns_tests::network::Network;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;
use crore_netns_tests::transfer::{Content, Direction, Transfer, kernel_server};
use serde_json::{Value, json};

use crate::{is_full, play, report, say};

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn every_byte_arrives_whatever_a_link_does_to_segments() {
    play("matrix", &["sha256sum"], |scene| {
        let file = scene.folder().join("root/content.bin");
        fs::create_dir_all(scene.folder().join("root"))?;
        let cells = cells()?;
        let mut rows = Vec::new();
        for cell in &cells {
            content::write_file(&file, cell.bytes)?;
            let sum = content::sha256(&file)?;
            let content = Content { file: &file, path: "/content.bin", sum: &sum };
            let row = play_cell(scene, cell, content);
            let seen = row.with_context(|| format!("with {}", cell.name))?;
            if is_full() {
                // It takes long: each cell is told when it is there.
                say(&seen.iter().map(Row::line).collect::<String>())?;
            }
            rows.extend(seen);
        }
        if is_full() { publish(&rows) } else { Ok(()) }
    });
}

/// One link, and how much goes over it each way.
struct Cell {
    name: String,
    /// What the link between does; `None`: there is none, only the pair of interfaces.
    link: Option<Impairment>,
    bytes: u64,
    rounds: usize,
}

/// What was seen in one cell and one direction, in Mbit/s.
struct Row {
    name: String,
    direction: Direction,
    ours: Vec<f64>,
    kernels: Vec<f64>,
}

impl Row {
    /// As a line of the table.
    fn line(&self) -> String {
        let (ours, kernels) = (goodput(&self.ours), goodput(&self.kernels));
        let (name, direction, ratio) = (&self.name, self.direction, ours / kernels);
        format!("| {name} | {direction} | {ours:.1} | {kernels:.1} | {ratio:.2} |\n")
    }
}

/// The link that was asked for, else the matrix.
fn cells() -> Result<Vec<Cell>> {
    let Ok(words) = env::var("CRORE_LINK") else { return Ok(matrix()) };
    let mut impairment = Impairment { seed: 2026, ..Impairment::default() };
    for word in words.split_whitespace() {
        impairment.read(word)?;
    }
    let number = |name: &str, default: u64| match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("not a number: {name}={text}")),
        Err(_) => Ok(default),
    };
    let bytes = number("CRORE_BYTES", 10_000_000)?;
    let rounds = number("CRORE_ROUNDS", 5)? as usize;
    Ok(vec![Cell { name: words, link: Some(impairment), bytes, rounds }])
}

fn matrix() -> Vec<Cell> {
    let clean = Impairment { seed: 2026, ..Impairment::default() };
    let harms = [
        ("nothing", clean),
        ("0.1 % loss", Impairment { loss: 0.1, ..clean }),
        ("1 % loss", Impairment { loss: 1.0, ..clean }),
        ("5 % loss", Impairment { loss: 5.0, ..clean }),
        ("10 % reordering", Impairment { reorder: 10.0, ..clean }),
        ("1 % duplication", Impairment { duplicate: 1.0, ..clean }),
        ("0.1 % corruption", Impairment { corrupt: 0.1, ..clean }),
        (
            "all, 1 % loss",
            Impairment { loss: 1.0, reorder: 10.0, duplicate: 1.0, corrupt: 0.1, ..clean },
        ),
        (
            "all, 5 % loss",
            Impairment { loss: 5.0, reorder: 10.0, duplicate: 1.0, corrupt: 0.1, ..clean },
        ),
    ];
    let wanted = env::var("CRORE_CELLS").ok();
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|text| name.contains(text));
    let mut cells = Vec::new();
    let name = "no link between, 0 ms each way".to_owned();
    if is_wanted(&name) {
        let (bytes, rounds) = if is_full() { (400_000_000, 3) } else { (6_000_000, 1) };
        cells.push(Cell { name, link: None, bytes, rounds });
    }
    for delay_ms in [0, 10] {
        for (harm, impairment) in harms {
            let impairment = Impairment { delay_us: delay_ms * 1_000, ..impairment };
            let name = format!("{harm}, {delay_ms} ms each way");
            let (bytes, rounds) = if is_full() {
                full_size(&impairment)
            } else if delay_ms == 0 || harm == "all, 1 % loss" {
                (if delay_ms == 0 { 6_000_000 } else { 3_000_000 }, 1)
            } else {
                continue;
            };
            if is_wanted(&name) {
                cells.push(Cell { name, link: Some(impairment), bytes, rounds });
            }
        }
    }
    cells
}

/// 100 MB, but where loss and delay together leave a sender a few Mbit/s (Mathis et al. 1997): what
/// it moves in some ten seconds.
fn full_size(impairment: &Impairment) -> (u64, usize) {
    match (impairment.delay_us, impairment.loss) {
        (0, _) => (100_000_000, 3),
        (_, loss) if loss >= 5.0 => (5_000_000, 3),
        (_, loss) if loss >= 1.0 => (20_000_000, 3),
        _ if impairment.corrupt > 0.0 => (50_000_000, 3),
        (_, loss) if loss > 0.0 => (50_000_000, 3),
        _ => (100_000_000, 3),
    }
}

fn play_cell(scene: &Scene, cell: &Cell, content: Content<'_>) -> Result<Vec<Row>> {
    let mut network = match &cell.link {
        Some(impairment) => {
            let capture = env::var("CRORE_CAPTURE").ok().map(PathBuf::from);
            Network::impaired(scene, impairment, capture.as_deref())?
        }
        None => Network::direct()?,
    };
    let root = scene.folder().join("root");
    let json = scene.folder().join("figures.json");
    let (root, json_word) = (root.to_string_lossy(), json.to_string_lossy());
    let [ours, kernels] = congestion();
    let words = ["http", "--root", &root, "--json", &json_word, "--congestion", ours];
    let server = Server::start(scene, &network, &words, (network.server_v4(), 80))?;
    let kernel = kernel_server(scene, &network, content, kernels)?;
    let mut rows = Vec::new();
    for direction in [Direction::Down, Direction::Up] {
        let name = cell.name.clone();
        let mut row = Row { name, direction, ours: Vec::new(), kernels: Vec::new() };
        let mut goodput = |address, round: usize| -> Result<f64> {
            if let Some(impairment) = &cell.link {
                // Both lose the same segments: after an early loss a transfer takes several times
                // as long as after a late one, whoever plays it.
                network.draw_anew(impairment.seed + round as u64)?;
            }
            let done = Transfer::run(scene, &network, address, direction, content, kernels)?;
            Ok(done.mbit_per_second())
        };
        // In turn, so that what else the machine does meets both.
        for round in 0..cell.rounds {
            row.ours.push(goodput(server.address(), round)?);
            if is_full() {
                row.kernels.push(goodput(kernel.1, round)?);
            }
        }
        rows.push(row);
    }
    if let Some(impairment) = &cell.link {
        all_happened(impairment, &network.counts()?.to_near)?;
    }
    server.stop(&network)?;
    if is_full() {
        // What did not come from the link: above all, what a busy machine did not take in time.
        let figures: Value = serde_json::from_slice(&fs::read(&json)?)?;
        say(&format!("{}: crore dropped {}\n", cell.name, figures["dropped"]))?;
    }
    Ok(rows)
}

/// Each harm that was asked for was done, and no other.
fn all_happened(asked: &Impairment, counts: &Counts) -> Result<()> {
    for (harm, share, count) in [
        ("loss", asked.loss, counts.lost),
        ("reordering", asked.reorder, counts.reordered),
        ("duplication", asked.duplicate, counts.duplicated),
        ("corruption", asked.corrupt, counts.corrupted),
    ] {
        ensure!((share > 0.0) == (count > 0), "{share} % {harm} were {count} segments");
    }
    Ok(())
}

/// Prints the table and writes the figures.
fn publish(rows: &[Row]) -> Result<()> {
    let mut table = String::from(
        "| link | way | crore, Mbit/s | Linux, Mbit/s | ratio |\n|---|---|---:|---:|---:|\n",
    );
    let mut figures = Vec::new();
    for row in rows {
        table += &row.line();
        figures.push(json!({
            "link": row.name,
            "way": row.direction.to_string(),
            "crore_mbit": row.ours,
            "linux_mbit": row.kernels,
            "ratio": goodput(&row.ours) / goodput(&row.kernels),
        }));
    }
    report("linux-peer-matrix", &table, &json!(figures))
}

/// All that was moved in all rounds over the time that it took: the harmonic mean.
fn goodput(values: &[f64]) -> f64 {
    values.len() as f64 / values.iter().map(|value| 1.0 / value).sum::<f64>()
}

/// The algorithm of all senders, by our name and the kernel's.
fn congestion() -> [&'static str; 2] {
    match env::var("CRORE_CONGESTION") {
        Ok(name) if name == "reno" => ["newreno", "reno"],
        _ => ["cubic"; 2],
    }
}
