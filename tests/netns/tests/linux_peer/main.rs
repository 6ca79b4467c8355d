//! Linux as the peer: what issue by issue must keep working against the kernel's own TCP.
//!
//! `cargo test -p crore-netns-tests -- --ignored` as root; see CONTRIBUTING.md.

mod connections;
mod crash;
mod http;

use anyhow::Result;
use crore_netns_tests::scene::{self, Scene};

/// Plays a scenario with the peer that Cargo built for this test.
fn play(name: &str, tools: &[&str], act: impl FnOnce(&Scene) -> Result<()>) {
    scene::play(name, tools, env!("CARGO_BIN_EXE_kernel-peer"), act);
}
