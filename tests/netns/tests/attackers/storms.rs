//! hping3: floods of SYN, ACK, RST, FIN and Christmas trees from made-up sources, while an honest
//! client goes on.

use std::time::Duration;

use anyhow::ensure;
use crore_netns_tests::network::Network;
use crore_netns_tests::peer::{self, Peer};
use crore_netns_tests::program::{Program, until};

use crate::figures::Target;
use crate::play;

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn storms_of_hping3_leave_the_honest_client_as_it_was() {
    play("hping3", &["hping3"], |scene| {
        let network = Network::direct()?;
        // Answers to made-up sources end in the client's namespace.
        network.server.ip("route add default via 10.77.0.1")?;
        let target = Target::start(scene, &network, &["echo"], 7)?;
        let address = target.server.address();
        let mut honest = Peer::traffic(scene, &network.client, address, 8)?;
        let host = network.server_v4().to_string();
        for flags in STORMS {
            let before = honest.status()?.bytes;
            let mut all = vec!["-q", "-n", "--faster", "--rand-source", "-p", "7", "-c", PACKETS];
            all.extend(flags.split(' '));
            all.push(&host);
            let mut command = network.client.command("hping3", &all);
            let mut storm = Program::start("hping3", &mut command, &scene.log("hping3"))?;
            // It waits for answers that its sources do not get; its status says nothing.
            storm.wait(STORM_LIMIT)?;
            let status = until("honest octets during the storm", FLOW_LIMIT, || {
                let status = honest.status()?;
                Ok((status.bytes > before + FLOW_BYTES).then_some(status))
            })?;
            ensure!(status.bad + status.over() == 0, "{flags}: {status:?}");
            let probe = peer::probe(scene, &network, address)?;
            ensure!(probe == "connected", "{flags}: a newcomer was {probe}");
        }
        drop(honest);
        let figures = target.stop(&network)?;
        for reason in ["bad_cookie", "reset_for_nobody", "no_ack"] {
            ensure!(figures.dropped(reason) > 10_000, "{reason}: {}", figures.dropped(reason));
        }
        ensure!(figures.of("cookies_sent")? > 10_000, "no cookies");
        Ok(())
    });
}

/// SYN; ACK; RST; FIN; all of them but ACK; nothing at all.
const STORMS: [&str; 6] = ["-S", "-A", "-R", "-F", "-F -P -U", "-Y"];
const PACKETS: &str = "40000";
const STORM_LIMIT: Duration = Duration::from_mins(3);
const FLOW_BYTES: u64 = 1_000_000;
const FLOW_LIMIT: Duration = Duration::from_mins(1);
