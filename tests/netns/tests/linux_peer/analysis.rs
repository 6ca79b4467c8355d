//! `tshark` over the records of transfers: nothing malformed, no bad checksum but the injected
//! ones, and nothing to remark on what we sent that the link does not explain.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use crore_netns_tests::content;
use crore_netns_tests::impairment::{BothCounts, Impairment};
use crore_netns_tests::network::Network;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;
use crore_netns_tests::shark::{self, Judged};
use crore_netns_tests::transfer::{Content, Direction, Transfer, kernel_server};
use serde_json::json;

use crate::{is_full, play, report};

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn on_a_clean_link_tshark_has_nothing_to_remark() {
    play("shark-clean", &["tshark", "sha256sum"], |scene| {
        let seen = record(scene, &LINE)?;
        ensure!(seen.counts.to_near.overflowed == 0, "the link was not clean: {seen:?}");
        seen.check_frames()?;
        let flags = seen.flags(OUR_PORT);
        ensure!(flags.keys().all(|flag| HARMLESS.contains(flag)), "tshark: {flags:?}");
        publish("nothing", &seen)
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn with_loss_we_send_again_what_was_lost_and_hardly_more() {
    play("shark-loss", &["tshark", "sha256sum"], |scene| {
        let seen = record(scene, &Impairment { loss: 1.0, corrupt: 0.5, ..LINE })?;
        seen.check_frames()?;
        seen.check_repeats(50)?;
        publish("1 % loss, 0.5 % corruption", &seen)
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn reordering_and_duplication_are_not_taken_for_loss() {
    play("shark-reorder", &["tshark", "sha256sum"], |scene| {
        let seen = record(scene, &Impairment { reorder: 10.0, duplicate: 1.0, ..LINE })?;
        seen.check_frames()?;
        seen.check_repeats(50)?;
        publish("10 % reordering, 1 % duplication", &seen)
    });
}

/// What two transfers, one each way, left on record, and the same of the kernel's server.
#[derive(Debug)]
struct Seen {
    counts: BothCounts,
    near: Vec<Judged>,
    far: Vec<Judged>,
    /// The link's counts before the kernel's server had its turn.
    ours: BothCounts,
}

fn record(scene: &Scene, impairment: &Impairment) -> Result<Seen> {
    let root = scene.folder().join("root");
    fs::create_dir_all(&root)?;
    let file = root.join("content.bin");
    content::write_file(&file, BYTES)?;
    let sum = content::sha256(&file)?;
    let content = Content { file: &file, path: "/content.bin", sum: &sum };
    let prefix = scene.folder().join("record");
    let mut network = Network::impaired(scene, impairment, Some(&prefix))?;
    let words = ["http", "--root", &root.to_string_lossy()];
    let server = Server::start(scene, &network, &words, (network.server_v4(), OUR_PORT))?;
    let both = |network: &Network, address| -> Result<()> {
        for direction in [Direction::Down, Direction::Up] {
            Transfer::run(scene, network, address, direction, content, "cubic")?;
        }
        Ok(())
    };
    both(&network, server.address())?;
    let ours = network.counts()?;
    if is_full() {
        let (_peer, address) = kernel_server(scene, &network, content, "cubic")?;
        both(&network, address)?;
    }
    server.stop(&network)?;
    let counts = network.counts()?;
    network.cut()?;
    let judge = |end| shark::judge(&with_end(&prefix, end));
    Ok(Seen { counts, near: judge("near")?, far: judge("far")?, ours })
}

impl Seen {
    /// Nothing malformed; our segments left with good checksums, and what arrived with a bad one
    /// had got it from the link.
    fn check_frames(&self) -> Result<()> {
        for judged in self.near.iter().chain(&self.far) {
            ensure!(!judged.is_malformed, "malformed: {judged:?}");
        }
        let corrupt = |record: &[Judged], is_from_server: bool| {
            let from = record.iter().filter(|judged| {
                judged.source_port.is_some_and(|port| (port < CLIENT_PORTS) == is_from_server)
            });
            from.filter(|judged| judged.is_corrupt).count() as u64
        };
        ensure!(corrupt(&self.far, true) == 0, "segments of the server left corrupt");
        let (to_near, to_far) = (self.counts.to_near.corrupted, self.counts.to_far.corrupted);
        let arrived = corrupt(&self.near, true);
        ensure!(arrived == to_near, "{arrived} corrupt from the server, {to_near} were injected");
        // The kernel may leave a checksum to a device that is not there: that is its own doing.
        let (left, arrived) = (corrupt(&self.near, false), corrupt(&self.far, false));
        let explained = left > 0 || arrived == to_far;
        ensure!(explained, "{arrived} corrupt from the client, {to_far} were injected");
        Ok(())
    }

    /// No more data sent again than the link took away, and so many in a thousand. How late an
    /// acknowledgment is depends on who else uses the machine, so it is asserted in full runs only.
    fn check_repeats(&self, spurious_per_mille: u64) -> Result<()> {
        let flags = self.flags(OUR_PORT);
        let ours = self.far.iter().filter(|judged| judged.source_port == Some(OUR_PORT));
        let is_repeat = |judged: &&Judged| judged.flags.iter().any(|flag| REPEATS.contains(flag));
        let repeats = ours.filter(is_repeat).count() as u64;
        let lost = self.ours.to_near.lost_data + self.ours.to_near.corrupted_data;
        let data = self.ours.to_near.data;
        let bound = lost + data * spurious_per_mille / 1000;
        let found = format!("{repeats} segments again, {lost} lost of {data}: {flags:?}");
        println!("{found}");
        ensure!(repeats <= bound || !is_full(), "{found}");
        Ok(())
    }

    /// How often each flag stands on the segments that left this port of the server.
    fn flags(&self, port: u16) -> BTreeMap<&'static str, u64> {
        let mut flags = BTreeMap::new();
        for judged in self.far.iter().filter(|judged| judged.source_port == Some(port)) {
            for flag in &judged.flags {
                *flags.entry(*flag).or_default() += 1;
            }
        }
        flags
    }
}

fn publish(link: &str, seen: &Seen) -> Result<()> {
    if !is_full() {
        return Ok(());
    }
    let (ours, kernels) = (seen.flags(OUR_PORT), seen.flags(KERNEL_PORT));
    let (lost, corrupted) = (seen.ours.to_near.lost_data, seen.ours.to_near.corrupted_data);
    let mut table = format!(
        "Link: {link}; it took {lost} segments of data from crore and made {corrupted} corrupt\n\n\
         | tcp.analysis flag | crore | Linux |\n|---|---:|---:|\n"
    );
    let all: BTreeMap<_, _> = ours.iter().chain(&kernels).collect();
    for flag in all.keys() {
        let of = |flags: &BTreeMap<&str, u64>| flags.get(*flag).copied().unwrap_or(0);
        writeln!(table, "| {flag} | {} | {} |", of(&ours), of(&kernels))?;
    }
    let name = format!("linux-peer-tshark-{}", link.replace([' ', '%', ',', '.'], ""));
    report(&name, &table, &json!({ "crore": ours, "linux": kernels }))
}

fn with_end(prefix: &Path, end: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(format!("-{end}.pcap"));
    path.into()
}

/// Fast enough to be a test, slow enough that no end is short of processor time; the queue holds
/// more than any window, so that nothing is lost but by luck.
const LINE: Impairment = Impairment {
    seed: 9293,
    loss: 0.0,
    reorder: 0.0,
    duplicate: 0.0,
    corrupt: 0.0,
    delay_us: 5_000,
    rate_kbit: 100_000,
    queue_bytes: 64_000_000,
};

const BYTES: u64 = 5_000_000;
const OUR_PORT: u16 = 80;
const KERNEL_PORT: u16 = 8080;

/// The first port that the kernel's client picks by itself.
const CLIENT_PORTS: u16 = 32_768;

/// Flags that say what a segment is, not that anything is wrong: the receiver made room.
const HARMLESS: &[&str] = &["window_update"];

/// Flags of data that was sent before.
const REPEATS: &[&str] =
    &["retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order"];
