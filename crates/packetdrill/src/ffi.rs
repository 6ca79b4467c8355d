//! The interface as packetdrill's `packetdrill.h` declares it, and the descriptors of the system.
//!
//! packetdrill promises what C's socket calls promise: pointers that are valid for the lengths that
//! go with them, for the time of the call. `userdata` is what [`packetdrill_interface_init`] left
//! in the table, until `free`.

mod calls;
mod clock;
mod memory;
mod transfer;
mod waiting;

use crate::errno::Errno;
use crate::flags::Flags;
use crate::shared::Shared;
use crate::world::World;
use libc::{
    c_char, c_int, c_long, c_uint, c_ulong, c_void, epoll_event, iovec, msghdr, nfds_t, off_t,
    pollfd, size_t, sockaddr, socklen_t, ssize_t, timeval,
};
use std::ffi::CStr;

/// packetdrill's table of 33 slots. `fcntl` and `ioctl` are variadic in C; their third argument
/// comes in the same register either way on the systems that this is built for.
#[repr(C)]
pub struct Interface {
    /// Handed back in every call.
    pub userdata: *mut c_void,
    /// The end of the run.
    pub free: unsafe extern "C" fn(*mut c_void),
    /// As in C, after `userdata`; so are the next ones.
    pub socket: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int) -> c_int,
    /// `bind`
    pub bind: unsafe extern "C" fn(*mut c_void, c_int, *const sockaddr, socklen_t) -> c_int,
    /// `listen`
    pub listen: unsafe extern "C" fn(*mut c_void, c_int, c_int) -> c_int,
    /// `accept`
    pub accept: unsafe extern "C" fn(*mut c_void, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    /// `connect`
    pub connect: unsafe extern "C" fn(*mut c_void, c_int, *const sockaddr, socklen_t) -> c_int,
    /// `read`
    pub read: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, size_t) -> ssize_t,
    /// `readv`
    pub readv: unsafe extern "C" fn(*mut c_void, c_int, *const iovec, c_int) -> ssize_t,
    /// `recv`
    pub recv: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    /// `recvfrom`
    pub recvfrom: RecvFrom,
    /// `recvmsg`
    pub recvmsg: unsafe extern "C" fn(*mut c_void, c_int, *mut msghdr, c_int) -> ssize_t,
    /// `write`
    pub write: unsafe extern "C" fn(*mut c_void, c_int, *const c_void, size_t) -> ssize_t,
    /// `writev`
    pub writev: unsafe extern "C" fn(*mut c_void, c_int, *const iovec, c_int) -> ssize_t,
    /// `send`
    pub send: unsafe extern "C" fn(*mut c_void, c_int, *const c_void, size_t, c_int) -> ssize_t,
    /// `sendto`
    pub sendto: SendTo,
    /// `sendmsg`
    pub sendmsg: unsafe extern "C" fn(*mut c_void, c_int, *const msghdr, c_int) -> ssize_t,
    /// `fcntl`
    pub fcntl: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_long) -> c_int,
    /// `ioctl`
    pub ioctl: unsafe extern "C" fn(*mut c_void, c_int, c_ulong, *mut c_int) -> c_int,
    /// `close`
    pub close: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    /// `shutdown`
    pub shutdown: unsafe extern "C" fn(*mut c_void, c_int, c_int) -> c_int,
    /// `getsockopt`
    pub getsockopt: GetSockOpt,
    /// `setsockopt`
    pub setsockopt: SetSockOpt,
    /// `poll`
    pub poll: unsafe extern "C" fn(*mut c_void, *mut pollfd, nfds_t, c_int) -> c_int,
    /// A bare IP packet into the stack.
    pub netdev_send: unsafe extern "C" fn(*mut c_void, *const c_void, size_t) -> c_int,
    /// The next bare IP packet out of it, with the time it was sent; a length of 0: none will come.
    pub netdev_receive: NetdevReceive,
    /// `usleep`, on the virtual clock.
    pub usleep: unsafe extern "C" fn(*mut c_void, c_uint) -> c_int,
    /// `gettimeofday`, on the virtual clock.
    pub gettimeofday: unsafe extern "C" fn(*mut c_void, *mut timeval, *mut c_void) -> c_int,
    /// `epoll_create`
    pub epoll_create: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    /// `epoll_ctl`
    pub epoll_ctl: EpollCtl,
    /// `epoll_wait`
    pub epoll_wait:
        unsafe extern "C" fn(*mut c_void, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    /// `pipe`
    pub pipe: unsafe extern "C" fn(*mut c_void, *mut c_int) -> c_int,
    /// `splice`
    pub splice: Splice,
}

