//! The attacks that `docs/security.md` speaks of, one scenario each: what is sent, what it must not
//! do, what it may cost at most. Costs are counted in work, never in time.
//!
//! The engine under test and the peer made by hand are those of the tests of requirements;
//! `tests/hostile` has floods by the million.

// Each test binary uses its own part of what the peer can do.
#[allow(dead_code)]
#[path = "../requirements/app.rs"]
mod app;
#[allow(dead_code)]
#[path = "../requirements/segments.rs"]
mod segments;

mod memory;
