//! Two links in one process, joined: what one end sends, the other receives. No NIC, no root, and
//! no system call while there is traffic.
//!
//! Each direction is a ring of frame slots in one region. A frame is written once, into the slot
//! where its receiver reads it:
//!
//! ```text
//!   region:  | len 0 | len 1 | ...   | slot 0      | slot 1      | ...
//!              u16 each, so that       a frame; as long as an ODD number of cache lines is,
//!              a burst reads few lines so that first lines spread over all sets of the cache
//!
//!   sender:    tx_reserve lends slots in order, tx_burst publishes them in order
//!   receiver:  rx_burst lends them in order, rx_release gives them back in order
//! ```
//!
//! The two indices are [`crore_mem::ring`]'s: each side looks at the other's only when its last
//! sight of it is used up, and shows its own once a burst.

mod queues;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crore_mem::frames::{FramePlace, RX_BURST_MAX, RxBurst, TxBurst};
use crore_mem::ring::{ConsumerIndex, ProducerIndex, index_pair};
use crore_mem::{Memory, MemoryError};

use crate::slots::{LINE_BYTES, Slots};
use crate::tokens::{self, in_order};
use crate::wakeup::{Event, Waker};
use crate::{Capabilities, Counters, RxChecksum};

pub use queues::{Queue, queues};
pub use watch::Watch;

/// Why a pipe could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// There is no memory for the slots.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The packets of this link could not carry IPv6, or would not fit into a slot.
    #[error("a pipe's MTU is from {MTU_MIN} to {MTU_MAX} bytes, and {mtu} was asked for")]
    Mtu {
        /// The MTU asked for.
        mtu: u16,
    },
    /// Too few slots to work in bursts, or more than a ring takes.
    #[error("a pipe has from {SLOTS_MIN} to {SLOTS_MAX} slots, and {slots} were asked for")]
    Slots {
        /// The slots asked for.
        slots: u32,
    },
    /// No queue at all, or more than a side can have.
    #[error("a side of a pipe has from 1 to 128 queues, and {queues} were asked for")]
    Queues {
        /// The queues asked for.
        queues: u16,
    },
    /// The system gave no descriptor to sleep on.
    #[error("no descriptor to sleep on: {0}; is `ulimit -n` reached?")]
    Descriptor(#[from] io::Error),
}

/// Makes a pipe with at least `slots` frame slots in each direction, for packets of up to `mtu`
/// bytes.
///
/// # Errors
/// When the sizes make no sense, or the system has no memory or descriptor for it.
pub fn pair(memory: &mut Memory, slots: u32, mtu: u16) -> Result<(End, End), PipeError> {
    join(memory, slots, mtu, None)
}

/// The same, and both ends stamp what they send with the time by `clock`, for a [`Watch`].
///
/// # Errors
/// As [`pair`].
pub fn pair_stamped(
    memory: &mut Memory,
    slots: u32,
    mtu: u16,
    clock: fn() -> u64,
) -> Result<(End, End), PipeError> {
    join(memory, slots, mtu, Some(clock))
}

fn join(
    memory: &mut Memory,
    slots: u32,
    mtu: u16,
    clock: Option<fn() -> u64>,
) -> Result<(End, End), PipeError> {
    check(slots, mtu)?;
    let (a_to_b_tx, a_to_b_rx) = direction(memory, slots, mtu, clock)?;
    let (b_to_a_tx, b_to_a_rx) = direction(memory, slots, mtu, clock)?;
    let (a_event, b_event) = (Arc::new(Event::new()?), Arc::new(Event::new()?));
    let end = |letter: u8, (tx, rx), event: &Arc<Event>, peer: &Arc<Event>| End {
        tx,
        rx,
        event: Arc::clone(event),
        peer_event: Arc::clone(peer),
        mtu,
        letter,
        counters: Counters::default(),
    };
    let a = end(b'a', (a_to_b_tx, b_to_a_rx), &a_event, &b_event);
    let b = end(b'b', (b_to_a_tx, a_to_b_rx), &b_event, &a_event);
    Ok((a, b))
}

