//! End to end: a program that nobody here wrote at the other end of a memif link.
//!
//! ```text
//!   frames <── memif ──> dpdk-testpmd                          the driver, by every byte
//!   crore serve <── memif ──> dpdk-testpmd <── tap ──> kernel   the stack behind it
//! ```
//!
//! - [`testpmd`]: `dpdk-testpmd` of Debian's package `dpdk-dev`, by its command line
//! - [`frames`]: `frames`, a program of this crate with nothing but the driver in it
//! - [`frame`]: what the frames between them hold
//! - [`huge`]: huge pages for a test's time
//!
//! Scenarios are played, skipped and cleaned up after as in `crore-netns-tests`. Time limits are
//! watchdogs; only what `CRORE_FULL=1` reports are measurements.

pub mod frame;
pub mod frames;
pub mod huge;
pub mod testpmd;
