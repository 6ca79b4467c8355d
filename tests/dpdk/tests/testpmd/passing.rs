//! Frames pass, each one, as it was, whoever serves and whoever copies.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use crore_dpdk_tests::frames::{Ends, Frames, Traffic};
use crore_dpdk_tests::testpmd::{Counts, Testpmd};
use crore_netns_tests::program::until;
use crore_netns_tests::scene::Scene;

use crate::{is_full, linked, play};

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn testpmd_copies_as_client() {
    play("dpdk-client", &[], |scene| everything_passes(scene, true, false));
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn testpmd_works_in_place_as_client() {
    play("dpdk-client-zero-copy", &[], |scene| everything_passes(scene, true, true));
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn testpmd_serves_and_we_copy() {
    play("dpdk-server", &[], |scene| everything_passes(scene, false, false));
}

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn testpmd_serves_and_we_work_in_place() {
    play("dpdk-server-zero-copy", &[], |scene| everything_passes(scene, false, true));
}

fn everything_passes(scene: &Scene, we_serve: bool, zero_copy: bool) -> Result<()> {
    let socket = scene.folder().join("memif.sock");
    let (mut ours, mut theirs, _pages) = linked(scene, &Ends::new(&socket, we_serve, zero_copy))?;
    we_send(&mut ours, &mut theirs)?;
    testpmd_sends(&mut ours, &mut theirs)?;
    // Whole again each time, and every byte of them looked at.
    for (len, window) in [(50, 1), (64, 256), (1514, 256)] {
        comes_back(&mut ours, &mut theirs, ("io", "same"), (len, window))?;
    }
    comes_back(&mut ours, &mut theirs, ("5tswap", "swap"), (64, 256))?;
    ping_pong(&mut ours, &mut theirs)?;
    let status = ours.status()?;
    ensure!(status.up && status.ups == 1, "the link broke: {status:?}");
    theirs.quit()
}

/// To a peer that only counts.
fn we_send(ours: &mut Frames, theirs: &mut Testpmd) -> Result<()> {
    theirs.go("rxonly")?;
    let before = theirs.received()?;
    let sent = ours.run(&format!("send {} 64", count()))?;
    until("testpmd to have all frames", LIMIT, || {
        Ok((theirs.received()? == before + sent.sent).then_some(()))
    })?;
    let counts = theirs.halt()?;
    ensure!(sent.sent == count() && counts.rx == sent.sent, "{sent:?} became {counts:?}");
    Ok(())
}

/// From a peer that sends more than there is room for, and counts what found room.
fn testpmd_sends(ours: &mut Frames, theirs: &mut Testpmd) -> Result<()> {
    ours.begin("receive")?;
    theirs.go("txonly")?;
    thread::sleep(Duration::from_secs(if is_full() { 10 } else { 1 }));
    let counts = theirs.halt()?;
    let received = ours.all(counts.tx)?;
    ensure!(received.bad == 0 && received.received > 0, "{received:?}");
    ensure!(received.received == counts.tx, "of {counts:?} came {received:?}");
    ensure!(!is_full() || received.received >= count(), "{received:?} is less than asked for");
    Ok(())
}

fn comes_back(
    ours: &mut Frames,
    theirs: &mut Testpmd,
    (mode, how): (&str, &str),
    (len, window): (usize, u64),
) -> Result<()> {
    // One at a time is about latency; the rest is about numbers.
    let count = if window == 1 { count() / 100 } else { count() };
    theirs.go(mode)?;
    let traffic = ours.run(&format!("exchange {count} {len} {window} {how}"))?;
    let counts = theirs.halt()?;
    is_whole(count, traffic, counts)
}

fn ping_pong(ours: &mut Frames, theirs: &mut Testpmd) -> Result<()> {
    theirs.go("icmpecho")?;
    let traffic = ours.run(&format!("ping {PINGS}"))?;
    let counts = theirs.halt()?;
    is_whole(PINGS, traffic, counts)
}

/// As many there and back, none bad; both sides agree.
fn is_whole(count: u64, traffic: Traffic, counts: Counts) -> Result<()> {
    let Traffic { sent, received, bad, .. } = traffic;
    ensure!(sent == count && received == count && bad == 0, "{traffic:?}");
    ensure!(counts.rx == count && counts.tx == count && counts.tx_dropped == 0, "{counts:?}");
    Ok(())
}

/// Frames of each kind.
fn count() -> u64 {
    if is_full() { 10_000_000 } else { 100_000 }
}

const PINGS: u64 = 1_000;
const LIMIT: Duration = Duration::from_mins(1);
