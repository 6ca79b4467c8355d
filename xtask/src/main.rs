//! Checks and chores of the workspace: `cargo xtask`.
//!
//! ```text
//!   deps      who may depend on whom           xtask/src/deps.rs holds the picture
//!   sizes     lines, files and functions       xtask/ratchet.toml holds the exceptions
//!   rules     names, unsafe, module heads      no exceptions
//!   rfc       what the RFCs ask for            docs/rfc/requirements, comments that cite them
//!   security  what docs/security.md promises   its tests, settings and counters exist
//!   guard     instructions and bytes           bench/record.toml: what was recorded
//!   demo      the report of `crore demo`       what must be true whatever the machine
//!   vm        crore on real NIC drivers        guests in QEMU, tests/vm
//! ```
//!
//! All but the last three run as tests (`cargo test -p xtask`), so that `cargo test` keeps the
//! house in order. Nothing here is part of the product.

mod demo;
mod deps;
mod guard;
mod ratchet;
mod rfc;
mod rules;
mod security;
mod sizes;
mod sources;
mod vm;

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
        ["rfc"] => report(&rfc::problems(&root)?),
        ["rfc", "--write"] => rfc::write(&root, ratchet::Growth::Refused),
        ["rfc", "--write", "--grow"] => rfc::write(&root, ratchet::Growth::Recorded),
        ["guard"] => guard::check(&root),
        ["guard", "--write"] => guard::write(&root),
        ["vm", options @ ..] => vm::run(&root, options),
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
    problems.extend(rfc::problems(root)?);
    problems.extend(security::problems(root)?);
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
cargo xtask check                    dependencies, names, unsafe, sizes, requirements, promises
cargo xtask ratchet                  sizes only
cargo xtask ratchet --write          takes into xtask/ratchet.toml what became smaller
cargo xtask ratchet --write --grow   also what became larger; the commit says why
cargo xtask rfc                      requirements of the RFCs and their citations only
cargo xtask rfc --write              writes docs/rfc/, and takes in what has a test now
cargo xtask rfc --write --grow       also what is done without a test; the commit says why
cargo xtask guard                    instructions a packet, bytes a connection: as recorded?
cargo xtask guard --write            writes bench/record.toml; the commit says why
cargo xtask vm [--kernel 6.18] [--nic virtio|igb|virtio-plain] [--only NAME] [--full]
                                     AF_XDP on the drivers of emulated NICs, in guests
cargo xtask check-demo FILE          is this report of `crore demo` good on any machine";

#[cfg(test)]
mod tests;
