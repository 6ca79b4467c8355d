//! Real interfaces, joined back to back: what a guest of `cargo xtask vm` has in the place of a
//! veth pair.
//!
//! `CRORE_NICS=NEAR,FAR` names them; only a machine that is there for this has any to give away.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::namespace::{Namespace, output};

/// An interface that is lent to a namespace, where it is called `eth0`.
#[derive(Debug)]
pub struct Nic {
    name: String,
    namespace: String,
}

impl Nic {
    /// Lends it, and sets it up there.
    pub(crate) fn lend(name: &str, to: &Namespace) -> Result<Self> {
        let namespace = to.name().to_owned();
        let words = ["link", "set", name, "netns", &namespace, "name", "eth0"];
        output(Command::new("ip").args(words))?;
        let nic = Self { name: name.to_owned(), namespace };
        to.ip("link set eth0 up")?;
        Ok(nic)
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        // A scenario that failed may have left a filter there.
        let _ = output(
            Command::new("ip")
                .args(["-n", &self.namespace, "link", "set", "eth0"])
                .args(["xdp", "off"]),
        );
        // Back to where the machine's first process is. A namespace's end would send it home as
        // well, but under a name that may be taken there.
        let home = ["link", "set", "eth0", "netns", "1", "name", &self.name];
        if let Err(error) = output(Command::new("ip").args(["-n", &self.namespace]).args(home)) {
            eprintln!("{} does not come home: {error:#}", self.name);
        }
    }
}

/// The two interfaces that there are to use, the server's first.
pub(crate) fn named() -> Result<Option<[String; 2]>> {
    let Ok(names) = std::env::var("CRORE_NICS") else { return Ok(None) };
    let two = names.split_once(',').context("CRORE_NICS: two interfaces, like n0,n1")?;
    Ok(Some([two.0.to_owned(), two.1.to_owned()]))
}
