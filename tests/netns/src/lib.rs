//! End to end: `crore` on one side of a veth pair, the kernel's TCP and its programs on the other.
//!
//! ```text
//!   direct    client eth0 ───────────────────────────── eth0 server
//!   routed    client eth0 ── eth0 router eth1 ───────── eth0 server
//!                                 drops some packets, each way
//!   impaired  client eth0 ── impaired-link ── bridge ── eth0 server
//!                            loses, holds back, doubles, corrupts, delays, each way
//! ```
//!
//! Each scenario has network namespaces of its own and takes them away again. It needs root and a
//! few programs; without them it says so and passes. `CRORE_NETNS=required` makes that a failure.
//!
//! - [`scene`]: one scenario's turn on the machine, its files, and the logs when it fails
//! - [`namespace`], [`network`]: where it plays
//! - [`nic`]: real interfaces in the place of a veth pair, in a guest that has some
//! - [`impairment`], [`link`]: the link that harms what it carries, and what it counts
//! - [`program`]: child processes that end when the scenario does
//! - [`server`], [`peer`]: `crore serve`, and the kernel's side
//! - [`flood`]: SYNs from everywhere
//! - [`shark`]: what tshark makes of the records of such a link
//! - [`transfer`]: content moved between the two, timed and summed
//! - [`binary`], [`content`], [`device`]: the binary under test, a large file, a TAP device
//!
//! Time limits here are watchdogs for a machine that does much else; no scenario expects speed.

pub mod binary;
pub mod content;
pub mod device;
pub mod flood;
pub mod impairment;
pub mod link;
pub mod namespace;
pub mod network;
pub mod nic;
pub mod peer;
pub mod program;
pub mod scene;
pub mod server;
pub mod shark;
pub mod transfer;
