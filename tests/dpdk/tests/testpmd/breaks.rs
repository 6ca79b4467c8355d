//! The peer is killed and comes back, again and again: we go on, and nothing leaks.

use anyhow::{Result, ensure};
use crore_dpdk_tests::frames::{Ends, Frames, Status};
use crore_dpdk_tests::testpmd::{Setup, Testpmd};
use crore_netns_tests::scene::Scene;

use crate::{is_full, listens, play};

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn a_client_that_is_killed_is_served_again() {
    play("dpdk-breaks-client", &[], |scene| comes_and_goes(scene, true));
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn a_server_that_is_killed_is_found_again() {
    play("dpdk-breaks-server", &[], |scene| comes_and_goes(scene, false));
}

fn comes_and_goes(scene: &Scene, we_serve: bool) -> Result<()> {
    let socket = scene.folder().join("memif.sock");
    let ends = Ends::new(&socket, we_serve, false);
    let setup = Setup::peer(&ends);
    let mut ours = Frames::start(scene, &ends)?;
    let mut first: Option<(Status, u64)> = None;
    let times = if is_full() { 100 } else { 4 };
    for time in 1..=times {
        if !we_serve {
            // DPDK's server leaves its socket behind when it is killed, and does not replace it.
            let _ = std::fs::remove_file(&socket);
        }
        let mut peer = Testpmd::start(scene, "testpmd", &setup)?;
        if !we_serve {
            listens(&socket)?;
        }
        let status = ours.until_up()?;
        ensure!(status.ups == time, "the peer of time {time}: {status:?}");
        peer.until_up()?;
        peer.go("io")?;
        let traffic = ours.run("exchange 10000 64 64 same")?;
        ensure!(traffic.received == 10_000 && traffic.bad == 0, "time {time}: {traffic:?}");
        // In the midst of its forwarding.
        peer.kill()?;
        ours.until_down()?;
        let (now, memory_kb) = (ours.status()?, ours.resident_kb()?);
        let (before, memory_kb_before) = first.get_or_insert((now.clone(), memory_kb));
        let same = now.descriptors == before.descriptors && now.threads == before.threads;
        ensure!(same, "time {time} leaves {now:?}, the first left {before:?}");
        let more_kb = memory_kb.saturating_sub(*memory_kb_before);
        ensure!(more_kb < LEAK_KB, "time {time} leaves {more_kb} KiB more than the first");
    }
    Ok(())
}

/// A region of the peer's that stayed mapped would be more.
const LEAK_KB: u64 = 2_048;
