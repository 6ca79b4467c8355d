//! Looks at what arrives on a path that is not proven yet, until it is or something is wrong.
//!
//! Two faults are known of drivers that grant zero-copy: frames that the filter sends to the socket
//! and the socket does not get, and frames cut short. A peer can make neither happen on a path that
//! works, but for a frame that says it is longer than it is; so one of them convinces nobody, and
//! the worst that some achieve is that the kernel copies.

use std::time::{Duration, Instant};

use crore_wire::ethernet::{self, EtherType};
use crore_wire::ipv6;

/// What is known of one queue so far.
#[derive(Debug)]
pub(super) struct Watch {
    /// Bytes of a frame that counts as one of full size.
    full_bytes: usize,
    /// Frames that were shorter than their IP header says.
    cut: u32,
    received: u64,
    /// Frames that the filter had sent to the socket when the watch began.
    ours_before: u64,
    /// Since when frames have been missing.
    missing_since: Option<Instant>,
    looked: Option<Instant>,
}

/// What a look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing that decides.
    Nothing,
    /// A frame of full size is whole.
    Whole(usize),
    /// Frames come cut: the last one, and what its header says.
    Cut { bytes: usize, said: usize },
    /// None of so many frames reached the socket.
    Missing(u64),
}

impl Watch {
    /// Nothing was seen yet on an interface with this MTU, of whose queue the filter has sent so
    /// many frames to the socket.
    pub(super) fn new(mtu: u16, ours_before: u64) -> Self {
        let full_bytes = usize::from(mtu) * 9 / 10;
        let (missing_since, looked) = (None, None);
        Self { full_bytes, cut: 0, received: 0, ours_before, missing_since, looked }
    }

    /// A frame arrived.
    pub(super) fn frame(&mut self, frame: &[u8]) -> Sight {
        self.received += 1;
        let Some(said) = said_bytes(frame) else { return Sight::Nothing };
        if frame.len() >= said {
            return if said >= self.full_bytes { Sight::Whole(said) } else { Sight::Nothing };
        }
        self.cut += 1;
        if self.cut < CUT_MAX { Sight::Nothing } else { Sight::Cut { bytes: frame.len(), said } }
    }

    /// Nothing has arrived so far: it is worth asking whether frames are missing.
    pub(super) fn has_got_nothing(&self) -> bool {
        self.received == 0
    }

    /// Nothing has arrived just now. `ours` asks how many frames the filter has sent to the socket;
    /// it is asked seldom.
    pub(super) fn idle(&mut self, now: Instant, ours: impl FnOnce() -> Option<u64>) -> Sight {
        let looked = self.looked.is_some_and(|looked| now < looked + LOOK_INTERVAL);
        if looked || !self.has_got_nothing() {
            return Sight::Nothing;
        }
        self.looked = Some(now);
        let ours = ours().unwrap_or(0).saturating_sub(self.ours_before);
        if ours < MISSING_MAX {
            return Sight::Nothing;
        }
        let since = *self.missing_since.get_or_insert(now);
        if now < since + MISSING_PATIENCE { Sight::Nothing } else { Sight::Missing(ours) }
    }
}

/// The bytes that a frame must have by its IP header; `None` when it is not IP.
pub(super) fn said_bytes(frame: &[u8]) -> Option<usize> {
    let (header, packet) = ethernet::Header::parse(frame).ok()?;
    // Only the field: the packet of a frame that was cut is none.
    let field = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let packet_bytes = match header.ether_type {
        EtherType::IPV4 => usize::from(field(2)?),
        EtherType::IPV6 => ipv6::HEADER_LEN + usize::from(field(4)?),
        _ => return None,
    };
    Some(header.header_len() + packet_bytes)
}

/// So many cut frames are no accident.
const CUT_MAX: u32 = 4;

/// So many frames that are missing, for so long, are lost.
const MISSING_MAX: u64 = 4;
const MISSING_PATIENCE: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
