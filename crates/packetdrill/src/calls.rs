//! The calls that make, name and end connections.

use crate::descriptor::Descriptor;
use crate::errno::{Errno, Stop};
use crate::fast_open::Sysctls;
use crate::host::Cause;
use crate::profile;
use crate::sockets::{Listener, Opened, Owner, Role, Socket, Stream, error_of};
use crate::world::World;
use crore_stack::{ConnectError, Flags};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

impl World {
    pub(crate) fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        if domain != libc::AF_INET && domain != libc::AF_INET6 {
            return Err(libc::EAFNOSUPPORT);
        }
        if kind & 0xf != libc::SOCK_STREAM {
            return Err(libc::ESOCKTNOSUPPORT);
        }
        if protocol != 0 && protocol != libc::IPPROTO_TCP {
            return Err(libc::EPROTONOSUPPORT);
        }
        self.read_sysctls();
        let nonblocking = kind & libc::SOCK_NONBLOCK != 0;
        self.add_socket(domain, nonblocking)
    }

    fn add_socket(&mut self, family: i32, nonblocking: bool) -> Result<i32, Errno> {
        let descriptor = Descriptor::new()?;
        let fd = descriptor.number();
        let socket = Socket::new(descriptor, family, nonblocking);
        self.sockets.opened.insert(fd, Opened::Socket(socket));
        Ok(fd)
    }

    pub(crate) fn bind(&mut self, fd: i32, address: SocketAddr) -> Result<(), Errno> {
        let socket = self.sockets.socket(fd)?;
        if socket.bound.is_some() || !matches!(socket.role, Role::Idle) {
            return Err(libc::EINVAL);
        }
        let reuse = socket.options.socket_on(libc::SO_REUSEADDR);
        let taken = self.sockets.opened.iter().any(|(&other, opened)| match opened {
            Opened::Socket(socket) if other != fd => {
                let same = socket.bound.is_some_and(|bound| bound.port() == address.port());
                let listens = matches!(socket.role, Role::Listener(_));
                let shares = reuse && socket.options.socket_on(libc::SO_REUSEADDR) && !listens;
                same && address.port() != 0 && !shares
            }
            _ => false,
        });
        if taken {
            return Err(libc::EADDRINUSE);
        }
        self.sockets.socket_mut(fd)?.bound = Some(address);
        Ok(())
    }

    pub(crate) fn listen(&mut self, fd: i32) -> Result<(), Errno> {
        self.read_sysctls();
        let socket = self.sockets.socket_mut(fd)?;
        match socket.role {
            Role::Idle => {}
            // A second call only changes the backlog.
            Role::Listener(_) => return Ok(()),
            Role::Stream(_) | Role::Deferred(_) => return Err(libc::EINVAL),
        }
        let port = socket.bound.map_or(0, |address| address.port());
        if port == 0 {
            return Err(libc::EADDRINUSE);
        }
        socket.role = Role::Listener(Listener { port, ready: VecDeque::new() });
        self.apply_options(fd, 0)?;
        self.host.stack.listen(port);
        self.apply_fast_open_to(fd)
    }

    /// The new descriptor and the peer.
    pub(crate) fn accept(&mut self, fd: i32) -> Result<(i32, SocketAddr), Stop> {
        let first = self.sockets.first_ready(&self.host.stack, fd);
        let socket = self.sockets.socket_mut(fd)?;
        let Role::Listener(listener) = &mut socket.role else {
            return Err(Stop::Failed(libc::EINVAL));
        };
        let conn = first.and_then(|at| listener.ready.remove(at)).ok_or(Stop::Wait)?;
        let (family, options) = (socket.family, socket.options.clone());
        let new = self.add_socket(family, false)?;
        let stream = self.sockets.streams.get_mut(&conn).ok_or(libc::ECONNABORTED)?;
        stream.owner = Owner::Socket(new);
        let (local, remote) = (stream.local, stream.remote);
        let ended = stream.ended.map(|why| (why, stream.peer_closed));
        let error = ended.and_then(|(why, closed)| error_of(why, closed, self.flags.profile));
        let socket = self.sockets.socket_mut(new)?;
        socket.error = error;
        socket.bound = Some(local);
        socket.role = Role::Stream(conn);
        socket.options = options;
        Ok((new, remote))
    }

    /// Begins to connect; done when the stack says so.
    pub(crate) fn begin_connect(&mut self, fd: i32, remote: SocketAddr) -> Result<(), Errno> {
        self.begin_connect_with(fd, remote, None).map(|_| ())
    }

    /// The same, with Fast Open when there are `octets`; says how many go on the SYN.
    pub(crate) fn begin_connect_with(
        &mut self,
        fd: i32,
        remote: SocketAddr,
        octets: Option<&[u8]>,
    ) -> Result<usize, Errno> {
        let socket = self.sockets.socket(fd)?;
        if let Role::Stream(conn) = socket.role {
            let opening = self.sockets.streams.get(&conn).is_some_and(|s| !s.connected);
            return Err(if opening { libc::EALREADY } else { libc::EISCONN });
        }
        if !matches!(socket.role, Role::Idle) {
            return Err(libc::EISCONN);
        }
        let bound = socket.bound;
        let nodelay = socket.options.tcp_on(libc::TCP_NODELAY);
        self.read_sysctls();
        self.apply_options(fd, 0)?;
        self.host.know(remote.ip());
        let local = bound.filter(|local| !local.ip().is_unspecified());
        let stack = &mut self.host.stack;
        let opened = match octets {
            Some(octets) => stack.connect_fast_open(remote, local, octets),
            None => stack.connect(remote, local).map(|index| (index, 0)),
        };
        let (index, on_syn) = opened.map_err(errno_of)?;
        let conn = (index, self.host.stack.tcb(index).generation);
        self.host.stack.set_flag(index, Flags::NODELAY, nodelay);
        let (local, remote) = (self.host.stack.local(index), self.host.stack.remote(index));
        let stream = Stream::new(Owner::Socket(fd), local, remote);
        self.sockets.streams.insert(conn, stream);
        self.sockets.socket_mut(fd)?.role = Role::Stream(conn);
        self.send_now(Cause::Call);
        Ok(on_syn)
    }

    /// How the connecting goes.
    pub(crate) fn connect_result(&mut self, fd: i32) -> Result<(), Stop> {
        let conn = self.sockets.conn(fd, libc::ENOTCONN)?;
        let socket = self.sockets.socket_mut(fd)?;
        if let Some(errno) = socket.error.take() {
            return Err(Stop::Failed(errno));
        }
        let stream = self.sockets.streams.get(&conn).ok_or(libc::ECONNABORTED)?;
        if stream.connected { Ok(()) } else { Err(Stop::Wait) }
    }

    pub(crate) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        let opened = self.sockets.opened.remove(&fd).ok_or(libc::EBADF)?;
        self.sockets.forget_watched(fd);
        let Opened::Socket(socket) = opened else { return Ok(()) };
        let stack = &mut self.host.stack;
        match socket.role {
            Role::Idle | Role::Deferred(_) => {}
            Role::Listener(listener) => {
                stack.unlisten(listener.port);
                for conn in listener.ready {
                    self.sockets.abandon(stack, conn, true);
                }
            }
            Role::Stream(conn) => {
                let reset = socket.options.lingers_for_nothing();
                self.sockets.abandon(stack, conn, reset);
            }
        }
        self.send_now(Cause::Call);
        Ok(())
    }

    pub(crate) fn shutdown(&mut self, fd: i32, how: i32) -> Result<(), Errno> {
        let (read, write) = match how {
            libc::SHUT_RD => (true, false),
            libc::SHUT_WR => (false, true),
            libc::SHUT_RDWR => (true, true),
            _ => return Err(libc::EINVAL),
        };
        let conn = self.sockets.conn(fd, libc::ENOTCONN)?;
        let stream = self.sockets.streams.get_mut(&conn).ok_or(libc::ENOTCONN)?;
        if stream.ended.is_some() {
            return Err(libc::ENOTCONN);
        }
        stream.shut.read |= read;
        stream.shut.write |= write;
        if write {
            self.host.stack.close(conn.0);
        }
        self.sockets.changes += 1;
        self.sockets.socket_mut(fd)?.edges += 1;
        self.send_now(Cause::Call);
        Ok(())
    }

    pub(crate) fn fcntl(&mut self, fd: i32, command: i32, value: i32) -> Result<i32, Errno> {
        let socket = self.sockets.socket_mut(fd)?;
        match command {
            libc::F_GETFL => {
                Ok(libc::O_RDWR | if socket.nonblocking { libc::O_NONBLOCK } else { 0 })
            }
            libc::F_SETFL => {
                socket.nonblocking = value & libc::O_NONBLOCK != 0;
                Ok(0)
            }
            libc::F_GETFD | libc::F_SETFD => Ok(0),
            _ => Err(libc::EINVAL),
        }
    }

    /// The number that the request asks for.
    pub(crate) fn ioctl(&mut self, fd: i32, request: u64) -> Result<i32, Errno> {
        let conn = match self.sockets.socket(fd)?.role {
            Role::Stream(conn) => conn,
            Role::Listener(_) => return Err(libc::EINVAL),
            Role::Idle | Role::Deferred(_) => return Ok(0),
        };
        let tcb = self.host.stack.tcb(conn.0);
        match request {
            SIOCINQ => Ok(self.host.stack.unread(conn.0) as i32),
            SIOCOUTQ => Ok(tcb.queued() as i32),
            SIOCOUTQNSD => Ok(tcb.unsent() as i32),
            _ => Err(libc::ENOTTY),
        }
    }

    /// True when a call on the descriptor must not wait.
    pub(crate) fn is_nonblocking(&self, fd: i32, flags: i32) -> bool {
        let nonblocking = self.sockets.socket(fd).is_ok_and(|socket| socket.nonblocking);
        nonblocking || flags & libc::MSG_DONTWAIT != 0
    }

    /// Takes over what a script set with `sysctl` so far.
    pub(crate) fn read_sysctls(&mut self) {
        let Some(path) = &self.flags.sysctls else { return };
        if let Ok(text) = std::fs::read_to_string(path) {
            profile::apply_sysctls(&text, self.flags.profile, self.host.stack.settings_mut());
            self.apply_fast_open(Sysctls::read(&text));
        }
    }
}

fn errno_of(error: ConnectError) -> Errno {
    match error {
        ConnectError::NotOurAddress | ConnectError::NoPort | ConnectError::OtherCore => {
            libc::EADDRNOTAVAIL
        }
        ConnectError::BadRemote => libc::EINVAL,
        ConnectError::InUse => libc::EADDRINUSE,
        ConnectError::NoRoute => libc::ENETUNREACH,
        ConnectError::TableFull => libc::ENOBUFS,
    }
}

/// IPv4 in an IPv6 socket's form is IPv4.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), address.port()),
            None => address,
        },
        IpAddr::V4(_) => address,
    }
}

/// Octets that can be read at once.
const SIOCINQ: u64 = 0x541b;
/// Octets not acknowledged.
const SIOCOUTQ: u64 = 0x5411;
/// Octets not sent.
const SIOCOUTQNSD: u64 = 0x894b;
