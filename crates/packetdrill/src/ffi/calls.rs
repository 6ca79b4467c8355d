//! The calls that make, name, set up and end connections.

use super::memory::{buffer, octets, read_address, write_address};
use super::{answer, shared};
use crate::fast_open::Connecting;
use crate::shared::Shared;
use libc::{c_int, c_long, c_ulong, c_void, sockaddr, socklen_t};

pub(super) unsafe extern "C" fn free(userdata: *mut c_void) {
    // SAFETY: `userdata` is the box that the table was made with, and this is its last use.
    let shared = unsafe { Box::from_raw(userdata.cast::<Shared>()) };
    shared.call(|world| world.write_left());
    // packetdrill has closed the descriptors that a script left open, and a number may be somebody
    // else's by now: nothing is closed here.
    std::mem::forget(shared);
}

pub(super) unsafe extern "C" fn socket(
    userdata: *mut c_void,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    answer(shared.call(|world| world.socket(domain, kind, protocol)))
}

pub(super) unsafe extern "C" fn bind(
    userdata: *mut c_void,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: the interface's promise.
    let (shared, address) = unsafe { (shared(userdata), read_address(address, len)) };
    answer(address.and_then(|address| shared.call(|world| world.bind(fd, address))).map(|()| 0))
}

pub(super) unsafe extern "C" fn listen(userdata: *mut c_void, fd: c_int, _: c_int) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    answer(shared.call(|world| world.listen(fd)).map(|()| 0))
}

pub(super) unsafe extern "C" fn accept(
    userdata: *mut c_void,
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    let nonblocking = shared.call(|world| world.is_nonblocking(fd, 0));
    let timeout_us = nonblocking.then_some(0);
    let accepted = shared.wait_for(timeout_us, |world| {
        let family = world.sockets.socket(fd)?.family;
        world.accept(fd).map(|(new, peer)| (new, peer, family))
    });
    answer(accepted.and_then(|accepted| {
        let (new, peer, family) = accepted.ok_or(libc::EAGAIN)?;
        // SAFETY: the interface's promise.
        unsafe { write_address(peer, family, address, len) };
        Ok(new)
    }))
}

pub(super) unsafe extern "C" fn connect(
    userdata: *mut c_void,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: the interface's promise.
    let (shared, address) = unsafe { (shared(userdata), read_address(address, len)) };
    let nonblocking = shared.call(|world| world.is_nonblocking(fd, 0));
    let begun = address.and_then(|to| shared.call(|world| world.connect(fd, to)));
    answer(begun.and_then(|begun| {
        if begun == Connecting::Deferred {
            return Ok(0);
        }
        let done = shared.wait_for(nonblocking.then_some(0), |world| world.connect_result(fd))?;
        done.map(|()| 0).ok_or(if nonblocking { libc::EINPROGRESS } else { libc::ETIMEDOUT })
    }))
}

pub(super) unsafe extern "C" fn fcntl(
    userdata: *mut c_void,
    fd: c_int,
    command: c_int,
    value: c_long,
) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    answer(shared.call(|world| world.fcntl(fd, command, value as c_int)))
}

pub(super) unsafe extern "C" fn ioctl(
    userdata: *mut c_void,
    fd: c_int,
    request: c_ulong,
    value: *mut c_int,
) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    answer(shared.call(|world| world.ioctl(fd, request)).map(|number| {
        if !value.is_null() {
            // SAFETY: every request that is answered takes a pointer to a number.
            unsafe { *value = number };
        }
        0
    }))
}

pub(super) unsafe extern "C" fn close(userdata: *mut c_void, fd: c_int) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    answer(shared.call(|world| world.close(fd)).map(|()| 0))
}

pub(super) unsafe extern "C" fn shutdown(userdata: *mut c_void, fd: c_int, how: c_int) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    answer(shared.call(|world| world.shutdown(fd, how)).map(|()| 0))
}

pub(super) unsafe extern "C" fn getsockopt(
    userdata: *mut c_void,
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    if value.is_null() || len.is_null() {
        return answer(Err(libc::EFAULT));
    }
    answer(shared.call(|world| world.getsockopt(fd, level, option)).and_then(|found| {
        // SAFETY: `*len` octets of `value` are the interface's promise.
        let out = unsafe { buffer(value, (*len as usize).min(found.len())) }?;
        out.copy_from_slice(&found[..out.len()]);
        // SAFETY: as above.
        unsafe { *len = out.len() as socklen_t };
        Ok(0)
    }))
}

pub(super) unsafe extern "C" fn setsockopt(
    userdata: *mut c_void,
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: the interface's promise.
    let (shared, value) = unsafe { (shared(userdata), octets(value, len as usize)) };
    answer(value.and_then(|value| {
        shared.call(|world| world.setsockopt(fd, level, option, value)).map(|()| 0)
    }))
}

/// How long a call may wait: not at all when it must not, else for as long as it takes.
pub(super) fn patience(shared: &Shared, fd: c_int, flags: c_int) -> Option<u64> {
    shared.call(|world| world.is_nonblocking(fd, flags)).then_some(0)
}

/// The result of a call whose time ran out.
pub(super) fn or_again<T>(result: Result<Option<T>, i32>) -> Result<T, i32> {
    result.and_then(|value| value.ok_or(libc::EAGAIN))
}
