//! Linux as the peer: what issue by issue must keep working against the kernel's own TCP.
//!
//! `cargo test -p crore-netns-tests -- --ignored` as root; see CONTRIBUTING.md.

mod analysis;
mod connections;
mod crash;
mod fairness;
mod flood;
mod http;
mod links;
mod matrix;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Result;
use crore_netns_tests::scene::{self, Scene};
use serde_json::Value;

/// Plays a scenario with the peer that Cargo built for this test.
fn play(name: &str, tools: &[&str], act: impl FnOnce(&Scene) -> Result<()>) {
    scene::play(name, tools, env!("CARGO_BIN_EXE_kernel-peer"), act);
}

/// True when all of it was asked for, with figures.
fn is_full() -> bool {
    std::env::var_os("CRORE_FULL").is_some_and(|value| value == "1")
}

/// Prints a table, in Markdown, and writes its figures below Cargo's target folder.
fn report(name: &str, table: &str, figures: &Value) -> Result<()> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    fs::write(&path, serde_json::to_string_pretty(figures)? + "\n")?;
    say(&format!("\n{table}\nfigures: {}\n", path.display()))
}

/// Straight to the descriptor: the test runner keeps what `eprint!` writes to itself.
fn say(text: &str) -> Result<()> {
    Ok(io::stderr().write_all(text.as_bytes())?)
}
