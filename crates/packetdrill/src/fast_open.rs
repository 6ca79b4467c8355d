//! Fast Open on sockets: the `sysctl`s and options of Linux that switch it on, and what `connect`
//! and `sendto` make of it. What TCP does is the stack's matter.

use crate::errno::Errno;
use crate::sockets::Role;
use crate::world::World;
use crore_stack::FastOpenKey;
use std::net::SocketAddr;

/// What `sysctl` says of Fast Open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sysctls {
    /// `net.ipv4.tcp_fastopen`.
    pub(crate) bits: u64,
    /// `net.ipv4.tcp_fastopen_key`: the key, and the one before it.
    pub(crate) keys: [Option<FastOpenKey>; 2],
    /// How often `net.ipv4.tcp_fastopen_cookies` was set: each time old kernels forgot all cookies.
    pub(crate) flushes: usize,
}

impl Default for Sysctls {
    fn default() -> Self {
        Self { bits: CLIENT, keys: [Some(SCRIPTS_KEY), None], flushes: 0 }
    }
}

impl Sysctls {
    /// Takes over what a script has set so far.
    pub(crate) fn read(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            let name = name.trim().replace('/', ".");
            match name.strip_prefix("net.ipv4.tcp_fastopen") {
                Some("") => {
                    found.bits = crate::profile::number(value.trim()).unwrap_or(found.bits);
                }
                Some("_key") => {
                    let mut keys = value.split(',').map(|key| key_of(key.trim()));
                    found.keys = [keys.next().flatten(), keys.next().flatten()];
                }
                Some("_cookies") => found.flushes += 1,
                _ => {}
            }
        }
        found
    }

    fn has(&self, bit: u64) -> bool {
        self.bits & bit != 0
    }
}

/// `a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4`: four words, the low octet of each first.
fn key_of(text: &str) -> Option<FastOpenKey> {
    let mut key = [0; 16];
    let mut words = text.split('-');
    for place in key.chunks_exact_mut(4) {
        let word = u32::from_str_radix(words.next()?, 16).ok()?;
        place.copy_from_slice(&word.to_le_bytes());
    }
    Some(FastOpenKey(key))
}

/// What `connect` did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Connecting {
    /// The SYN is out.
    Begun,
    /// It goes with the first octets.
    Deferred,
}

/// How octets are sent that may begin a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// With `MSG_FASTOPEN`.
    pub(crate) flagged: bool,
    /// The call may wait.
    pub(crate) waits: bool,
}

/// How a connection with Fast Open begins.
pub(crate) enum Begun {
    /// It is connected already, or not to be so yet: the call goes on as any other.
    Nothing,
    /// It was begun; so many octets are queued: those on the SYN, and for a call that waits for the
    /// handshake those that follow it.
    Queued(usize),
}

impl World {
    /// New settings for Fast Open.
    pub(crate) fn apply_fast_open(&mut self, found: Sysctls) {
        if found.flushes > self.fast_open.flushes {
            self.host.stack.forget_fast_open();
        }
        let config = &mut self.host.stack.settings_mut().fast_open;
        config.serve_without_cookie = found.has(SERVER_WITHOUT_COOKIE);
        config.connect_without_cookie = found.has(CLIENT_WITHOUT_COOKIE);
        config.keys = found.keys;
        self.fast_open = found;
    }

    /// Switches Fast Open on a listener's port on or off.
    pub(crate) fn apply_fast_open_to(&mut self, fd: i32) -> Result<(), Errno> {
        let socket = self.sockets.socket(fd)?;
        let Role::Listener(listener) = &socket.role else { return Ok(()) };
        let wanted = socket.options.tcp_on(libc::TCP_FASTOPEN) || self.fast_open.has(ALL_LISTENERS);
        let on = wanted && self.fast_open.has(SERVER);
        let (port, key) = (listener.port, socket.options.fast_open_key());
        self.host.stack.set_fast_open(port, on);
        let keys = key.map_or(self.fast_open.keys, |key| [Some(FastOpenKey(key)), None]);
        self.host.stack.settings_mut().fast_open.keys = keys;
        Ok(())
    }

