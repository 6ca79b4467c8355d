//! Many connections, the kernel's own traffic beside them, a killed server, a link that goes.

use std::net::SocketAddr;

use anyhow::Result;
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::{Peer, Ping};
use crore_netns_tests::scene::Scene;

use crate::{FLOW_BYTES, all_in, granted, is_full, play, serve, stop, traffic};

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn connections_are_held_beside_ping_and_a_service_of_the_kernel() {
    play("nic-hold", &["ping"], |scene| hold(scene, "", &granted()));
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn connections_are_held_by_copies() {
    play("nic-hold-copy", &["ping"], |scene| hold(scene, ",zero-copy=no", "copy"));
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_killed_server_leaves_silence_and_the_next_start_serves_again() {
    play("nic-kill", &["ping"], |scene| kill(scene, "", &granted()));
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_server_that_copies_and_is_killed_leaves_silence_too() {
    play("nic-kill-copy", &["ping"], |scene| kill(scene, ",zero-copy=no", "copy"));
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn connections_outlive_a_link_that_goes_down_and_comes_back() {
    play("nic-flap", &["ping"], |scene| {
        let network = Network::on_nics()?;
        let server = serve(scene, &network, "", &["echo"])?;
        let mut traffic = traffic(scene, &network, &server)?;
        traffic.flows(FLOW_BYTES)?;
        for _ in 0..2 {
            network.server.ip("link set eth0 down")?;
            network.server.ip("link set eth0 up")?;
            network.await_pings()?;
            traffic.flows(FLOW_BYTES)?;
        }
        drop(traffic);
        all_in(&granted(), &stop(scene, &network, server)?)
    });
}

fn hold(scene: &Scene, options: &str, mode: &str) -> Result<()> {
    let network = Network::on_nics()?;
    let kernel_port = SocketAddr::new(network.server_v4(), 7000).to_string();
    let _neighbour = Peer::start(scene, &network.server, &["echo", &kernel_port], "listening")?;
    let server = serve(scene, &network, options, &["echo"])?;
    let source = network.add_client_address(100)?.to_string();
    let words = ["hold", &kernel_port, &source, "10"];
    let mut beside = Peer::start(scene, &network.client, &words, "open 10")?;
    let ping = Ping::start(scene, &network, network.server_v4())?;

    let source = network.add_client_address(1)?.to_string();
    let count = connections().to_string();
    let words = ["hold", &server.address().to_string(), &source, &count];
    let mut clients = Peer::start(scene, &network.client, &words, &format!("open {count}"))?;
    // Twice: the second time shows that the first has left every connection as it should be.
    for _ in 0..2 {
        clients.ask("check", &format!("checked {count} bad 0"))?;
        beside.ask("check", "checked 10 bad 0")?;
    }
    clients.ask("close", &format!("closed {count} bad 0"))?;
    beside.ask("close", "closed 10 bad 0")?;
    ping.stop()?;
    all_in(mode, &stop(scene, &network, server)?)
}

fn kill(scene: &Scene, options: &str, mode: &str) -> Result<()> {
    let network = Network::on_nics()?;
    let server = serve(scene, &network, options, &["echo"])?;
    let mut before = traffic(scene, &network, &server)?;
    before.flows(FLOW_BYTES)?;

    server.kill_unheard(scene, &network, &mut before, REPEATS)?;
    drop(before);

    let server = serve(scene, &network, options, &["echo"])?;
    let mut after = traffic(scene, &network, &server)?;
    after.flows(FLOW_BYTES)?;
    drop(after);
    all_in(mode, &stop(scene, &network, server)?)
}

fn connections() -> u32 {
    if is_full() { 10_000 } else { 1_000 }
}

const REPEATS: u64 = 8;
