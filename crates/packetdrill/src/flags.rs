//! What `--so_flags` says: `key=value`, comma-separated; unknown keys are ignored.

use std::net::IpAddr;
use std::path::PathBuf;

/// The flags, with what holds when they are not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) profile: Profile,
    /// The interface's MTU, in octets.
    pub(crate) mtu: u16,
    /// The interface's own address; without one it has `LOCAL_V4` and `LOCAL_V6`.
    pub(crate) local: Option<IpAddr>,
    /// Where the table of endpoints is written.
    pub(crate) states: Option<PathBuf>,
    /// Where the packets that nobody took are written.
    pub(crate) left: Option<PathBuf>,
    /// Where system controls set by a script are read from.
    pub(crate) sysctls: Option<PathBuf>,
}

/// Whose habits the stack takes on, so that a script for that system applies verbatim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Linux,
    FreeBsd,
}

impl Flags {
    /// Reads them; an error is a sentence for whoever wrote the flags.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut flags = Self {
            profile: Profile::Linux,
            mtu: 1500,
            local: None,
            states: None,
            left: None,
            sysctls: None,
        };
        for pair in text.split(',') {
            let Some((key, value)) = pair.trim().split_once('=') else { continue };
            let wrong = |what: &str| format!("{key}={value}: {what}");
            match key {
                "profile" => {
                    flags.profile = match value {
                        "linux" => Profile::Linux,
                        "freebsd" => Profile::FreeBsd,
                        _ => return Err(wrong("profiles are `linux` and `freebsd`")),
                    }
                }
                "mtu" => flags.mtu = value.parse().map_err(|_| wrong("not a number of octets"))?,
                "local" => {
                    let address = value.parse().map_err(|_| wrong("not an IP address"))?;
                    flags.local = Some(address);
                }
                "states" => flags.states = Some(value.into()),
                "left" => flags.left = Some(value.into()),
                "sysctls" => flags.sysctls = Some(value.into()),
                _ => {}
            }
        }
        Ok(flags)
    }
}

/// The addresses of an interface that was given none.
pub(crate) const LOCAL_V4: &str = "192.168.0.2";
/// The same for IPv6.
pub(crate) const LOCAL_V6: &str = "fd3d:fa7b:d17d::2";

#[cfg(test)]
mod tests;
