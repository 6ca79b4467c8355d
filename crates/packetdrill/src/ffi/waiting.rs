//! `poll` and `epoll`.

use super::{answer, shared};
use crate::errno::Stop;
use crate::readiness::Asked;
use crate::world::World;
use libc::{c_int, c_void, epoll_event, nfds_t, pollfd};
use std::slice;

pub(super) unsafe extern "C" fn poll(
    userdata: *mut c_void,
    fds: *mut pollfd,
    count: nfds_t,
    timeout_ms: c_int,
) -> c_int {
    if fds.is_null() && count > 0 {
        return answer(Err(libc::EFAULT));
    }
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    let fds = match count {
        0 => &mut [][..],
        // SAFETY: `fds` has `count` entries, as in C.
        _ => unsafe { slice::from_raw_parts_mut(fds, count as usize) },
    };
    let mut asked: Vec<Asked> =
        fds.iter().map(|one| Asked { fd: one.fd, events: one.events, revents: 0 }).collect();
    let result = shared.wait_for(timeout_us(timeout_ms), |world| match world.poll(&mut asked) {
        0 => Err(Stop::Wait),
        ready => Ok(ready as c_int),
    });
    for (fd, one) in fds.iter_mut().zip(&asked) {
        fd.revents = one.revents;
    }
    answer(result.map(|ready| ready.unwrap_or(0)))
}

pub(super) unsafe extern "C" fn epoll_create(userdata: *mut c_void, size: c_int) -> c_int {
    if size <= 0 {
        return answer(Err(libc::EINVAL));
    }
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    answer(shared.call(World::epoll_create))
}

pub(super) unsafe extern "C" fn epoll_ctl(
    userdata: *mut c_void,
    epfd: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    let (events, data) = if event.is_null() {
        (0, 0)
    } else {
        // SAFETY: not null, so it is an event, as in C.
        unsafe { ((*event).events, (*event).u64) }
    };
    answer(shared.call(|world| world.epoll_ctl(epfd, operation, fd, events, data)).map(|()| 0))
}

pub(super) unsafe extern "C" fn epoll_wait(
    userdata: *mut c_void,
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout_ms: c_int,
) -> c_int {
    if max <= 0 || events.is_null() {
        return answer(Err(libc::EINVAL));
    }
    // SAFETY: the interface's promise.
    let shared = unsafe { shared(userdata) };
    let found = shared
        .wait_for(timeout_us(timeout_ms), |world| world.epoll_wait(epfd, max as usize))
        .map(Option::unwrap_or_default);
    answer(found.map(|found| {
        for (i, &(events_found, u64)) in found.iter().enumerate() {
            // SAFETY: `events` has room for `max`, and no more than that were found.
            unsafe { *events.add(i) = epoll_event { events: events_found, u64 } };
        }
        found.len() as c_int
    }))
}

/// Milliseconds, negative for ever.
fn timeout_us(ms: c_int) -> Option<u64> {
    u64::try_from(ms).ok().map(|ms| ms * 1000)
}
