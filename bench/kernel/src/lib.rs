//! The same service and the same clients on the kernel's sockets, tuned: what a user would run
//! instead. It is measured in turn with ours, on the same processors.
//!
//! ```text
//!   Kernel       server and clients while they run, all connections open: what the caller sees
//!     place        where they meet: loopback, or a veth pair between two network namespaces
//!     tables       how many threads it takes to have so many files open
//!     epoll        the server, edge-triggered            one accept, one recv, one send
//!     uring        the server on io_uring                multishot accept and recv, buffer ring
//!     client       opens, asks on random connections, checks every byte; or opens and closes
//!     memory       what the kernel took, by its own account
//! ```
//!
//! Tuned: `SO_REUSEPORT`, `TCP_NODELAY`, one core for the server and one for the clients, backlogs
//! and tables as large as it takes, CUBIC without pacing, no conntrack (a namespace of its own).
//! All settings are made in namespaces that are gone afterwards; the one that is not, is put back.
#![cfg(target_os = "linux")]

mod client;
mod epoll;
mod memory;
mod place;
mod run;
mod shared;
mod sockets;
mod tables;
mod uring;

pub use place::Path;
pub use run::{Counted, Kernel, Server, Setup};

/// Why the kernel could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A system call failed.
    #[error("{what}: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        why: std::io::Error,
    },
    /// A program that is needed failed, or is not there.
    #[error("`{command}` failed: {why}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        why: String,
    },
    /// A namespace can only be made by root.
    #[error("a veth pair between two network namespaces needs root")]
    NotRoot,
    /// The server or a client has ended.
    #[error("{0}")]
    Ended(String),
}

/// The result of a system call, with what it was for.
fn tried<T>(
    what: &'static str,
    result: Result<T, impl Into<std::io::Error>>,
) -> Result<T, KernelError> {
    result.map_err(|why| KernelError::System { what, why: why.into() })
}

#[cfg(test)]
mod tests;
