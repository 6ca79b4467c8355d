//! Values that change hands: the mailbox between cores.

use core::{fmt, mem::MaybeUninit};

use super::{
    ConsumerIndex, ProducerIndex,
    atomics::{Arc, Ordering, UnsafeCell, fence},
    index::{RingShared, index_pair_over},
};

/// The sending side of a [`channel`].
pub struct Producer<T: Send> {
    index: ProducerIndex,
    shared: Arc<Shared<T>>,
}

/// The receiving side of a [`channel`].
pub struct Consumer<T: Send> {
    index: ConsumerIndex,
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    ring: Arc<RingShared>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: a slot is touched by the side whose turn it is, as the ring's indices say, and by nobody
// else; so a `T` moves from one thread to the other, which `Send` allows.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

/// A channel of at least `capacity` values, rounded up to a power of two. Nothing is allocated
/// later.
///
/// # Panics
/// When `capacity` is above 2^31.
pub fn channel<T: Send>(capacity: u32) -> (Producer<T>, Consumer<T>) {
    let (ring, producer, consumer) = index_pair_over(capacity);
    let slots = (0..producer.capacity()).map(|_| UnsafeCell::new(MaybeUninit::uninit()));
    let shared = Arc::new(Shared { ring, slots: slots.collect() });
    let producer = Producer { index: producer, shared: Arc::clone(&shared) };
    (producer, Consumer { index: consumer, shared })
}

impl<T: Send> Producer<T> {
    /// Sends one value, or gives it back when the channel is full.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let span = self.index.reserve(1);
        if span.is_empty() {
            return Err(value);
        }
        self.shared.write(span.place(0), value);
        self.index.publish(1);
        Ok(())
    }

    /// Sends as many of `values` as there is room for, and shows them to the consumer at once. What
    /// did not fit stays in the iterator.
    #[inline]
    pub fn push_burst(&mut self, values: &mut impl Iterator<Item = T>) -> u32 {
        // Publishes on drop, so that what was written arrives even when the iterator panics.
        let burst = Publishing { index: &mut self.index };
        // A place is reserved only when its value is at hand: the iterator is foreign code.
        while burst.index.has_room() {
            let Some(value) = values.next() else { break };
            let span = burst.index.reserve(1);
            self.shared.write(span.place(0), value);
        }
        burst.index.reserved()
    }

    /// Number of values that fit.
    pub fn capacity(&self) -> u32 {
        self.index.capacity()
    }

    /// True when the consumer is gone.
    pub fn is_closed(&self) -> bool {
        is_alone(&self.shared)
    }

    /// True when the consumer sleeps and must be woken; see [`ProducerIndex::must_wake`].
    #[inline]
    pub fn must_wake(&mut self) -> bool {
        self.index.must_wake()
    }
}

impl<T: Send> Consumer<T> {
    /// Receives the oldest value.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let span = self.index.take(1);
        if span.is_empty() {
            return None;
        }
        let value = self.shared.read(span.place(0));
        self.index.release(1);
        Some(value)
    }

    /// Receives up to `max` values, oldest first, and gives all their room back at once.
    #[inline]
    pub fn pop_burst(&mut self, max: u32, mut each: impl FnMut(T)) -> u32 {
        // Releases on drop, so that no value is read twice even when `each` panics.
        let burst = Releasing { index: &mut self.index };
        while burst.index.taken() < max {
            let span = burst.index.take(1);
            if span.is_empty() {
                break;
            }
            each(self.shared.read(span.place(0)));
        }
        burst.index.taken()
    }

    /// Number of values that wait.
    #[inline]
    pub fn available(&mut self) -> u32 {
        self.index.available()
    }

    /// True when the producer is gone. Values it sent before may still wait.
    pub fn is_closed(&self) -> bool {
        is_alone(&self.shared)
    }

    /// See [`ConsumerIndex::will_sleep`].
    #[inline]
    pub fn will_sleep(&mut self) -> bool {
        self.index.will_sleep()
    }

    /// See [`ConsumerIndex::woke`].
    #[inline]
    pub fn woke(&mut self) {
        self.index.woke();
    }
}

impl<T> Shared<T> {
    /// Writes a place that the producer reserved.
    #[inline]
    fn write(&self, place: u32, value: T) {
        // SAFETY: the place is the producer's alone until it is published.
        self.slots[place as usize].with_mut(|slot| unsafe {
            (*slot).write(value);
        });
    }

    /// Moves the value out of a place that the consumer took. It is released before it is taken
    /// again, so each value is read once.
    #[inline]
    fn read(&self, place: u32) -> T {
        // SAFETY: the place was written before it was published, and it is the consumer's alone.
        self.slots[place as usize].with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (released, held) = self.ring.held();
        let mask = self.slots.len() as u32 - 1;
        for i in 0..held {
            let place = released.wrapping_add(i) & mask;
            // SAFETY: published and never taken, so it holds a value; both sides are gone.
            self.slots[place as usize].with_mut(|slot| unsafe { (*slot).assume_init_drop() });
        }
    }
}

/// True when the other side is gone.
fn is_alone<T>(shared: &Arc<Shared<T>>) -> bool {
    let alone = Arc::strong_count(shared) == 1;
    // What the other side did before it went away comes before what we do now.
    fence(Ordering::Acquire);
    alone
}

struct Publishing<'a> {
    index: &'a mut ProducerIndex,
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        self.index.publish(self.index.reserved());
    }
}

struct Releasing<'a> {
    index: &'a mut ConsumerIndex,
}

impl Drop for Releasing<'_> {
    fn drop(&mut self) {
        self.index.release(self.index.taken());
    }
}

impl<T: Send> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<T: Send> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("index", &self.index).finish_non_exhaustive()
    }
}
