//! `crore serve http` and the clients that everybody has.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use crore_netns_tests::content;
use crore_netns_tests::network::Network;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;

use crate::play;

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn curl_fetches_a_large_file_whole() {
    play("curl", &["curl", "sha256sum"], |scene| {
        let network = Network::direct()?;
        fetch(scene, &network, network.server_v4(), LARGE_BYTES)
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn curl_fetches_a_file_over_ipv6() {
    play("curl-v6", &["curl", "sha256sum"], |scene| {
        let network = Network::direct()?;
        fetch(scene, &network, network.server_v6(), MEDIUM_BYTES)
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn curl_fetches_a_large_file_whole_although_one_percent_is_lost_each_way() {
    play("curl-loss", &["curl", "sha256sum", "nft"], |scene| {
        let network = Network::routed(1)?;
        fetch(scene, &network, network.server_v4(), LARGE_BYTES)?;
        let dropped = network.dropped()?;
        // 200 MB are some 140,000 packets; the acknowledgements are at least a tenth of that.
        ensure!(dropped.to_client > 500, "too little was lost: {dropped:?}");
        ensure!(dropped.to_server > 20, "too little was lost: {dropped:?}");
        Ok(())
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn wrk_sees_no_error_on_a_thousand_connections() {
    play("wrk", &["wrk"], |scene| {
        let network = Network::direct()?;
        let root = page_folder(scene)?;
        let words = ["http", "--root", &root];
        let server = Server::start(scene, &network, &words, (network.server_v4(), 80))?;
        let url = format!("http://{}/plaintext", server.address());
        // Its own limit for an answer is 2 s, which is a figure, not a fault, on a busy machine.
        let words = ["-c", "1000", "-t", "2", "-d", "5", "--timeout", "60s", &url];
        let said = network.client.run("wrk", &words)?;
        ensure!(!said.contains("Socket errors"), "wrk:\n{said}");
        ensure!(!said.contains("Non-2xx"), "wrk:\n{said}");
        ensure!(requests(&said)? > 1000, "wrk asked too little:\n{said}");
        server.stop(&network)
    });
}

/// Serves a file of this size, fetches it with curl and compares the sums.
fn fetch(scene: &Scene, network: &Network, address: IpAddr, len_bytes: u64) -> Result<()> {
    let root = page_folder(scene)?;
    let original = scene.folder().join("root/large.bin");
    content::write_file(&original, len_bytes)?;
    let server = Server::start(scene, network, &["http", "--root", &root], (address, 80))?;
    content::fetch(scene, network, server.address(), &original)?;
    server.stop(network)
}

fn page_folder(scene: &Scene) -> Result<String> {
    let root = scene.folder().join("root");
    fs::create_dir_all(&root)?;
    fs::write(root.join("index.html"), "<!doctype html><title>crore</title>\n")?;
    Ok(root.to_string_lossy().into_owned())
}

/// From wrk's line `123456 requests in 5.00s, 17.2MB read`.
fn requests(said: &str) -> Result<u64> {
    let line = said.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next());
    count.and_then(|count| count.parse().ok()).with_context(|| format!("wrk said:\n{said}"))
}

const LARGE_BYTES: u64 = 200_000_000;
const MEDIUM_BYTES: u64 = 20_000_000;
