//! `crore bench`: profiles that measure, chosen by name, each with the machine's state beside it.
//!
//! ```text
//!   PROFILES    the profiles, by name
//!   result      what a profile found; it is printed, written as JSON and drawn as HTML
//!   machine     the state of the machine that all figures depend on
//!   print       a result on the terminal
//!   echo ...    a profile each
//! ```
//!
//! A profile is one module with one function, `fn run(&BenchOptions, &Machine) ->
//! Result<ProfileResult>`, and a line in [`PROFILES`]. What it does:
//!
//! * It measures at each of `options.connections_or(DEFAULT)`, for `options.time()` a point. A size
//!   that does not fit into the memory is left out with a note; `plan::check_fit` says how many
//!   would.
//! * It takes its memory on `machine.pages`, holds a [`crate::huge_pages::Reserved`] meanwhile, and
//!   runs at `machine.places`. Server and client on a pipe: [`crate::pair`].
//! * `options.against`: whoever can, measures the other in turn with ours, one pair a round, and
//!   adds [`result::Pairs`]; whoever cannot, adds a note.
//! * Nothing it says may be made up: what could not be measured is a note, what was wrong (a byte,
//!   a lost reply, a reset) a failure. It asserts nothing about speed.
//!
//! It is not the place for guards against decay: those count instructions, in CI.

mod echo;
mod machine;
mod print;
mod result;

use crate::args::BenchOptions;
use crate::report;
use anyhow::{Result, bail};
use machine::Machine;
use result::ProfileResult;
use serde::Serialize;

/// What measures.
struct Profile {
    name: &'static str,
    /// What it measures, in a line.
    about: &'static str,
    run: fn(&BenchOptions, &Machine) -> Result<ProfileResult>,
}

/// All there are, in the order in which they run and are shown.
const PROFILES: [Profile; 1] = [Profile {
    name: "echo",
    about: "64-byte requests on random ones of N live connections: cycles a packet over N",
    run: echo::run,
}];

/// All that a run found. The names are part of the interface: docs/bench.md.
#[derive(Debug, Serialize)]
struct Report {
    format: u32,
    version: &'static str,
    command: String,
    machine: Machine,
    profiles: Vec<ProfileResult>,
}

/// Runs the profiles that were asked for, or all. True when all that was checked was right.
pub(crate) fn run(options: &BenchOptions) -> Result<bool> {
    if options.list {
        for profile in &PROFILES {
            println!("{:<9}{}", profile.name, profile.about);
        }
        return Ok(true);
    }
    let chosen = chosen(&options.profiles)?;
    let machine = Machine::look(options)?;
    print::machine(&machine);
    let mut profiles = Vec::new();
    for profile in chosen {
        println!("\n== {}: {}", profile.name, profile.about);
        let found = (profile.run)(options, &machine)?;
        print::result(&found);
        profiles.push(found);
    }
    let is_right = profiles.iter().all(ProfileResult::is_right);
    let command = std::env::args().skip(1).fold("crore".to_owned(), |all, one| all + " " + &one);
    let version = env!("CARGO_PKG_VERSION");
    let report = Report { format: result::FORMAT, version, command, machine, profiles };
    if let Some(path) = &options.json {
        report::write_json(path, &report)?;
    }
    Ok(is_right)
}

/// The profiles of these names; all, when there are none.
fn chosen(names: &[String]) -> Result<Vec<&'static Profile>> {
    if names.is_empty() {
        return Ok(PROFILES.iter().collect());
    }
    let find = |name: &String| match PROFILES.iter().find(|profile| profile.name == name) {
        Some(profile) => Ok(profile),
        None => {
            let all: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
            bail!("there is no profile {name}; there are {}", all.join(", "))
        }
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests;
