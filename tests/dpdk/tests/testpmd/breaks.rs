//! The peer is killed and comes back, again and again: we go on, and nothing leaks.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crore_dpdk_tests::frames::{Ends, Frames};
use crore_dpdk_tests::testpmd::{Setup, Testpmd};
use crore_netns_tests::program::until;
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
    let mut first = None;
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
        match &first {
            None => first = Some(Held::at_rest(&mut ours)?),
            Some(first) => first.is_all(&mut ours).with_context(|| format!("time {time}"))?,
        }
    }
    Ok(())
}

/// What the process at our end has.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    memory_kb: u64,
}

impl Held {
    fn now(ours: &mut Frames) -> Result<Self> {
        let (status, memory_kb) = (ours.status()?, ours.resident_kb()?);
        Ok(Self { descriptors: status.descriptors, threads: status.threads, memory_kb })
    }

    /// The least of each that a while shows. A link is down before the last of its peer is closed
    /// and unmapped, and a client that tries to connect has a socket for that moment.
    fn at_rest(ours: &mut Frames) -> Result<Self> {
        let mut least = Self::now(ours)?;
        for _ in 0..LOOKS {
            std::thread::sleep(LOOK_EVERY);
            let now = Self::now(ours)?;
            least.descriptors = least.descriptors.min(now.descriptors);
            least.threads = least.threads.min(now.threads);
            least.memory_kb = least.memory_kb.min(now.memory_kb);
        }
        Ok(least)
    }

    /// Waits until the process has no more than this again. What leaked never goes away.
    fn is_all(&self, ours: &mut Frames) -> Result<()> {
        let mut last = None;
        let is_back = until("what a peer left to go away", LIMIT, || {
            let now = *last.insert(Self::now(ours)?);
            let same = now.descriptors <= self.descriptors && now.threads <= self.threads;
            let memory_kb_max = self.memory_kb + LEAK_KB;
            Ok((same && now.memory_kb < memory_kb_max).then_some(()))
        });
        is_back.with_context(|| format!("the first one left {self:?}, this one leaves {last:?}"))
    }
}

/// Looks for what is there at rest: a second of them.
const LOOKS: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A watchdog: memory is looked at every 20 ms, and goes when no queue has it any more.
const LIMIT: Duration = Duration::from_secs(10);

/// A region of the peer's that stayed mapped would be more.
const LEAK_KB: u64 = 2_048;
