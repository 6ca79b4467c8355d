//! The calls that carry octets.

use super::calls::{or_again, patience};
use super::memory::{buffer, collect, octets, parts, read_address, room, scatter, write_address};
use super::{answer, shared};
use crate::errno::{Errno, Stop};
use crate::fast_open::{Begun, How};
use crate::shared::Shared;
use crate::stream::MSG_FASTOPEN;
use libc::{c_int, c_uint, c_void, iovec, msghdr, off_t, size_t, sockaddr, socklen_t, ssize_t};
use std::net::SocketAddr;

fn receive(shared: &Shared, fd: c_int, out: &mut [u8], flags: c_int) -> Result<ssize_t, Errno> {
    let timeout_us = patience(shared, fd, flags);
    let len = or_again(shared.wait_for(timeout_us, |world| world.recv(fd, out, flags)))?;
    Ok(len as ssize_t)
}

/// All of it, when the call may wait; else what there is room for.
fn transmit(shared: &Shared, fd: c_int, from: &[u8], flags: c_int) -> Result<ssize_t, Errno> {
    transmit_to(shared, fd, from, flags, None)
}

/// The same to an address, which Fast Open connects to.
fn transmit_to(
    shared: &Shared,
    fd: c_int,
    from: &[u8],
    flags: c_int,
    to: Option<SocketAddr>,
) -> Result<ssize_t, Errno> {
    let timeout_us = patience(shared, fd, flags);
    let how = How { flagged: flags & MSG_FASTOPEN != 0, waits: timeout_us != Some(0) };
    let mut sent = 0;
    match shared.call(|world| world.begin_fast_open(fd, to, from, how))? {
        Begun::Nothing => {}
        Begun::Queued(queued) if !how.waits => {
            return if queued > 0 { Ok(queued as ssize_t) } else { Err(libc::EINPROGRESS) };
        }
        Begun::Queued(queued) => {
            shared.wait_for(timeout_us, |world| world.connect_result(fd))?;
            sent = queued;
        }
    }
    if sent == from.len() && sent > 0 {
        return Ok(sent as ssize_t);
    }
    let result = shared.wait_for(timeout_us, |world| {
        sent += world.send(fd, &from[sent..], flags)?;
        if sent < from.len() { Err(Stop::Wait) } else { Ok(()) }
    });
    match result {
        _ if sent > 0 => Ok(sent as ssize_t),
        Ok(Some(())) => Ok(0),
        Ok(None) => Err(libc::EAGAIN),
        Err(errno) => Err(errno),
    }
}

pub(super) unsafe extern "C" fn read(
    userdata: *mut c_void,
    fd: c_int,
    out: *mut c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, out) = unsafe { (shared(userdata), buffer(out, len)) };
    answer(out.and_then(|out| receive(shared, fd, out, 0)))
}

pub(super) unsafe extern "C" fn readv(
    userdata: *mut c_void,
    fd: c_int,
    to: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, to) = unsafe { (shared(userdata), parts(to, count as usize)) };
    let mut all = vec![0; room(to)];
    answer(receive(shared, fd, &mut all, 0).inspect(|len| {
        // SAFETY: the interface's promise; `all` is as long as the parts together.
        unsafe { scatter(&all[..*len as usize], to) };
    }))
}

pub(super) unsafe extern "C" fn recv(
    userdata: *mut c_void,
    fd: c_int,
    out: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, out) = unsafe { (shared(userdata), buffer(out, len)) };
    answer(out.and_then(|out| receive(shared, fd, out, flags)))
}

pub(super) unsafe extern "C" fn recvfrom(
    userdata: *mut c_void,
    fd: c_int,
    out: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, out) = unsafe { (shared(userdata), buffer(out, len)) };
    let received = out.and_then(|out| receive(shared, fd, out, flags));
    if received.is_ok() {
        let peer = shared.call(|world| {
            let family = world.sockets.socket(fd)?.family;
            world.peer_of(fd).map(|peer| (peer, family))
        });
        if let Ok((peer, family)) = peer {
            // SAFETY: the interface's promise.
            unsafe { write_address(peer, family, address, address_len) };
        }
    }
    answer(received)
}

pub(super) unsafe extern "C" fn recvmsg(
    userdata: *mut c_void,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, message) = unsafe { (shared(userdata), &mut *message) };
    // SAFETY: as above.
    let to = unsafe { parts(message.msg_iov, message.msg_iovlen) };
    let mut all = vec![0; room(to)];
    let received = receive(shared, fd, &mut all, flags);
    if let Ok(len) = received {
        // SAFETY: the interface's promise; `all` is as long as the parts together.
        unsafe { scatter(&all[..len as usize], to) };
        let unread = shared.call(|world| world.unread_to_tell(fd));
        // SAFETY: the message's own control buffer.
        unsafe { write_control(message, unread) };
        message.msg_flags = 0;
    }
    answer(received)
}

