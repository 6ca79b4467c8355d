//! A pipe whose sides have several queues: what one side sends is steered to the queues of the
//! other, as a network interface steers what it receives.
//!
//! ```text
//!   side a                                        side b
//!   queue 0 ──┬─ Toeplitz of the frame ─────────> queue 0
//!   queue 1 ──┴───────────────────── ─ ─────────> queue 1
//!                                  `────────────> queue 2
//! ```
//!
//! The sender works out the hash, in the stead of the receiver's interface: there is nobody else to
//! do it. Each core has one queue, and a ring to it from each queue of the other side, so that no
//! ring has two senders: see [`mesh`](crate::mesh).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crore_mem::Memory;
use crore_mem::frames::{RxBurst, TxBurst};
use crore_wire::rss::{MICROSOFT_KEY, Rss, Steering};

use super::{PipeError, capabilities, check, slot_bytes};
use crate::mesh::{Receiver, Sender, Shape, mesh};
use crate::wakeup::{Event, Waker};
use crate::{Capabilities, Counters};

/// Makes a pipe whose sides have `near` and `far` queues. Each queue may have at least `slots`
/// frames of up to `mtu` bytes under way.
///
/// # Errors
/// When the sizes make no sense, or the system has no memory or descriptor for it.
pub fn queues(
    memory: &mut Memory,
    (near, far): (u16, u16),
    slots: u32,
    mtu: u16,
) -> Result<(Vec<Queue>, Vec<Queue>), PipeError> {
    check(slots, mtu)?;
    for queues in [near, far] {
        if !(1..=QUEUES_MAX).contains(&queues) {
            return Err(PipeError::Queues { queues });
        }
    }
    let shape = |senders: u16, receivers: u16| Shape {
        senders: usize::from(senders),
        receivers: usize::from(receivers),
        slots,
        slot_bytes: slot_bytes(mtu),
    };
    let (near_tx, far_rx) = mesh(memory, shape(near, far))?;
    let (far_tx, near_rx) = mesh(memory, shape(far, near))?;
    let (near_events, far_events) = (events(near)?, events(far)?);
    let near_side = Side { letter: b'a', mtu, own: &near_events, peers: &far_events };
    let far_side = Side { letter: b'b', mtu, own: &far_events, peers: &near_events };
    Ok((near_side.queues(near_tx, near_rx), far_side.queues(far_tx, far_rx)))
}

/// One queue of a side. One core owns it.
#[derive(Debug)]
pub struct Queue {
    tx: Sender,
    rx: Receiver,
    /// How the other side steers what we send to it.
    to_peer: Box<Rss>,
    steering: Box<Steering>,
    /// What this queue sleeps on.
    event: Arc<Event>,
    peer_events: Vec<Arc<Event>>,
    mtu: u16,
    letter: u8,
    counters: Counters,
}

impl Queue {
    /// Adds up to `max` received frames to the burst; returns how many.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        let received = self.rx.receive(burst, max);
        self.counters.rx_frames += received as u64;
        received
    }

    /// Gives the slots of a burst back to the senders.
    ///
    /// # Panics
    /// When the burst has not all frames that this queue lent, or others.
    #[inline]
    pub fn rx_release(&mut self, burst: &mut RxBurst) {
        self.rx.release(burst);
    }

    /// Tops the burst's room up to `want` frames, or as near as there are free slots.
    #[inline]
    pub fn tx_reserve(&mut self, burst: &mut TxBurst, want: usize) {
        self.tx.reserve(burst, want);
    }

    /// Hands the committed frames over, each to the queue that it is steered to; returns how many.
    /// All of them go: their slots were reserved.
    ///
    /// # Panics
    /// When the burst was not reserved from this queue.
    #[inline]
    pub fn tx_burst(&mut self, burst: &mut TxBurst) -> usize {
        if burst.is_empty() {
            return 0;
        }
        let (rss, events) = (&self.to_peer, &self.peer_events);
        let mut woken = 0;
        let wake = |queue: usize| {
            woken += 1;
            events[queue].signal();
        };
        let sent = self.tx.send(burst, |frame| usize::from(rss.queue_of_frame(frame)), wake);
        self.counters.tx_frames += sent as u64;
        self.counters.system_calls += woken;
        sent
    }

    /// Takes all room of a burst back, unsent: for the end of its life.
    ///
    /// # Panics
    /// As [`Queue::tx_burst`].
    pub fn tx_cancel(&mut self, burst: &mut TxBurst) {
        self.tx.cancel(burst);
    }

    /// Sleeps until a frame may have come, the waker was used, or the timeout has passed.
    pub fn wait(&mut self, timeout: Duration) {
        if !self.rx.will_sleep() {
            return;
        }
        self.counters.system_calls += 1;
        self.event.wait(None, timeout);
        self.rx.woke();
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker::new(&self.event)
    }

    /// How frames are steered to this side's queues, and which of them this is.
    pub fn steering(&self) -> Steering {
        (*self.steering).clone()
    }

    /// What the link is and can do. All queues of a side have one hardware address.
    pub fn capabilities(&self) -> Capabilities {
        let name = format!("pipe {}, queue {}", char::from(self.letter), self.steering.queue);
        capabilities(self.letter, self.mtu, name)
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// One side while it is made.
struct Side<'a> {
    letter: u8,
    mtu: u16,
    own: &'a [Arc<Event>],
    peers: &'a [Arc<Event>],
}

impl Side<'_> {
    fn queues(&self, tx: Vec<Sender>, rx: Vec<Receiver>) -> Vec<Queue> {
        let rss = |events: &[Arc<Event>]| Rss::new(&MICROSOFT_KEY, events.len() as u16);
        let ends = tx.into_iter().zip(rx).zip(self.own).enumerate();
        let queue =
            |(number, ((tx, rx), event)): (usize, ((Sender, Receiver), &Arc<Event>))| Queue {
                tx,
                rx,
                to_peer: Box::new(rss(self.peers)),
                steering: Box::new(Steering { rss: rss(self.own), queue: number as u16 }),
                event: Arc::clone(event),
                peer_events: self.peers.to_vec(),
                mtu: self.mtu,
                letter: self.letter,
                counters: Counters::default(),
            };
        ends.map(queue).collect()
    }
}

fn events(count: u16) -> io::Result<Vec<Arc<Event>>> {
    (0..count).map(|_| Ok(Arc::new(Event::new()?))).collect()
}

/// The most queues of a side.
const QUEUES_MAX: u16 = 128;

#[cfg(test)]
mod tests;
