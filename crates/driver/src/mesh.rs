//! Rings from each of some cores to each of some others: no lock, and no line of memory that two
//! cores write.
//!
//! ```text
//!   core 0 ──[ring]──> core 0'         a ring has descriptors: which slot, how many bytes
//!          `─[ring]──> core 1'         the frames are in the sender's slots, and stay there
//!   core 1 ──[ring]──> core 0'
//!          `─[ring]──> core 1'
//! ```
//!
//! A frame is written before it is known who gets it, so the slot says nothing of the receiver. A
//! sender has one set of slots for all of its receivers, and each ring has room for all of them: a
//! frame that has a slot can be sent. The receiver's index tells the sender which slots are free
//! again, because the descriptors are still there to be read:
//!
//! ```text
//!   ring     released      taken       published          written by
//!   ────────────┼────────────┼────────────┼──────────      descriptors, published: the sender
//!     free slots | lent       | waiting                    released:               the receiver
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crore_mem::frames::{FramePlace, RX_BURST_MAX, RxBurst, TxBurst};
use crore_mem::ring::{ConsumerIndex, ProducerIndex, index_pair};
use crore_mem::{Memory, MemoryError, Region};

use crate::slots::Slots;

/// What one core sends into a mesh.
#[derive(Debug)]
pub(crate) struct Sender {
    slots: Arc<Slots>,
    /// Slots that are neither lent to a burst nor on their way.
    free: FreeSlots,
    rings: Vec<Out>,
    /// In the upper half of each token.
    name: u64,
}

/// What one core receives from a mesh.
#[derive(Debug)]
pub(crate) struct Receiver {
    rings: Vec<In>,
    /// The ring that is looked at first the next time.
    next: usize,
    /// Frames lent.
    lent: usize,
    name: u64,
}

/// The sending side of a ring. It is written for every burst, so it shares no cache line with what
/// another core has on the heap beside it.
#[derive(Debug)]
#[repr(align(128))]
struct Out {
    index: ProducerIndex,
    descriptors: Arc<Descriptors>,
    /// Position of the oldest descriptor whose slot is not free yet.
    oldest: u32,
    /// Descriptors from there on.
    under_way: u32,
    /// Frames to be published at the end of a burst.
    written: u32,
}

/// The receiving side of a ring; aligned as the sending side is.
#[derive(Debug)]
#[repr(align(128))]
struct In {
    index: ConsumerIndex,
    descriptors: Arc<Descriptors>,
    slots: Arc<Slots>,
}

/// How large the rings of a mesh are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) senders: usize,
    pub(crate) receivers: usize,
    /// Frames that one sender can have under way.
    pub(crate) slots: u32,
    pub(crate) slot_bytes: u32,
}

/// Makes the rings of all senders to all receivers.
pub(crate) fn mesh(
    memory: &mut Memory,
    shape: Shape,
) -> Result<(Vec<Sender>, Vec<Receiver>), MemoryError> {
    let name = || u64::from(PORTS.fetch_add(1, Ordering::Relaxed)) << NAME_SHIFT;
    let receiver = |_| Receiver { rings: Vec::new(), next: 0, lent: 0, name: name() };
    let mut receivers: Vec<Receiver> = (0..shape.receivers).map(receiver).collect();
    let mut senders = Vec::new();
    for _ in 0..shape.senders {
        let count = shape.slots.next_power_of_two();
        let slots = Arc::new(Slots::new(memory, count, shape.slot_bytes)?);
        let mut rings = Vec::new();
        for receiver in &mut receivers {
            let (producer, consumer) = index_pair(count);
            let descriptors = Arc::new(Descriptors::new(memory, count)?);
            receiver.rings.push(In {
                index: consumer,
                descriptors: Arc::clone(&descriptors),
                slots: Arc::clone(&slots),
            });
            rings.push(Out { index: producer, descriptors, oldest: 0, under_way: 0, written: 0 });
        }
        senders.push(Sender { slots, free: FreeSlots::all(count), rings, name: name() });
    }
    Ok((senders, receivers))
}

