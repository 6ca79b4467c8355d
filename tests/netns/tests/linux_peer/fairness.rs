//! Flows of ours beside flows of Linux through one bottleneck: each gets its share.
//!
//! ```text
//!   server: crore :80, kernel :8080 ── bridge ── tbf, 50 Mbit/s ── link, 10 ms ── client
//! ```

use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use crore_netns_tests::impairment::Impairment;
use crore_netns_tests::link::FAR_DEVICE;
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::Peer;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;
use crore_netns_tests::transfer::{Content, kernel_server};
use serde_json::{Value, json};

use crate::{is_full, play, report, say};

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn flows_of_ours_and_of_linux_share_a_bottleneck() {
    play("fairness", &["tc"], |scene| {
        let contests = if is_full() { CONTESTS } else { &CONTESTS[..1] };
        let mut table = String::from(
            "| crore | Linux | buffer | crore, Mbit/s | Linux, Mbit/s | crore's share | Jain |\n\
             |---|---|---:|---:|---:|---:|---:|\n",
        );
        let mut figures = Vec::new();
        for contest in contests {
            let outcome = contest.hold(scene)?;
            let line = contest.line(&outcome);
            writeln!(table, "{line}")?;
            if is_full() {
                say(&format!("{line}\n"))?;
            }
            figures.push(contest.figures(&outcome));
            // Nobody is starved: that holds on any machine, in any minute.
            let least = if is_full() { contest.least_share } else { 0.05 };
            let share = outcome.share();
            ensure!((least..=1.0 - least).contains(&share), "{contest:?}: {outcome:?}");
        }
        if is_full() { report("linux-peer-fairness", &table, &json!(figures)) } else { Ok(()) }
    });
}

/// Who is beside whom, and how much waits at the bottleneck, in products of rate and delay.
#[derive(Debug)]
struct Contest {
    ours: &'static str,
    kernels: &'static str,
    /// Flows of each side.
    flows: usize,
    buffer: f64,
    /// What either side must have of the whole. Flows of cubic get nearer to each other with every
    /// loss, and with a deep buffer losses are far apart.
    least_share: f64,
}

/// Mbit/s of each flow.
#[derive(Debug)]
struct Outcome {
    ours: Vec<f64>,
    kernels: Vec<f64>,
}

impl Contest {
    fn hold(&self, scene: &Scene) -> Result<Outcome> {
        let root = scene.folder().join("root");
        fs::create_dir_all(&root)?;
        let file = root.join("large.bin");
        // All holes: it takes no room and no reading.
        File::create(&file)?.set_len(LARGE_BYTES)?;
        let delay = Impairment { delay_us: DELAY_US, ..Impairment::default() };
        let network = Network::impaired(scene, &delay, None)?;
        self.narrow(&network)?;
        let words = ["http", "--root", &root.to_string_lossy(), "--congestion", self.ours];
        let server = Server::start(scene, &network, &words, (network.server_v4(), 80))?;
        let (_kernel, kernel) = kernel_server(scene, &network, large(&file), self.kernels)?;
        let mut ours = Vec::new();
        let mut kernels = Vec::new();
        for _ in 0..self.flows {
            kernels.push(drain(scene, &network, kernel)?);
            ours.push(drain(scene, &network, server.address())?);
        }
        // They begin with slow start and its losses; what is asked is how they go on.
        thread::sleep(if is_full() { Duration::from_secs(10) } else { Duration::from_secs(1) });
        let length = if is_full() { Duration::from_secs(20) } else { Duration::from_secs(4) };
        let (ours_before, kernels_before) = (bytes(&mut ours)?, bytes(&mut kernels)?);
        thread::sleep(length);
        let (ours_after, kernels_after) = (bytes(&mut ours)?, bytes(&mut kernels)?);
        drop((ours, kernels));
        server.stop(&network)?;
        let rates = |before: &[u64], after: &[u64]| {
            let rate = |(before, after): (&u64, &u64)| {
                (after - before) as f64 * 8.0 / length.as_micros() as f64
            };
            before.iter().zip(after).map(rate).collect()
        };
        Ok(Outcome {
            ours: rates(&ours_before, &ours_after),
            kernels: rates(&kernels_before, &kernels_after),
        })
    }