/// Writes `TCP_INQ`'s control message when it is asked for and there is room; else none.
///
/// # Safety
/// The message's control buffer is as long as it says.
unsafe fn write_control(message: &mut msghdr, unread: Option<i32>) {
    let (room, wanted) = (message.msg_controllen, size_of::<c_int>() as c_uint);
    // SAFETY: pure arithmetic.
    let needed = unsafe { libc::CMSG_SPACE(wanted) } as usize;
    message.msg_controllen = 0;
    let Some(unread) = unread else { return };
    if message.msg_control.is_null() || room < needed {
        return;
    }
    message.msg_controllen = needed;
    // SAFETY: `needed` octets of the buffer are there, as just checked, and aligned by the caller.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = libc::IPPROTO_TCP;
        (*header).cmsg_type = libc::TCP_INQ;
        (*header).cmsg_len = libc::CMSG_LEN(wanted) as usize;
        libc::CMSG_DATA(header).cast::<c_int>().write_unaligned(unread);
    }
}

pub(super) unsafe extern "C" fn write(
    userdata: *mut c_void,
    fd: c_int,
    from: *const c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, from) = unsafe { (shared(userdata), octets(from, len)) };
    answer(from.and_then(|from| transmit(shared, fd, from, 0)))
}

pub(super) unsafe extern "C" fn writev(
    userdata: *mut c_void,
    fd: c_int,
    from: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, all) = unsafe { (shared(userdata), collect(parts(from, count as usize))) };
    answer(all.and_then(|all| transmit(shared, fd, &all, 0)))
}

pub(super) unsafe extern "C" fn send(
    userdata: *mut c_void,
    fd: c_int,
    from: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, from) = unsafe { (shared(userdata), octets(from, len)) };
    answer(from.and_then(|from| transmit(shared, fd, from, flags)))
}

pub(super) unsafe extern "C" fn sendto(
    userdata: *mut c_void,
    fd: c_int,
    from: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    // A connected socket's peer is known; another address would be ignored, an unreadable one not.
    // SAFETY: the interface's promise.
    let to = match unsafe { destination(address, address_len, flags) } {
        Ok(to) => to,
        Err(errno) => return answer(Err(errno)),
    };
    // SAFETY: the interface's promise.
    let (shared, from) = unsafe { (shared(userdata), octets(from, len)) };
    answer(from.and_then(|from| transmit_to(shared, fd, from, flags, to)))
}

/// Where octets are to go, if the call says so. With Fast Open nowhere is no place.
///
/// # Safety
/// The address is null or as long as it says.
unsafe fn destination(
    address: *const sockaddr,
    len: socklen_t,
    flags: c_int,
) -> Result<Option<SocketAddr>, Errno> {
    if address.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let to = unsafe { read_address(address, len) };
    let refused = |errno| if flags & MSG_FASTOPEN != 0 { libc::EOPNOTSUPP } else { errno };
    to.map(Some).map_err(refused)
}

pub(super) unsafe extern "C" fn sendmsg(
    userdata: *mut c_void,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let (shared, message) = unsafe { (shared(userdata), &*message) };
    // SAFETY: as above.
    let all = unsafe { collect(parts(message.msg_iov, message.msg_iovlen)) };
    // SAFETY: as above.
    let to = unsafe { destination(message.msg_name.cast(), message.msg_namelen, flags) };
    answer(to.and_then(|to| all.and_then(|all| transmit_to(shared, fd, &all, flags, to))))
}

pub(super) unsafe extern "C" fn pipe(_: *mut c_void, ends: *mut c_int) -> c_int {
    // SAFETY: `ends` has room for two numbers, as in C.
    unsafe { libc::pipe(ends) }
}

/// From a socket into a real pipe, or out of one: by way of memory.
pub(super) unsafe extern "C" fn splice(
    userdata: *mut c_void,
    from: c_int,
    _: *mut off_t,
    to: c_int,
    _: *mut off_t,
    len: size_t,
    _: c_uint,
) -> ssize_t {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    let mut octets = vec![0u8; len.min(SPLICE_MAX)];
    let is_socket = |fd| shared.call(|world| world.sockets.socket(fd).is_ok());
    if is_socket(from) {
        return answer(receive(shared, from, &mut octets, 0).map(|len| {
            // SAFETY: `octets` has as many.
            unsafe { libc::write(to, octets.as_ptr().cast(), len as usize) }
        }));
    }
    if !is_socket(to) {
        return answer(Err(libc::EINVAL));
    }
    // SAFETY: `octets` has that much room.
    let read = unsafe { libc::read(from, octets.as_mut_ptr().cast(), octets.len()) };
    if read <= 0 {
        return read;
    }
    answer(transmit(shared, to, &octets[..read as usize], 0))
}

/// A pipe holds this much.
const SPLICE_MAX: usize = 65_536;
