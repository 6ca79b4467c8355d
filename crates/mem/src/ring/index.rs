//! The two indices of a ring: whose turn it is at which place.

use core::ptr::NonNull;

use super::atomics::{Arc, AtomicU32, Ordering, fence};

/// What the two sides show each other. It may lie in shared memory; all zero is an empty ring.
///
/// Each word has 128 bytes to itself, because processors fetch cache lines in pairs.
#[derive(Debug)]
#[repr(C)]
pub struct RingShared {
    published: Line,
    released: Line,
    /// 1 while the consumer sleeps, or is about to.
    sleeping: Line,
}

#[derive(Debug)]
#[repr(C, align(128))]
struct Line(AtomicU32);

/// The producer's side: reserves places, writes them, publishes them in order.
#[derive(Debug)]
pub struct ProducerIndex {
    shared: SharedRef,
    capacity: u32,
    published: u32,
    reserved: u32,
    /// `released`, as last seen.
    released_seen: u32,
}

/// The consumer's side: takes what was published, releases it in order.
#[derive(Debug)]
pub struct ConsumerIndex {
    shared: SharedRef,
    capacity: u32,
    released: u32,
    taken: u32,
    /// `published`, as last seen.
    published_seen: u32,
}

/// Places that follow each other in the ring, the last one being followed by the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: u32,
    count: u32,
    mask: u32,
}

/// An empty ring of at least `capacity` places, rounded up to a power of two; both sides of it.
///
/// # Panics
/// When `capacity` is above 2^31.
pub fn index_pair(capacity: u32) -> (ProducerIndex, ConsumerIndex) {
    let (_, producer, consumer) = index_pair_over(capacity);
    (producer, consumer)
}

/// An empty ring, with the words that both sides share.
pub(super) fn index_pair_over(capacity: u32) -> (Arc<RingShared>, ProducerIndex, ConsumerIndex) {
    let capacity = capacity.max(1).checked_next_power_of_two().expect("at most 2^31 places");
    let shared = Arc::new(RingShared::new());
    let producer = ProducerIndex::over(SharedRef::owned(&shared), capacity);
    let consumer = ConsumerIndex::over(SharedRef::owned(&shared), capacity);
    (shared, producer, consumer)
}

impl RingShared {
    /// An empty ring.
    pub fn new() -> Self {
        let zero = || Line(AtomicU32::new(0));
        Self { published: zero(), released: zero(), sleeping: zero() }
    }

    /// The oldest place held, and how many are published and not yet released. Exact only when
    /// neither side is at work.
    pub(super) fn held(&self) -> (u32, u32) {
        let released = self.released.0.load(Ordering::Relaxed);
        let published = self.published.0.load(Ordering::Relaxed);
        (released, published.wrapping_sub(released))
    }
}

impl Default for RingShared {
    fn default() -> Self {
        Self::new()
    }
}

impl ProducerIndex {
    /// The producer's side of a ring in shared memory. It goes on where `shared` says.
    ///
    /// # Safety
    /// `shared` points to an aligned [`RingShared`] that stays in place as long as this lives, and
    /// nobody else is its producer.
    ///
    /// # Panics
    /// When `capacity` is not a power of two.
    pub unsafe fn from_shared(shared: NonNull<RingShared>, capacity: u32) -> Self {
        assert!(capacity.is_power_of_two());
        Self::over(SharedRef { place: shared, _owner: None }, capacity)
    }

    fn over(shared: SharedRef, capacity: u32) -> Self {
        let published = shared.get().published.0.load(Ordering::Acquire);
        let released_seen = shared.get().released.0.load(Ordering::Acquire);
        Self { shared, capacity, published, reserved: published, released_seen }
    }

    /// Number of places.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Takes up to `want` free places to write to. They follow those reserved before.
    #[inline]
    pub fn reserve(&mut self, want: u32) -> Span {
        if self.free_seen() < want {
            self.look();
        }
        let count = want.min(self.free_seen());
        let span = Span { first: self.reserved, count, mask: self.capacity - 1 };
        self.reserved = self.reserved.wrapping_add(span.count);
        span
    }

    /// True when a place is free.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        if self.free_seen() == 0 {
            self.look();
        }
        self.free_seen() > 0
    }

    /// Places free, looked up now: those that are neither reserved, nor published and not released.
    #[inline]
    pub fn free(&mut self) -> u32 {
        self.look();
        self.free_seen()
    }

    /// Reserved places that were not published yet.
    #[inline]
    pub fn reserved(&self) -> u32 {
        self.reserved.wrapping_sub(self.published)
    }

    /// Shows the oldest `count` reserved places to the consumer.
    ///
    /// # Panics
    /// When fewer are reserved.
    #[inline]
    pub fn publish(&mut self, count: u32) {
        assert!(count <= self.reserved());
        self.published = self.published.wrapping_add(count);
        // Release: what was written to the places comes before the consumer's sight of them.
        self.shared.get().published.0.store(self.published, Ordering::Release);
    }

    /// Gives up all reserved places that were not published.
    #[inline]
    pub fn cancel(&mut self) {
        self.reserved = self.published;
    }

    /// True when the consumer sleeps and must be woken, by the means that the two agreed on. Called
    /// after [`ProducerIndex::publish`]; true once for each sleep.
    #[inline]
    pub fn must_wake(&mut self) -> bool {
        // Pairs with the fence in `will_sleep`: either we see the flag or the consumer our places.
        fence(Ordering::SeqCst);
        let sleeping = &self.shared.get().sleeping.0;
        sleeping.load(Ordering::Relaxed) != 0 && sleeping.swap(0, Ordering::AcqRel) != 0
    }

    #[inline]
    fn look(&mut self) {
        // Acquire: the consumer's last reads of a place come before our writes to it.
        self.released_seen = self.shared.get().released.0.load(Ordering::Acquire);
    }

    /// Free places, as last seen. A peer in shared memory that counts wrongly gets us no room at
    /// all, and never more than there is.
    #[inline]
    fn free_seen(&self) -> u32 {
        self.capacity.saturating_sub(self.reserved.wrapping_sub(self.released_seen))
    }
}

