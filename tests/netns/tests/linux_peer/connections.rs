//! Many connections, all of them alive, and the kernel's own traffic beside them.

use std::net::SocketAddr;

use anyhow::Result;
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::{Peer, Ping};
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;

use crate::{is_full, play};

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn connections_of_kernel_clients_are_held_while_the_kernels_own_traffic_goes_on() {
    play("hold", &["ping"], |scene| {
        let network = Network::direct()?;
        let kernel_port = SocketAddr::new(network.server_v4(), 7000);
        let listen = kernel_port.to_string();
        let _neighbour = Peer::start(scene, &network.server, &["echo", &listen], "listening")?;
        let server = Server::start(scene, &network, &["echo"], (network.server_v4(), 7))?;

        let source = network.add_client_address(100)?.to_string();
        let words = ["hold", &listen, &source, "10"];
        let mut beside = Peer::start(scene, &network.client, &words, "open 10")?;
        let ping = Ping::start(scene, &network, network.server_v4())?;

        let mut clients = open(scene, &network, server.address())?;
        beside.ask("check", "checked 10 bad 0")?;
        // Twice: the second time shows that the first has left every connection as it should be.
        for _ in 0..2 {
            for (client, count) in &mut clients {
                client.ask("check", &format!("checked {count} bad 0"))?;
            }
            beside.ask("check", "checked 10 bad 0")?;
        }
        for (client, count) in &mut clients {
            client.ask("close", &format!("closed {count} bad 0"))?;
        }
        beside.ask("close", "closed 10 bad 0")?;
        ping.stop()?;
        server.stop(&network)
    });
}

/// Opens all connections from several processes at once, each with an address of its own.
fn open(scene: &Scene, network: &Network, server: SocketAddr) -> Result<Vec<(Peer, u32)>> {
    let total = connections_wanted();
    let processes = total.div_ceil(CONNECTIONS_PER_PROCESS_MAX).max(2);
    let server = server.to_string();
    let mut clients = Vec::new();
    for process in 0..processes {
        let count = total / processes + u32::from(process < total % processes);
        let source = network.add_client_address(process as u8 + 1)?.to_string();
        let words = ["hold", &server, &source, &count.to_string()];
        clients.push((Peer::launch(scene, &network.client, &words)?, count));
    }
    for (client, count) in &clients {
        client.expect(&format!("open {count}"))?;
    }
    Ok(clients)
}

/// The full number takes a machine's memory for the kernel's side: 4 KB a connection.
fn connections_wanted() -> u32 {
    if is_full() { 100_000 } else { 20_000 }
}

/// A process may have 20,000 descriptors on common machines, an address 28,000 ports.
const CONNECTIONS_PER_PROCESS_MAX: u32 = 18_000;
