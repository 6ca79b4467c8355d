//! Deterministic simulator: two hosts with the real engine, joined by a bad link, in virtual time,
//! all of it from one seed.
//!
//! ```text
//!   seed ─> mix ─┬─> scripts ─> player (Service) ─> engine ─┐
//!                ├─> settings ────────────────────> engine ─┤ frames
//!                └─> faults ──────────────────────> wire <──┘
//!                        book: what was sent, what came,     observer: are TCP's rules kept
//!                        what was called                     by every segment on the wire
//! ```
//!
//! A run fails when an octet of a stream is wrong or missing, a call to the application comes out
//! of order, an invariant of a control block does not hold after a stage, a connection ends
//! without a reason, something does not end, anything is left in a table at the end, or a segment
//! breaks one of TCP's rules on the wire.
//!
//! Both hosts are the same stack, so a fault that both share in the same way can hide; that is what
//! the observer and tests against other stacks are for. `mutants/run` plants known faults, one at a
//! time, and shows that each is caught.

mod book;
mod frames;
mod host;
mod luck;
mod mix;
mod observer;
mod pattern;
mod player;
mod run;
mod script;
mod segment;
mod trace;
mod wire;

pub use run::{Failure, Report, run};
