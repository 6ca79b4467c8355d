//! `crore` on a real interface's driver, the kernel at the other end of the wire.
//!
//! `cargo xtask vm` plays this in guests that have two interfaces joined back to back. Elsewhere it
//! plays on a veth pair, which has no zero-copy.
//!
//! ```text
//!   CRORE_NICS=NEAR,FAR             the interfaces [default: a veth pair]
//!   CRORE_GRANTS=zero-copy|copy     what the driver grants on this kernel [default: copy]
//!   CRORE_CUTS=1                    the driver cuts frames that have less than 4 KiB each
//!   CRORE_APART=1                   it sends and receives by interrupts of their own
//!   CRORE_FULL=1                    100 MB and 10,000 connections
//! ```

mod life;
mod paths;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::Peer;
use crore_netns_tests::scene::{self, Scene};
use crore_netns_tests::server::Server;
use serde_json::Value;

/// Plays a scenario with the peer that Cargo built for this test.
fn play(name: &str, tools: &[&str], act: impl FnOnce(&Scene) -> Result<()>) {
    scene::play(name, tools, env!("CARGO_BIN_EXE_kernel-peer"), act);
}

/// `crore serve` on the link, with the options of the link behind a comma.
fn serve(scene: &Scene, network: &Network, options: &str, words: &[&str]) -> Result<Server> {
    let link = format!("xdp:eth0{options}");
    let json = json_file(scene);
    let mut all = words.to_vec();
    all.extend(["--connections", "20000", "--huge-pages", "none", "--plain", "--json", &json]);
    Server::start_on(scene, network, &link, &all, (network.server_v4(), 80))
}

/// Stops the server and returns what it reports of each queue.
fn stop(scene: &Scene, network: &Network, server: Server) -> Result<Vec<Value>> {
    server.stop(network)?;
    let report: Value = serde_json::from_str(&fs::read_to_string(json_file(scene))?)?;
    let paths = report["paths"].as_array().context("no paths in the report")?;
    ensure!(!paths.is_empty(), "no paths in the report");
    Ok(paths.clone())
}

fn json_file(scene: &Scene) -> String {
    scene.folder().join("figures.json").to_string_lossy().into_owned()
}

/// Every queue is in this mode, and what was settled on is known to work.
#[track_caller]
fn all_in(mode: &str, paths: &[Value]) -> Result<()> {
    for path in paths {
        ensure!(path["mode"] == mode, "expected {mode}: {path}");
    }
    let proven = paths.iter().any(|path| path["proven"] == true);
    ensure!(proven, "nothing is proven: {paths:?}");
    Ok(())
}

/// Streams of segments of full size through an echo service.
fn traffic(scene: &Scene, network: &Network, server: &Server) -> Result<Peer> {
    Peer::traffic(scene, &network.client, server.address(), STREAMS)
}

/// What the driver grants here.
fn granted() -> String {
    std::env::var("CRORE_GRANTS").unwrap_or_else(|_| "copy".to_owned())
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

fn is_full() -> bool {
    is_set("CRORE_FULL")
}

const STREAMS: u64 = 4;
const FLOW_BYTES: u64 = 500_000;
