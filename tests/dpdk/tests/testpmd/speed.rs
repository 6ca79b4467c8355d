//! How fast frames of 64 bytes pass, beside testpmd and testpmd on the same machine.
//!
//! A sender that sends what it can, and a receiver that takes what comes: the slower one says how
//! fast it goes. Cycles are those of bursts with frames in them, but for testpmd's sender, whose
//! account has its attempts in vain as well.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use crore_dpdk_tests::frames::{Ends, OUR_CPU, Traffic};
use crore_dpdk_tests::huge::HugePages;
use crore_dpdk_tests::testpmd::{HUGE_PAGES, Setup, Testpmd};
use crore_netns_tests::program::until;
use crore_netns_tests::scene::Scene;
use serde::Serialize;
use serde_json::json;

use crate::{is_full, linked, listens, play, report};

#[test]
#[ignore = "needs root and dpdk-testpmd, see CONTRIBUTING.md"]
fn frames_pass_as_fast_as_between_two_of_testpmd() {
    play("dpdk-speed", &[], |scene| {
        let mut cells = Vec::new();
        for (client_sends, zero_copy) in
            [(true, false), (false, false), (true, true), (false, true)]
        {
            cells.push(between_two(scene, client_sends, zero_copy)?);
            for we_send in [true, false] {
                cells.push(with_us(scene, we_send, client_sends, zero_copy)?);
            }
        }
        if is_full() {
            report("dpdk-speed", &table(&cells), &json!({ "cells": cells }))?;
        }
        Ok(())
    });
}

/// One measurement.
#[derive(Serialize)]
struct Cell {
    sender: &'static str,
    receiver: &'static str,
    client: &'static str,
    zero_copy: bool,
    frames: u64,
    frames_per_second: f64,
    /// Nothing where there was no account.
    sender_cycles: Option<f64>,
    receiver_cycles: Option<f64>,
}

/// Two of testpmd: the one with the lower number serves.
fn between_two(scene: &Scene, client_sends: bool, zero_copy: bool) -> Result<Cell> {
    let socket = scene.folder().join(format!("two-{client_sends}-{zero_copy}.sock"));
    let serving = Setup::peer(&Ends::new(&socket, false, zero_copy));
    let connecting = Setup { cpu: OUR_CPU, ..Setup::peer(&Ends::new(&socket, true, zero_copy)) };
    let _pages = zero_copy.then(|| HugePages::reserve(HUGE_PAGES)).transpose()?;
    let mut server = Testpmd::start(scene, "server", &serving)?;
    listens(&socket)?;
    let mut client = Testpmd::start(scene, "client", &connecting)?;
    server.until_up()?;
    client.until_up()?;
    let (sender, receiver) =
        if client_sends { (&mut client, &mut server) } else { (&mut server, &mut client) };
    receiver.go("rxonly")?;
    sender.go("txonly")?;
    thread::sleep(duration());
    let sent = sender.halt()?;
    until("the last frames", LIMIT, || Ok((receiver.received()? == sent.tx).then_some(())))?;
    let came = receiver.halt()?;
    ensure!(came.rx == sent.tx, "of {sent:?} came {came:?}");
    client.quit()?;
    server.quit()?;
    Ok(Cell {
        sender: TESTPMD,
        receiver: TESTPMD,
        client: if client_sends { "sender" } else { "receiver" },
        zero_copy,
        frames: sent.tx,
        frames_per_second: sent.tx as f64 / sent.seconds,
        sender_cycles: sent.cycles_per_packet,
        receiver_cycles: came.cycles_per_packet,
    })
}

/// One of testpmd and ours.
fn with_us(scene: &Scene, we_send: bool, client_sends: bool, zero_copy: bool) -> Result<Cell> {
    let socket = scene.folder().join(format!("{we_send}-{client_sends}-{zero_copy}.sock"));
    let ends = Ends::new(&socket, we_send != client_sends, zero_copy);
    let (mut ours, mut theirs, _pages) = linked(scene, &ends)?;
    let (traffic, counts);
    if we_send {
        theirs.go("rxonly")?;
        let before = theirs.received()?;
        traffic = ours.run(&format!("send {} 64", count()))?;
        until("the last frames", LIMIT, || {
            Ok((theirs.received()? == before + traffic.sent).then_some(()))
        })?;
        counts = theirs.halt()?;
        ensure!(counts.rx == traffic.sent && traffic.sent == count(), "{traffic:?}: {counts:?}");
    } else {
        ours.begin("receive")?;
        theirs.go("txonly")?;
        thread::sleep(duration());
        counts = theirs.halt()?;
        traffic = ours.all(counts.tx)?;
        ensure!(counts.tx == traffic.received && traffic.bad == 0, "{counts:?}: {traffic:?}");
    }
    theirs.quit()?;
    let frames = traffic.sent + traffic.received;
    let (ours, theirs) = (cycles(&traffic), counts.cycles_per_packet);
    let (sender_cycles, receiver_cycles) = if we_send { (ours, theirs) } else { (theirs, ours) };
    Ok(Cell {
        sender: if we_send { "crore" } else { TESTPMD },
        receiver: if we_send { TESTPMD } else { "crore" },
        client: if client_sends { "sender" } else { "receiver" },
        zero_copy,
        frames,
        frames_per_second: frames as f64 / traffic.seconds,
        sender_cycles,
        receiver_cycles,
    })
}

fn cycles(traffic: &Traffic) -> Option<f64> {
    let frames = traffic.sent + traffic.received;
    (frames > 0).then(|| traffic.busy_cycles as f64 / frames as f64)
}

fn table(cells: &[Cell]) -> String {
    let mut table = String::from(
        "| sender | receiver | client | its memory | frames | frames/s | sender, cycles a frame \
         | receiver, cycles a frame |\n|---|---|---|---|---|---|---|---|\n",
    );
    for cell in cells {
        let shown = |cycles: Option<f64>| cycles.map_or("-".to_owned(), |n| format!("{n:.0}"));
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {:.2} M | {} | {} |",
            cell.sender,
            cell.receiver,
            cell.client,
            if cell.zero_copy { "in place" } else { "copied" },
            cell.frames,
            cell.frames_per_second / 1e6,
            shown(cell.sender_cycles),
            shown(cell.receiver_cycles),
        );
    }
    table
}

/// Frames that we send.
fn count() -> u64 {
    if is_full() { 10_000_000 } else { 100_000 }
}

/// How long testpmd sends.
fn duration() -> Duration {
    Duration::from_millis(if is_full() { 4_000 } else { 200 })
}

const TESTPMD: &str = "testpmd";
const LIMIT: Duration = Duration::from_mins(1);
