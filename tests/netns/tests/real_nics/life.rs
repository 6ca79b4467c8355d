//! Many connections, the kernel's own traffic beside them, a killed server, a link that goes.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::{self, Peer, Ping};
use crore_netns_tests::program::until;
use crore_netns_tests::scene::Scene;

use crate::{LIMIT, all_in, flows, granted, is_full, play, serve, stop, traffic};

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
        let mut traffic = traffic(scene, &network, server.address())?;
        flows(&mut traffic)?;
        for _ in 0..2 {
            network.server.ip("link set eth0 down")?;
            network.server.ip("link set eth0 up")?;
            network.await_pings()?;
            flows(&mut traffic)?;
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
    let address = server.address();
    let mut before = traffic(scene, &network, address)?;
    flows(&mut before)?;

    let resets_before = network.server.tcp_counter("OutRsts")?;
    server.kill()?;
    ensure!(network.server.has_xdp("eth0")?, "the kernel's TCP has the port now");
    // A driver that lets go of a queue may restart the link.
    network.await_pings()?;
    let repeated_before = network.client.tcp_counter("RetransSegs")?;
    until("the client to repeat itself", LIMIT, || {
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
    drop(before);

    let server = serve(scene, &network, options, &["echo"])?;
    let mut after = traffic(scene, &network, address)?;
    flows(&mut after)?;
    drop(after);
    all_in(mode, &stop(scene, &network, server)?)
}

fn connections() -> u32 {
    if is_full() { 10_000 } else { 1_000 }
}

const REPEATS: u64 = 8;
