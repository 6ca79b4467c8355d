//! Two netlink requests about one interface: which XDP program it has, and setting one.
//!
//! A program attached this way stays when the process dies, which is the point (see `link`). A BPF
//! link would have to be pinned in a file system that many machines and containers do not mount.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The XDP part of an interface's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct XdpState {
    /// `IFLA_XDP_ATTACHED`: 0 nothing, 1 native, 2 generic, 3 in the hardware, 4 several.
    pub attached: u8,
    /// The kernel's number of the program, 0 for none.
    pub program_id: u32,
}

/// Asks which program the interface has.
pub(super) fn state(interface: u32) -> io::Result<XdpState> {
    let reply = exchange(&Message::new(libc::RTM_GETLINK, 0, interface))?;
    let mut state = XdpState::default();
    let attributes = reply.get(LINK_HEADER_BYTES..).unwrap_or_default();
    for (kind, value) in Attributes(attributes) {
        if kind != libc::IFLA_XDP {
            continue;
        }
        for (kind, value) in Attributes(value) {
            match (kind, value) {
                (IFLA_XDP_ATTACHED, [attached, ..]) => state.attached = *attached,
                (IFLA_XDP_PROG_ID, [a, b, c, d, ..]) => {
                    state.program_id = u32::from_ne_bytes([*a, *b, *c, *d]);
                }
                _ => {}
            }
        }
    }
    Ok(state)
}

/// Attaches `program` in place of any other, or takes the attached one away when it is `None`.
///
/// With `expected` the kernel does it only if that program is the attached one.
pub(super) fn set(
    interface: u32,
    program: Option<RawFd>,
    flags: u32,
    expected: Option<RawFd>,
) -> io::Result<()> {
    let mut message = Message::new(libc::RTM_SETLINK, libc::NLM_F_ACK, interface);
    let flags = flags | if expected.is_some() { XDP_FLAGS_REPLACE } else { 0 };
    message.open(libc::IFLA_XDP | NLA_F_NESTED);
    message.put(IFLA_XDP_FD, &program.unwrap_or(-1).to_ne_bytes());
    message.put(IFLA_XDP_FLAGS, &flags.to_ne_bytes());
    if let Some(expected) = expected {
        message.put(IFLA_XDP_EXPECTED_FD, &expected.to_ne_bytes());
    }
    message.close();
    exchange(&message).map(drop)
}

/// A request being written: netlink header, link header, attributes.
struct Message {
    bytes: Vec<u8>,
    /// Where the attribute that is still open begins.
    open: usize,
}

impl Message {
    fn new(kind: u16, flags: i32, interface: u32) -> Self {
        let mut bytes = vec![0; HEADER_BYTES + LINK_HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        bytes[8..12].copy_from_slice(&SEQUENCE.to_ne_bytes());
        // `struct ifinfomsg`: family, type, index, flags, change.
        bytes[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&interface.to_ne_bytes());
        Self { bytes, open: 0 }
    }

    fn open(&mut self, kind: u16) {
        self.open = self.bytes.len();
        self.put(kind, &[]);
    }

    fn close(&mut self) {
        let len = (self.bytes.len() - self.open) as u16;
        self.bytes[self.open..self.open + 2].copy_from_slice(&len.to_ne_bytes());
    }

    /// All values here are multiples of four bytes, so no padding is needed.
    fn put(&mut self, kind: u16, value: &[u8]) {
        debug_assert!(value.len().is_multiple_of(4));
        self.bytes.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
    }
}

/// Sends one request and returns what follows the netlink header of the one reply to it.
fn exchange(message: &Message) -> io::Result<Vec<u8>> {
    let socket = open()?;
    let mut bytes = message.bytes.clone();
    let len = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&len.to_ne_bytes());
    // SAFETY: the bytes are readable for their length; the descriptor is alive.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut reply = vec![0; REPLY_BYTES_MAX];
    let got = loop {
        // SAFETY: the buffer is writable for its length; the descriptor is alive.
        let got =
            unsafe { libc::recv(socket.as_raw_fd(), reply.as_mut_ptr().cast(), reply.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => break got,
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    };
    reply.truncate(got);
    if reply.len() < HEADER_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "netlink reply is too short"));
    }
    let kind = u16::from_ne_bytes([reply[4], reply[5]]);
    let body = reply.split_off(HEADER_BYTES);
    if i32::from(kind) == libc::NLMSG_ERROR { acknowledged(&body).map(|()| body) } else { Ok(body) }
}

/// An acknowledgement is an error with the number 0. Its attributes may say more in words.
fn acknowledged(body: &[u8]) -> io::Result<()> {
    let number = body.first_chunk().map_or(-libc::EIO, |number| i32::from_ne_bytes(*number));
    if number == 0 {
        return Ok(());
    }
    let error = io::Error::from_raw_os_error(-number);
    // `struct nlmsgerr`: the number, and the header of the request.
    let attributes = body.get(4 + HEADER_BYTES..).unwrap_or_default();
    let text = Attributes(attributes).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG);
    match text {
        Some((_, text)) => {
            let text = String::from_utf8_lossy(text);
            Err(io::Error::new(
                error.kind(),
                Refusal { number: -number, text: text.trim_end_matches('\0').to_owned() },
            ))
        }
        None => Err(error),
    }
}

/// A refusal that the kernel explained.
#[derive(Debug, thiserror::Error)]
#[error("{text} ({})", io::Error::from_raw_os_error(*.number))]
struct Refusal {
    number: i32,
    text: String,
}

/// The error number, also of an error that the kernel explained.
pub(super) fn error_number(error: &io::Error) -> Option<i32> {
    let refusal = error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>());
    refusal.map(|refusal| refusal.number).or_else(|| error.raw_os_error())
}

fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; a descriptor returned is new and ours.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // Explanations of errors, and those without a copy of the request before them.
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let on: libc::c_int = 1;
        // SAFETY: a pointer to an int, and its size. Without these options errors are only terser.
        unsafe {
            libc::setsockopt(fd, libc::SOL_NETLINK, option, (&raw const on).cast(), 4);
        }
    }
    Ok(socket)
}

/// Walks over `(kind, value)` attributes; ends at the first one that does not fit.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d, ..] = *self.0 else { return None };
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & !NLA_F_NESTED, value))
    }
}

/// `struct nlmsghdr` and `struct ifinfomsg`.
const HEADER_BYTES: usize = 16;
const LINK_HEADER_BYTES: usize = 16;

/// One request a socket, so any number will do.
const SEQUENCE: u32 = 1;

/// A link with statistics and settings of all families takes about 2 KiB.
const REPLY_BYTES_MAX: usize = 64 * 1024;

const NLA_F_NESTED: u16 = 1 << 15;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// `enum` of `linux/if_link.h`.
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
const XDP_FLAGS_REPLACE: u32 = 1 << 4;

#[cfg(test)]
mod tests;
