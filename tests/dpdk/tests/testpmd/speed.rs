//! How fast frames of 64 bytes pass, beside testpmd and testpmd on the same machine.
//!
//! A sender that sends what it can, and a receiver that takes what comes: the slower one says how
//! fast it goes. Cycles are those of bursts with frames in them, but for testpmd's sender, whose
//! account has its attempts in vain as well. What is compared takes turns, second by second: the
//! machine may be half as fast a minute later.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use crore_dpdk_tests::frames::{Ends, Frames, OUR_CPU, Traffic};
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
        let mut settings = Vec::new();
        for (client_sends, zero_copy) in
            [(true, false), (false, false), (true, true), (false, true)]
        {
            settings.push(setting(scene, client_sends, zero_copy)?);
        }
        if is_full() {
            report("dpdk-speed", &table(&settings), &json!({ "settings": settings }))?;
        }
        Ok(())
    });
}

/// Who brings the memory, and how it is used.
#[derive(Serialize)]
struct Setting {
    client: &'static str,
    zero_copy: bool,
    /// Testpmd and testpmd first: the others are held against it.
    pairs: Vec<(&'static str, &'static str, Vec<Window>)>,
}

/// One measurement.
#[derive(Clone, Copy, Serialize)]
struct Window {
    frames: u64,
    frames_per_second: f64,
    /// Nothing where there was no account.
    sender_cycles: Option<f64>,
    receiver_cycles: Option<f64>,
}

fn setting(scene: &Scene, client_sends: bool, zero_copy: bool) -> Result<Setting> {
    let mut two = Two::start(scene, client_sends, zero_copy)?;
    let mut we_send = WithUs::start(scene, true, client_sends, zero_copy)?;
    let mut we_receive = WithUs::start(scene, false, client_sends, zero_copy)?;
    let mut windows = [const { Vec::new() }; 3];
    for _ in 0..rounds() {
        windows[0].push(two.window()?);
        windows[1].push(we_send.window()?);
        windows[2].push(we_receive.window()?);
    }
    two.quit()?;
    we_send.theirs.quit()?;
    we_receive.theirs.quit()?;
    let ends = [(TESTPMD, TESTPMD), (OURS, TESTPMD), (TESTPMD, OURS)];
    let pairs = ends.into_iter().zip(windows).map(|((from, to), all)| (from, to, all)).collect();
    Ok(Setting { client: if client_sends { "sender" } else { "receiver" }, zero_copy, pairs })
}

/// Two of testpmd.
struct Two {
    server: Testpmd,
    client: Testpmd,
    client_sends: bool,
    _pages: Option<HugePages>,
}

impl Two {
    /// The one with the lower processor serves.
    fn start(scene: &Scene, client_sends: bool, zero_copy: bool) -> Result<Self> {
        let socket = scene.folder().join(format!("two-{client_sends}-{zero_copy}.sock"));
        let serving = Setup::peer(&Ends::new(&socket, false, zero_copy));
        let connecting =
            Setup { cpu: OUR_CPU, ..Setup::peer(&Ends::new(&socket, true, zero_copy)) };
        let pages = zero_copy.then(|| HugePages::reserve(HUGE_PAGES)).transpose()?;
        let mut server = Testpmd::start(scene, "server", &serving)?;
        listens(&socket)?;
        let mut client = Testpmd::start(scene, "client", &connecting)?;
        server.until_up()?;
        client.until_up()?;
        Ok(Self { server, client, client_sends, _pages: pages })
    }

    fn window(&mut self) -> Result<Window> {
        let Self { server, client, client_sends, .. } = self;
        let (sender, receiver) = if *client_sends { (client, server) } else { (server, client) };
        let before = receiver.received()?;
        receiver.go("rxonly")?;
        sender.go("txonly")?;
        thread::sleep(duration());
        let sent = sender.halt()?;
        until("the last frames", LIMIT, || {
            Ok((receiver.received()? == before + sent.tx).then_some(()))
        })?;
        let came = receiver.halt()?;
        ensure!(came.rx == sent.tx, "of {sent:?} came {came:?}");
        Ok(Window {
            frames: sent.tx,
            frames_per_second: sent.tx as f64 / sent.seconds,
            sender_cycles: sent.cycles_per_packet,
            receiver_cycles: came.cycles_per_packet,
        })
    }

