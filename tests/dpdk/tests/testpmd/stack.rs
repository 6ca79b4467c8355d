//! The stack behind a DPDK program: the kernel's `curl` gets a file from `crore serve` through a
//! testpmd that forwards between a tap and memif, as a packet function in the middle would.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use crore_dpdk_tests::frames::Ends;
use crore_dpdk_tests::testpmd::{Setup, Testpmd};
use crore_netns_tests::namespace::Namespace;
use crore_netns_tests::program::{Program, until};
use crore_netns_tests::scene::Scene;
use crore_netns_tests::{binary, content};

use crate::{is_full, listens, play};

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn curl_gets_a_file_through_testpmd_and_again_when_it_was_killed() {
    play("dpdk-stack", &["curl", "ping"], |scene| {
        let host = Namespace::new("host")?;
        let (root, socket) = (scene.folder().join("root"), scene.folder().join("memif.sock"));
        std::fs::create_dir(&root)?;
        let file = root.join("file");
        content::write_file(&file, if is_full() { 100 << 20 } else { 8 << 20 })?;
        let mut server = serve(scene, &root, &socket)?;
        for time in 1..=3 {
            let forwarding = forward(scene, &host, &Ends::new(&socket, true, false))?;
            gets(scene, &host, &file).with_context(|| format!("time {time}"))?;
            forwarding.kill()?;
            let lost = format!("time {time}, after the peer was killed");
            ensure!(server.ended()?.is_none(), "{lost}: {}", server.said());
        }
        let status = server.interrupt(LIMIT)?;
        ensure!(status.success(), "the server ended with {status}\n{}", server.said());
        Ok(())
    });
}

/// `crore serve http` at our end of the link.
fn serve(scene: &Scene, root: &std::path::Path, socket: &std::path::Path) -> Result<Program> {
    let mut command = Command::new(binary::crore()?);
    let link = format!("memif:{},address=10.9.0.2/24", socket.display());
    command.args(["serve", "http", "--plain", "--connections", "1000", "--listen", "80"]);
    command.args(["--huge-pages", "transparent", "--link", &link, "--root"]).arg(root);
    let mut server = Program::start("crore serve", &mut command, &scene.log("server"))?;
    until("the server to listen", LIMIT, || match server.ended()? {
        Some(status) => bail!("the server ended: {status}\n{}", server.said()),
        None => Ok(server.said().contains("serving on").then_some(())),
    })?;
    listens(socket)?;
    Ok(server)
}

/// Testpmd between the link and a tap, whose other end is the kernel of `host`.
fn forward(scene: &Scene, host: &Namespace, ends: &Ends<'_>) -> Result<Testpmd> {
    let mut setup = Setup::peer(ends);
    setup.devices.push(format!("net_tap0,iface={TAP}"));
    let mut testpmd = Testpmd::start_in(scene, Some(host), "testpmd", &setup)?;
    testpmd.until_up()?;
    host.ip(&format!("address add 10.9.0.1/24 dev {TAP}"))?;
    host.ip(&format!("link set {TAP} up"))?;
    testpmd.go("io")?;
    Ok(testpmd)
}

/// Ping and a whole file.
fn gets(scene: &Scene, host: &Namespace, file: &std::path::Path) -> Result<()> {
    host.run("ping", &["-q", "-c", "3", "-i", "0.2", "-W", "5", "10.9.0.2"])?;
    let got = scene.folder().join("got");
    let words = ["-sS", "--fail", "-m", "60", "-o", &got.display().to_string(), URL];
    host.run("curl", &words)?;
    ensure!(content::sha256(&got)? == content::sha256(file)?, "the file is not what it was");
    Ok(())
}

const TAP: &str = "dtap0";
const URL: &str = "http://10.9.0.2/file";
const LIMIT: Duration = Duration::from_mins(1);
