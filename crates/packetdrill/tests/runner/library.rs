//! The table of 33 slots, called from Rust: the only file of the runner with C's types.

use crore_packetdrill::ffi::{Interface, packetdrill_interface_init};
use libc::{c_int, c_void, epoll_event, iovec, pollfd, sockaddr, sockaddr_in, sockaddr_in6};
use libc::{socklen_t, timeval};
use std::ffi::CString;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;
use std::ptr;

/// The loaded library, as packetdrill has it.
pub(crate) struct Library(Interface);

// SAFETY: packetdrill makes the calls that wait on a second thread, so the library promises that
// `userdata` can be used from any; the rest of the table is functions.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// What a call returned, and `errno` when that was -1.
pub(crate) type Answer = (i64, i32);

impl Library {
    pub(crate) fn new(flags: &str) -> Self {
        let flags = CString::new(flags).expect("flags without a zero");
        let mut table = MaybeUninit::uninit();
        // SAFETY: a C string and room for the table, which is whole afterwards.
        Self(unsafe {
            packetdrill_interface_init(flags.as_ptr(), table.as_mut_ptr());
            table.assume_init()
        })
    }

    pub(crate) fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Answer {
        // SAFETY: numbers, and what the library gave us.
        answer(unsafe { (self.0.socket)(self.0.userdata, domain, kind, protocol) })
    }

    pub(crate) fn bind(&self, fd: i32, address: SocketAddr) -> Answer {
        // SAFETY: `with_address` lends a whole address.
        with_address(address, |at, len| unsafe {
            answer((self.0.bind)(self.0.userdata, fd, at, len))
        })
    }

    pub(crate) fn connect(&self, fd: i32, address: SocketAddr) -> Answer {
        // SAFETY: `with_address` lends a whole address.
        with_address(address, |at, len| unsafe {
            answer((self.0.connect)(self.0.userdata, fd, at, len))
        })
    }

    pub(crate) fn listen(&self, fd: i32, backlog: i32) -> Answer {
        // SAFETY: numbers.
        answer(unsafe { (self.0.listen)(self.0.userdata, fd, backlog) })
    }

    pub(crate) fn accept(&self, fd: i32) -> Answer {
        // SAFETY: no address is wanted.
        answer(unsafe { (self.0.accept)(self.0.userdata, fd, ptr::null_mut(), ptr::null_mut()) })
    }

    pub(crate) fn close(&self, fd: i32) -> Answer {
        // SAFETY: a number.
        answer(unsafe { (self.0.close)(self.0.userdata, fd) })
    }

    pub(crate) fn shutdown(&self, fd: i32, how: i32) -> Answer {
        // SAFETY: numbers.
        answer(unsafe { (self.0.shutdown)(self.0.userdata, fd, how) })
    }

    pub(crate) fn fcntl(&self, fd: i32, command: i32, value: i64) -> Answer {
        // SAFETY: numbers.
        answer(unsafe { (self.0.fcntl)(self.0.userdata, fd, command, value) })
    }

    /// The answer and the number that was asked for.
    pub(crate) fn ioctl(&self, fd: i32, request: u64) -> (Answer, i32) {
        let mut number = 0;
        // SAFETY: room for one number.
        let answer =
            answer(unsafe { (self.0.ioctl)(self.0.userdata, fd, request, &raw mut number) });
        (answer, number)
    }

    pub(crate) fn read(&self, fd: i32, len: usize) -> Answer {
        let mut bytes = vec![0; len];
        // SAFETY: room for `len` octets.
        wide(unsafe { (self.0.read)(self.0.userdata, fd, bytes.as_mut_ptr().cast(), len) })
    }

    pub(crate) fn recv(&self, fd: i32, len: usize, flags: i32) -> Answer {
        let mut bytes = vec![0; len];
        // SAFETY: room for `len` octets.
        wide(unsafe { (self.0.recv)(self.0.userdata, fd, bytes.as_mut_ptr().cast(), len, flags) })
    }