/// One end of a pipe. One core owns it.
#[derive(Debug)]
pub struct End {
    tx: Sender,
    rx: Receiver,
    /// What this end sleeps on.
    event: Arc<Event>,
    peer_event: Arc<Event>,
    mtu: u16,
    letter: u8,
    counters: Counters,
}

impl End {
    /// Adds up to `max` received frames to the burst; returns how many.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        let max = max.min(RX_BURST_MAX - burst.len());
        let span = self.rx.index.take(max as u32);
        for slot in span.places() {
            let place = FramePlace {
                start: self.rx.slots.frame(slot),
                len: self.rx.slots.len(slot),
                capacity: self.rx.slots.slot_bytes(),
                token: self.rx.next_token,
            };
            self.rx.next_token += 1;
            // SAFETY: the slot was published and is taken: its sender writes neither the frame nor
            // its length until it is released. `max` left room in the burst.
            unsafe { burst.push(place) };
        }
        self.counters.rx_frames += u64::from(span.len());
        span.len() as usize
    }

    /// Gives the slots of a burst back to the sender.
    ///
    /// # Panics
    /// When they are not this end's, or not the oldest ones lent.
    #[inline]
    pub fn rx_release(&mut self, burst: &mut RxBurst) {
        if burst.is_empty() {
            return;
        }
        let count = burst.len() as u64;
        let oldest = self.rx.next_token - u64::from(self.rx.index.taken());
        assert!(in_order(burst.places(), oldest), "frames of another link, or out of order");
        burst.clear();
        self.rx.index.release(count as u32);
    }

    /// Tops the burst's room up to `want` frames, or as near as there are free slots.
    #[inline]
    pub fn tx_reserve(&mut self, burst: &mut TxBurst, want: usize) {
        let more = want.saturating_sub(burst.room()).min(burst.unreserved());
        if more == 0 {
            return;
        }
        let span = self.tx.index.reserve(more as u32);
        for slot in span.places() {
            let place = FramePlace {
                start: self.tx.slots.frame(slot),
                len: 0,
                capacity: self.tx.slots.slot_bytes(),
                token: self.tx.next_token,
            };
            self.tx.next_token += 1;
            // SAFETY: the slot is reserved: its receiver does not look at it until it is published.
            // Regions begin zeroed, so it is initialised; `unreserved` bounded the count.
            unsafe { burst.reserve(place) };
        }
    }

    /// Hands the committed frames over; returns how many. All of them go: their slots were
    /// reserved.
    ///
    /// # Panics
    /// When the burst was not reserved from this end, or another one was reserved before it.
    #[inline]
    pub fn tx_burst(&mut self, burst: &mut TxBurst) -> usize {
        let count = burst.len();
        if count == 0 {
            return 0;
        }
        let oldest = self.tx.oldest_reserved();
        assert!(in_order(burst.places(), oldest), "frames of another link, or out of order");
        // The low half of a token is the position.
        let first = oldest as u32;
        for (i, place) in burst.places().iter().enumerate() {
            let slot = self.tx.slots.slot_at(first.wrapping_add(i as u32));
            // SAFETY: reserved by us and not published yet, as the tokens tell.
            unsafe { self.tx.slots.set_len(slot, place.len) };
        }
        burst.take_back(count);
        self.tx.slots.stamp(first, count as u32);
        self.tx.index.publish(count as u32);
        self.counters.tx_frames += count as u64;
        if self.tx.index.must_wake() {
            self.counters.system_calls += 1;
            self.peer_event.signal();
        }
        count
    }

    /// Takes all room of a burst back, unsent: for the end of its life.
    ///
    /// # Panics
    /// As [`End::tx_burst`].
    pub fn tx_cancel(&mut self, burst: &mut TxBurst) {
        while burst.frame().is_some() {
            burst.commit(0);
        }
        let oldest = self.tx.oldest_reserved();
        let all = burst.len() == self.tx.index.reserved() as usize;
        assert!(all && in_order(burst.places(), oldest), "frames of another link, or out of order");
        burst.take_back(burst.len());
        self.tx.index.cancel();
        self.tx.next_token = oldest;
    }

    /// Sleeps until a frame may have come, the waker was used, or the timeout has passed.
    ///
    /// The sender looks whether we sleep each time it publishes, and only then makes a system call.
    pub fn wait(&mut self, timeout: Duration) {
        if !self.rx.index.will_sleep() {
            return;
        }
        self.counters.system_calls += 1;
        self.event.wait(None, timeout);
        self.rx.index.woke();
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker::new(&self.event)
    }

    /// What the link is and can do.
    pub fn capabilities(&self) -> Capabilities {
        let name = format!("pipe {}", char::from(self.letter));
        capabilities(self.letter, self.mtu, name)
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// Refuses sizes that make no sense.
fn check(slots: u32, mtu: u16) -> Result<(), PipeError> {
    if !(SLOTS_MIN..=SLOTS_MAX).contains(&slots) {
        return Err(PipeError::Slots { slots });
    }
    if !(MTU_MIN..=MTU_MAX).contains(&mtu) {
        return Err(PipeError::Mtu { mtu });
    }
    Ok(())
}

fn capabilities(letter: u8, mtu: u16, name: String) -> Capabilities {
    Capabilities {
        mtu,
        // Locally administered, different at the two ends.
        mac: [0x02, b'c', b'r', b'o', b'r', letter],
        // Nobody changes a frame on its way; but the sender is a stack like any other.
        rx_checksum: RxChecksum::Verify,
        kernel_neighbours: false,
        name,
    }
}

/// The sending side of one direction.
#[derive(Debug)]
struct Sender {
    index: ProducerIndex,
    slots: Arc<Slots>,
    /// Of the next slot to be reserved.
    next_token: u64,
}

impl Sender {
    #[inline]
    fn oldest_reserved(&self) -> u64 {
        self.next_token - u64::from(self.index.reserved())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Slots that are still lent stay valid for whoever has them.
        if self.index.reserved() > 0 {
            std::mem::forget(Arc::clone(&self.slots));
        }
    }
}

/// The receiving side of one direction.
#[derive(Debug)]
struct Receiver {
    index: ConsumerIndex,
    slots: Arc<Slots>,
    /// Of the next slot to be taken.
    next_token: u64,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // As for `Sender`.
        if self.index.taken() > 0 {
            std::mem::forget(Arc::clone(&self.slots));
        }
    }
}