impl ConsumerIndex {
    /// The consumer's side of a ring in shared memory. It goes on where `shared` says.
    ///
    /// # Safety
    /// As for [`ProducerIndex::from_shared`], for the consumer.
    ///
    /// # Panics
    /// When `capacity` is not a power of two.
    pub unsafe fn from_shared(shared: NonNull<RingShared>, capacity: u32) -> Self {
        assert!(capacity.is_power_of_two());
        Self::over(SharedRef { place: shared, _owner: None }, capacity)
    }

    fn over(shared: SharedRef, capacity: u32) -> Self {
        let released = shared.get().released.0.load(Ordering::Acquire);
        let (taken, published_seen) = (released, released);
        Self { shared, capacity, released, taken, published_seen }
    }

    /// Number of places.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Published places that were not taken yet, looked up now.
    #[inline]
    pub fn available(&mut self) -> u32 {
        self.look();
        self.published_seen.wrapping_sub(self.taken)
    }

    /// Takes up to `want` published places to read from. They follow those taken before.
    #[inline]
    pub fn take(&mut self, want: u32) -> Span {
        let mut ready = self.published_seen.wrapping_sub(self.taken);
        if ready < want {
            ready = self.available();
        }
        let span = Span { first: self.taken, count: want.min(ready), mask: self.capacity - 1 };
        self.taken = self.taken.wrapping_add(span.count);
        span
    }

    /// Places taken and not yet released.
    #[inline]
    pub fn taken(&self) -> u32 {
        self.taken.wrapping_sub(self.released)
    }

    /// Gives the oldest `count` taken places back to the producer.
    ///
    /// # Panics
    /// When fewer are taken.
    #[inline]
    pub fn release(&mut self, count: u32) {
        assert!(count <= self.taken());
        self.released = self.released.wrapping_add(count);
        // Release: our reads of the places come before the producer's next writes.
        self.shared.get().released.0.store(self.released, Ordering::Release);
    }

    /// Says that the consumer will sleep; true when it may, false when something was published
    /// meanwhile. After waking for whatever reason, call [`ConsumerIndex::woke`].
    #[inline]
    pub fn will_sleep(&mut self) -> bool {
        // A store would do by the rules of the language: the producer's swap, if it comes later in
        // the order of changes, reads our 1 and wakes us; else the fences show it our 1. Loom does
        // not know that nothing comes between what a swap reads and what it writes, so to it the
        // producer could still see its own 0. As a swap, ours is ordered for loom too, and a
        // consumer about to sleep has the time.
        self.shared.get().sleeping.0.swap(1, Ordering::AcqRel);
        // Pairs with the fence in `must_wake`.
        fence(Ordering::SeqCst);
        if self.available() == 0 {
            return true;
        }
        self.woke();
        false
    }

    /// Says that the consumer is awake.
    #[inline]
    pub fn woke(&mut self) {
        self.shared.get().sleeping.0.store(0, Ordering::Relaxed);
    }

    /// Looks at what the producer shows. More than fits into the ring cannot be true: a peer in
    /// shared memory that says so is not listened to.
    #[inline]
    fn look(&mut self) {
        // Acquire: the producer's writes to the places come before our reads.
        let published = self.shared.get().published.0.load(Ordering::Acquire);
        let held = published.wrapping_sub(self.released);
        if held <= self.capacity && held >= self.taken() {
            self.published_seen = published;
        }
    }
}

impl Span {
    /// Number of places.
    #[inline]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// True when there is no place.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Which place of the ring the `i`th of the span is: below the ring's capacity.
    #[inline]
    pub fn place(&self, i: u32) -> u32 {
        debug_assert!(i < self.count);
        self.first.wrapping_add(i) & self.mask
    }

    /// All places of the span, in order.
    #[inline]
    pub fn places(self) -> impl Iterator<Item = u32> {
        (0..self.count).map(move |i| self.first.wrapping_add(i) & self.mask)
    }
}

/// The shared words, on the heap with both sides as owners, or at a place that somebody else owns.
#[derive(Debug)]
struct SharedRef {
    place: NonNull<RingShared>,
    _owner: Option<Arc<RingShared>>,
}

// SAFETY: the words are atomics, valid from any thread.
unsafe impl Send for SharedRef {}
// SAFETY: as above.
unsafe impl Sync for SharedRef {}

impl SharedRef {
    fn owned(shared: &Arc<RingShared>) -> Self {
        Self { place: NonNull::from(&**shared), _owner: Some(Arc::clone(shared)) }
    }

    #[inline]
    fn get(&self) -> &RingShared {
        // SAFETY: kept alive by the owner here, or by the contract of `from_shared`.
        unsafe { self.place.as_ref() }
    }
}
