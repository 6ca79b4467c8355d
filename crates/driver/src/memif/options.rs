//! What a link is to be, and why it cannot be.

use std::io;

use crore_mem::{HugePages, MemoryError, region_bytes};

use super::message::Secret;
use super::ring::{LOG2_MAX, Role, ring_bytes};
use super::socket::Address;
use crate::pipe::{MTU_MAX, MTU_MIN, slot_bytes};

/// A link over memif.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the server listens.
    pub address: Address,
    /// Which side we are.
    pub role: Role,
    /// Several links may share one address: both ends name the same id.
    pub id: u32,
    /// Both ends must have the same one, of at most 24 bytes. Empty: none is asked for.
    pub secret: String,
    /// One core for each. As server: at most, a client may bring fewer.
    pub queues: u16,
    /// As client: each ring has 2 to the power of this many places.
    pub ring_log2: u8,
    /// As client: bytes of each buffer.
    pub buffer_bytes: u32,
    /// As client: frames are read and written where the server sees them. It must be trusted; see
    /// [`Queue`](super::Queue).
    pub zero_copy: bool,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
    /// As client: what the memory that is shared is on.
    pub huge_pages: HugePages,
}

/// Why there can be no such link.
#[derive(Debug, thiserror::Error)]
pub enum MemifError {
    /// No queue at all, or more than the protocol has.
    #[error("a memif link has from 1 to {QUEUES_MAX} queues, and {queues} were asked for")]
    Queues {
        /// The queues asked for.
        queues: u16,
    },
    /// Too small to work in bursts, or larger than peers take.
    #[error(
        "a memif ring has 2^{RING_LOG2_MIN} to 2^{LOG2_MAX} places (ring={RING_LOG2_MIN} to \
         ring={LOG2_MAX}), and ring={log2} was asked for"
    )]
    Ring {
        /// The size asked for, as a power of two.
        log2: u8,
    },
    /// A frame must fit into one buffer.
    #[error(
        "a buffer must hold a frame of {needed} bytes and at most {BUFFER_BYTES_MAX}, and \
         buffer={asked} was asked for"
    )]
    Buffer {
        /// The size asked for.
        asked: u32,
        /// Bytes of a frame.
        needed: u32,
    },
    /// Packets of this link could not carry IPv6, or are larger than Ethernet has them.
    #[error("a memif link's MTU is from {MTU_MIN} to {MTU_MAX} bytes, and {mtu} was asked for")]
    Mtu {
        /// The MTU asked for.
        mtu: u16,
    },
    /// Places in a region have 32 bits.
    #[error(
        "{queues} queues of 2^{log2} buffers of {buffer_bytes} bytes are more than the 4 GiB that \
         a memif region can have; take fewer queues, a smaller ring or smaller buffers"
    )]
    TooLarge {
        /// The queues asked for.
        queues: u16,
        /// The ring's size, as a power of two.
        log2: u8,
        /// The size of a buffer.
        buffer_bytes: u32,
    },
    /// It does not fit into the message that it is in.
    #[error("a memif secret has at most {} bytes, and this one has {bytes}", size_of::<Secret>())]
    Secret {
        /// Bytes of the secret.
        bytes: usize,
    },
    /// Another link of this process has the id.
    #[error("interface id {id} at {address} is another link of this process; choose another id=")]
    Id {
        /// The id.
        id: u32,
        /// Where.
        address: Address,
    },
    /// The server could not listen.
    #[error("could not listen at {address}: {source}{}", hint(source))]
    Listen {
        /// Where.
        address: Address,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system gave no descriptor or thread.
    #[error("no descriptor or thread for a memif link: {0}; is `ulimit -n` reached?")]
    System(#[from] io::Error),
}

impl Options {
    /// A link with one queue, as DPDK makes one unless told otherwise.
    pub fn new(address: Address, role: Role) -> Self {
        Self {
            address,
            role,
            id: 0,
            secret: String::new(),
            queues: 1,
            ring_log2: 10,
            buffer_bytes: 2048,
            zero_copy: false,
            mtu: 1500,
            huge_pages: HugePages::None,
        }
    }

    /// Bytes of the memory that is shared: what a client brings. None as server.
    pub fn shared_bytes(&self) -> usize {
        match self.role {
            Role::Server => 0,
            Role::Client => region_bytes(self.content_bytes() as usize),
        }
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        format!("memif:{},id={}", self.address, self.id)
    }

    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<(), MemifError> {
        let &Self { queues, ring_log2, buffer_bytes, mtu, .. } = self;
        if !(1..=QUEUES_MAX).contains(&queues) {
            return Err(MemifError::Queues { queues });
        }
        if !(RING_LOG2_MIN..=LOG2_MAX).contains(&ring_log2) {
            return Err(MemifError::Ring { log2: ring_log2 });
        }
        if !(MTU_MIN..=MTU_MAX).contains(&mtu) {
            return Err(MemifError::Mtu { mtu });
        }
        let needed = u32::from(mtu) + FRAME_HEADER_BYTES;
        if !(needed..=BUFFER_BYTES_MAX).contains(&buffer_bytes) {
            return Err(MemifError::Buffer { asked: buffer_bytes, needed });
        }
        if region_bytes(self.content_bytes() as usize) > u32::MAX as usize {
            return Err(MemifError::TooLarge { queues, log2: ring_log2, buffer_bytes });
        }
        if self.secret.len() > size_of::<Secret>() {
            return Err(MemifError::Secret { bytes: self.secret.len() });
        }
        Ok(())
    }

    /// The secret as messages have it.
    pub(super) fn secret_field(&self) -> Secret {
        let mut field = Secret::default();
        field[..self.secret.len()].copy_from_slice(self.secret.as_bytes());
        field
    }

    /// Rings and buffers of both directions.
    pub(super) fn content_bytes(&self) -> u64 {
        let rings = 2 * u64::from(self.queues);
        let buffers = u64::from(self.stride()) << self.ring_log2;
        (rings * u64::from(ring_bytes(self.ring_log2))).next_multiple_of(64) + rings * buffers
    }

    /// From one buffer to the next: an odd number of cache lines, so that first lines spread over
    /// all sets of a cache.
    pub(super) fn stride(&self) -> u32 {
        (self.buffer_bytes.div_ceil(LINE_BYTES) | 1) * LINE_BYTES
    }

    /// Ours, the same each time, so that peers' neighbour tables stay true over a restart, and
    /// another one at the other end.
    pub(super) fn mac(&self) -> [u8; 6] {
        let text = format!("{} {:?}", self.name(), self.role);
        // FNV-1a; the first byte says "locally administered, one station".
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut mac = [0x02; 6];
        mac[1..].copy_from_slice(&hash.to_be_bytes()[..5]);
        mac
    }
}

/// What may be the matter.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another server listens there",
        io::ErrorKind::NotFound => "; its directory must be there",
        io::ErrorKind::PermissionDenied => "; its directory must be ours to write to",
        _ => "",
    }
}

/// Ethernet, with one VLAN tag.
const FRAME_HEADER_BYTES: u32 = 18;

const QUEUES_MAX: u16 = 255;
const RING_LOG2_MIN: u8 = 5;
const BUFFER_BYTES_MAX: u32 = 65_472;
const LINE_BYTES: u32 = 64;

const _: () = assert!(slot_bytes(MTU_MIN) >= MTU_MIN as u32 + FRAME_HEADER_BYTES);
