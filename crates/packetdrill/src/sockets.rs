//! Sockets over the stack's connections: descriptors, accept queues, and what a reader must hear.
//! What TCP does is the stack's matter.

use crate::descriptor::Descriptor;
use crate::errno::Errno;
use crate::flags::Profile;
use crate::host::News;
use crate::options::Options;
use crate::readiness::Epoll;
use crore_stack::{Closed, Flags, Stack, What};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

/// A connection by slot and generation.
pub(crate) type Conn = (u32, u32);

/// What a descriptor stands for.
pub(crate) enum Opened {
    Socket(Socket),
    Epoll(Epoll),
}

/// A TCP socket.
pub(crate) struct Socket {
    /// Held for its number only.
    _descriptor: Descriptor,
    /// `AF_INET` or `AF_INET6`.
    pub(crate) family: i32,
    pub(crate) nonblocking: bool,
    pub(crate) bound: Option<SocketAddr>,
    pub(crate) role: Role,
    /// What the next call fails with: `SO_ERROR`.
    pub(crate) error: Option<Errno>,
    pub(crate) options: Options,
    /// Counts what may have made it ready: edges, for `EPOLLET`.
    pub(crate) edges: u64,
}

/// What a socket has become.
pub(crate) enum Role {
    /// Neither listens nor connects.
    Idle,
    Listener(Listener),
    /// Connects with the first octets that are sent (`TCP_FASTOPEN_CONNECT`).
    Deferred(SocketAddr),
    Stream(Conn),
}

/// Connections that wait for `accept`.
pub(crate) struct Listener {
    pub(crate) port: u16,
    pub(crate) ready: VecDeque<Conn>,
}

/// A connection as its socket sees it.
pub(crate) struct Stream {
    pub(crate) owner: Owner,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) connected: bool,
    pub(crate) peer_closed: bool,
    /// What `shutdown` did.
    pub(crate) shut: Shut,
    pub(crate) ended: Option<Closed>,
}

/// Who may use a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It waits for `accept`.
    Queue,
    Socket(i32),
    /// Nobody any more: its descriptor is closed.
    Nobody,
}

/// The halves that are shut.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shut {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Stream {
    pub(crate) fn new(owner: Owner, local: SocketAddr, remote: SocketAddr) -> Self {
        let shut = Shut::default();
        Self { owner, local, remote, connected: false, peer_closed: false, shut, ended: None }
    }

    /// The descriptor, if there is one.
    pub(crate) fn fd(&self) -> Option<i32> {
        match self.owner {
            Owner::Socket(fd) => Some(fd),
            Owner::Queue | Owner::Nobody => None,
        }
    }
}

/// All descriptors and connections.
pub(crate) struct Sockets {
    profile: Profile,
    pub(crate) opened: BTreeMap<i32, Opened>,
    pub(crate) streams: HashMap<Conn, Stream>,
    /// Counts what may have changed the outcome of a call.
    pub(crate) changes: u64,
}

impl Socket {
    pub(crate) fn new(descriptor: Descriptor, family: i32, nonblocking: bool) -> Self {
        Self {
            _descriptor: descriptor,
            family,
            nonblocking,
            bound: None,
            role: Role::Idle,
            error: None,
            options: Options::default(),
            edges: 0,
        }
    }
}

impl Sockets {
    pub(crate) fn new(profile: Profile) -> Self {
        Self { profile, opened: BTreeMap::new(), streams: HashMap::new(), changes: 0 }
    }

    pub(crate) fn socket(&self, fd: i32) -> Result<&Socket, Errno> {
        match self.opened.get(&fd) {
            Some(Opened::Socket(socket)) => Ok(socket),
            Some(Opened::Epoll(_)) => Err(libc::ENOTSOCK),
            None => Err(libc::EBADF),
        }
    }

    pub(crate) fn socket_mut(&mut self, fd: i32) -> Result<&mut Socket, Errno> {
        match self.opened.get_mut(&fd) {
            Some(Opened::Socket(socket)) => Ok(socket),
            Some(Opened::Epoll(_)) => Err(libc::ENOTSOCK),
            None => Err(libc::EBADF),
        }
    }

    /// The socket's connection; `otherwise` when it has none.
    pub(crate) fn conn(&self, fd: i32, otherwise: Errno) -> Result<Conn, Errno> {
        match self.socket(fd)?.role {
            Role::Stream(conn) => Ok(conn),
            _ => Err(otherwise),
        }
    }

