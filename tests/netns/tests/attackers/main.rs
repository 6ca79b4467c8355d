//! Attackers' own programs against `crore serve`: nmap, hping3, slowhttptest.
//!
//! `cargo test -p crore-netns-tests --test attackers -- --ignored` as root; see CONTRIBUTING.md.
//! What they send stays in namespaces that the scenario made.

mod figures;
mod scanner;
mod slow;
mod storms;

use anyhow::Result;
use crore_netns_tests::scene::{self, Scene};

/// Plays a scenario with the peer that Cargo built for this test.
fn play(name: &str, tools: &[&str], act: impl FnOnce(&Scene) -> Result<()>) {
    scene::play(name, tools, env!("CARGO_BIN_EXE_kernel-peer"), act);
}
