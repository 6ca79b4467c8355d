//! A host on the link that answers pings, found by the kernel before the interface's queues are
//! ours: whom a path can be proven with.
//!
//! Without one nothing can be said about receiving, and with one that does not answer pings the
//! silence of a path that is broken could not be told from its own.

use std::io;
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crore_wire::icmpv4::Message;
use crore_wire::ipv4;

use crate::interface::{Interface, request_for};

/// Whom to ask, and as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) ours: Ipv4Addr,
    pub(super) theirs: Ipv4Addr,
    pub(super) mac: [u8; 6],
}

impl Peer {
    /// The first of these hosts that answers a ping as long as the interface's MTU allows.
    pub(super) fn find(interface: &Interface, candidates: &[Ipv4Addr]) -> Option<Self> {
        if candidates.is_empty() || !Interface::is_running(&interface.name).unwrap_or(false) {
            return None;
        }
        let pings = Pings::open(interface).ok()?;
        let ident = std::process::id() as u16;
        for _ in 0..TRIES {
            for candidate in candidates {
                // One that cannot be asked does not answer.
                let _ = pings.ask(*candidate, ident, interface.mtu as usize);
            }
            if let Some((ours, theirs)) = pings.answer(ident, candidates, interface.mtu as usize) {
                let mac = pings.mac_of(theirs, &interface.name).ok()?;
                return Some(Self { ours, theirs, mac });
            }
        }
        None
    }
}

/// A socket of the kernel's for ICMP on one interface.
struct Pings(OwnedFd);

impl Pings {
    fn open(interface: &Interface) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; a descriptor returned is new and ours.
        let fd = unsafe { libc::socket(libc::AF_INET, kind, libc::IPPROTO_ICMP) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and owned by nobody else.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        let name = interface.name.as_bytes();
        let wait = libc::timeval { tv_sec: 0, tv_usec: STEP.subsec_micros().into() };
        // SAFETY: each pointer is good for the length beside it, over the call.
        let answers = unsafe {
            let (level, len) = (libc::SOL_SOCKET, name.len() as libc::socklen_t);
            let bound =
                libc::setsockopt(fd, level, libc::SO_BINDTODEVICE, name.as_ptr().cast(), len);
            let len = size_of_val(&wait) as libc::socklen_t;
            let timed =
                libc::setsockopt(fd, level, libc::SO_RCVTIMEO, (&raw const wait).cast(), len);
            [bound, timed]
        };
        if answers == [0, 0] { Ok(socket) } else { Err(io::Error::last_os_error()) }
    }

    /// One ping in an IP packet of `packet_bytes`.
    fn ask(&self, whom: Ipv4Addr, ident: u16, packet_bytes: usize) -> io::Result<()> {
        let data = vec![0x5a; packet_bytes.saturating_sub(ipv4::HEADER_LEN + 8)];
        let message = Message::EchoRequest { ident, seq: 0, data: &data };
        let mut bytes = vec![0; message.len()];
        message.write(&mut bytes);
        let to = address_of(whom);
        // SAFETY: message and address are readable for their lengths.
        let sent = unsafe {
            let len = size_of_val(&to) as libc::socklen_t;
            let (fd, flags) = (self.0.as_raw_fd(), libc::MSG_DONTWAIT);
            let bytes = (bytes.as_ptr().cast(), bytes.len());
            libc::sendto(fd, bytes.0, bytes.1, flags, (&raw const to).cast(), len)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits for a while for the whole answer of one of those asked: which of our addresses it came
    /// to, and from whom.
    fn answer(
        &self,
        ident: u16,
        asked: &[Ipv4Addr],
        packet_bytes: usize,
    ) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let end = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 1 << 16];
        while Instant::now() < end {
            // SAFETY: the buffer is writable for its length.
            let got = unsafe {
                let (fd, len) = (self.0.as_raw_fd(), buffer.len());
                libc::recv(fd, buffer.as_mut_ptr().cast(), len, 0)
            };
            let Some(packet) = usize::try_from(got).ok().and_then(|len| buffer.get(..len)) else {
                continue;
            };
            let Ok((header, payload)) = ipv4::Header::parse(packet) else { continue };
            let reply = Message::parse(payload);
            let ours = matches!(reply, Ok(Message::EchoReply { ident: of, .. }) if of == ident);
            if ours && asked.contains(&header.src) && packet.len() == packet_bytes {
                return Some((header.dst, header.src));
            }
        }
        None
    }

    /// Whom the kernel's table says a neighbour to be.
    fn mac_of(&self, whom: Ipv4Addr, interface: &str) -> io::Result<[u8; 6]> {
        // The name is checked there.
        let name = request_for(interface)?.ifr_name;
        // SAFETY: a plain C structure of numbers, for which all zeroes is a value.
        let mut request: libc::arpreq = unsafe { MaybeUninit::zeroed().assume_init() };
        request.arp_dev.copy_from_slice(&name);
        request.arp_pa.sa_family = libc::AF_INET as libc::sa_family_t;
        // A port stands before the address.
        for (to, from) in request.arp_pa.sa_data[2..].iter_mut().zip(whom.octets()) {
            *to = from as libc::c_char;
        }
        // SAFETY: `request` is a whole arpreq, all that this code reads and writes.
        let answer =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCGARP as _, &raw mut request) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        if request.arp_flags & ATF_COM == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(std::array::from_fn(|i| request.arp_ha.sa_data[i] as u8))
    }
}

fn address_of(host: Ipv4Addr) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: host.to_bits().to_be() },
        sin_zero: [0; 8],
    }
}

/// `linux/if_arp.h`: the entry is complete.
const ATF_COM: libc::c_int = 0x02;

/// How often the hosts are asked, and how long each time they have.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_millis(700);
const STEP: Duration = Duration::from_millis(50);
