//! SYNs from everywhere, as fast as a core can write them: connections go on, new ones come in,
//! and no memory is taken.
//!
//! ```text
//!   client ── link, 100 Mbit/s ── bridge ── server
//!   syn-flood ───────────────────────┘
//! ```
//!
//! The link has a rate, so that there is a goodput to keep: without one a transfer takes whatever
//! processor time there is, and half of it is the attacker's, who is on the same machine.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use crore_netns_tests::flood::Flood;
use crore_netns_tests::impairment::Impairment;
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::Peer;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;
use crore_netns_tests::transfer::{Content, Direction, Transfer, kernel_server};
use serde_json::{Value, json};

use crate::{is_full, play, report};

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_flood_of_syns_leaves_connections_and_memory_as_they_were() {
    play("flood", &["sha256sum"], |scene| {
        let ours = under_flood(scene, Side::Ours)?;
        ours.check()?;
        if !is_full() {
            return Ok(());
        }
        let kernels = under_flood(scene, Side::Kernels)?;
        let mut table = String::from(
            "| server | SYNs/s | goodput before | under flood | kept | new connections |\n\
             |---|---:|---:|---:|---:|---:|\n",
        );
        table += &ours.line("crore");
        table += &kernels.line("Linux");
        let figures = json!({ "crore": ours.figures(), "linux": kernels.figures() });
        report("linux-peer-flood", &table, &figures)?;
        ensure!(ours.kept() >= 0.9, "connections keep {:.2} of their goodput", ours.kept());
        Ok(())
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Kernels,
}

/// What was seen of a server under flood.
#[derive(Debug)]
struct Outcome {
    syns: u64,
    seconds: f64,
    before_mbit: f64,
    during_mbit: f64,
    connected: u32,
    /// What became of the first new connection that was not served.
    not_served: Option<String>,
    /// The server's memory as the flood began to tell, and at its end. The kernel's is its own.
    resident_kb: Option<(u64, u64)>,
    /// What `crore` counted.
    figures: Value,
}

fn under_flood(scene: &Scene, side: Side) -> Result<Outcome> {
    let root = scene.folder().join("root");
    fs::create_dir_all(&root)?;
    let large = root.join("large.bin");
    fs::File::create(&large)?.set_len(LARGE_BYTES)?;
    let network = Network::impaired(scene, &LINE, None)?;
    let json = scene.folder().join("figures.json");
    let (root_word, json_word) = (root.to_string_lossy(), json.to_string_lossy());
    let words = ["http", "--root", &root_word, "--json", &json_word];
    let server = Server::start(scene, &network, &words, (network.server_v4(), 80))?;
    let content = Content { file: &large, path: "/large.bin", sum: "" };
    let (_kernel, kernel) = kernel_server(scene, &network, content, "cubic")?;
    let target = if side == Side::Ours { server.address() } else { kernel };
    let mut flood = Flood::prepare(scene, &network, target)?;
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        let words = ["drain", &target.to_string(), "/large.bin"];
        flows.push(Peer::start(scene, &network.client, &words, "flowing")?);
    }
    let length = Duration::from_secs(if is_full() { 10 } else { 3 });
    thread::sleep(Duration::from_secs(1));
    let before_mbit = goodput(&mut flows, length)?;

    flood.go()?;
    thread::sleep(Duration::from_secs(1));
    let resident_before = server.resident_kb()?;
    let syns_before = flood.count()?;
    let during_mbit = goodput(&mut flows, length)?;
    let syns = flood.count()? - syns_before;
    let (connected, not_served) = connect(scene, &network, target)?;
    let resident_after = server.resident_kb()?;
    ensure!(flood.count()? > syns_before, "the flood had dried up");
    drop((flood, flows));
    server.stop(&network)?;
    Ok(Outcome {
        syns,
        seconds: length.as_secs_f64(),
        before_mbit,
        during_mbit,
        connected,
        not_served,
        resident_kb: (side == Side::Ours).then_some((resident_before, resident_after)),
        figures: serde_json::from_slice(&fs::read(&json)?)?,
    })
}

/// Mbit/s of all flows together; none of them may end.
fn goodput(flows: &mut [Peer], length: Duration) -> Result<f64> {
    let mut bytes = || -> Result<u64> {
        let mut sum = 0;
        for flow in flows.iter_mut() {
            let status = flow.status()?;
            ensure!(status.over() == 0, "a connection ended: {status:?}");
            sum += status.bytes;
        }
        Ok(sum)
    };
    let before = bytes()?;
    thread::sleep(length);
    Ok((bytes()? - before) as f64 * 8.0 / length.as_micros() as f64)
}

/// Connections of honest clients, each with a request and its whole reply: how many were served,
/// and what the first of the others said. The kernel resets one now and then.
fn connect(scene: &Scene, network: &Network, target: SocketAddr) -> Result<(u32, Option<String>)> {
    let file = scene.folder().join("small.bin");
    fs::write(&file, b"abc")?;
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let content = Content { file: &file, path: "", sum };
    let (mut served, mut not_served) = (0, None);
    for number in 0..CONNECTS {
        match Transfer::run(scene, network, target, Direction::Up, content, "cubic") {
            Ok(_) => served += 1,
            Err(error) => {
                not_served.get_or_insert_with(|| format!("connection {number}: {error:#}"));
            }
        }
    }
    Ok((served, not_served))
}

impl Outcome {
    fn kept(&self) -> f64 {
        self.during_mbit / self.before_mbit
    }

    /// What must hold on any machine, in any minute.
    fn check(&self) -> Result<()> {
        let cookies = self.figures["cookies_sent"].as_u64().context("no cookies_sent")?;
        ensure!(cookies > 0, "a flood that needs no cookie is none: {self:?}");
        let (before, after) = self.resident_kb.context("no memory was looked at")?;
        ensure!(after <= before + MEMORY_KB_MAX, "from {before} to {after} kB: {self:?}");
        if let Some(why) = &self.not_served {
            bail!("{why}, under flood: {self:?}");
        }
        ensure!(self.during_mbit > 0.0, "the connections stand still: {self:?}");
        Ok(())
    }

    fn line(&self, name: &str) -> String {
        format!(
            "| {name} | {:.0} | {:.1} Mbit/s | {:.1} Mbit/s | {:.2} | {} of {CONNECTS} |\n",
            self.syns as f64 / self.seconds,
            self.before_mbit,
            self.during_mbit,
            self.kept(),
            self.connected,
        )
    }

    fn figures(&self) -> Value {
        json!({
            "syns_per_second": self.syns as f64 / self.seconds,
            "before_mbit": self.before_mbit,
            "during_mbit": self.during_mbit,
            "kept": self.kept(),
            "connected": self.connected,
            "resident_kb": self.resident_kb,
        })
    }
}

const LINE: Impairment = Impairment {
    seed: 4987,
    loss: 0.0,
    reorder: 0.0,
    duplicate: 0.0,
    corrupt: 0.0,
    delay_us: 1_000,
    rate_kbit: 100_000,
    queue_bytes: 200_000,
};

const FLOWS: usize = 4;
const CONNECTS: u32 = 20;

/// More than the line carries in the time of a scenario.
const LARGE_BYTES: u64 = 1 << 30;

/// What a flood may add to the server's memory once it has touched what is reserved for it: what
/// threads and files of a living process take anyway.
const MEMORY_KB_MAX: u64 = 2_048;
