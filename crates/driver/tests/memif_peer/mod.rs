//! A memif peer that says and writes whatever it is told to: for tests of what a hostile one can
//! do, and for the fuzzer.
//!
//! It is written from the protocol's layout alone and shares no code with the driver. It reaches
//! shared memory by reading and writing the file behind it, which is the same memory.

use std::fs::File;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

/// A control socket.
#[derive(Debug)]
pub(crate) struct Wire(OwnedFd);

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Ear(OwnedFd);

/// A region's file.
#[derive(Debug)]
pub(crate) struct Memory(pub(crate) File);

/// A ring in a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    /// Where its header is.
    pub(crate) at: u64,
}

/// A descriptor, as it stands in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) flags: u16,
    pub(crate) region: u16,
    pub(crate) len: u32,
    pub(crate) offset: u32,
}

impl Wire {
    /// Connects to an abstract address.
    pub(crate) fn connect(name: &str) -> io::Result<Self> {
        let socket = open()?;
        let (address, len) = address_of(name);
        // SAFETY: a whole address and its length.
        check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
        Ok(Self(socket))
    }

    /// Sends bytes as one message, with these descriptors.
    pub(crate) fn say(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut part =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut room = Room([0; 256]);
        let fds_bytes = size_of_val(fds) as libc::c_uint;
        // SAFETY: a plain C structure; the room has more bytes than the descriptors of any test
        // take, so the control message is inside it.
        unsafe {
            let mut header: libc::msghdr = zeroed();
            header.msg_iov = &raw mut part;
            header.msg_iovlen = 1;
            if !fds.is_empty() {
                header.msg_control = (&raw mut room).cast();
                header.msg_controllen = libc::CMSG_SPACE(fds_bytes) as _;
                let first = libc::CMSG_FIRSTHDR(&raw const header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(fds_bytes) as _;
                let data = libc::CMSG_DATA(first).cast::<libc::c_void>().cast::<libc::c_int>();
                for (i, fd) in fds.iter().enumerate() {
                    data.add(i).write_unaligned(fd.as_raw_fd());
                }
            }
            let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
            let sent = libc::sendmsg(self.0.as_raw_fd(), &raw const header, flags);
            if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        }
    }

    /// The next message and its descriptors; `None` when there is none, empty at the end.
    pub(crate) fn hear(&self) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        let mut bytes = vec![0; 512];
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut room = Room([0; 256]);
        let mut fds = Vec::new();
        // SAFETY: a plain C structure that points to the bytes and the room, alive over the call;
        // afterwards the macros stay inside what the kernel filled, and each descriptor is new.
        let got = unsafe {
            let mut header: libc::msghdr = zeroed();
            header.msg_iov = &raw mut part;
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut room).cast();
            header.msg_controllen = size_of::<Room>() as _;
            let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
            let got = libc::recvmsg(self.0.as_raw_fd(), &raw mut header, flags);
            if got < 0 {
                let error = io::Error::last_os_error();
                return (error.kind() != io::ErrorKind::WouldBlock).then(Default::default);
            }
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            if let Some(control) = first.as_ref() {
                let data = libc::CMSG_DATA(first).cast::<libc::c_void>().cast::<libc::c_int>();
                let len = control.cmsg_len - libc::CMSG_LEN(0) as usize;
                for i in 0..len / size_of::<libc::c_int>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            got
        };
        bytes.truncate(got as usize);
        Some((bytes, fds))
    }
}

impl Ear {
    /// Listens at an abstract address.
    pub(crate) fn listen(name: &str) -> io::Result<Self> {
        let socket = open()?;
        let (address, len) = address_of(name);
        // SAFETY: a whole address and its length.
        check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
        // SAFETY: numbers only.
        check(unsafe { libc::listen(socket.as_raw_fd(), 8) })?;
        Ok(Self(socket))
    }

    /// The next client, if one waits.
    pub(crate) fn accept(&self) -> Option<Wire> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let none = std::ptr::null_mut();
        // SAFETY: no address is asked for; a descriptor returned is new and ours.
        let fd = unsafe { libc::accept4(self.0.as_raw_fd(), none, std::ptr::null_mut(), flags) };
        // SAFETY: just opened, and owned by nobody else.
        (fd >= 0).then(|| Wire(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl Memory {
    /// A new file in memory, zeroed; one that is sealed cannot be made shorter.
    pub(crate) fn new(bytes: u64, sealed: bool) -> Self {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: a C string, and a descriptor that is new and ours.
        let file = unsafe {
            let fd = check(libc::memfd_create(c"peer".as_ptr(), flags)).unwrap();
            File::from_raw_fd(fd)
        };
        file.set_len(bytes).unwrap();
        if sealed {
            // SAFETY: numbers only.
            check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) })
                .unwrap();
        }
        Self(file)
    }

    pub(crate) fn write(&self, at: u64, bytes: &[u8]) {
        // Outside of the file it would grow: what tests write is in the region.
        let _ = self.0.write_all_at(bytes, at);
    }

    pub(crate) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    pub(crate) fn u16(&self, at: u64) -> u16 {
        u16::from_ne_bytes(self.read(at, 2).try_into().unwrap())
    }
}

