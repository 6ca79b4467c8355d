//! `PATH[,OPTION=VALUE...]`: a socket, and what is to be at it.

use core::str::FromStr;
use crore::driver::memif::{Address, Options, Role};
use crore::mem::HugePages;

/// What stands behind `memif:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemifArg {
    /// What it is depends on who asks: servers are servers.
    role: Option<Role>,
    options: Options,
}

impl MemifArg {
    /// All of it, for a program that is in this role unless told otherwise, and has such pages.
    pub(crate) fn options(&self, role: Role, huge_pages: HugePages) -> Options {
        let role = self.role.unwrap_or(role);
        Options { role, huge_pages, ..self.options.clone() }
    }
}

impl FromStr for MemifArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let address = parts.next().filter(|address| !matches!(*address, "" | "@"));
        let address = address.ok_or(
            "memif:PATH, or memif:@NAME for an abstract socket, like memif:/run/memif.sock",
        )?;
        let mut arg =
            Self { role: None, options: Options::new(Address::parse(address), Role::Server) };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            arg.set(key, value).ok_or_else(|| format!("`{part}`; {KEYS}"))?;
        }
        Ok(arg)
    }
}

impl MemifArg {
    /// `None` when there is no such key, or it has no such value.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let options = &mut self.options;
        match (key, value) {
            ("id", id) => options.id = id.parse().ok()?,
            ("role", "server") => self.role = Some(Role::Server),
            ("role", "client") => self.role = Some(Role::Client),
            ("queues", queues) => options.queues = queues.parse().ok()?,
            ("secret", secret) => secret.clone_into(&mut options.secret),
            ("zero-copy", "yes") => options.zero_copy = true,
            ("zero-copy", "no") => options.zero_copy = false,
            ("ring", log2) => options.ring_log2 = log2.parse().ok()?,
            ("buffer", bytes) => options.buffer_bytes = bytes.parse().ok()?,
            ("mtu", bytes) => options.mtu = bytes.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

const KEYS: &str = "there are id=N, role=server|client, queues=N, secret=TEXT, mtu=BYTES, and for \
                    a client zero-copy=yes|no, ring=LOG2, buffer=BYTES";

#[cfg(test)]
mod tests;