fn direction(
    memory: &mut Memory,
    slots: u32,
    mtu: u16,
    clock: Option<fn() -> u64>,
) -> Result<(Sender, Receiver), MemoryError> {
    let (producer, consumer) = index_pair(slots);
    let slots = Slots::new(memory, producer.capacity(), slot_bytes(mtu))?;
    let slots = Arc::new(match clock {
        Some(clock) => slots.stamped(clock),
        None => slots,
    });
    let next_token = tokens::first();
    let sender = Sender { index: producer, slots: Arc::clone(&slots), next_token };
    Ok((sender, Receiver { index: consumer, slots, next_token }))
}

/// Room for a packet and an Ethernet header with one VLAN tag, in an odd number of cache lines.
pub(crate) const fn slot_bytes(mtu: u16) -> u32 {
    let lines = (mtu as usize + 18).div_ceil(LINE_BYTES) | 1;
    (lines * LINE_BYTES) as u32
}

/// What IPv6 demands of a link (RFC 8200 5), and Ethernet's jumbo frames.
pub(crate) const MTU_MIN: u16 = 1280;
pub(crate) const MTU_MAX: u16 = 9000;

const SLOTS_MIN: u32 = 64;
const SLOTS_MAX: u32 = 1 << 20;

const _: () = assert!(slot_bytes(1500) == 1600);
const _: () = assert!(slot_bytes(MTU_MAX) <= u16::MAX as u32);

#[cfg(test)]
mod tests;
