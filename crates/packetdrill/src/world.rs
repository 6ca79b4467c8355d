//! All behind the interface: the host, its sockets, and the files that a judge reads.

use crate::fast_open;
use crate::flags::Flags;
use crate::host::{Cause, Host};
use crate::sockets::{Opened, Role, Sockets, Stream};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;

/// One run of packetdrill.
pub(crate) struct World {
    pub(crate) flags: Flags,
    pub(crate) host: Host,
    pub(crate) sockets: Sockets,
    pub(crate) fast_open: fast_open::Sysctls,
    /// The table of endpoints as it was last written.
    states: Option<String>,
}

impl World {
    /// An error is a sentence.
    pub(crate) fn new(flags: Flags) -> Result<Self, String> {
        let host = Host::new(&flags).map_err(|error| error.to_string())?;
        let sockets = Sockets::new(flags.profile);
        let fast_open = fast_open::Sysctls::default();
        let mut world = Self { flags, host, sockets, fast_open, states: None };
        world.apply_fast_open(fast_open::Sysctls::default());
        Ok(world)
    }

    /// A packet comes in.
    pub(crate) fn receive(&mut self, packet: &[u8]) {
        let Self { host, sockets, .. } = self;
        // An acknowledgment may make room without being news.
        sockets.changes += 1;
        host.receive(packet, |stack, news| sockets.hear(stack, &news));
    }

    /// What connections have to say goes out at once.
    pub(crate) fn send_now(&mut self, cause: Cause) {
        let Self { host, sockets, .. } = self;
        host.send(cause, |stack, news| sockets.hear(stack, &news));
    }

    /// A step of the clock towards `us`.
    pub(crate) fn step_towards(&mut self, us: u64) {
        let Self { host, sockets, .. } = self;
        host.step_towards(us, |stack, news| sockets.hear(stack, &news));
    }

    /// Writes the table of endpoints if it changed.
    pub(crate) fn write_states(&mut self) {
        let Some(path) = &self.flags.states else { return };
        let text = self.table();
        if self.states.as_ref() != Some(&text) {
            if let Err(error) = fs::write(path, &text) {
                panic!("cannot write the table of states to {}: {error}", path.display());
            }
            self.states = Some(text);
        }
    }

    /// Writes what packetdrill never took, a line a packet.
    pub(crate) fn write_left(&self) {
        let Some(path) = &self.flags.left else { return };
        let mut text = String::new();
        for packet in &self.host.outgoing {
            let _ = writeln!(text, "{} {}", packet.cause.name(), packet.received);
        }
        if let Err(error) = fs::write(path, &text) {
            panic!("cannot write the packets left to {}: {error}", path.display());
        }
    }

    /// A line per endpoint: descriptor, protocol, both ends, state. Descriptors first, in order,
    /// then what has none any more or not yet.
    fn table(&self) -> String {
        let mut seen = HashMap::new();
        let mut without = Vec::new();
        self.host.stack.survey(|one| {
            let stream = one.conn.and_then(|conn| self.sockets.streams.get(&conn));
            match stream.and_then(Stream::fd) {
                Some(fd) => drop(seen.insert(fd, one.state)),
                None => without.push(one),
            }
        });
        let mut text = String::new();
        for (&fd, opened) in &self.sockets.opened {
            let Opened::Socket(socket) = opened else { continue };
            let stream = match socket.role {
                Role::Stream(conn) => self.sockets.streams.get(&conn),
                _ => None,
            };
            let local = stream.map(|s| s.local).or(socket.bound);
            let remote = stream.map(|s| s.remote);
            // A connection in TIME-WAIT has no control block: its ends tell whose it is.
            let in_time_wait = without.iter().position(|one| {
                one.state == "TIME-WAIT" && Some(one.local) == local && Some(one.remote) == remote
            });
            let state = match (&socket.role, in_time_wait) {
                (Role::Listener(_), _) => "LISTEN",
                (_, Some(at)) => without.remove(at).state,
                _ => seen.get(&fd).copied().unwrap_or("CLOSED"),
            };
            let is_v4 = local.map_or(socket.family == libc::AF_INET, |local| local.is_ipv4());
            line(&mut text, &fd.to_string(), is_v4, local, remote, state);
        }
        for one in without {
            line(&mut text, "?", one.local.is_ipv4(), Some(one.local), Some(one.remote), one.state);
        }
        text
    }
}

fn line(
    text: &mut String,
    fd: &str,
    is_v4: bool,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    state: &str,
) {
    let end = |end: Option<SocketAddr>| match end {
        Some(end) => format!("{}:{}", end.ip(), end.port()),
        None => "*:*".to_owned(),
    };
    let protocol = if is_v4 { "tcp4" } else { "tcp6" };
    let state = name_of(state);
    let _ = writeln!(text, "{fd} {protocol} {} {} {state}", end(local), end(remote));
}

/// The RFC's names of states as `netstat` writes them.
fn name_of(state: &str) -> String {
    match state {
        "SYN-RECEIVED" => "SYN_RCVD".to_owned(),
        _ => state.replace('-', "_"),
    }
}

#[cfg(test)]
mod tests;
