//! `crore bench`: profiles that measure, chosen by name, each with the machine's state beside it.
//!
//! ```text
//!   PROFILES    the profiles, by name
//!   result      what a profile found; it is printed, written as JSON and drawn as HTML
//!   machine     the state of the machine that all figures depend on; probe measures it
//!   live        a server with N live connections, measured in windows
//!   remote      the client's side alone, of a server elsewhere
//!   fleet       servers on several cores, each with a generator on the same core
//!   kernel      what `--against kernel` holds ours against
//!   print       a result on the terminal; html: as a page with plots
//!   echo ...    a profile each
//! ```
//!
//! A profile is one module with one function, `fn run(&BenchOptions, &Machine) ->
//! Result<ProfileResult>`, and a line in [`PROFILES`]. What it does:
//!
//! * It measures at each of `options.connections_or(DEFAULT)`, for `options.time()` a point. A size
//!   that does not fit into the memory is left out with a note (`Machine::has_room_for`).
//! * It takes its memory on `machine.pages`, holds a [`crate::huge_pages::Reserved`] meanwhile, and
//!   runs at `machine.places`. Server and client on a pipe: [`crate::pair`].
//! * `options.against`: whoever can (`Profile::against`) measures the other in turn with ours, one
//!   pair a round, and adds [`result::Pairs`].
//! * Nothing it says may be made up: what could not be measured is a note, what was wrong (a byte,
//!   a lost reply, a reset) a failure. It asserts nothing about speed.
//!
//! It is not the place for guards against decay: those count instructions, in CI.

mod bulk;
mod churn;
mod echo;
mod fleet;
mod flood;
mod hold;
mod html;
mod kernel;
mod latency;
mod live;
mod machine;
mod memif;
mod print;
mod probe;
mod remote;
mod result;
mod scale;

use crate::args::{Against, BenchOptions};
use crate::{interrupt, report};
use anyhow::{Result, anyhow};
use machine::Machine;
use result::ProfileResult;
use serde::Serialize;
use time::OffsetDateTime;

/// What measures.
struct Profile {
    name: &'static str,
    /// What it measures, in a line.
    about: &'static str,
    /// What it can be held against.
    against: &'static [Against],
    run: fn(&BenchOptions, &Machine) -> Result<ProfileResult>,
}

/// All there are, in the order in which they run and are shown.
const PROFILES: [Profile; 8] = [
    Profile {
        name: "echo",
        about: "64-byte requests on random ones of N live connections: cycles a packet over N",
        against: &[Against::Limit, Against::Kernel],
        run: echo::run,
    },
    Profile {
        name: "churn",
        about: "open, one request, reply, close, with N live beside: connections a second",
        against: &[Against::Kernel],
        run: churn::run,
    },
    Profile {
        name: "hold",
        about: "connections only held: bytes of each, and what keepalive or a ping costs",
        against: &[],
        run: hold::run,
    },
    Profile {
        name: "bulk",
        about: "few connections, large windows: Gbit/s of a core, both directions",
        against: &[],
        run: bulk::run,
    },
    Profile {
        name: "latency",
        about: "residence and round trip at 20 to 95 % load, alone and with churn beside",
        against: &[],
        run: latency::run,
    },
    Profile {
        name: "flood",
        about: "SYNs of strangers and junk beside echo: what goodput stays",
        against: &[],
        run: flood::run,
    },
    Profile {
        name: "scale",
        about: "one core to all, each with its own shard and generator: packets a second",
        against: &[],
        run: scale::run,
    },
    Profile {
        name: "memif",
        about: "echo over memif and over a pipe in turn: what a wire between processes costs",
        against: &[],
        run: memif::run,
    },
];

/// All that a run found. The names are part of the interface: docs/bench.md.
#[derive(Debug, Serialize)]
struct Report {
    format: u32,
    version: &'static str,
    /// UTC.
    when: String,
    command: String,
    profiles: Vec<Entry>,
}

/// What a profile found, and the machine just before.
#[derive(Debug, Serialize)]
struct Entry {
    machine: Machine,
    #[serde(flatten)]
    found: ProfileResult,
}

/// Runs the profiles that were asked for, or all. True when all that was checked was right.
pub(crate) fn run(options: &BenchOptions) -> Result<bool> {
    if options.list {
        for profile in &PROFILES {
            println!("{:<9}{}", profile.name, profile.about);
        }
        return Ok(true);
    }
    let mut chosen = chosen(&options.profiles)?;
    if options.connect.is_some() && options.profiles.is_empty() {
        chosen.retain(|profile| remote::has(profile.name));
    }
    let mut profiles = Vec::new();
    for profile in chosen {
        profiles.push(measure(profile, options)?);
        if interrupt::came() {
            break;
        }
    }
    let report = Report {
        format: result::FORMAT,
        version: env!("CARGO_PKG_VERSION"),
        when: when(OffsetDateTime::now_utc()),
        command: std::env::args().skip(1).fold("crore".to_owned(), |all, one| all + " " + &one),
        profiles,
    };
    if let Some(path) = &options.json {
        report::write_json(path, &report)?;
    }
    if let Some(path) = &options.html {
        report::write_whole(path, &html::page(&report))?;
    }
    Ok(report.profiles.iter().all(|entry| entry.found.is_right()))
}

fn measure(profile: &Profile, options: &BenchOptions) -> Result<Entry> {
    println!("\n== {}: {}", profile.name, profile.about);
    let machine = Machine::look(options)?;
    // What the other profiles find is not lost with it.
    let measured = match options.connect {
        Some(server) => remote::run(profile.name, server, options, &machine),
        None => (profile.run)(options, &machine),
    };
    let mut found = measured.unwrap_or_else(|error| {
        let mut found = ProfileResult::new(profile.name, profile.about);
        found.failures.push(format!("it could not be measured: {error:#}"));
        found
    });
    if options.against.is_some_and(|other| !profile.against.contains(&other)) {
        found.note(format!("{} is not held against that", profile.name));
    }
    print::result(&found);
    print::machine(&machine);
    Ok(Entry { machine, found })
}

/// A date and a time, of UTC.
fn when(now: OffsetDateTime) -> String {
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, _) = now.to_hms();
    format!("{year}-{:02}-{day:02} {hour:02}:{minute:02} UTC", u8::from(month))
}

/// The profiles of these names; all, when there are none.
fn chosen(names: &[String]) -> Result<Vec<&'static Profile>> {
    if names.is_empty() {
        return Ok(PROFILES.iter().collect());
    }
    let find = |name: &String| {
        let found = PROFILES.iter().find(|profile| profile.name == name);
        found.ok_or_else(|| {
            let all: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
            anyhow!("there is no profile {name}; there are {}", all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests;
