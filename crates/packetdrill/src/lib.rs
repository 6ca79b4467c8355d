//! The stack behind packetdrill's shared-library interface, on a virtual clock.
//!
//! packetdrill (`--so_filename`) loads this library, makes a script's socket calls through it,
//! hands it the script's packets and takes the stack's. There is no TCP in here: calls become calls
//! of the stack, and the clock moves only when packetdrill reads it or sleeps.
//!
//! ```text
//!   packetdrill ── 33 slots ──> ffi ──> shared ──> world ──> sockets ──> host ──> crore-stack
//! ```
//!
//! | module | what it does | what it does not |
//! |---|---|---|
//! | `ffi` | C's types to Rust's and back | decide |
//! | `shared` | one clock for two threads; calls that wait | know what they wait for |
//! | `world` | everything of one run; the files for a judge | |
//! | `calls`, `stream`, `options`, `readiness` | POSIX on connections | TCP |
//! | `sockets` | descriptors, accept queues, news of connections | |
//! | `host` | the stack, its clock, its link of bare IP packets | |
//! | `profile`, `flags` | which settings a script's system has | |

mod calls;
mod descriptor;
mod errno;
mod fast_open;
pub mod ffi;
mod flags;
mod host;
mod options;
mod profile;
mod readiness;
mod shared;
mod sockets;
mod stream;
mod world;

pub use ffi::packetdrill_interface_init;
