//! slowhttptest: requests that never end, bodies that never come, replies that nobody reads.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use crore_netns_tests::content;
use crore_netns_tests::network::Network;
use crore_netns_tests::program::Program;

use crate::figures::{Target, path_text};
use crate::play;

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn slowloris_is_shown_the_door_while_others_are_served() {
    // Headers that come a line every five seconds.
    slow("slowloris", &["-H", "-i", "5"], "/plaintext");
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn slow_bodies_do_not_keep_others_waiting() {
    slow("slow-body", &["-B", "-i", "5", "-s", "8192", "-t", "POST"], "/echo");
}

#[test]
#[ignore = "needs root and the release binary, see CONTRIBUTING.md"]
fn slow_readers_do_not_keep_others_waiting() {
    // A window of some hundred octets, five octets read each second.
    slow("slow-read", &["-X", "-n", "1", "-z", "5", "-w", "256", "-y", "512"], "/large.bin");
}

/// Two thousand slow clients for half a minute; an honest one gets every answer meanwhile.
fn slow(name: &str, kind: &[&str], target: &str) {
    play(name, &["slowhttptest", "curl"], |scene| {
        let network = Network::direct()?;
        let root = scene.folder().join("root");
        fs::create_dir_all(&root)?;
        content::write_file(&root.join("large.bin"), 4 << 20)?;
        let root = path_text(&root);
        let server = Target::start(scene, &network, &["http", "--root", &root], 80)?;
        let url = format!("http://{}{target}", server.server.address());
        let honest = format!("http://{}/plaintext", server.server.address());
        let mut all = vec!["-c", CLIENTS, "-r", "500", "-l", "30", "-p", "5", "-u", &url];
        all.extend(kind);
        let mut command = network.client.command("slowhttptest", &all);
        let mut attack = Program::start("slowhttptest", &mut command, &scene.log("slow"))?;
        let mut answers = 0;
        while attack.ended()?.is_none() {
            let words = ["--fail", "--silent", "--show-error", "--max-time", "20", &honest];
            network.client.run("curl", &words)?;
            answers += 1;
            ensure!(answers < 10_000, "slowhttptest does not end");
            std::thread::sleep(Duration::from_millis(200));
        }
        ensure!(answers > 20, "only {answers} answers while it went on");
        let said = attack.said();
        ensure!(!said.contains("service available:   NO"), "slowhttptest:\n{said}");
        let figures = server.stop(&network)?;
        let accepted = figures.of("accepted")?;
        ensure!(accepted > 1_000, "only {accepted} connections came");
        ensure!(figures.of("closed")? > 500, "the slow ones were kept");
        Ok(())
    });
}

const CLIENTS: &str = "2000";