impl Sender {
    /// Tops the burst's room up to `want` frames, or as near as there are free slots.
    #[inline]
    pub(crate) fn reserve(&mut self, burst: &mut TxBurst, want: usize) {
        let more = want.saturating_sub(burst.room()).min(burst.unreserved());
        if self.free.len() < more {
            self.reclaim();
        }
        for _ in 0..more {
            let Some(slot) = self.free.pop() else { return };
            let place = FramePlace {
                start: self.slots.frame(slot),
                len: 0,
                capacity: self.slots.slot_bytes(),
                token: self.name | u64::from(slot),
            };
            // SAFETY: the slot was free: no burst and no ring has it. Regions begin zeroed, so it
            // is initialised; `unreserved` bounded the count.
            unsafe { burst.reserve(place) };
        }
    }

    /// Slots that receivers have given back.
    fn reclaim(&mut self) {
        for ring in &mut self.rings {
            if ring.under_way == 0 {
                continue;
            }
            let held = ring.index.capacity() - ring.index.free();
            // A receiver gives back in order; it cannot have more than it was sent.
            while ring.under_way > held {
                let place = ring.oldest & (ring.index.capacity() - 1);
                // Written by us alone.
                let (slot, _) = ring.descriptors.get(place);
                self.free.push(slot);
                ring.oldest = ring.oldest.wrapping_add(1);
                ring.under_way -= 1;
            }
        }
    }

    /// Sends the committed frames, each to the receiver that `steer` names; returns how many. All
    /// of them go: a ring has room for all slots. `wake` is told the receivers that sleep.
    ///
    /// # Panics
    /// When the burst was not reserved from here, or a receiver is named that is not.
    #[inline]
    pub(crate) fn send(
        &mut self,
        burst: &mut TxBurst,
        mut steer: impl FnMut(&[u8]) -> usize,
        mut wake: impl FnMut(usize),
    ) -> usize {
        let count = burst.len();
        assert!(are_of(self.name, burst.places()), "frames of another link");
        for i in 0..count {
            let ring = &mut self.rings[steer(burst.committed(i))];
            let place = burst.places()[i];
            let span = ring.index.reserve(1);
            debug_assert!(!span.is_empty(), "a ring has room for all slots");
            // SAFETY: the place is reserved and not published: its receiver does not look at it.
            unsafe { ring.descriptors.set(span.place(0), place.token as u32, place.len) };
            ring.written += 1;
        }
        burst.take_back(count);
        for (number, ring) in self.rings.iter_mut().enumerate() {
            if ring.written == 0 {
                continue;
            }
            ring.index.publish(ring.written);
            ring.under_way += ring.written;
            ring.written = 0;
            if ring.index.must_wake() {
                wake(number);
            }
        }
        count
    }

    /// Takes all room of a burst back, unsent.
    ///
    /// # Panics
    /// When the burst was not reserved from here.
    pub(crate) fn cancel(&mut self, burst: &mut TxBurst) {
        while burst.frame().is_some() {
            burst.commit(0);
        }
        assert!(are_of(self.name, burst.places()), "frames of another link");
        burst.places().iter().for_each(|place| self.free.push(place.token as u32));
        burst.take_back(burst.len());
    }

    /// Slots lent to a burst.
    fn lent(&self) -> usize {
        let under_way: u32 = self.rings.iter().map(|ring| ring.under_way).sum();
        self.slots.count() as usize - self.free.len() - under_way as usize
    }
}

impl Receiver {
    /// Adds up to `max` received frames to the burst, from the rings in turn; returns how many.
    #[inline]
    pub(crate) fn receive(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        let max = max.min(RX_BURST_MAX - burst.len());
        let count = self.rings.len();
        let mut received = 0;
        for i in 0..count {
            if received == max {
                break;
            }
            let at = self.next + i;
            let ring = &mut self.rings[if at < count { at } else { at - count }];
            let span = ring.index.take((max - received) as u32);
            for place in span.places() {
                let (slot, len) = ring.descriptors.get(place);
                let start = ring.slots.frame(slot);
                let capacity = ring.slots.slot_bytes();
                // SAFETY: the descriptor was published and is taken: its sender writes neither it
                // nor its slot until it is released. `max` left room in the burst.
                unsafe { burst.push(FramePlace { start, len, capacity, token: self.name }) };
            }
            received += span.len() as usize;
        }
        self.next = if self.next + 1 < count { self.next + 1 } else { 0 };
        self.lent += received;
        received
    }

