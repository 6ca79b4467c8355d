//! The control socket: `SOCK_SEQPACKET` of the unix domain, one message a call, at most one
//! descriptor with it. Nothing here ever waits.

use std::fmt;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::message::MESSAGE_BYTES;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A file.
    Path(PathBuf),
    /// A name in the network namespace, without a file: what DPDK does unless told otherwise. It
    /// looks like a path all the same.
    Abstract(String),
}

impl Address {
    /// `@NAME` is abstract, all else is a path.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('@') {
            Some(name) => Self::Abstract(name.to_owned()),
            None => Self::Path(text.into()),
        }
    }

    /// The kernel's form of it, and its length.
    fn for_kernel(&self) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
        let (bytes, at) = match self {
            Self::Path(path) => (path.as_os_str().as_bytes(), 0),
            Self::Abstract(name) => (name.as_bytes(), 1),
        };
        // SAFETY: a plain C structure of numbers, for which all zeroes is a value.
        let mut address: libc::sockaddr_un = unsafe { zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let room = address.sun_path.len() - 1;
        if bytes.is_empty() || bytes.len() > room || bytes.contains(&0) {
            let text = format!("the address of a socket has from 1 to {room} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        for (to, from) in address.sun_path[at..].iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        // An abstract name ends with the address; a path with a zero.
        let len = match self {
            Self::Path(_) => size_of::<libc::sockaddr_un>(),
            Self::Abstract(_) => offset_of!(libc::sockaddr_un, sun_path) + 1 + bytes.len(),
        };
        Ok((address, len as libc::socklen_t))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// A socket that a server accepts clients at. A path is taken away at the end.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    path: Option<PathBuf>,
}

impl Listener {
    /// Listens. A file that a killed server left is replaced; one of a server that is there is not.
    pub(super) fn bind(address: &Address) -> io::Result<Self> {
        let path = match address {
            Address::Path(path) => Some(path.clone()),
            Address::Abstract(_) => None,
        };
        if let Some(path) = &path
            && is_left_behind(path, address)
        {
            std::fs::remove_file(path)?;
        }
        let socket = open()?;
        let (kernel, len) = address.for_kernel()?;
        // SAFETY: a whole address and its length.
        check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const kernel).cast(), len) })?;
        let listener = Self { socket, path };
        // SAFETY: numbers only.
        check(unsafe { libc::listen(listener.socket.as_raw_fd(), BACKLOG) })?;
        Ok(listener)
    }

    /// The next client, if one waits.
    pub(super) fn accept(&self) -> io::Result<Socket> {
        let none = std::ptr::null_mut();
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no address is asked for; a descriptor returned is new and ours.
        let fd = check(unsafe {
            libc::accept4(self.socket.as_raw_fd(), none, std::ptr::null_mut(), flags)
        })?;
        // SAFETY: just opened, and owned by nobody else.
        Ok(Socket(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Somebody may have taken it away already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

/// What came in.
#[derive(Debug)]
pub(super) enum Received {
    /// A message, with a descriptor if there was one.
    Message([u8; MESSAGE_BYTES], Option<OwnedFd>),
    /// Something that is no message: of another length, or with several descriptors.
    Malformed,
    /// Nothing yet.
    Nothing,
    /// The peer is gone.
    End,
}

impl Socket {
    /// Connects to a server.
    pub(super) fn connect(address: &Address) -> io::Result<Self> {
        let socket = open()?;
        let (kernel, len) = address.for_kernel()?;
        // SAFETY: a whole address and its length.
        check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const kernel).cast(), len) })?;
        Ok(Self(socket))
    }

    /// Sends a message. It does not wait: who does not read is not waited for.
    pub(super) fn send(
        &self,
        message: &[u8; MESSAGE_BYTES],
        fd: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let mut part =
            libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
        let mut room = ControlRoom { bytes: [0; CONTROL_BYTES] };
        // SAFETY: a plain C structure of numbers and pointers, for which all zeroes is a value.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        if let Some(fd) = fd {
            let number = fd.as_raw_fd();
            header.msg_control = (&raw mut room).cast();
            // SAFETY: `CMSG_SPACE` and `CMSG_LEN` are arithmetic; the room has more bytes than one
            // descriptor takes, so the first control message is there, and is written whole.
            unsafe {
                header.msg_controllen = libc::CMSG_SPACE(FD_BYTES) as _;
                let first = libc::CMSG_FIRSTHDR(&raw const header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(FD_BYTES) as _;
                libc::CMSG_DATA(first)
                    .cast::<libc::c_void>()
                    .cast::<libc::c_int>()
                    .write_unaligned(number);
            }
        }
        // SAFETY: the header points to the message and the room, both alive over the call.
        let sent = unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const header, SEND_FLAGS) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next message, if there is one.
    pub(super) fn receive(&self) -> io::Result<Received> {
        let mut message = [0; MESSAGE_BYTES];
        let mut part =
            libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: message.len() };
        let mut room = ControlRoom { bytes: [0; CONTROL_BYTES] };
        // SAFETY: a plain C structure of numbers and pointers, for which all zeroes is a value.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut room).cast();
        header.msg_controllen = CONTROL_BYTES as _;
        // SAFETY: the header points to the message and the room, both writable over the call.
        let got = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, RECEIVE_FLAGS) };
        if got < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Received::Nothing),
                io::ErrorKind::ConnectionReset => Ok(Received::End),
                _ => Err(error),
            };
        }
        // All that came is owned, so that it is closed whatever comes of the message.
        // SAFETY: the kernel filled the header.
        let mut fds = unsafe { descriptors(&header) };
        let cut = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
        Ok(match got as usize {
            0 => Received::End,
            MESSAGE_BYTES if !cut && fds.len() <= 1 => Received::Message(message, fds.pop()),
            _ => Received::Malformed,
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes the descriptors out of a message that was received.
///
/// # Safety
/// `header` is as `recvmsg` left it, and its descriptors were not taken yet.
unsafe fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the header's control part is in place, and the kernel filled it; the macros stay
    // inside it. Each descriptor in it is new and ours.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = next.as_ref() {
            if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_RIGHTS {
                let bytes = control.cmsg_len - libc::CMSG_LEN(0) as usize;
                let first = libc::CMSG_DATA(control).cast::<libc::c_void>().cast::<libc::c_int>();
                for i in 0..bytes / FD_BYTES as usize {
                    fds.push(OwnedFd::from_raw_fd(first.add(i).read_unaligned()));
                }
            }
            next = libc::CMSG_NXTHDR(header, control);
        }
    }
    fds
}

/// True when there is a socket's file at this path and nobody listens there any more.
fn is_left_behind(path: &Path, address: &Address) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && Socket::connect(address).is_err_and(|error| refused(&error))
}

fn open() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; a descriptor returned is new and ours.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, KIND, 0) })?;
    // SAFETY: just opened, and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(status: libc::c_int) -> io::Result<libc::c_int> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

/// Room for control messages, aligned as they must be: credentials, which a listener of DPDK's asks
/// for, and some more descriptors than there may be.
#[repr(C, align(8))]
struct ControlRoom {
    bytes: [u8; CONTROL_BYTES],
}

const CONTROL_BYTES: usize = 128;
const FD_BYTES: libc::c_uint = size_of::<libc::c_int>() as libc::c_uint;

const KIND: libc::c_int = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
const RECEIVE_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;

/// Clients that wait to be accepted.
const BACKLOG: libc::c_int = 64;
