//! A small packetdrill of our own: plays a script against the library's table of 33 slots, as
//! packetdrill does, so that the scripts prove something on machines that have none.
//!
//! ```text
//!   text ── script ──> events ── play ──┬─ calls ──> library (the table) ──> the stack
//!                                       └─ packet ─> built, or compared with what came out
//! ```
//!
//! It knows what our scripts use of the language: packets of TCP and ICMP with their options,
//! socket calls that end at once or wait, exact times and ranges, `sysctl` between back quotes. It
//! is not the judge, packetdrill is: a script has to pass there as well (`docs/packetdrill.md`). In
//! one thing it is stricter: packets that a script did not ask for fail it, at its end too.

mod calls;
mod library;
mod names;
mod packet;
mod play;
mod script;
mod text;

use std::path::Path;

/// What a script is played on.
pub(crate) struct Stage<'a> {
    pub(crate) profile: &'a str,
    /// The stack's address.
    pub(crate) local: &'a str,
    /// A directory for the files of the run.
    pub(crate) scratch: &'a Path,
}

/// Plays the script; an error says in which line what was wrong.
pub(crate) fn run(script: &str, stage: &Stage<'_>) -> Result<(), String> {
    play::Play::new(stage)?.all(&script::parse(script)?)
}
