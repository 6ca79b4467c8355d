//! What can go wrong in asking the kernel, said so that the reader knows what to do.

use std::io;
use std::net::IpAddr;

/// Why the kernel's network configuration could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// The name is wrong, or the interface is in another network namespace.
    #[error("there is no interface `{name}` in this network namespace{}", one_of(.existing))]
    NoSuchInterface {
        /// The name asked for.
        name: String,
        /// The interfaces that there are.
        existing: Vec<String>,
    },
    /// The interface went away while it was in use.
    #[error("there is no interface number {index} any more")]
    Gone {
        /// Its number.
        index: u32,
    },
    /// The process may not change the neighbour table.
    #[error(
        "not permitted to have {address} resolved: run as root, or give the program its right with \
         `setcap cap_net_admin+ep FILE`"
    )]
    NotPermitted {
        /// The neighbour.
        address: IpAddr,
    },
    /// The kernel refused a request.
    #[error("netlink: could not {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel sent something that cannot be read: a fault of this program, or of a new kernel.
    #[error("netlink: could not {doing}: the kernel's answer is not understood: {what}")]
    Malformed {
        /// What was tried.
        doing: &'static str,
        /// What is wrong with the answer.
        what: String,
    },
}

fn one_of(existing: &[String]) -> String {
    if existing.is_empty() {
        String::new()
    } else {
        format!("; there are: {}", existing.join(", "))
    }
}
