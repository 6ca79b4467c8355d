//! The server vanishes without a word, and comes back.

use anyhow::ensure;
use crore_netns_tests::binary;
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::{self, Peer};
use crore_netns_tests::server::Server;

use crate::play;

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_killed_server_leaves_silence_and_the_next_start_serves_again() {
    play("kill", &[], |scene| {
        let network = Network::direct()?;
        let server = Server::start(scene, &network, &["echo"], (network.server_v4(), 7))?;
        let mut before = Peer::traffic(scene, &network.client, server.address(), STREAMS)?;
        before.flows(FLOW_BYTES)?;

        server.kill_unheard(scene, &network, &mut before, REPEATS)?;

        let server = Server::start(scene, &network, &["echo"], (network.server_v4(), 7))?;
        let mut after = Peer::traffic(scene, &network.client, server.address(), STREAMS)?;
        after.flows(FLOW_BYTES)?;
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

const STREAMS: u64 = 16;
const FLOW_BYTES: u64 = 10_000_000;

/// Enough that each stream has asked more than once.
const REPEATS: u64 = 64;
