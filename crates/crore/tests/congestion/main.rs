//! Congestion seen: throughput over loss, round-trip time and buffer against theory, and flows that
//! share a bottleneck; in virtual time.
//!
//! `docs/congestion.md` has the figures, and the command that makes its picture.

mod cells;
mod dumbbell;
mod plot;
mod sharing;
mod theory;
