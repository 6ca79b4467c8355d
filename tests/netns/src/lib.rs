//! End to end: `crore` on one side of a veth pair, the kernel's TCP and its programs on the other.
//!
//! ```text
//!   direct    client eth0 ───────────────────────────── eth0 server
//!   routed    client eth0 ── eth0 router eth1 ───────── eth0 server
//!                                 drops some packets, each way
//! ```
//!
//! Each scenario has network namespaces of its own and takes them away again. It needs root and a
//! few programs; without them it says so and passes. `CRORE_NETNS=required` makes that a failure.
//!
//! - [`scene`]: one scenario's turn on the machine, its files, and the logs when it fails
//! - [`namespace`], [`network`]: where it plays
//! - [`program`]: child processes that end when the scenario does
//! - [`server`], [`peer`]: `crore serve`, and the kernel's side
//! - [`binary`], [`content`]: the binary under test, and a large file
//!
//! Time limits here are watchdogs for a machine that does much else; no scenario expects speed.

pub mod binary;
pub mod content;
pub mod namespace;
pub mod network;
pub mod peer;
pub mod program;
pub mod scene;
pub mod server;
