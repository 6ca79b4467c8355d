//! nmap: which ports are open, what answers there, and whether sequence numbers can be guessed.

use anyhow::{Context as _, Result, ensure};
use crore_netns_tests::network::Network;

use crate::figures::Target;
use crate::play;

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn nmap_finds_the_port_open_and_its_sequence_numbers_beyond_guessing() {
    play("nmap", &["nmap"], |scene| {
        let network = Network::direct()?;
        let target = Target::start(scene, &network, &["http"], 80)?;
        // Port 81 is the kernel's, and closed: nmap compares the two.
        let address = network.server_v4().to_string();
        let words =
            ["-n", "-Pn", "-O", "-sV", "-v", "-p", "80,81", "--osscan-guess", "-T4", &address];
        let said = network.client.run("nmap", &words)?;
        ensure!(line_with(&said, "80/tcp")?.contains("open"), "port 80:\n{said}");
        ensure!(line_with(&said, "80/tcp")?.contains("http"), "no HTTP found:\n{said}");
        ensure!(line_with(&said, "81/tcp")?.contains("closed"), "port 81:\n{said}");
        let luck = line_with(&said, "TCP Sequence Prediction")?;
        ensure!(luck.contains("Good luck!"), "sequence numbers:\n{said}");
        eprintln!("nmap: {luck}");
        let figures = target.stop(&network)?;
        ensure!(figures.dropped("bad_flags") > 0, "the probe with SYN and FIN was not counted");
        ensure!(figures.of("connections")? == 0, "connections are left");
        Ok(())
    });
}

fn line_with<'a>(said: &'a str, what: &str) -> Result<&'a str> {
    let mut lines = said.lines().rev().filter(|line| line.contains(what));
    lines.next().with_context(|| format!("nmap says nothing of {what}:\n{said}"))
}
