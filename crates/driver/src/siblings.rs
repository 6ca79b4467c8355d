//! Cores that are one host to the outside pass on to each other what arrived at the wrong one. It
//! is rare, and copied: an ICMP error, a datagram in pieces, ARP.
//!
//! Each core has a ring to every other; see [`mesh`](crate::mesh). A ring that is full loses what
//! is passed on, so a flood at one core takes no memory and little time of the others.

use crore_mem::frames::{RxBurst, TxBurst};
use crore_mem::{Memory, MemoryError};

use crate::mesh::{Receiver, Sender, Shape, mesh};
use crate::pipe::slot_bytes;
use crate::{Link, Waker};

/// What one core has of its siblings.
#[derive(Debug)]
pub struct Siblings {
    tx: Sender,
    rx: Receiver,
    burst: TxBurst,
    /// Of all cores, in the order of their queues.
    wakers: Vec<Waker>,
    own: usize,
}

/// Joins the cores that have these links, all queues of one host in their order.
pub fn siblings(memory: &mut Memory, links: &[Link]) -> Result<Vec<Siblings>, MemoryError> {
    let count = links.len();
    let slot_bytes = slot_bytes(PACKET_MAX);
    let shape = Shape { senders: count, receivers: count, slots: SLOTS, slot_bytes };
    let (senders, receivers) = mesh(memory, shape)?;
    let wakers: Vec<Waker> = links.iter().map(Link::waker).collect();
    let ends = senders.into_iter().zip(receivers).enumerate();
    let join = |(own, (tx, rx))| {
        let wakers = wakers.clone();
        Siblings { tx, rx, burst: TxBurst::new(), wakers, own }
    };
    Ok(ends.map(join).collect())
}

impl Siblings {
    /// How many cores there are, this one included.
    pub fn count(&self) -> usize {
        self.wakers.len()
    }

    /// Which of them this is.
    pub fn own(&self) -> usize {
        self.own
    }

    /// Passes a frame on to another core; false when there is no room, or no such core.
    pub fn pass(&mut self, frame: &[u8], to: usize) -> bool {
        if to == self.own || to >= self.count() {
            return false;
        }
        self.tx.reserve(&mut self.burst, 1);
        let Some(place) = self.burst.frame().and_then(|place| place.get_mut(..frame.len())) else {
            return false;
        };
        place.copy_from_slice(frame);
        self.burst.commit(frame.len());
        let wakers = &self.wakers;
        self.tx.send(&mut self.burst, |_| to, |sleeper| wakers[sleeper].wake()) == 1
    }

    /// Adds up to `max` frames that were passed on to us to the burst; returns how many.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        self.rx.receive(burst, max)
    }

    /// Takes back the frames that [`Siblings::rx_burst`] lent, and empties the burst.
    ///
    /// # Panics
    /// When the burst has not all of them, or others.
    pub fn rx_release(&mut self, burst: &mut RxBurst) {
        self.rx.release(burst);
    }

    /// Says that the core will sleep on its link, whose waker ends the sleep when something is
    /// passed on; false when something was passed on meanwhile. Afterwards, call
    /// [`Siblings::woke`].
    pub fn will_sleep(&mut self) -> bool {
        self.rx.will_sleep()
    }

    /// Says that the core is awake.
    pub fn woke(&mut self) {
        self.rx.woke();
    }
}

impl Drop for Siblings {
    fn drop(&mut self) {
        self.tx.cancel(&mut self.burst);
    }
}

/// Frames that one core can have under way to others.
const SLOTS: u32 = 32;

/// The largest packet that can be passed on.
const PACKET_MAX: u16 = 9000;
