//! The server vanishes without a word, and comes back.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use crore_netns_tests::binary;
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::{self, Peer};
use crore_netns_tests::program::until;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;

use crate::play;

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_killed_server_leaves_silence_and_the_next_start_serves_again() {
    play("kill", &[], |scene| {
        let network = Network::direct()?;
        let server = Server::start(scene, &network, &["echo"], (network.server_v4(), 7))?;
        let address = server.address();
        let mut before = traffic(scene, &network, address)?;
        flows(&mut before)?;

        let resets_before = network.server.tcp_counter("OutRsts")?;
        server.kill()?;
        ensure!(network.server.has_xdp("eth0")?, "the kernel's TCP has the port now");
        let repeated_before = network.client.tcp_counter("RetransSegs")?;
        // The client's kernel asks again and again. Nobody may tell it that the port is closed.
        until("the client to repeat itself", REPEAT_LIMIT, || {
            let silence = before.status()?;
            let heard = silence.resets + silence.ends + silence.failures;
            ensure!(heard == 0, "the client heard something: {silence:?}");
            let repeated = network.client.tcp_counter("RetransSegs")?;
            Ok((repeated >= repeated_before + REPEATS).then_some(()))
        })?;
        let probe = peer::probe(scene, &network, address)?;
        ensure!(probe == "timed out", "a new connection to the dead server: {probe}");
        let resets = network.server.tcp_counter("OutRsts")? - resets_before;
        ensure!(resets == 0, "the server's kernel sent {resets} resets");

        let server = Server::start(scene, &network, &["echo"], (network.server_v4(), 7))?;
        let mut after = traffic(scene, &network, address)?;
        flows(&mut after)?;
        server.stop(&network)
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn what_a_killed_server_leaves_can_be_taken_away_by_hand() {
    play("detach", &[], |scene| {
        let network = Network::direct()?;
        let server = Server::start(scene, &network, &["echo"], (network.server_v4(), 7))?;
        let address = server.address();
        server.kill()?;
        ensure!(network.server.has_xdp("eth0")?, "nothing is left to take away");
        network.server.run(binary::crore()?, &["xdp", "detach", "eth0"])?;
        ensure!(!network.server.has_xdp("eth0")?, "`crore xdp detach` left the program");
        // The port is the kernel's again, and nothing listens there.
        let probe = peer::probe(scene, &network, address)?;
        ensure!(probe == "refused", "a connection after detaching: {probe}");
        Ok(())
    });
}

fn traffic(scene: &Scene, network: &Network, server: SocketAddr) -> Result<Peer> {
    let words = ["traffic", &server.to_string(), STREAMS];
    Peer::start(scene, &network.client, &words, &format!("open {STREAMS}"))
}

/// Waits until a good deal has come back, and insists that it came back right.
fn flows(peer: &mut Peer) -> Result<()> {
    let start = peer.status()?.bytes;
    let status = until("traffic to flow", FLOW_LIMIT, || {
        let status = peer.status()?;
        Ok((status.bytes > start + FLOW_BYTES).then_some(status))
    })?;
    let troubles = status.bad + status.resets + status.ends + status.failures;
    ensure!(troubles == 0, "traffic does not flow well: {status:?}");
    Ok(())
}

const STREAMS: &str = "16";
const FLOW_BYTES: u64 = 10_000_000;
const FLOW_LIMIT: Duration = Duration::from_mins(1);

/// Enough that each stream has asked more than once.
const REPEATS: u64 = 64;
const REPEAT_LIMIT: Duration = Duration::from_mins(2);
