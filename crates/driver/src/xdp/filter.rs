//! The filter program in the kernel together with its maps: which ports are ours, which packets in
//! fragments, and which socket serves which queue.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::bpf::{self, MapKind};
use super::program::{self, KEY_BYTES, Maps, PIECE_BYTES, PORT_BITS_BYTES, PROBE_KEY};

/// TCP ports of a local address whose segments are ours and not the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPorts {
    /// The address. `0.0.0.0` and `::` stand for any address of their family: then segments that
    /// the kernel would only have forwarded to other hosts are taken as well.
    pub address: IpAddr,
    /// The ports: one that is listened on, or the range that active opens choose from. The kernel
    /// must not choose from that range as well: set `net.ipv4.ip_local_reserved_ports`.
    pub ports: RangeInclusive<u16>,
}

impl LocalPorts {
    /// A single port.
    pub fn one(address: IpAddr, port: u16) -> Self {
        Self { address, ports: port..=port }
    }
}

/// The filter's maps that have an entry a queue. Each queue of ours shares them, so that it can
/// put another socket in the place of its own.
#[derive(Debug)]
pub(super) struct Queues {
    sockets: OwnedFd,
    counts: OwnedFd,
}

impl Queues {
    /// From now on what is ours and arrives on `queue` goes to this `AF_XDP` socket, until it
    /// closes.
    pub(super) fn set_socket(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        let socket = socket.as_raw_fd() as u32;
        bpf::map_update(&self.sockets, &queue.to_ne_bytes(), &socket.to_ne_bytes())
    }

    /// Frames that arrived on `queue` and were ours, since the filter was loaded: what a socket
    /// does not have of them was lost on the way to it.
    pub(super) fn ours(&self, queue: u32) -> io::Result<u64> {
        bpf::map_look_up_u64(&self.counts, &queue.to_ne_bytes())
    }
}

/// The loaded program. It lives in the kernel as long as this, or longer: as long as it is
/// attached.
#[derive(Debug)]
pub(super) struct Filter {
    program: OwnedFd,
    ports: OwnedFd,
    queues: Arc<Queues>,
    /// What the `ports` map holds: it is written a whole address at a time.
    bits: BTreeMap<[u8; KEY_BYTES], Box<[u8; PORT_BITS_BYTES]>>,
}

impl Filter {
    /// Loads the program, for an interface of at most this many queues. Nothing is ours yet.
    pub(super) fn load(queues: u32) -> io::Result<Self> {
        let sizes = (KEY_BYTES as u32, PORT_BITS_BYTES as u32);
        let ports = bpf::map_create(MapKind::Hash, "crore_ports", sizes, ADDRESSES_MAX)?;
        let sockets = bpf::map_create(MapKind::Sockets, "crore_sockets", (4, 4), queues)?;
        let counts = bpf::map_create(MapKind::Array, "crore_counts", (4, 8), queues)?;
        let sizes = (PIECE_BYTES as u32, 4);
        let pieces = bpf::map_create(MapKind::Recent, "crore_pieces", sizes, PIECES_MAX)?;
        let code = program::filter(Maps {
            ports: ports.as_raw_fd(),
            pieces: pieces.as_raw_fd(),
            sockets: sockets.as_raw_fd(),
            counts: counts.as_raw_fd(),
        });
        // The program keeps its maps; `pieces` is nobody else's.
        let program = bpf::program_load(PROGRAM_NAME, &code)?;
        let queues = Arc::new(Queues { sockets, counts });
        Ok(Self { program, ports, queues, bits: BTreeMap::new() })
    }

    /// From now on these ports are ours.
    pub(super) fn add(&mut self, ours: &LocalPorts) -> io::Result<()> {
        let key = key_of(ours.address);
        let bits = self.bits.entry(key).or_insert_with(|| Box::new([0; PORT_BITS_BYTES]));
        for port in ours.ports.clone() {
            bits[usize::from(port >> 3)] |= 1 << (port & 7);
        }
        bpf::map_update(&self.ports, &key, bits.as_slice())
    }

    /// Answers to pings with this identifier are ours, or the kernel's again.
    pub(super) fn set_probe(&self, ident: u16, ours: bool) -> io::Result<()> {
        let mut bits = [0; PORT_BITS_BYTES];
        bits[usize::from(ident >> 3)] |= u8::from(ours) << (ident & 7);
        bpf::map_update(&self.ports, &PROBE_KEY, &bits)
    }

    /// The maps that the queues share.
    pub(super) fn queues(&self) -> &Arc<Queues> {
        &self.queues
    }

    pub(super) fn program(&self) -> &OwnedFd {
        &self.program
    }
}

/// An address as the `ports` map knows it; IPv4 mapped into IPv6 (RFC 4291 2.5.5.2).
fn key_of(address: IpAddr) -> [u8; KEY_BYTES] {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4).octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// How the kernel lists our program (`ip link`, `bpftool`), and how a leftover one is known as
/// ours.
pub(super) const PROGRAM_NAME: &str = "crore_filter";

/// The map's memory is taken as addresses are added: 8 KiB each.
const ADDRESSES_MAX: u32 = 65_536;

/// Packets in fragments whose first one was ours, of which others may come: 160 KiB.
const PIECES_MAX: u32 = 4096;
