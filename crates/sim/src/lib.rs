//! Deterministic simulator: hosts with the real engine, joined by a bad network, in virtual time,
//! all of it from one seed.
//!
//! ```text
//!   seed ─> mix ─┬─> scripts ──> player (Service) ─> engine ─┐
//!    (draw)      ├─> hosts ────> settings ─────────> engine ─┤ frames
//!     file ──────┤─> liars ────> liar ──────────────────────>┤
//!                ├─> lanes ────> network: lanes around a switch or router
//!                └─> faults ───> world: what goes wrong by schedule; forger
//!
//!   book: what was sent, what came, what was called      observer: are TCP's rules kept by every
//!   judge: has every end a reason                        segment on the wire
//! ```
//!
//! | module | |
//! |---|---|
//! | [`mix`] | what a run is made of, as data: drawn from a seed (swarm), or from a file |
//! | [`script`], [`fault`], [`liar`] | its parts: applications, what goes wrong, who lies |
//! | `world` | a run, from event to event, in virtual time |
//! | `host`, `player` | an engine with its clock, and the application on it |
//! | `network`, `addresses` | lanes, switch, router; who is where |
//! | `forger` | an attacker off the path |
//! | `book`, `observer`, `judge` | the checkers |
//! | [`coverage`], [`report`] | which arrows of the state diagram were taken; sums |
//! | [`shrink`] | a smaller mix that still fails |
//! | `luck`, `pattern`, `trace` | random numbers by purpose; streams; what one reads |
//!
//! A run fails when an octet of a stream is wrong or missing, a call to the application comes out
//! of order, an invariant of a control block does not hold after a stage, a pool block is lost, the
//! counters do not add up, a connection ends without a reason, something does not end, anything is
//! left in a table at the end, a round trip is measured that cannot be, or a segment breaks one of
//! TCP's rules on the wire.
//!
//! All honest hosts are the same stack, so a fault that all share in the same way can hide; that is
//! what the observer, the liars and tests against other stacks are for. `tests/mutants/run` plants
//! known faults, one at a time, and shows that each is caught.

#![forbid(unsafe_code)]

mod addresses;
mod book;
pub mod coverage;
pub mod fault;
mod forger;
mod host;
mod judge;
pub mod liar;
mod luck;
pub mod mix;
mod network;
mod observer;
mod pattern;
mod player;
pub mod report;
pub mod script;
pub mod shrink;
mod trace;
mod world;

pub use mix::Mix;
pub use report::{Failure, Report};
pub use world::play;

/// Plays the run of `seed`. With `traces`, prints what happens to every frame and connection.
///
/// # Panics
/// When the stack finds an invariant of its own broken.
pub fn run(seed: u64, traces: bool) -> Result<Report, Failure> {
    play(&Mix::draw(seed), traces)
}
