//! Checks and chores of the workspace: `cargo xtask`.
//!
//! ```text
//!   deps      who may depend on whom           xtask/src/deps.rs holds the picture
//!   sizes     lines, files and functions       xtask/ratchet.toml holds the exceptions
//!   rules     names, unsafe, module heads      no exceptions
//!   demo      the report of `crore demo`       what must be true whatever the machine
//! ```
//!
//! The first three run as tests (`cargo test -p xtask`), so that `cargo test` keeps the house in
//! order. Nothing here is part of the product.

mod demo;
mod deps;
mod ratchet;
mod rules;
mod sizes;
mod sources;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    let root = sources::workspace_root();
    match words {
        ["check"] => check(&root),
        ["ratchet"] => report(&ratchet::problems(&root)?),
        ["ratchet", "--write"] => ratchet::write(&root, ratchet::Growth::Refused),
        ["ratchet", "--write", "--grow"] => ratchet::write(&root, ratchet::Growth::Recorded),
        ["check-demo", file] => demo::check(Path::new(file)),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => bail!("no such chore: {}\n\n{HELP}", words.join(" ")),
    }
}

/// Everything that the tests check, as one list.
fn check(root: &Path) -> Result<()> {
    let mut problems = deps::problems(root)?;
    problems.extend(rules::problems(root)?);
    problems.extend(ratchet::problems(root)?);
    report(&problems)
}

fn report(problems: &[String]) -> Result<()> {
    if problems.is_empty() {
        println!("in order");
        return Ok(());
    }
    bail!("{} to put right:\n  {}", problems.len(), problems.join("\n  "))
}

const HELP: &str = "\
cargo xtask check                    dependencies, names, unsafe, sizes
cargo xtask ratchet                  sizes only
cargo xtask ratchet --write          takes into xtask/ratchet.toml what became smaller
cargo xtask ratchet --write --grow   also what became larger; the commit says why
cargo xtask check-demo FILE          is this report of `crore demo` good on any machine";

#[cfg(test)]
mod tests;
