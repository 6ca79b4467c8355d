//! Which way frames take, how that is known, and what is said about it.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use crore_netns_tests::content;
use crore_netns_tests::network::Network;
use crore_netns_tests::program::until;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;
use serde_json::Value;

use crate::{FLOW_BYTES, all_in, granted, is_full, is_set, play, serve, stop, traffic};

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn what_is_granted_is_proven_by_a_peer_that_answers_pings() {
    play("proof", &["curl", "sha256sum", "ping"], |scene| {
        let network = Network::on_nics()?;
        let paths = fetch(scene, &network, "", large_bytes())?;
        all_in(&granted(), &paths)?;
        if granted() == "zero-copy" {
            let by_ping = |path: &Value| why(path).contains("answered a ping of 1514 bytes, whole");
            ensure!(paths.iter().any(by_ping), "{paths:?}");
        } else {
            ensure!(paths.iter().all(|path| why(path).contains("refused")), "{paths:?}");
        }
        Ok(())
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn copies_are_made_where_they_are_asked_for() {
    play("copies", &["curl", "sha256sum", "ping"], |scene| {
        let network = Network::on_nics()?;
        let paths = fetch(scene, &network, ",zero-copy=no", large_bytes())?;
        all_in("copy", &paths)?;
        ensure!(paths.iter().all(|path| why(path) == "it was asked for"), "{paths:?}");
        Ok(())
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn the_interface_is_worked_inside_our_own_calls_where_that_is_asked_for() {
    play("busy-poll", &["curl", "sha256sum", "ping"], |scene| {
        let network = Network::on_nics()?;
        let paths = fetch(scene, &network, ",busy-poll=64", small_bytes())?;
        if !is_set("CRORE_APART") {
            return all_in(&granted(), &paths);
        }
        // Our calls do the receiver's work, and nobody does the sender's: that is noticed.
        let stuck = |path: &Value| path["mode"] == "copy" && why(path).contains("do not go out");
        ensure!(paths.iter().all(stuck), "{paths:?}");
        Ok(())
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn where_nobody_answers_pings_traffic_is_the_proof() {
    play("traffic-proof", &["ping"], |scene| {
        let network = Network::on_nics()?;
        network.client.set("ipv4/icmp_echo_ignore_all", "1")?;
        let server = serve(scene, &network, "", &["echo"])?;
        if granted() == "zero-copy" {
            said(&server, "without copies, not proven yet")?;
        }
        traffic(scene, &network, &server)?.flows(FLOW_BYTES)?;
        if granted() == "zero-copy" {
            said(&server, "without copies, proven: a frame of")?;
        }
        all_in(&granted(), &stop(scene, &network, server)?)
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_driver_that_cuts_frames_is_found_out_by_a_ping_or_else_by_traffic() {
    play("cut", &["ping"], |scene| {
        let network = Network::on_nics()?;
        for ignored in ["0", "1"] {
            network.client.set("ipv4/icmp_echo_ignore_all", ignored)?;
            // Too little for some drivers: whole KiB of what is left of 2,048 bytes is 1,024.
            let server = serve(scene, &network, ",frame-room=2048", &["echo"])?;
            traffic(scene, &network, &server)?.flows(FLOW_BYTES)?;
            let paths = stop(scene, &network, server)?;
            if is_set("CRORE_CUTS") {
                let cut = |path: &Value| path["mode"] == "copy" && why(path).contains(" cut: 1");
                ensure!(paths.iter().any(cut), "pings ignored {ignored}: {paths:?}");
            } else {
                all_in(&granted(), &paths)?;
            }
        }
        Ok(())
    });
}

/// Serves a file, fetches it with curl, compares the sums, and returns what the server reports.
fn fetch(scene: &Scene, network: &Network, options: &str, len_bytes: u64) -> Result<Vec<Value>> {
    let root = scene.folder().join("root");
    fs::create_dir_all(&root)?;
    let large = root.join("large.bin");
    content::write_file(&large, len_bytes)?;
    let root_text = root.to_string_lossy();
    let server = serve(scene, network, options, &["http", "--root", &root_text])?;
    content::fetch(scene, network, server.address(), &large)?;
    stop(scene, network, server)
}

fn said(server: &Server, words: &str) -> Result<()> {
    until(words, SAID_LIMIT, || Ok(server.said().contains(words).then_some(())))
}

fn why(path: &Value) -> &str {
    path["why"].as_str().unwrap_or_default()
}

fn large_bytes() -> u64 {
    if is_full() { 100_000_000 } else { 5_000_000 }
}

fn small_bytes() -> u64 {
    if is_full() { 2_000_000 } else { 200_000 }
}

/// A watchdog, for an emulated machine on a machine that does much else.
const SAID_LIMIT: Duration = Duration::from_mins(2);