impl Interface {
    /// True while a call that was made on another thread waits for what the first one does. It is
    /// no slot: packetdrill looks whether the thread sleeps, which under load can deceive.
    ///
    /// # Safety
    /// The table is [`packetdrill_interface_init`]'s, and `free` was not called.
    pub unsafe fn has_waiting_call(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { shared(self.userdata) }.has_waiting_call()
    }
}

/// The type of `recvfrom`.
pub type RecvFrom = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    *mut c_void,
    size_t,
    c_int,
    *mut sockaddr,
    *mut socklen_t,
) -> ssize_t;

/// The type of `sendto`.
pub type SendTo = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    *const c_void,
    size_t,
    c_int,
    *const sockaddr,
    socklen_t,
) -> ssize_t;

/// The type of `getsockopt`.
pub type GetSockOpt =
    unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int;

/// The type of `setsockopt`.
pub type SetSockOpt =
    unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int;

/// The type of `netdev_receive`.
pub type NetdevReceive =
    unsafe extern "C" fn(*mut c_void, *mut c_void, *mut size_t, *mut i64) -> c_int;

/// The type of `epoll_ctl`.
pub type EpollCtl =
    unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *mut epoll_event) -> c_int;

/// The type of `splice`.
pub type Splice = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    *mut off_t,
    c_int,
    *mut off_t,
    size_t,
    c_uint,
) -> ssize_t;

/// What packetdrill looks up and calls first. `flags` is what `--so_flags` said.
///
/// Ends the process with a message when the flags cannot be: packetdrill knows no other way.
///
/// # Safety
/// `flags` is null or a C string; `interface` has room for the table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(
    flags: *const c_char,
    interface: *mut Interface,
) {
    let text = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: the caller's promise.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    let world = Flags::parse(&text).and_then(World::new);
    let world = world.unwrap_or_else(|error| {
        eprintln!("crore-packetdrill: {error}");
        std::process::exit(2)
    });
    let userdata: *mut Shared = Box::into_raw(Box::new(Shared::new(world)));
    let table = Interface {
        userdata: userdata.cast(),
        free: calls::free,
        socket: calls::socket,
        bind: calls::bind,
        listen: calls::listen,
        accept: calls::accept,
        connect: calls::connect,
        read: transfer::read,
        readv: transfer::readv,
        recv: transfer::recv,
        recvfrom: transfer::recvfrom,
        recvmsg: transfer::recvmsg,
        write: transfer::write,
        writev: transfer::writev,
        send: transfer::send,
        sendto: transfer::sendto,
        sendmsg: transfer::sendmsg,
        fcntl: calls::fcntl,
        ioctl: calls::ioctl,
        close: calls::close,
        shutdown: calls::shutdown,
        getsockopt: calls::getsockopt,
        setsockopt: calls::setsockopt,
        poll: waiting::poll,
        netdev_send: clock::netdev_send,
        netdev_receive: clock::netdev_receive,
        usleep: clock::usleep,
        gettimeofday: clock::gettimeofday,
        epoll_create: waiting::epoll_create,
        epoll_ctl: waiting::epoll_ctl,
        epoll_wait: waiting::epoll_wait,
        pipe: transfer::pipe,
        splice: transfer::splice,
    };
    // SAFETY: the caller's promise; what was there has nothing to drop.
    unsafe { interface.write(table) };
}

/// An `eventfd` that nobody uses: only its number is wanted.
pub(crate) fn open_eventfd() -> Result<i32, Errno> {
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 { Err(last_errno()) } else { Ok(fd) }
}

/// Closes a descriptor of [`open_eventfd`]; packetdrill may have done so already at its end.
pub(crate) fn close_descriptor(fd: i32) {
    // SAFETY: a system call without pointers; the number is ours.
    unsafe { libc::close(fd) };
}

/// C's `errno`.
fn last_errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// -1 with `errno` set, or the result.
fn answer<T: From<i8>>(result: Result<T, Errno>) -> T {
    result.unwrap_or_else(|errno| {
        // SAFETY: the C library's own place for this thread's error.
        unsafe { *libc::__errno_location() = errno };
        T::from(-1)
    })
}

/// The world behind `userdata`.
///
/// # Safety
/// `userdata` is what [`packetdrill_interface_init`] left in the table, and `free` was not called.
unsafe fn shared<'a>(userdata: *mut c_void) -> &'a Shared {
    // SAFETY: the caller's promise.
    unsafe { &*userdata.cast::<Shared>() }
}

const _: () = assert!(size_of::<Interface>() == 33 * size_of::<usize>());