    pub(crate) fn readv(&self, fd: i32, lens: &[usize]) -> Answer {
        let mut buffers: Vec<_> = lens.iter().map(|len| vec![0; *len]).collect();
        let parts = parts(&mut buffers);
        // SAFETY: as many parts as said, each with room for as much as it says.
        wide(unsafe { (self.0.readv)(self.0.userdata, fd, parts.as_ptr(), parts.len() as c_int) })
    }

    pub(crate) fn write(&self, fd: i32, bytes: &[u8]) -> Answer {
        // SAFETY: a slice and its length.
        wide(unsafe { (self.0.write)(self.0.userdata, fd, bytes.as_ptr().cast(), bytes.len()) })
    }

    pub(crate) fn writev(&self, fd: i32, lens: &[usize]) -> Answer {
        let mut buffers: Vec<_> = lens.iter().map(|len| vec![0; *len]).collect();
        let parts = parts(&mut buffers);
        // SAFETY: as many parts as said, each with as many octets as it says.
        wide(unsafe { (self.0.writev)(self.0.userdata, fd, parts.as_ptr(), parts.len() as c_int) })
    }

    pub(crate) fn send(&self, fd: i32, bytes: &[u8], flags: i32) -> Answer {
        let (at, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: a slice and its length.
        wide(unsafe { (self.0.send)(self.0.userdata, fd, at, len, flags) })
    }

    pub(crate) fn sendto(&self, fd: i32, bytes: &[u8], flags: i32, to: SocketAddr) -> Answer {
        let (from, len) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
        // SAFETY: a slice and its length; `with_address` lends a whole address.
        with_address(to, |at, address_len| unsafe {
            wide((self.0.sendto)(self.0.userdata, fd, from, len, flags, at, address_len))
        })
    }

    pub(crate) fn setsockopt(&self, fd: i32, level: i32, name: i32, value: &[u8]) -> Answer {
        let (at, len) = (value.as_ptr().cast(), value.len() as socklen_t);
        // SAFETY: a slice and its length.
        answer(unsafe { (self.0.setsockopt)(self.0.userdata, fd, level, name, at, len) })
    }

    /// The answer and how long the value is.
    pub(crate) fn getsockopt(
        &self,
        fd: i32,
        level: i32,
        name: i32,
        value: &mut [u8],
    ) -> (Answer, usize) {
        let (at, mut len) = (value.as_mut_ptr().cast(), value.len() as socklen_t);
        // SAFETY: room for as much as `len` says.
        let answer = answer(unsafe {
            (self.0.getsockopt)(self.0.userdata, fd, level, name, at, &raw mut len)
        });
        (answer, len as usize)
    }

    /// `asked` is descriptors with the events asked for; they come back as those found.
    pub(crate) fn poll(&self, asked: &mut [(i32, i16)], timeout_ms: i32) -> Answer {
        let mut fds: Vec<_> =
            asked.iter().map(|&(fd, events)| pollfd { fd, events, revents: 0 }).collect();
        let (at, count) = (fds.as_mut_ptr(), fds.len() as u64);
        // SAFETY: `count` entries.
        let answer = answer(unsafe { (self.0.poll)(self.0.userdata, at, count, timeout_ms) });
        for (one, found) in asked.iter_mut().zip(&fds) {
            one.1 = found.revents;
        }
        answer
    }

    pub(crate) fn epoll_create(&self, size: i32) -> Answer {
        // SAFETY: a number.
        answer(unsafe { (self.0.epoll_create)(self.0.userdata, size) })
    }

    pub(crate) fn epoll_ctl(&self, epfd: i32, what: i32, fd: i32, event: (u32, u64)) -> Answer {
        let mut event = epoll_event { events: event.0, u64: event.1 };
        // SAFETY: one event.
        answer(unsafe { (self.0.epoll_ctl)(self.0.userdata, epfd, what, fd, &raw mut event) })
    }

    /// The answer, and events with their data.
    pub(crate) fn epoll_wait(
        &self,
        epfd: i32,
        max: usize,
        timeout_ms: i32,
    ) -> (Answer, Vec<(u32, u64)>) {
        let mut events = vec![epoll_event { events: 0, u64: 0 }; max];
        let (at, count) = (events.as_mut_ptr(), max as c_int);
        // SAFETY: room for `max` events.
        let answer =
            answer(unsafe { (self.0.epoll_wait)(self.0.userdata, epfd, at, count, timeout_ms) });
        let found = usize::try_from(answer.0).unwrap_or(0);
        (answer, events[..found].iter().map(|event| (event.events, event.u64)).collect())
    }

    /// True while a call on another thread waits.
    pub(crate) fn has_waiting_call(&self) -> bool {
        // SAFETY: the table is whole, and `free` comes with the end of the value.
        unsafe { self.0.has_waiting_call() }
    }

    /// A packet into the stack.
    pub(crate) fn inject(&self, packet: &[u8]) {
        let (at, len) = (packet.as_ptr().cast(), packet.len());
        // SAFETY: a slice and its length.
        let result = unsafe { (self.0.netdev_send)(self.0.userdata, at, len) };
        assert_eq!(result, 0, "a packet is always taken");
    }

    /// The next packet that comes out, and when; `None`: none will.
    pub(crate) fn next_packet(&self) -> Option<(Vec<u8>, u64)> {
        let mut packet = vec![0; 1 << 16];
        let (mut len, mut time_us) = (packet.len(), 0);
        // SAFETY: room for `len` octets, and for two numbers.
        let result = unsafe {
            let at = packet.as_mut_ptr().cast();
            (self.0.netdev_receive)(self.0.userdata, at, &raw mut len, &raw mut time_us)
        };
        packet.truncate(len);
        (result == 0 && len > 0).then_some((packet, time_us as u64))
    }

    pub(crate) fn sleep_us(&self, us: u64) {
        // SAFETY: a number.
        unsafe { (self.0.usleep)(self.0.userdata, us as u32) };
    }

    pub(crate) fn now_us(&self) -> u64 {
        let mut now = timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: room for a time; no zone is wanted.
        unsafe { (self.0.gettimeofday)(self.0.userdata, &raw mut now, ptr::null_mut()) };
        now.tv_sec as u64 * 1_000_000 + now.tv_usec as u64
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: nobody makes a call any more: the value is gone.
        unsafe { (self.0.free)(self.0.userdata) };
    }
}

fn answer(result: c_int) -> Answer {
    wide(result as isize)
}

fn wide(result: isize) -> Answer {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    (result as i64, if result == -1 { errno } else { 0 })
}

fn parts(buffers: &mut [Vec<u8>]) -> Vec<iovec> {
    let part = |buffer: &mut Vec<u8>| iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    buffers.iter_mut().map(part).collect()
}

/// The address in C's form, for the length of the call.
fn with_address<R>(address: SocketAddr, f: impl FnOnce(*const sockaddr, socklen_t) -> R) -> R {
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: plain numbers, of which all zeros are valid.
            let mut c: sockaddr_in = unsafe { mem::zeroed() };
            c.sin_family = libc::AF_INET as u16;
            c.sin_port = v4.port().to_be();
            c.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
            f((&raw const c).cast(), size_of::<sockaddr_in>() as socklen_t)
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above.
            let mut c: sockaddr_in6 = unsafe { mem::zeroed() };
            c.sin6_family = libc::AF_INET6 as u16;
            c.sin6_port = v6.port().to_be();
            c.sin6_addr.s6_addr = v6.ip().octets();
            f((&raw const c).cast(), size_of::<sockaddr_in6>() as socklen_t)
        }
    }
}