    /// Gives the slots of a burst back to their senders.
    ///
    /// # Panics
    /// When the burst has not all frames that are lent, or others.
    #[inline]
    pub(crate) fn release(&mut self, burst: &mut RxBurst) {
        if burst.is_empty() {
            return;
        }
        let whole = burst.len() == self.lent && are_of(self.name, burst.places());
        assert!(whole, "frames of another link, or not all of a burst");
        burst.clear();
        self.lent = 0;
        for ring in &mut self.rings {
            let taken = ring.index.taken();
            if taken > 0 {
                ring.index.release(taken);
            }
        }
    }

    /// Says that the receiver will sleep; false when a frame came meanwhile. Afterwards, call
    /// [`Receiver::woke`].
    pub(crate) fn will_sleep(&mut self) -> bool {
        for number in 0..self.rings.len() {
            if !self.rings[number].index.will_sleep() {
                self.rings[..number].iter_mut().for_each(|ring| ring.index.woke());
                return false;
            }
        }
        true
    }

    /// Says that the receiver is awake.
    pub(crate) fn woke(&mut self) {
        self.rings.iter_mut().for_each(|ring| ring.index.woke());
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Slots that are still lent stay valid for whoever has them.
        if self.lent() > 0 {
            std::mem::forget(Arc::clone(&self.slots));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // As for `Sender`.
        for ring in self.rings.iter().filter(|ring| ring.index.taken() > 0) {
            std::mem::forget(Arc::clone(&ring.slots));
        }
    }
}

/// A stack of slots, the one used last on top, in cache lines of its own.
#[derive(Debug)]
struct FreeSlots {
    lines: Box<[FreeLine]>,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(128))]
struct FreeLine([u32; SLOTS_A_LINE]);

const SLOTS_A_LINE: usize = 32;

impl FreeSlots {
    /// All slots of so many.
    fn all(count: u32) -> Self {
        let lines = (count as usize).div_ceil(SLOTS_A_LINE);
        let mut free = Self { lines: vec![FreeLine([0; SLOTS_A_LINE]); lines].into(), count: 0 };
        (0..count).rev().for_each(|slot| free.push(slot));
        free
    }

    fn len(&self) -> usize {
        self.count
    }

    #[inline]
    fn push(&mut self, slot: u32) {
        self.lines[self.count / SLOTS_A_LINE].0[self.count % SLOTS_A_LINE] = slot;
        self.count += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        self.count = self.count.checked_sub(1)?;
        Some(self.lines[self.count / SLOTS_A_LINE].0[self.count % SLOTS_A_LINE])
    }
}

/// The descriptors of a ring: the sender writes them, and both read them. Whose turn it is at one
/// of them, the two indices say.
#[derive(Debug)]
struct Descriptors {
    region: Region,
    count: u32,
}

impl Descriptors {
    fn new(memory: &mut Memory, count: u32) -> Result<Self, MemoryError> {
        let region = memory.region("pipe rings", count as usize * size_of::<[u32; 2]>())?;
        Ok(Self { region, count })
    }

    /// The slot and the bytes of a frame. The place is published, or the caller's own.
    #[inline]
    fn get(&self, place: u32) -> (u32, u32) {
        // SAFETY: inside the region, aligned. The sender writes a place only between the release
        // and the publication of it, and neither side asks for it then.
        let [slot, len] = unsafe { self.place(place).read() };
        (slot, len)
    }

    /// # Safety
    /// The place is reserved by the caller.
    #[inline]
    unsafe fn set(&self, place: u32, slot: u32, len: u32) {
        // SAFETY: inside the region, aligned; nobody reads it before it is published.
        unsafe { self.place(place).write([slot, len]) };
    }

    #[inline]
    fn place(&self, place: u32) -> *mut [u32; 2] {
        assert!(place < self.count);
        // SAFETY: inside the region, which has `count` descriptors.
        unsafe { self.region.start().cast::<[u32; 2]>().add(place as usize) }.as_ptr()
    }
}

/// True when all places have the name in their tokens.
#[inline]
fn are_of(name: u64, places: &[FramePlace]) -> bool {
    // Without a branch for each: this is on the path of every frame.
    let others = places.iter().map(|place| (place.token ^ name) >> NAME_SHIFT);
    others.fold(0, |all, other| all | other) == 0
}

/// Senders and receivers made so far: a token has the name of one in its upper half, so that a
/// burst of another link is told by them.
static PORTS: AtomicU32 = AtomicU32::new(1);

const NAME_SHIFT: u32 = 32;