    /// The bottleneck: a token bucket where the server's side enters the link.
    fn narrow(&self, network: &Network) -> Result<()> {
        let bdp_bytes = RATE_MBIT as f64 * 1e6 / 8.0 * (2 * DELAY_US) as f64 / 1e6;
        let limit = (bdp_bytes * self.buffer) as u64 + BURST_BYTES;
        let (rate, limit) = (format!("{RATE_MBIT}mbit"), limit.to_string());
        let burst = BURST_BYTES.to_string();
        let words = ["qdisc", "add", "dev", FAR_DEVICE, "root", "tbf", "rate", &rate];
        let words = [&words[..], &["burst", &burst, "limit", &limit]].concat();
        network.middle()?.run("tc", &words).map(drop)
    }

    fn line(&self, outcome: &Outcome) -> String {
        let each = |rates: &[f64]| {
            rates.iter().map(|rate| format!("{rate:.1}")).collect::<Vec<_>>().join(" + ")
        };
        let count = self.flows;
        format!(
            "| {count} x {} | {count} x {} | {:.1} BDP | {} | {} | {:.2} | {:.3} |",
            self.ours,
            self.kernels,
            self.buffer,
            each(&outcome.ours),
            each(&outcome.kernels),
            outcome.share(),
            outcome.jain(),
        )
    }

    fn figures(&self, outcome: &Outcome) -> Value {
        json!({
            "crore": self.ours,
            "linux": self.kernels,
            "buffer_bdp": self.buffer,
            "crore_mbit": outcome.ours,
            "linux_mbit": outcome.kernels,
            "share": outcome.share(),
            "jain": outcome.jain(),
        })
    }
}

impl Outcome {
    /// What ours got of all.
    fn share(&self) -> f64 {
        let (ours, kernels): (f64, f64) = (self.ours.iter().sum(), self.kernels.iter().sum());
        ours / (ours + kernels)
    }

    /// Jain's index (1984): 1 when all flows get the same, 1/n when one gets all.
    fn jain(&self) -> f64 {
        let all = || self.ours.iter().chain(&self.kernels);
        let (sum, squares): (f64, f64) = (all().sum(), all().map(|rate| rate * rate).sum());
        sum * sum / (all().count() as f64 * squares)
    }
}

fn drain(scene: &Scene, network: &Network, server: SocketAddr) -> Result<Peer> {
    let words = ["drain", &server.to_string(), "/large.bin"];
    Peer::start(scene, &network.client, &words, "flowing")
}

/// How much came on each; none of them may have ended.
fn bytes(peers: &mut [Peer]) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    for peer in peers {
        let status = peer.status()?;
        ensure!(status.over() == 0, "a flow ended: {status:?}");
        all.push(status.bytes);
    }
    Ok(all)
}

fn large(file: &Path) -> Content<'_> {
    Content { file, path: "/large.bin", sum: "" }
}

const CONTESTS: &[Contest] = &[
    Contest { ours: "cubic", kernels: "cubic", flows: 1, buffer: 1.0, least_share: 0.3 },
    Contest { ours: "cubic", kernels: "cubic", flows: 2, buffer: 1.0, least_share: 0.3 },
    Contest { ours: "cubic", kernels: "cubic", flows: 1, buffer: 3.0, least_share: 0.2 },
    Contest { ours: "newreno", kernels: "reno", flows: 1, buffer: 1.0, least_share: 0.3 },
    Contest { ours: "newreno", kernels: "cubic", flows: 1, buffer: 1.0, least_share: 0.2 },
];

/// More than the line carries in the time of a contest.
const LARGE_BYTES: u64 = 1 << 30;

const RATE_MBIT: u64 = 50;
const DELAY_US: u64 = 10_000;

/// A few frames: the bucket must not hide the queue.
const BURST_BYTES: u64 = 16_000;
