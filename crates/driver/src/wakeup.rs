//! Sleeping until a file descriptor can be read, and being woken before that.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Ends the [`wait`](crate::Link::wait) of one link from any thread: for a message that did not
/// come as a frame, or for the end of the program.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Event>);

impl Waker {
    pub(crate) fn new(event: &Arc<Event>) -> Self {
        Self(Arc::clone(event))
    }

    /// The wait in progress, or else the next one, returns at once.
    pub fn wake(&self) {
        self.0.signal();
    }
}

/// An eventfd: signalled any number of times, drained once.
#[derive(Debug)]
pub(crate) struct Event(OwnedFd);

impl Event {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; a descriptor returned is new and ours.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable. The only failure is a full counter, and then it is readable.
    pub(crate) fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes, and a descriptor that lives as long as `self`.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Forgets all signals so far. The only failure is that there were none: it never waits, even
    /// where another process that has the descriptor made its reads wait.
    pub(crate) fn drain(&self) {
        let mut count = [0u8; 8];
        let part = libc::iovec { iov_base: count.as_mut_ptr().cast(), iov_len: count.len() };
        // SAFETY: eight writable bytes, and a descriptor that lives as long as `self`.
        let _ =
            unsafe { libc::preadv2(self.0.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT) };
    }

    /// An eventfd that another process made; `None` when it is something else.
    pub(crate) fn of_peer(fd: OwnedFd) -> Option<Self> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
        if link.as_os_str() != "anon_inode:[eventfd]" {
            return None;
        }
        // SAFETY: numbers only.
        let status = unsafe {
            let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
            libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)
        };
        (status == 0).then_some(Self(fd))
    }

    /// Sleeps until a signal, until `other` can be read, or for `timeout`; drains the signals, and
    /// says whether `other` can be read.
    pub(crate) fn wait(&self, other: Option<BorrowedFd<'_>>, timeout: Duration) -> bool {
        let of = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let other = other.map_or(-1, |fd| fd.as_raw_fd());
        // A negative descriptor is skipped by the kernel.
        let mut fds = [of(self.0.as_raw_fd()), of(other)];
        let limit = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: two pollfd entries and one timespec, all alive over the call; no signal mask.
        // An interrupted or failed wait is an early return, which every caller expects.
        unsafe { libc::ppoll(fds.as_mut_ptr(), 2, &raw const limit, std::ptr::null()) };
        if fds[0].revents != 0 {
            self.drain();
        }
        fds[1].revents != 0
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests;
