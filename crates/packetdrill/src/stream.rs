//! Reading and writing.

use crate::errno::{Errno, Stop};
use crate::host::Cause;
use crate::sockets::Role;
use crate::world::World;
use crore_stack::SendEnd;

impl World {
    /// Reads into `out`; says how many octets, 0 at the end of the stream.
    pub(crate) fn recv(&mut self, fd: i32, out: &mut [u8], flags: i32) -> Result<usize, Stop> {
        if let Role::Deferred(_) = self.sockets.socket(fd)?.role {
            return Err(Stop::Wait);
        }
        let conn = self.sockets.conn(fd, libc::ENOTCONN)?;
        if flags & libc::MSG_ERRQUEUE != 0 {
            return Err(Stop::Failed(libc::EAGAIN));
        }
        if flags & libc::MSG_OOB != 0 {
            return Err(Stop::Failed(libc::EINVAL));
        }
        let unread = self.host.stack.unread(conn.0) as usize;
        let stream = self.sockets.streams.get(&conn).ok_or(libc::ENOTCONN)?;
        let more_may_come = !stream.peer_closed && !stream.shut.read && stream.ended.is_none();
        let wants_all = flags & libc::MSG_WAITALL != 0 && flags & libc::MSG_PEEK == 0;
        if wants_all && unread < out.len() && more_may_come {
            return Err(Stop::Wait);
        }
        if unread > 0 {
            let len = self.host.stack.gather(conn.0, out);
            if flags & libc::MSG_PEEK == 0 {
                self.host.stack.consumed(conn.0, len);
                self.send_now(Cause::Call);
            }
            return Ok(len);
        }
        let socket = self.sockets.socket_mut(fd)?;
        if let Some(errno) = socket.error.take() {
            return Err(Stop::Failed(errno));
        }
        if more_may_come { Err(Stop::Wait) } else { Ok(0) }
    }

    /// Queues as much of `octets` as there is room for; says how much. Nothing: it must wait.
    pub(crate) fn send(&mut self, fd: i32, octets: &[u8], flags: i32) -> Result<usize, Stop> {
        let conn = self.sockets.conn(fd, libc::EPIPE)?;
        let socket = self.sockets.socket_mut(fd)?;
        if let Some(errno) = socket.error.take() {
            return Err(Stop::Failed(errno));
        }
        let corked = socket.options.tcp_on(libc::TCP_CORK);
        let stream = self.sockets.streams.get(&conn).ok_or(libc::EPIPE)?;
        if stream.shut.write || stream.ended.is_some() {
            return Err(Stop::Failed(libc::EPIPE));
        }
        if !stream.connected {
            return Err(Stop::Wait);
        }
        let stack = &mut self.host.stack;
        let taken = if flags & libc::MSG_MORE != 0 {
            stack.send_held(conn.0, octets, SendEnd::More)
        } else if corked {
            stack.send_held(conn.0, octets, SendEnd::Push)
        } else {
            stack.send(conn.0, octets)
        };
        if flags & libc::MSG_EOR != 0 && taken == octets.len() {
            stack.end_record(conn.0);
        }
        self.send_now(Cause::Call);
        if taken == 0 && !octets.is_empty() { Err(Stop::Wait) } else { Ok(taken) }
    }

    /// Octets left to read, when the socket's `TCP_INQ` wants to be told.
    pub(crate) fn unread_to_tell(&self, fd: i32) -> Option<i32> {
        let socket = self.sockets.socket(fd).ok()?;
        let conn = self.sockets.conn(fd, libc::ENOTCONN).ok()?;
        let unread = self.host.stack.unread(conn.0) as i32;
        // The end of the stream counts as an octet, so that 0 means: nothing to read.
        let peer_closed = self.sockets.streams.get(&conn).is_some_and(|s| s.peer_closed);
        let told = if unread == 0 { i32::from(peer_closed) } else { unread };
        socket.options.tcp_on(libc::TCP_INQ).then_some(told)
    }

    /// The peer of a connected socket.
    pub(crate) fn peer_of(&self, fd: i32) -> Result<std::net::SocketAddr, Errno> {
        let conn = self.sockets.conn(fd, libc::ENOTCONN)?;
        Ok(self.sockets.streams.get(&conn).ok_or(libc::ENOTCONN)?.remote)
    }
}

/// Octets on the SYN (RFC 7413).
pub(crate) const MSG_FASTOPEN: i32 = 0x2000_0000;
