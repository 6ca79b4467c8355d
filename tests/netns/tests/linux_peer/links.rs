//! Several links of one server: what happens to one does not happen to the others.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use crore_netns_tests::binary;
use crore_netns_tests::namespace::{Namespace, join};
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::Peer;
use crore_netns_tests::program::{Program, until};
use crore_netns_tests::scene::Scene;
use serde_json::Value;

use crate::play;

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn links_go_away_and_come_back_and_the_others_do_not_notice() {
    play("links", &[], |scene| {
        let network = Network::direct()?;
        let figures = scene.folder().join("figures.json");
        let json = figures.display().to_string();
        let words = [&LINKS[..], &["--listen", "7", "--plain", "--json", &json]].concat();
        let mut command = network.server.command(binary::crore()?, &words);
        let mut server = Program::start("crore serve", &mut command, &scene.log("server"))?;
        heard(&mut server, "serving on")?;
        for tap in ["tap0", "tap1"] {
            give_address(&network.server, tap)?;
        }
        let mut wire = traffic(scene, &network.client, "10.77.0.2:7")?;
        let mut near = traffic(scene, &network.server, "10.9.0.2:7")?;
        let mut other = traffic(scene, &network.server, "10.9.1.2:7")?;
        for peer in [&mut wire, &mut near, &mut other] {
            peer.flows(FLOW_BYTES)?;
        }

        // A tap is taken away and made again: its connections go on, with the other end's address.
        network.server.ip("link del tap0")?;
        heard(&mut server, "tap:tap0 is gone")?;
        wire.flows(FLOW_BYTES)?;
        other.flows(FLOW_BYTES)?;
        heard(&mut server, "tap:tap0 is back")?;
        give_address(&network.server, "tap0")?;
        near.flows(FLOW_BYTES)?;

        // The wire's end goes with the interface at the other end of it, and comes back as another
        // interface with another hardware address.
        network.client.ip("link del eth0")?;
        heard(&mut server, "xdp:eth0 is gone")?;
        heard(&mut server, "xdp:eth0 cannot be opened anew: there is no interface `eth0`")?;
        near.flows(FLOW_BYTES)?;
        other.flows(FLOW_BYTES)?;
        join((&network.client, "eth0"), (&network.server, "eth0"))?;
        network.server.ip("address add 10.77.0.2/16 dev eth0")?;
        network.server.ip("address add fd77::2/64 dev eth0 nodad")?;
        heard(&mut server, "xdp:eth0 is back")?;
        // Not before: until the filter is there the kernel answers, that the port is closed.
        network.client.ip("address add 10.77.0.1/16 dev eth0")?;
        wire.flows(FLOW_BYTES)?;

        // Down is not gone.
        network.server.ip("link set tap1 down")?;
        heard(&mut server, "tap:tap1 is down")?;
        wire.flows(FLOW_BYTES)?;
        network.server.ip("link set tap1 up")?;
        heard(&mut server, "tap:tap1 is up again")?;
        other.flows(FLOW_BYTES)?;

        let status = server.interrupt(LIMIT)?;
        ensure!(status.success(), "the server ended with {status}\n{}", server.said());
        ensure!(!network.server.has_xdp("eth0")?, "an XDP program is left on the interface");
        report_is_right(&serde_json::from_str(&std::fs::read_to_string(figures)?)?)
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_wire_and_a_process_beside_it_come_and_go_and_do_not_notice_each_other() {
    play("links-memif", &[], |scene| {
        let network = Network::direct()?;
        let link = format!("memif:{}", scene.folder().join("memif.sock").display());
        let with_address = format!("{link},address=10.9.0.2/24");
        let words = ["serve", "echo", "--plain", "--listen", "7", "--connections=1000"];
        let words = [&words[..], &["--link", "xdp:eth0", "--link", &with_address]].concat();
        let mut command = network.server.command(binary::crore()?, &words);
        let mut server = Program::start("crore serve", &mut command, &scene.log("server"))?;
        heard(&mut server, "serving on")?;
        let mut wire = traffic(scene, &network.client, "10.77.0.2:7")?;

        let mut killed = load(scene, &link, "60")?;
        heard(&mut server, "is connected")?;
        wire.flows(FLOW_BYTES)?;
        killed.kill()?;
        heard(&mut server, "client gone")?;
        wire.flows(FLOW_BYTES)?;
        is_served(load(scene, &link, "1")?)?;

        network.client.ip("link del eth0")?;
        heard(&mut server, "xdp:eth0 is gone")?;
        is_served(load(scene, &link, "1")?)?;
        let status = server.interrupt(LIMIT)?;
        ensure!(status.success(), "the server ended with {status}\n{}", server.said());
        Ok(())
    });
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn a_link_that_cannot_be_opened_is_named_and_nothing_is_left_of_the_others() {
    play("links-refused", &[], |scene| {
        let network = Network::direct()?;
        let words = ["serve", "echo", "--link", "xdp:eth0", "--link", "xdp:eth9", "--listen", "7"];
        let mut command = network.server.command(binary::crore()?, &words);
        let mut server = Program::start("crore serve", &mut command, &scene.log("server"))?;
        let status = server.wait(LIMIT)?;
        ensure!(status.code() == Some(2), "it ended with {status}");
        let said = server.said();
        ensure!(said.contains("--link xdp:eth9: there is no interface `eth9`"), "it said: {said}");
        ensure!(!network.server.has_xdp("eth0")?, "an XDP program is left on the interface");
        Ok(())
    });
}

/// A process at the other end of a memif link.
fn load(scene: &Scene, link: &str, seconds: &str) -> Result<Program> {
    let mut command = Command::new(binary::crore()?);
    command.args(["load", "echo", "--plain", "--link", link, "--address", "10.9.0.3/24"]);
    command.args(["--connect", "10.9.0.2:7", "--connections", "500", "--seconds", seconds]);
    command.args(["--huge-pages", "none"]);
    Program::start("crore load", &mut command, &scene.log("load"))
}

/// All was opened, answered right and closed.
fn is_served(mut load: Program) -> Result<()> {
    let status = load.wait(LIMIT)?;
    ensure!(status.success(), "the load ended with {status}\n{}", load.said());
    Ok(())
}

/// Each link by itself, and together they are the whole.
fn report_is_right(figures: &Value) -> Result<()> {
    let links = figures["links"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(links.len() == 3, "links in {figures}");
    for (link, (name, losses)) in
        links.iter().zip([("xdp:eth0", 1), ("tap:tap0", 1), ("tap:tap1", 0)])
    {
        ensure!(link["link"] == name && link["losses"] == losses, "{name} went away: {link}");
        ensure!(link["state"] == "up" && link["accepted"] == STREAMS, "{name} at the end: {link}");
    }
    let frames = links.iter().filter_map(|link| link["rx_frames"].as_u64()).sum::<u64>();
    ensure!(figures["rx_frames"] == frames, "{frames} frames on the links of {figures}");
    Ok(())
}

/// The kernel's side of a tap.
fn give_address(host: &Namespace, tap: &str) -> Result<()> {
    let number = tap.trim_start_matches("tap");
    host.ip(&format!("address add 10.9.{number}.1/24 dev {tap}")).map(drop)
}

fn traffic(scene: &Scene, host: &Namespace, server: &str) -> Result<Peer> {
    Peer::traffic(scene, host, server.parse()?, STREAMS)
}

/// Waits until the server has said this.
fn heard(server: &mut Program, words: &str) -> Result<()> {
    until(&format!("`{words}`"), LIMIT, || {
        if let Some(status) = server.ended()? {
            bail!("the server ended: {status}\n{}", server.said());
        }
        Ok(server.said().contains(words).then_some(()))
    })
}

const LINKS: [&str; 9] = [
    "serve",
    "echo",
    "--link",
    "xdp:eth0",
    "--link",
    "tap:tap0,address=10.9.0.2/24",
    "--link",
    "tap:tap1,address=10.9.1.2/24",
    "--connections=1000",
];
const STREAMS: u64 = 4;
const FLOW_BYTES: u64 = 1_000_000;
const LIMIT: Duration = Duration::from_mins(2);
