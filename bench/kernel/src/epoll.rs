//! The echo server on epoll, edge-triggered: a request costs one `recv` and one `send`.

use crate::shared::Orders;
use crate::{KernelError, tried};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;
use socket2::Socket;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

/// Serves this listener's connections until the server is to stop.
pub(crate) fn serve(listener: &Socket, orders: &Orders) -> Result<(), KernelError> {
    let poll = Poll::new()?;
    let listening = EventData::new_u64(LISTENER);
    tried("epoll_ctl", epoll::add(&poll.fd, listener, listening, EventFlags::IN))?;
    let mut conns: Vec<Option<Socket>> = Vec::new();
    let mut buffer = [0; BUFFER_BYTES];
    let mut events = Events::new();
    while !orders.is_server_stopped() {
        for token in poll.wait(&mut events, 50)? {
            if token == LISTENER {
                accept(listener, &poll, &mut conns)?;
            } else if let Some(place) = conns.get_mut(token as usize) {
                let is_over = place.as_mut().is_some_and(|conn| !answer(conn, &mut buffer));
                if is_over {
                    *place = None;
                }
            }
        }
    }
    Ok(())
}

fn accept(
    listener: &Socket,
    poll: &Poll,
    conns: &mut Vec<Option<Socket>>,
) -> Result<(), KernelError> {
    for _ in 0..ACCEPTS_AT_ONCE {
        let conn = match listener.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) {
            Ok((conn, _)) => conn,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // Gone again before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(why) => return Err(KernelError::System { what: "accept", why }),
        };
        let at = conn.as_raw_fd() as usize;
        poll.add(&conn, at as u64)?;
        if conns.len() <= at {
            conns.resize_with(at + 1, || None);
        }
        conns[at] = Some(conn);
    }
    Ok(())
}

/// Sends back what came; false when the connection is over. A short read has drained it, so there
/// is no second one.
fn answer(conn: &mut Socket, buffer: &mut [u8]) -> bool {
    match conn.read(buffer) {
        Ok(0) => false,
        Ok(len) => conn.write(&buffer[..len]).is_ok_and(|sent| sent == len),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// An epoll instance.
pub(crate) struct Poll {
    fd: OwnedFd,
}

/// Room for what one wait brings.
pub(crate) struct Events {
    room: Box<[MaybeUninit<Event>]>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { room: Box::new_uninit_slice(EVENTS_AT_ONCE) }
    }
}

impl Poll {
    pub(crate) fn new() -> Result<Self, KernelError> {
        Ok(Self { fd: tried("epoll_create", epoll::create(CreateFlags::CLOEXEC))? })
    }

    /// Tells of a socket under this token, once each time that something comes.
    pub(crate) fn add(&self, socket: &Socket, token: u64) -> Result<(), KernelError> {
        let flags = EventFlags::IN | EventFlags::ET;
        tried("epoll_ctl", epoll::add(&self.fd, socket, EventData::new_u64(token), flags))
    }

    /// The tokens of sockets with news; waits for at most so long.
    pub(crate) fn wait<'a>(
        &self,
        events: &'a mut Events,
        timeout_ms: i64,
    ) -> Result<impl Iterator<Item = u64> + use<'a>, KernelError> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout_ms * 1_000_000 };
        let room = &mut *events.room;
        let (came, _) = match epoll::wait(&self.fd, room, Some(&timeout)) {
            Ok(came) => came,
            Err(rustix::io::Errno::INTR) => (&mut [][..], &mut [][..]),
            Err(why) => return tried("epoll_wait", Err(why)),
        };
        Ok(came.iter().map(|event| event.data.u64()))
    }
}

const LISTENER: u64 = u64::MAX;
const ACCEPTS_AT_ONCE: usize = 256;
const EVENTS_AT_ONCE: usize = 512;
const BUFFER_BYTES: usize = 4096;