    /// The descriptor that listens on `port`.
    fn listener_of(&self, port: u16) -> Option<i32> {
        self.opened.iter().find_map(|(&fd, opened)| match opened {
            Opened::Socket(Socket { role: Role::Listener(l), .. }) if l.port == port => Some(fd),
            _ => None,
        })
    }

    /// The place in a listener's queue of the first connection that `accept` may show.
    pub(crate) fn first_ready(&self, stack: &Stack, fd: i32) -> Option<usize> {
        let socket = self.socket(fd).ok()?;
        let Role::Listener(listener) = &socket.role else { return None };
        let speaks = |conn: &Conn| {
            let stream = self.streams.get(conn);
            let over = stream.is_none_or(|stream| stream.peer_closed || stream.ended.is_some());
            over || stack.unread(conn.0) > 0
        };
        let defers = socket.options.defers_accept();
        listener.ready.iter().position(|conn| !defers || speaks(conn))
    }

    /// News of a connection.
    pub(crate) fn hear(&mut self, stack: &mut Stack, news: &News<'_>) {
        self.changes += 1;
        let (event, what) = (&news.event, news.event.what);
        let conn = (event.index, event.generation);
        if what.any(What::ACCEPTED) {
            self.accepted(stack, conn);
        }
        let Some(stream) = self.streams.get_mut(&conn) else { return };
        stream.connected |= what.any(What::CONNECTED);
        if what.any(What::DATA) {
            stack.keep(event, news.octets, 0);
        }
        stream.peer_closed |= what.any(What::PEER_CLOSED);
        let orphan = stream.owner == Owner::Nobody;
        let peer_had_closed = stream.peer_closed;
        // A listener that waits for octets hears of them.
        let waits = stream.owner == Owner::Queue && !what.any(What::ACCEPTED);
        let listens_on = stream.local.port();
        let fd = if waits { None } else { stream.fd() };
        if what.any(What::CLOSED) {
            stream.ended = Some(event.why);
            if orphan {
                self.streams.remove(&conn);
                stack.release(event.index);
            }
        }
        let fd = if waits { self.listener_of(listens_on) } else { fd };
        let Some(Opened::Socket(socket)) = fd.and_then(|fd| self.opened.get_mut(&fd)) else {
            return;
        };
        socket.edges += 1;
        if what.any(What::CLOSED) {
            socket.error = error_of(event.why, peer_had_closed, self.profile).or(socket.error);
        }
    }

    fn accepted(&mut self, stack: &mut Stack, conn: Conn) {
        let (local, remote) = (stack.local(conn.0), stack.remote(conn.0));
        let stream = Stream { connected: true, ..Stream::new(Owner::Queue, local, remote) };
        self.streams.insert(conn, stream);
        let Some(fd) = self.listener_of(local.port()) else { return };
        let Ok(socket) = self.socket_mut(fd) else { return };
        socket.edges += 1;
        stack.set_flag(conn.0, Flags::NODELAY, socket.options.tcp_on(libc::TCP_NODELAY));
        if let Role::Listener(listener) = &mut socket.role {
            listener.ready.push_back(conn);
        }
    }

    /// A connection loses its descriptor.
    pub(crate) fn abandon(&mut self, stack: &mut Stack, conn: Conn, reset: bool) {
        let Some(stream) = self.streams.get_mut(&conn) else { return };
        stream.owner = Owner::Nobody;
        if stream.ended.is_some() {
            self.streams.remove(&conn);
            stack.release(conn.0);
        } else if reset {
            stack.abort(conn.0);
        } else {
            stack.close_both(conn.0);
        }
    }
}

/// What a call on an ended connection fails with.
pub(crate) fn error_of(why: Closed, peer_had_closed: bool, profile: Profile) -> Option<Errno> {
    match why {
        Closed::Finished | Closed::Aborted => None,
        Closed::Evicted => Some(libc::ENOBUFS),
        Closed::Reset if peer_had_closed && profile == Profile::Linux => Some(libc::EPIPE),
        Closed::Reset => Some(libc::ECONNRESET),
        Closed::TimedOut => Some(libc::ETIMEDOUT),
        Closed::Refused => Some(libc::ECONNREFUSED),
        // FreeBSD says the same of a connection that is prohibited.
        Closed::Unreachable if profile == Profile::FreeBsd => Some(libc::ECONNREFUSED),
        Closed::Unreachable => Some(libc::EHOSTUNREACH),
    }
}
