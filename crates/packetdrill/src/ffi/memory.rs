//! Memory of the caller: socket addresses and scattered buffers.

use crate::calls::canonical;
use crate::errno::Errno;
use libc::{c_void, iovec, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{ptr, slice};

/// The address in C's form; IPv4 in IPv6's form becomes IPv4.
///
/// # Safety
/// `address` has `len` readable octets.
pub(super) unsafe fn read_address(
    address: *const sockaddr,
    len: socklen_t,
) -> Result<SocketAddr, Errno> {
    if address.is_null() || (len as usize) < size_of::<sockaddr>() {
        return Err(libc::EINVAL);
    }
    // SAFETY: long enough for the family, as just checked.
    let family = i32::from(unsafe { (*address).sa_family });
    let found = match family {
        libc::AF_INET => {
            // SAFETY: `sockaddr` is as long as `sockaddr_in`.
            let v4: sockaddr_in = unsafe { ptr::read_unaligned(address.cast()) };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            SocketAddr::new(ip.into(), u16::from_be(v4.sin_port))
        }
        libc::AF_INET6 if len as usize >= size_of::<sockaddr_in6>() => {
            // SAFETY: long enough, as just checked.
            let v6: sockaddr_in6 = unsafe { ptr::read_unaligned(address.cast()) };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port))
        }
        libc::AF_INET6 => return Err(libc::EINVAL),
        _ => return Err(libc::EAFNOSUPPORT),
    };
    Ok(canonical(found))
}

/// Writes an address in the form of a socket's family, as much of it as there is room for.
///
/// # Safety
/// `out` is null, or has `*len` writable octets; `len` is null or can be read and written.
pub(super) unsafe fn write_address(
    address: SocketAddr,
    family: i32,
    out: *mut sockaddr,
    len: *mut socklen_t,
) {
    if out.is_null() || len.is_null() {
        return;
    }
    // SAFETY: plain numbers, of which all zeros are valid values.
    let (mut v4, mut v6): (sockaddr_in, sockaddr_in6) = unsafe { std::mem::zeroed() };
    let (from, full): (*const u8, usize) = match (address.ip(), family) {
        (IpAddr::V4(ip), libc::AF_INET) => {
            v4.sin_family = libc::AF_INET as u16;
            v4.sin_port = address.port().to_be();
            v4.sin_addr.s_addr = u32::from(ip).to_be();
            (ptr::from_ref(&v4).cast(), size_of::<sockaddr_in>())
        }
        (ip, _) => {
            v6.sin6_family = libc::AF_INET6 as u16;
            v6.sin6_port = address.port().to_be();
            v6.sin6_addr.s6_addr = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            (ptr::from_ref(&v6).cast(), size_of::<sockaddr_in6>())
        }
    };
    // SAFETY: `*len` octets of `out` are the caller's promise; the source is `full` octets long.
    unsafe {
        ptr::copy_nonoverlapping(from, out.cast(), full.min(*len as usize));
        *len = full as socklen_t;
    }
}

/// The caller's octets.
///
/// # Safety
/// `from` has `len` readable octets for as long as the slice lives, or `len` is 0.
pub(super) unsafe fn octets<'a>(from: *const c_void, len: usize) -> Result<&'a [u8], Errno> {
    match (from.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(libc::EFAULT),
        // SAFETY: the caller's promise.
        (false, _) => Ok(unsafe { slice::from_raw_parts(from.cast(), len) }),
    }
}

/// The caller's buffer.
///
/// # Safety
/// `to` has `len` writable octets that nobody else uses while the slice lives, or `len` is 0.
pub(super) unsafe fn buffer<'a>(to: *mut c_void, len: usize) -> Result<&'a mut [u8], Errno> {
    match (to.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(libc::EFAULT),
        // SAFETY: the caller's promise.
        (false, _) => Ok(unsafe { slice::from_raw_parts_mut(to.cast(), len) }),
    }
}

/// The parts of a scattered buffer.
///
/// # Safety
/// `parts` has `count` entries, or is null.
pub(super) unsafe fn parts<'a>(parts: *const iovec, count: usize) -> &'a [iovec] {
    if parts.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(parts, count) }
}

/// What stands in scattered buffers, one behind the other.
///
/// # Safety
/// Each part has as many readable octets as it says.
pub(super) unsafe fn collect(parts: &[iovec]) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    for part in parts {
        // SAFETY: the caller's promise.
        all.extend_from_slice(unsafe { octets(part.iov_base, part.iov_len) }?);
    }
    Ok(all)
}

/// Octets that scattered buffers have room for.
pub(super) fn room(parts: &[iovec]) -> usize {
    parts.iter().map(|part| part.iov_len).sum()
}

/// Writes `from` over scattered buffers.
///
/// # Safety
/// Each part has as many writable octets as it says; together there is room for `from`.
pub(super) unsafe fn scatter(mut from: &[u8], parts: &[iovec]) {
    for part in parts {
        let len = part.iov_len.min(from.len());
        // SAFETY: the caller's promise.
        if let Ok(out) = unsafe { buffer(part.iov_base, len) } {
            out.copy_from_slice(&from[..len]);
        }
        from = &from[len..];
    }
}
