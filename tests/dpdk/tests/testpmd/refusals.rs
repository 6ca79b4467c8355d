//! Links that cannot be: both sides are told why.

use anyhow::{Result, ensure};
use crore_dpdk_tests::frames::{Ends, Frames};
use crore_dpdk_tests::testpmd::{Setup, Testpmd};
use crore_netns_tests::scene::Scene;

use crate::{linked, listens, play};

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn a_wrong_secret_is_refused_by_us() {
    play("dpdk-secret-client", &[], |scene| {
        let socket = scene.folder().join("memif.sock");
        let wrong = Ends { secrets: ["right", "wrong"], ..Ends::new(&socket, true, false) };
        refused(scene, &wrong, "secret")?;
        let none = Ends { secrets: ["right", ""], ..Ends::new(&socket, true, false) };
        refused(scene, &none, "secret")
    });
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn a_wrong_secret_is_refused_by_testpmd() {
    play("dpdk-secret-server", &[], |scene| {
        let socket = scene.folder().join("memif.sock");
        let wrong = Ends { secrets: ["wrong", "right"], ..Ends::new(&socket, false, false) };
        let peer = Testpmd::start(scene, "testpmd", &Setup::peer(&wrong))?;
        listens(&socket)?;
        let mut ours = Frames::start(scene, &wrong)?;
        // What testpmd says in its message is what the user reads.
        ours.until_said("Incorrect secret")?;
        peer.quit()
    });
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn the_right_secret_opens_the_link() {
    play("dpdk-secret", &[], |scene| {
        for we_serve in [true, false] {
            let socket = scene.folder().join(format!("memif-{we_serve}.sock"));
            let ends = Ends { secrets: ["right"; 2], ..Ends::new(&socket, we_serve, false) };
            let (_ours, theirs, _) = linked(scene, &ends)?;
            theirs.quit()?;
        }
        Ok(())
    });
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn a_client_with_more_queues_than_our_server_takes_fewer() {
    play("dpdk-queues-client", &[], |scene| {
        // DPDK's client goes by what our HELLO says.
        for queues in [[1, 2], [2, 1], [2, 2]] {
            let socket = scene.folder().join(format!("memif-{}-{}.sock", queues[0], queues[1]));
            let ends = Ends { queues, ..Ends::new(&socket, true, false) };
            let (mut ours, theirs, _) = linked(scene, &ends)?;
            ensure!(ours.status()?.up, "{queues:?} queues");
            theirs.quit()?;
        }
        Ok(())
    });
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn more_queues_than_testpmds_server_has_are_refused_by_it() {
    play("dpdk-queues-server", &[], |scene| {
        let socket = scene.folder().join("memif.sock");
        let ends = Ends { queues: [2, 1], ..Ends::new(&socket, false, false) };
        let peer = Testpmd::start(scene, "testpmd", &Setup::peer(&ends))?;
        listens(&socket)?;
        let mut ours = Frames::start(scene, &ends)?;
        // Its HELLO promises 255, whatever it has.
        ours.until_said("Invalid ring index")?;
        peer.quit()?;
        drop(ours);
        let socket = scene.folder().join("both.sock");
        let (_ours, theirs, _) =
            linked(scene, &Ends { queues: [2, 2], ..Ends::new(&socket, false, false) })?;
        theirs.quit()
    });
}

/// We serve, and the client is sent away with a reason that has these words on both sides.
fn refused(scene: &Scene, ends: &Ends<'_>, words: &str) -> Result<()> {
    let mut ours = Frames::start(scene, ends)?;
    let mut peer = Testpmd::start(scene, "testpmd", &Setup::peer(ends))?;
    ours.until_said(words)?;
    peer.until_complains(words)?;
    ensure!(!ours.status()?.up, "the link is up all the same");
    peer.kill()
}