impl Ring {
    /// Makes an empty ring.
    pub(crate) fn begin(self, memory: &Memory) {
        memory.write(self.at, &COOKIE.to_ne_bytes());
    }

    pub(crate) fn flags(self, memory: &Memory) -> u16 {
        memory.u16(self.at + 4)
    }

    pub(crate) fn head(self, memory: &Memory) -> u16 {
        memory.u16(self.at + 6)
    }

    pub(crate) fn tail(self, memory: &Memory) -> u16 {
        memory.u16(self.at + 64)
    }

    pub(crate) fn set_head(self, memory: &Memory, index: u16) {
        memory.write(self.at + 6, &index.to_ne_bytes());
    }

    pub(crate) fn set_tail(self, memory: &Memory, index: u16) {
        memory.write(self.at + 64, &index.to_ne_bytes());
    }

    pub(crate) fn descriptor(self, memory: &Memory, place: u64) -> Descriptor {
        let bytes = memory.read(self.at + 128 + 16 * place, 16);
        let u16_at = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
        let u32_at = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        Descriptor { flags: u16_at(0), region: u16_at(2), len: u32_at(4), offset: u32_at(8) }
    }

    pub(crate) fn set_descriptor(self, memory: &Memory, place: u64, to: Descriptor) {
        let mut bytes = Vec::new();
        bytes.extend(to.flags.to_ne_bytes());
        bytes.extend(to.region.to_ne_bytes());
        bytes.extend(to.len.to_ne_bytes());
        bytes.extend(to.offset.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        memory.write(self.at + 128 + 16 * place, &bytes);
    }
}

/// A message of this type with these fields, filled up with zeros.
pub(crate) fn message(kind: u16, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = kind.to_ne_bytes().to_vec();
    bytes.extend(fields.concat());
    bytes.resize(128, 0);
    bytes
}

pub(crate) fn ack() -> Vec<u8> {
    message(1, &[])
}

/// What a server with so many queues says first.
pub(crate) fn hello(version: u16, queues: u16) -> Vec<u8> {
    let (version, ring) = (version.to_ne_bytes(), (queues - 1).to_ne_bytes());
    let name = text::<32>("peer");
    message(2, &[&name, &version, &version, &255u16.to_ne_bytes(), &ring, &ring, &[14]])
}

pub(crate) fn init(version: u16, id: u32, mode: u8, secret: &str) -> Vec<u8> {
    let (secret, name) = (text::<24>(secret), text::<32>("peer"));
    message(3, &[&version.to_ne_bytes(), &id.to_ne_bytes(), &[mode], &secret, &name])
}

pub(crate) fn add_region(index: u16, bytes: u64) -> Vec<u8> {
    message(4, &[&index.to_ne_bytes(), &bytes.to_ne_bytes()])
}

/// `to_server` is the flag that says so.
pub(crate) fn add_ring(to_server: u16, index: u16, region: u16, offset: u32, log2: u8) -> Vec<u8> {
    let numbers = [to_server, index, region].map(u16::to_ne_bytes).concat();
    message(5, &[&numbers, &offset.to_ne_bytes(), &[log2]])
}

pub(crate) fn connect() -> Vec<u8> {
    message(6, &[&text::<32>("peer0")])
}

pub(crate) fn connected() -> Vec<u8> {
    message(7, &[&text::<32>("peer0")])
}

/// The type of a message.
pub(crate) fn kind(bytes: &[u8]) -> u16 {
    bytes.get(..2).map_or(0, |kind| u16::from_ne_bytes(kind.try_into().unwrap()))
}

/// The reason in a DISCONNECT.
pub(crate) fn reason(bytes: &[u8]) -> String {
    assert_eq!(kind(bytes), DISCONNECT);
    let end = bytes[6..].iter().position(|&byte| byte == 0).unwrap();
    String::from_utf8(bytes[6..6 + end].to_vec()).unwrap()
}

/// A new eventfd.
pub(crate) fn event() -> OwnedFd {
    // SAFETY: numbers only; a descriptor returned is new and ours.
    unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC)).unwrap()) }
}

fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    field[..text.len()].copy_from_slice(text.as_bytes());
    field
}

fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: numbers only; a descriptor returned is new and ours.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?)) }
}

fn address_of(name: &str) -> (libc::sockaddr_un, libc::socklen_t) {
    // SAFETY: a plain C structure of numbers, for which all zeroes is a value.
    let mut address: libc::sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path[1..].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let len = offset_of!(libc::sockaddr_un, sun_path) + 1 + name.len();
    (address, len as libc::socklen_t)
}

fn check(status: libc::c_int) -> io::Result<libc::c_int> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

/// Room for control messages, aligned as they must be.
#[repr(C, align(8))]
struct Room([u8; 256]);

pub(crate) const ACK: u16 = 1;
pub(crate) const HELLO: u16 = 2;
pub(crate) const INIT: u16 = 3;
pub(crate) const ADD_REGION: u16 = 4;
pub(crate) const ADD_RING: u16 = 5;
pub(crate) const CONNECT: u16 = 6;
pub(crate) const CONNECTED: u16 = 7;
pub(crate) const DISCONNECT: u16 = 8;
pub(crate) const VERSION: u16 = 0x0200;
pub(crate) const COOKIE: u32 = 0x03e3_1f20;
