//! Sends a run of segments as one packet, where the kernel copies what is sent anyway.
//!
//! In copy mode each frame of the tx ring becomes a packet of the kernel's that walks its whole way
//! alone, for thousands of cycles. A packet socket takes a run in one call, with a header that says
//! how to cut it: it walks as one, and is cut by the interface, by the link behind it, or not at
//! all when it stays on this machine. Like the ring it leads past the queueing discipline, straight
//! into the interface, so that nothing overtakes.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crore_mem::frames::FramePlace;

use super::run::{CHECKSUM, Family, HEADER_BYTES_MAX, Run, SEGMENTS_MAX};

/// The way out for runs.
#[derive(Debug)]
pub(super) struct Joined {
    socket: OwnedFd,
    /// So many frames go the other way before this one is tried again.
    rest: u32,
    /// How many it was the last time.
    rested: u32,
}

impl Joined {
    /// A way out of this interface that gets nothing from it. `room_bytes` may be on their way.
    pub(super) fn open(interface: u32, room_bytes: usize) -> io::Result<Self> {
        // SAFETY: no pointers; a descriptor returned is new and ours.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and owned by nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let room = libc::c_int::try_from(room_bytes).unwrap_or(libc::c_int::MAX);
        for (level, name, value) in [
            (libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1),
            // As the XDP socket does: no frame overtakes another in a queue between.
            (libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1),
            (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, room),
        ] {
            set_option(&socket, level, name, value)?;
        }
        // SAFETY: a plain C structure of numbers, for which all zeroes is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = interface as libc::c_int;
        // SAFETY: a whole sockaddr_ll and its size.
        let answer = unsafe {
            let size = size_of_val(&address) as libc::socklen_t;
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size)
        };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket, rest: 0, rested: 0 })
    }

    /// True when the next frames may go this way. After a refusal some go the other way, and more
    /// after each further one: the interface had no room, or cannot cut and this way leads past who
    /// could.
    pub(super) fn is_open(&mut self) -> bool {
        let rests = self.rest > 0;
        self.rest -= u32::from(rests);
        !rests
    }

    /// Sends these frames, which are the run; `first` has the bytes of the first. On an error none
    /// of them went.
    pub(super) fn send(
        &mut self,
        run: &Run,
        first: &[u8],
        frames: &[FramePlace],
    ) -> io::Result<()> {
        let sent = self.ask(run, first, frames);
        self.rested = if sent.is_ok() { 0 } else { (2 * self.rested).clamp(1, REST_MAX) };
        self.rest = self.rested;
        sent
    }

    fn ask(&self, run: &Run, first: &[u8], frames: &[FramePlace]) -> io::Result<()> {
        let mut header = [0; HEADER_BYTES_MAX];
        let header_len = run.write_header(first, &mut header);
        let how = How {
            flags: NEEDS_CHECKSUM,
            kind: if run.family() == Family::V4 { TCP_V4 } else { TCP_V6 },
            header_len: header_len as u16,
            segment_bytes: run.segment_bytes() as u16,
            sum_from: run.tcp() as u16,
            sum_at: CHECKSUM as u16,
        };
        let nothing = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut parts = [nothing; 2 + SEGMENTS_MAX];
        parts[0] = part((&raw const how).cast(), size_of_val(&how));
        parts[1] = part(header.as_ptr(), header_len);
        let payload = run.payload();
        for (to, frame) in parts[2..].iter_mut().zip(frames) {
            *to = part(frame.start.wrapping_add(payload), frame.len as usize - payload);
        }
        // SAFETY: a plain C structure of numbers and pointers, for which all zeroes is a value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = parts.as_mut_ptr();
        message.msg_iovlen = 2 + frames.len();
        // SAFETY: each part is readable over the call: `how` and `header` are ours, and the frames
        // are the caller's, committed and at least as long as the run says.
        let answer = unsafe {
            libc::sendmsg(self.socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT)
        };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// `struct virtio_net_hdr`: how the interface, or the kernel in its place, is to cut the packet and
/// to complete the checksums.
#[repr(C)]
struct How {
    flags: u8,
    kind: u8,
    header_len: u16,
    segment_bytes: u16,
    sum_from: u16,
    sum_at: u16,
}

fn part(start: *const u8, len: usize) -> libc::iovec {
    libc::iovec { iov_base: start.cast_mut().cast(), iov_len: len }
}

fn set_option(socket: &OwnedFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: `value` is readable for the size stated.
    let answer = unsafe {
        let size = size_of_val(&value) as libc::socklen_t;
        let value = (&raw const value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, name, value, size)
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `linux/virtio_net.h`
const NEEDS_CHECKSUM: u8 = 1;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;

/// What it costs to ask in vain is little beside so many frames.
const REST_MAX: u32 = 1024;
