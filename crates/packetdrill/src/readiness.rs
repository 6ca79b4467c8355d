//! `poll` and `epoll`: which descriptors are ready for what.

use crate::descriptor::Descriptor;
use crate::errno::{Errno, Stop};
use crate::sockets::{Opened, Role, Sockets};
use crate::world::World;
use std::collections::BTreeMap;

/// An `epoll` descriptor.
pub(crate) struct Epoll {
    _descriptor: Descriptor,
    watched: BTreeMap<i32, Watched>,
}

/// One descriptor in an `epoll` set.
#[derive(Clone, Copy)]
struct Watched {
    /// What is asked for, with `EPOLLET` and the like.
    events: u32,
    data: u64,
    /// The socket's edges when it was last reported.
    seen: Option<u64>,
}

/// A descriptor that `poll` asks about, and the answer.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) fd: i32,
    pub(crate) events: i16,
    pub(crate) revents: i16,
}

impl World {
    /// All that a descriptor is ready for, in the bits of `poll`, which are those of `epoll`.
    fn readiness(&self, fd: i32) -> Option<i16> {
        let socket = match self.sockets.opened.get(&fd)? {
            Opened::Socket(socket) => socket,
            Opened::Epoll(_) => return Some(0),
        };
        let mut ready = if socket.error.is_some() { libc::POLLERR } else { 0 };
        let conn = match &socket.role {
            Role::Idle => return Some(ready | libc::POLLOUT | libc::POLLHUP),
            Role::Listener(_) => {
                let some = self.sockets.first_ready(&self.host.stack, fd).is_some();
                return Some(if some { libc::POLLIN | libc::POLLRDNORM } else { 0 });
            }
            Role::Deferred(_) => return Some(ready | libc::POLLOUT | libc::POLLWRNORM),
            Role::Stream(conn) => *conn,
        };
        let stream = self.sockets.streams.get(&conn)?;
        let stack = &self.host.stack;
        let ended = stream.ended.is_some();
        let no_more_in = stream.peer_closed || stream.shut.read || ended;
        if stack.unread(conn.0) > 0 || no_more_in {
            ready |= libc::POLLIN | libc::POLLRDNORM;
        }
        if no_more_in {
            ready |= libc::POLLRDHUP;
        }
        if ended || (no_more_in && stream.shut.write) {
            ready |= libc::POLLHUP;
        }
        let writable = stream.connected && !stream.shut.write && self.has_room(fd, conn.0);
        if writable || stream.shut.write || ended {
            ready |= libc::POLLOUT | libc::POLLWRNORM;
        }
        Some(ready)
    }

    /// Room for a worthwhile write: a third of the buffer, and `TCP_NOTSENT_LOWAT` not reached.
    fn has_room(&self, fd: i32, index: u32) -> bool {
        let stack = &self.host.stack;
        let room = stack.send_room(index) >= stack.config().snd_buf_bytes as usize / 3;
        let low = self.sockets.socket(fd).ok().and_then(|s| s.options.notsent_lowat());
        room && low.is_none_or(|low| stack.tcb(index).unsent() < low)
    }

    /// Fills in the answers; says how many there are.
    pub(crate) fn poll(&self, asked: &mut [Asked]) -> usize {
        for one in asked.iter_mut() {
            let always = libc::POLLERR | libc::POLLHUP;
            one.revents = match self.readiness(one.fd) {
                _ if one.fd < 0 => 0,
                Some(ready) => ready & (one.events | always),
                None => libc::POLLNVAL,
            };
        }
        asked.iter().filter(|one| one.revents != 0).count()
    }

    pub(crate) fn epoll_create(&mut self) -> Result<i32, Errno> {
        let descriptor = Descriptor::new()?;
        let fd = descriptor.number();
        let epoll = Epoll { _descriptor: descriptor, watched: BTreeMap::new() };
        self.sockets.opened.insert(fd, Opened::Epoll(epoll));
        Ok(fd)
    }

    pub(crate) fn epoll_ctl(
        &mut self,
        epfd: i32,
        operation: i32,
        fd: i32,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        self.sockets.socket(fd)?;
        let watched = &mut self.sockets.epoll_mut(epfd)?.watched;
        let is_there = watched.contains_key(&fd);
        match operation {
            libc::EPOLL_CTL_ADD if is_there => return Err(libc::EEXIST),
            libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL if !is_there => return Err(libc::ENOENT),
            libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD => {
                watched.insert(fd, Watched { events, data, seen: None });
            }
            libc::EPOLL_CTL_DEL => {
                watched.remove(&fd);
            }
            _ => return Err(libc::EINVAL),
        }
        self.sockets.changes += 1;
        Ok(())
    }

    /// Up to `max` of those that are ready: events and data.
    pub(crate) fn epoll_wait(&mut self, epfd: i32, max: usize) -> Result<Vec<(u32, u64)>, Stop> {
        let watched = self.sockets.epoll_mut(epfd)?.watched.clone();
        let mut found = Vec::new();
        for (fd, mut one) in watched {
            if found.len() == max {
                break;
            }
            let Some(ready) = self.readiness(fd) else { continue };
            let edges = self.sockets.socket(fd)?.edges;
            let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            let events = ready as u16 as u32 & (one.events | always);
            let is_edge = one.events & libc::EPOLLET as u32 != 0;
            if events == 0 || one.events == 0 || (is_edge && one.seen == Some(edges)) {
                continue;
            }
            found.push((events, one.data));
            one.seen = Some(edges);
            if one.events & libc::EPOLLONESHOT as u32 != 0 {
                one.events = 0;
            }
            self.sockets.epoll_mut(epfd)?.watched.insert(fd, one);
        }
        if found.is_empty() { Err(Stop::Wait) } else { Ok(found) }
    }
}

impl Sockets {
    fn epoll_mut(&mut self, fd: i32) -> Result<&mut Epoll, Errno> {
        match self.opened.get_mut(&fd) {
            Some(Opened::Epoll(epoll)) => Ok(epoll),
            Some(Opened::Socket(_)) => Err(libc::EINVAL),
            None => Err(libc::EBADF),
        }
    }

    /// A closed descriptor leaves every `epoll` set.
    pub(crate) fn forget_watched(&mut self, fd: i32) {
        for opened in self.opened.values_mut() {
            if let Opened::Epoll(epoll) = opened {
                epoll.watched.remove(&fd);
            }
        }
    }
}