    fn quit(self) -> Result<()> {
        self.client.quit()?;
        self.server.quit()
    }
}

/// One of testpmd and ours.
struct WithUs {
    ours: Frames,
    theirs: Testpmd,
    we_send: bool,
    _pages: Option<HugePages>,
}

impl WithUs {
    fn start(scene: &Scene, we_send: bool, client_sends: bool, zero_copy: bool) -> Result<Self> {
        let socket = scene.folder().join(format!("{we_send}-{client_sends}-{zero_copy}.sock"));
        let ends = Ends::new(&socket, we_send != client_sends, zero_copy);
        let (ours, theirs, pages) = linked(scene, &ends)?;
        Ok(Self { ours, theirs, we_send, _pages: pages })
    }

    fn window(&mut self) -> Result<Window> {
        let Self { ours, theirs, we_send, .. } = self;
        let (traffic, counts);
        if *we_send {
            let before = theirs.received()?;
            theirs.go("rxonly")?;
            traffic = ours.run(&format!("send {} 64", count()))?;
            until("the last frames", LIMIT, || {
                Ok((theirs.received()? == before + traffic.sent).then_some(()))
            })?;
            counts = theirs.halt()?;
            let all = counts.rx == traffic.sent && traffic.sent == count();
            ensure!(all, "{traffic:?}: {counts:?}");
        } else {
            ours.begin("receive")?;
            theirs.go("txonly")?;
            thread::sleep(duration());
            counts = theirs.halt()?;
            traffic = ours.all(counts.tx)?;
            let all = counts.tx == traffic.received && traffic.bad == 0;
            ensure!(all, "{counts:?}: {traffic:?}");
        }
        let frames = traffic.sent + traffic.received;
        let (ours, theirs) = (cycles(&traffic), counts.cycles_per_packet);
        let (sender_cycles, receiver_cycles) =
            if *we_send { (ours, theirs) } else { (theirs, ours) };
        let frames_per_second = frames as f64 / traffic.seconds;
        Ok(Window { frames, frames_per_second, sender_cycles, receiver_cycles })
    }
}

fn cycles(traffic: &Traffic) -> Option<f64> {
    let frames = traffic.sent + traffic.received;
    (frames > 0).then(|| traffic.busy_cycles as f64 / frames as f64)
}

fn table(settings: &[Setting]) -> String {
    let mut table = String::from(
        "| sender | receiver | client | its memory | frames | frames/s | of testpmd's \
         | sender, cycles a frame | receiver, cycles a frame |\n",
    );
    table += "|---|---|---|---|---|---|---|---|---|\n";
    for setting in settings {
        let memory = if setting.zero_copy { "in place" } else { "copied" };
        let beside = &setting.pairs[0].2;
        for (sender, receiver, windows) in &setting.pairs {
            let rate = sorted(windows.iter().map(|window| window.frames_per_second / 1e6));
            let ratio = sorted(
                windows.iter().zip(beside).map(|(a, b)| a.frames_per_second / b.frames_per_second),
            );
            let shown = |part: fn(&Window) -> Option<f64>| {
                let all = sorted(windows.iter().filter_map(part));
                all.get(all.len() / 2).map_or("-".to_owned(), |cycles| format!("{cycles:.0}"))
            };
            let _ = writeln!(
                table,
                "| {sender} | {receiver} | {} | {memory} | {} | {:.2} M ({:.2} to {:.2}) | {:.2} \
                 | {} | {} |",
                setting.client,
                windows.iter().map(|window| window.frames).sum::<u64>(),
                rate[rate.len() / 2],
                rate[0],
                rate[rate.len() - 1],
                ratio[ratio.len() / 2],
                shown(|window| window.sender_cycles),
                shown(|window| window.receiver_cycles),
            );
        }
    }
    table
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// Frames that we send.
fn count() -> u64 {
    if is_full() { 10_000_000 } else { 100_000 }
}

/// How long testpmd sends.
fn duration() -> Duration {
    Duration::from_millis(if is_full() { 1_000 } else { 200 })
}

/// Windows of each pair.
fn rounds() -> usize {
    if is_full() { 9 } else { 1 }
}

const OURS: &str = "crore";
const TESTPMD: &str = "testpmd";
const LIMIT: Duration = Duration::from_mins(1);
