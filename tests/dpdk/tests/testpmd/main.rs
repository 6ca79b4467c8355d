//! `dpdk-testpmd` as the peer: what must keep working against DPDK's memif.
//!
//! `cargo test -p crore-dpdk-tests -- --ignored` as root; see CONTRIBUTING.md.

mod breaks;
mod passing;
mod refusals;
mod speed;
mod stack;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Result;
use crore_dpdk_tests::frames::{Ends, Frames};
use crore_dpdk_tests::huge::HugePages;
use crore_dpdk_tests::testpmd::{HUGE_PAGES, Setup, Testpmd};
use crore_netns_tests::program::until;
use crore_netns_tests::scene::{self, Scene};
use serde_json::Value;

/// Plays a scenario with the programs that Cargo built for this test.
fn play(name: &str, tools: &[&str], act: impl FnOnce(&Scene) -> Result<()>) {
    let tools = [&["dpdk-testpmd", "stdbuf"], tools].concat();
    scene::play(name, &tools, env!("CARGO_BIN_EXE_frames"), act);
}

/// Both ends of a link, once frames can pass. Testpmd forwards nothing yet.
fn linked(scene: &Scene, ends: &Ends<'_>) -> Result<(Frames, Testpmd, Option<HugePages>)> {
    let setup = Setup::peer(ends);
    let pages = ends.zero_copy.then(|| HugePages::reserve(HUGE_PAGES)).transpose()?;
    let (mut ours, mut theirs);
    if ends.we_serve {
        ours = Frames::start(scene, ends)?;
        theirs = Testpmd::start(scene, "testpmd", &setup)?;
    } else {
        theirs = Testpmd::start(scene, "testpmd", &setup)?;
        listens(ends.socket)?;
        ours = Frames::start(scene, ends)?;
    }
    ours.until_up()?;
    theirs.until_up()?;
    Ok((ours, theirs, pages))
}

/// Waits until somebody listens at a socket.
fn listens(socket: &Path) -> Result<()> {
    until("the server to listen", std::time::Duration::from_secs(30), || {
        Ok(socket.exists().then_some(()))
    })
}

/// True when all of it was asked for, with figures.
fn is_full() -> bool {
    std::env::var_os("CRORE_FULL").is_some_and(|value| value == "1")
}

/// Prints a table, in Markdown, and writes its figures below Cargo's target folder.
fn report(name: &str, table: &str, figures: &Value) -> Result<()> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    fs::write(&path, serde_json::to_string_pretty(figures)? + "\n")?;
    // Straight to the descriptor: the test runner keeps what `eprint!` writes to itself.
    let text = format!("\n{table}\nfigures: {}\n", path.display());
    Ok(io::stderr().write_all(text.as_bytes())?)
}
