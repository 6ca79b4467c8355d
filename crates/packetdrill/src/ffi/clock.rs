//! The link and the clock.

use super::memory::{buffer, octets};
use super::{answer, shared};
use libc::{c_int, c_uint, c_void, size_t, timeval};

pub(super) unsafe extern "C" fn netdev_send(
    userdata: *mut c_void,
    packet: *const c_void,
    len: size_t,
) -> c_int {
    // SAFETY: the interface's promise.
    let (shared, packet) = unsafe { (shared(userdata), octets(packet, len)) };
    answer(packet.map(|packet| {
        shared.call(|world| world.receive(packet));
        0
    }))
}

pub(super) unsafe extern "C" fn netdev_receive(
    userdata: *mut c_void,
    out: *mut c_void,
    len: *mut size_t,
    time_us: *mut i64,
) -> c_int {
    // SAFETY: the interface's promise.
    let (shared, out) = unsafe { (shared(userdata), buffer(out, *len)) };
    let out = match out {
        Ok(out) => out,
        Err(errno) => return answer(Err(errno)),
    };
    let (packet, sent_us) = shared.next_packet().unwrap_or_else(|| (Vec::new(), shared.now_us()));
    let fits = packet.len().min(out.len());
    out[..fits].copy_from_slice(&packet[..fits]);
    // SAFETY: the interface's promise.
    unsafe {
        *len = fits;
        *time_us = sent_us as i64;
    }
    0
}

pub(super) unsafe extern "C" fn usleep(userdata: *mut c_void, us: c_uint) -> c_int {
    // SAFETY: the interface's promise.
    unsafe { shared(userdata) }.sleep(u64::from(us));
    0
}

pub(super) unsafe extern "C" fn gettimeofday(
    userdata: *mut c_void,
    out: *mut timeval,
    _: *mut c_void,
) -> c_int {
    // SAFETY: the interface's promise.
    let now_us = unsafe { shared(userdata) }.now_us() as i64;
    // SAFETY: as above.
    unsafe { *out = timeval { tv_sec: now_us / 1_000_000, tv_usec: now_us % 1_000_000 } };
    0
}
