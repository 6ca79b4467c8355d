//! A pipe's end that knows how long the other side has what it is sent: from the moment at which a
//! frame with octets of TCP is in the other side's receive ring, to that at which a frame with
//! octets of the same connection is in its transmit ring.
//!
//! ```text
//!   this end: tx_burst ── now ──> [receive ring of the other side] ─> its core ─┐
//!   this end: rx_burst <───────── [its transmit ring] <── its tx_burst, now ────┘
//!                                  each slot with the time at which it was filled
//! ```
//!
//! All of the work is at this end. The other one reads the clock once a burst, and writes eight
//! bytes for each frame. At both sides the clock is read before the index is published: what lies
//! between is not seen, some ten nanoseconds.
//!
//! It is for measuring, with one request under way on a connection: of several the last counts.

use super::End;
use crate::{Capabilities, Counters, Waker};
use crore_mem::frames::{RxBurst, TX_BURST_MAX, TxBurst};
use std::fmt;
use std::time::Duration;

/// Told how many ticks of the clock a frame was with the other side.
type Told = Box<dyn FnMut(u64) + Send>;

/// An end of a pipe, watched.
pub struct Watch {
    end: End,
    clock: fn() -> u64,
    asked: Box<[Asked]>,
    told: Told,
}

/// A frame that is with the other side.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// Our address and port of its connection; 0: none.
    whose: u64,
    at: u64,
}

impl Watch {
    /// Watches what `end` sends. It must be of a pipe that stamps its slots
    /// ([`pair_stamped`](super::pair_stamped)).
    ///
    /// # Panics
    /// When it is not.
    pub fn new(end: End, told: Told) -> Self {
        let clock = end.rx.slots.clock().expect("a pipe with stamps");
        let asked = vec![Asked::default(); ASKED_MAX].into_boxed_slice();
        Self { end, clock, asked, told }
    }

    #[inline]
    pub(crate) fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        let before = burst.len();
        let received = self.end.rx_burst(burst, max);
        for i in before..burst.len() {
            let Some(whose) = whose(burst.frame(i), DESTINATION) else { continue };
            let asked = &mut self.asked[place_of(whose)];
            if asked.whose == whose {
                let slot = self.end.rx.slots.slot_at(burst.places()[i].token as u32);
                (self.told)(self.end.rx.slots.stamp_of(slot).saturating_sub(asked.at));
                *asked = Asked::default();
            }
        }
        received
    }

    pub(crate) fn rx_release(&mut self, burst: &mut RxBurst) {
        self.end.rx_release(burst);
    }

    pub(crate) fn tx_reserve(&mut self, burst: &mut TxBurst, want: usize) {
        self.end.tx_reserve(burst, want);
    }

    #[inline]
    pub(crate) fn tx_burst(&mut self, burst: &mut TxBurst) -> usize {
        let whose: [_; TX_BURST_MAX] = std::array::from_fn(|i| {
            if i < burst.len() { whose(burst.committed(i), SOURCE) } else { None }
        });
        // Now, and not when the first of them was looked at.
        let at = (self.clock)();
        for whose in whose.into_iter().take(burst.len()).flatten() {
            self.asked[place_of(whose)] = Asked { whose, at };
        }
        self.end.tx_burst(burst)
    }

    pub(crate) fn tx_cancel(&mut self, burst: &mut TxBurst) {
        self.end.tx_cancel(burst);
    }

    pub(crate) fn wait(&mut self, timeout: Duration) {
        self.end.wait(timeout);
    }

    pub(crate) fn waker(&self) -> Waker {
        self.end.waker()
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.end.capabilities()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.end.counters()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("end", &self.end).finish_non_exhaustive()
    }
}

/// The address and port on one side of a frame with octets of TCP over IPv4; `None` of any other.
#[inline]
fn whose(frame: &[u8], side: usize) -> Option<u64> {
    let packet = frame.get(ETHERNET_BYTES..)?;
    let header: &[u8; 20] = packet.first_chunk()?;
    if frame[12..14] != ETHER_TYPE_V4 || header[9] != TCP {
        return None;
    }
    let header_bytes = usize::from(header[0] & 15) * 4;
    let all = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let segment = packet.get(header_bytes..all)?;
    let text_at = usize::from(segment.get(12)? >> 4) * 4;
    if text_at >= segment.len() {
        return None;
    }
    let address = u32::from_be_bytes(header[12 + 4 * side..][..4].try_into().ok()?);
    let port = u16::from_be_bytes(segment[2 * side..][..2].try_into().ok()?);
    Some(u64::from(address) << 16 | u64::from(port))
}

/// Where it is kept; two of the same place lose one of their frames, which is then not counted.
#[inline]
fn place_of(whose: u64) -> usize {
    // The golden ratio spreads neighbours.
    (whose.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ASKED_BITS)) as usize
}

const SOURCE: usize = 0;
const DESTINATION: usize = 1;

const ETHERNET_BYTES: usize = 14;
const ETHER_TYPE_V4: [u8; 2] = [8, 0];
const TCP: u8 = 6;

/// Far more than are ever under way.
const ASKED_BITS: u32 = 16;
const ASKED_MAX: usize = 1 << ASKED_BITS;

#[cfg(test)]
mod tests;