    /// `TCP_FASTOPEN_CONNECT` is refused where there is no Fast Open.
    pub(crate) fn check_fast_open_connect(&mut self) -> Result<(), Errno> {
        self.read_sysctls();
        if self.fast_open.has(CLIENT) { Ok(()) } else { Err(libc::EOPNOTSUPP) }
    }

    /// `connect`. With `TCP_FASTOPEN_CONNECT` and a cookie for the server it waits for the first
    /// octets, without one it asks for it.
    pub(crate) fn connect(&mut self, fd: i32, remote: SocketAddr) -> Result<Connecting, Errno> {
        let socket = self.sockets.socket(fd)?;
        let wanted = socket.options.tcp_on(libc::TCP_FASTOPEN_CONNECT);
        let (is_idle, bound) = (matches!(socket.role, Role::Idle), socket.bound);
        self.read_sysctls();
        if !is_idle || !wanted || !self.fast_open.has(CLIENT) {
            return self.begin_connect(fd, remote).map(|()| Connecting::Begun);
        }
        if !self.host.stack.fast_open_is_known(remote, bound) {
            return self.begin_connect_with(fd, remote, Some(&[])).map(|_| Connecting::Begun);
        }
        let socket = self.sockets.socket_mut(fd)?;
        socket.role = Role::Deferred(remote);
        socket.edges += 1;
        Ok(Connecting::Deferred)
    }

    /// The first octets of a connection, with `MSG_FASTOPEN` or after a deferred `connect`.
    pub(crate) fn begin_fast_open(
        &mut self,
        fd: i32,
        remote: Option<SocketAddr>,
        octets: &[u8],
        how: How,
    ) -> Result<Begun, Errno> {
        let (remote, deferred) = match self.sockets.socket(fd)?.role {
            Role::Deferred(remote) => (Some(remote), true),
            Role::Idle => (remote, false),
            Role::Stream(conn) => {
                let stream = self.sockets.streams.get(&conn);
                let opening = stream.is_some_and(|s| !s.connected && s.ended.is_none());
                return if how.flagged && opening {
                    Err(libc::EALREADY)
                } else {
                    Ok(Begun::Nothing)
                };
            }
            Role::Listener(_) => return Ok(Begun::Nothing),
        };
        if !how.flagged && !deferred {
            return Ok(Begun::Nothing);
        }
        self.read_sysctls();
        if !self.fast_open.has(CLIENT) {
            return Err(libc::EOPNOTSUPP);
        }
        let remote = remote.ok_or(libc::EINVAL)?;
        self.sockets.socket_mut(fd)?.role = Role::Idle;
        let on_syn = self.begin_connect_with(fd, remote, Some(octets))?;
        if !how.waits {
            return Ok(Begun::Queued(on_syn));
        }
        let conn = self.sockets.conn(fd, libc::ENOTCONN)?;
        Ok(Begun::Queued(on_syn + self.host.stack.send(conn.0, &octets[on_syn..])))
    }
}

/// Bits of `net.ipv4.tcp_fastopen`.
const CLIENT: u64 = 1;
const SERVER: u64 = 2;
const CLIENT_WITHOUT_COOKIE: u64 = 4;
const SERVER_WITHOUT_COOKIE: u64 = 0x200;
const ALL_LISTENERS: u64 = 0x400;

/// The key that the public scripts set before they name cookies: so they need not.
const SCRIPTS_KEY: FastOpenKey = FastOpenKey([
    0xa1, 0xa1, 0xa1, 0xa1, 0xb2, 0xb2, 0xb2, 0xb2, 0xc3, 0xc3, 0xc3, 0xc3, 0xd4, 0xd4, 0xd4, 0xd4,
]);

#[cfg(test)]
mod tests;
