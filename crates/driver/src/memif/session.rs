//! What a queue has while a peer is there: a ring to receive from, a ring to send to, and where
//! their buffers are.
//!
//! ```text
//!                 theirs, as last seen
//!   receiver:  released ── cursor ──────── seen           the peer's frames: cursor .. seen
//!   sender:    next ───────────────────── limit           room: next .. limit
//! ```
//!
//! | ring            | the client writes (head)        | the server writes (tail)           |
//! |-----------------|---------------------------------|------------------------------------|
//! | client's frames | frames sent                     | buffers given back                 |
//! | server's frames | buffers given (sent + the size) | frames sent                        |
//!
//! So a client counts a ring's size more than a server wherever it gives buffers. The peer's index
//! is read only when its last sight is used up, and ours is written once a burst, if it changed.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use crore_mem::{prefetch, prefetch_to_write};

use super::copy::copy;
use super::region::{Fault, Shared};
use super::ring::{Descriptor, Ring, Role};
use crate::slots::LINE_BYTES;
use crate::wakeup::Event;

/// Both directions of one queue, or the one of them that the peer has.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) rx: Option<Receiver>,
    pub(super) tx: Option<Sender>,
    /// The rings' own buffers are lent to the stack; else frames are copied.
    pub(super) in_place: bool,
    pub(super) shared: Arc<Shared>,
}

/// Where the buffers of a ring are.
#[derive(Clone, Debug)]
pub(super) enum Buffers {
    /// Where the peer's descriptors say: we are the server.
    Peers(Arc<Shared>),
    /// Where we put them: we are the client, and what descriptors say of places is not looked at.
    Ours(Placed),
}

/// Buffers of one size that follow each other, one for each place of a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// The first one, in our memory.
    pub(super) start: *mut u8,
    /// The same for the peer.
    pub(super) region: u16,
    pub(super) offset: u32,
    pub(super) stride: u32,
    pub(super) capacity: u32,
    /// The ring's size.
    pub(super) count: u16,
}

// SAFETY: a place in memory that whoever has this keeps mapped, without a tie to a thread.
unsafe impl Send for Placed {}
// SAFETY: as above.
unsafe impl Sync for Placed {}

/// A part of a frame, or all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: *mut u8,
    pub(super) len: u32,
    /// Bytes from `start` on that are ours to write, where the frame is lent.
    pub(super) capacity: u32,
    /// The frame goes on in the next buffer.
    pub(super) more: bool,
}

impl Piece {
    pub(super) const NOWHERE: Self =
        Self { start: std::ptr::null_mut(), len: 0, capacity: 0, more: false };

    /// Asks for its first lines, those that it has.
    #[inline]
    pub(super) fn prefetch(&self) {
        for at in first_lines(self.len) {
            prefetch(self.start.wrapping_add(at));
        }
    }
}

// SAFETY: a place in memory that the session keeps mapped, without a tie to a thread.
unsafe impl Send for Piece {}

/// The receiving side of a ring.
#[derive(Debug)]
pub(super) struct Receiver {
    ring: Ring,
    buffers: Buffers,
    /// The peer signals it.
    pub(super) event: Event,
    /// It did, and that was not taken note of yet.
    pub(super) is_signalled: bool,
    released: u16,
    cursor: u16,
    seen: u16,
}

/// The sending side of a ring.
#[derive(Debug)]
pub(super) struct Sender {
    ring: Ring,
    buffers: Buffers,
    event: Event,
    next: u16,
    limit: u16,
    /// There are frames that a peer which sleeps may not know of.
    is_shown: bool,
    last_len: u32,
}

impl Buffers {
    fn role(&self) -> Role {
        match self {
            Self::Peers(_) => Role::Server,
            Self::Ours(_) => Role::Client,
        }
    }

    /// What a client's index for buffers is ahead of its peer's.
    fn ahead(&self) -> u16 {
        match self {
            Self::Peers(_) => 0,
            Self::Ours(placed) => placed.count,
        }
    }
}

impl Placed {
    #[inline]
    fn at(&self, index: u16) -> (*mut u8, u32) {
        let offset = u32::from(index & (self.count - 1)) * self.stride;
        (self.start.wrapping_add(offset as usize), self.offset + offset)
    }

    /// The descriptor of an empty buffer.
    #[inline]
    fn descriptor(&self, index: u16, len: u32) -> Descriptor {
        Descriptor { more: false, region: self.region, len, offset: self.at(index).1 }
    }
}

impl Receiver {
    /// The receiving side of an empty ring. A client gives all of its buffers.
    pub(super) fn new(ring: Ring, buffers: Buffers, event: Event) -> Self {
        ring.set_polling(true);
        let (is_signalled, released, cursor, seen) = (false, 0, 0, 0);
        let receiver = Self { ring, buffers, event, is_signalled, released, cursor, seen };
        receiver.give_back(0, receiver.buffers.ahead());
        receiver
    }

    /// How many buffers with frames there are, `want` of them at least if there are so many.
    #[inline]
    pub(super) fn available(&mut self, want: u16) -> Result<u16, Fault> {
        let Self { ring, buffers, seen, .. } = self;
        let look = || ring.theirs(buffers.role());
        reach(seen, (self.released, self.cursor), want, ring.size(), look)
    }

    /// Takes the next buffer; [`Receiver::available`] has said that it is there.
    #[inline]
    pub(super) fn take(&mut self) -> Result<Piece, Fault> {
        let piece = self.piece(self.cursor)?;
        self.cursor = self.cursor.wrapping_add(1);
        Ok(piece)
    }

    #[inline]
    fn piece(&self, index: u16) -> Result<Piece, Fault> {
        let found = self.ring.read(index);
        let (start, capacity) = match &self.buffers {
            Buffers::Peers(shared) => {
                (shared.find(found.region, found.offset, found.len)?, found.len)
            }
            Buffers::Ours(placed) if found.len <= placed.capacity => {
                (placed.at(index).0, placed.capacity)
            }
            Buffers::Ours(_) => return Err(Fault::Bounds),
        };
        Ok(Piece { start, len: found.len, capacity, more: found.more })
    }

    /// Asks for the lines of the frame that will be taken as the `ahead`th from now on, if it is
    /// known to be there. What is not there yet is the peer's to write: a look would take the lines
    /// out of its cache.
    #[inline]
    pub(super) fn prefetch(&self, ahead: u16) {
        let (index, known) = (self.cursor.wrapping_add(ahead), self.seen.wrapping_sub(self.cursor));
        if ahead + DESCRIPTORS_AHEAD < known {
            self.ring.prefetch(index.wrapping_add(DESCRIPTORS_AHEAD));
        }
        // What the descriptor says is only a hint here; it is read once more and checked when it
        // counts.
        if ahead < known
            && let Ok(piece) = self.piece(index)
        {
            piece.prefetch();
        }
    }

    /// Gives the buffers of all that was taken back.
    #[inline]
    pub(super) fn release(&mut self) {
        let count = self.cursor.wrapping_sub(self.released);
        if count > 0 {
            self.give_back(self.released.wrapping_add(self.buffers.ahead()), count);
            self.released = self.cursor;
        }
    }

    #[inline]
    fn give_back(&self, first: u16, count: u16) {
        if let Buffers::Ours(placed) = &self.buffers {
            for i in 0..count {
                let index = first.wrapping_add(i);
                self.ring.write(index, placed.descriptor(index, placed.capacity));
            }
        }
        if count > 0 {
            self.ring.publish(self.buffers.role(), first.wrapping_add(count));
        }
    }

    /// The ring's size.
    pub(super) fn size(&self) -> u16 {
        self.ring.size()
    }

    /// Whether the peer is to signal frames that it sends from now on.
    pub(super) fn set_polling(&self, polls: bool) {
        self.ring.set_polling(polls);
    }
}

impl Sender {
    /// The sending side of an empty ring.
    pub(super) fn new(ring: Ring, buffers: Buffers, event: Event) -> Self {
        let limit = buffers.ahead();
        Self { ring, buffers, event, next: 0, limit, is_shown: false, last_len: 0 }
    }

    /// Buffers that can be filled, `want` of them at least if there are so many.
    #[inline]
    pub(super) fn room(&mut self, want: u16) -> Result<u16, Fault> {
        let Self { ring, buffers, limit, .. } = self;
        let look = || ring.theirs(buffers.role()).wrapping_add(buffers.ahead());
        reach(limit, (self.next, self.next), want, ring.size(), look)
    }

    /// The client's own buffer, `ahead` places behind the next one, to be lent, and its size.
    ///
    /// # Panics
    /// As server.
    #[inline]
    pub(super) fn lend(&self, ahead: u16) -> (*mut u8, u32) {
        let Buffers::Ours(placed) = &self.buffers else { unreachable!("buffers of the peer") };
        (placed.at(self.next.wrapping_add(ahead)).0, placed.capacity)
    }

    /// Where the frame that is sent as the `ahead`th from now on goes, and how much fits there.
    #[inline]
    pub(super) fn target(&self, ahead: u16) -> Result<Target, Fault> {
        let index = self.next.wrapping_add(ahead);
        let target = match &self.buffers {
            Buffers::Peers(shared) => {
                let found = self.ring.read(index);
                let start = shared.find(found.region, found.offset, found.len)?;
                Target { start, capacity: found.len, region: found.region, offset: found.offset }
            }
            Buffers::Ours(placed) => {
                let (start, offset) = placed.at(index);
                Target { start, capacity: placed.capacity, region: placed.region, offset }
            }
        };
        Ok(target)
    }

    /// Asks for the descriptors of `count` frames that will be sent soon after the `ahead`th from
    /// now on, as far as the peer has given buffers. It wrote them last.
    #[inline]
    pub(super) fn prefetch_descriptors(&self, ahead: u16, count: u16) {
        let known = self.limit.wrapping_sub(self.next);
        let first = ahead + DESCRIPTORS_AHEAD;
        for ahead in (first..known.min(first + count)).step_by(DESCRIPTORS_A_LINE) {
            self.ring.prefetch_to_write(self.next.wrapping_add(ahead));
        }
    }

    /// Asks for the lines of a frame that will be sent: as many as the last one had. They may be
    /// where the peer read them last.
    #[inline]
    pub(super) fn prefetch(&self, target: &Target) {
        for at in first_lines(self.last_len) {
            prefetch_to_write(target.start.wrapping_add(at));
        }
    }

    /// The place of the `ahead`th frame from now on, counted on for ever.
    #[inline]
    pub(super) fn place(&self, ahead: u16) -> usize {
        self.next.wrapping_add(ahead).into()
    }

    /// Fills the `ahead`th buffer from now on with a copy of the first `len` bytes at `from`.
    ///
    /// # Safety
    /// `len` bytes at `from` can be read and are nobody else's meanwhile; `target` is what
    /// [`Sender::target`] said, and has room for them.
    #[inline]
    pub(super) unsafe fn fill(&self, ahead: u16, target: &Target, from: *const u8, len: u32) {
        debug_assert!(len <= target.capacity);
        // SAFETY: `target` was found to be inside its region, which stays mapped as long as we are.
        unsafe { copy(from, target.start, len as usize) };
        let (region, offset) = (target.region, target.offset);
        self.ring
            .write(self.next.wrapping_add(ahead), Descriptor { more: false, region, len, offset });
    }

    /// The `ahead`th buffer from now on, which was lent, has a frame of `len` bytes.
    #[inline]
    pub(super) fn fill_in_place(&self, ahead: u16, len: u32) {
        if let Buffers::Ours(placed) = &self.buffers {
            let index = self.next.wrapping_add(ahead);
            self.ring.write(index, placed.descriptor(index, len));
        }
    }

    /// Shows the peer `count` more frames, the last one of `len` bytes.
    #[inline]
    pub(super) fn publish(&mut self, count: u16, len: u32) {
        self.next = self.next.wrapping_add(count);
        self.ring.publish(self.buffers.role(), self.next);
        (self.is_shown, self.last_len) = (true, len);
    }

    /// True when the peer sleeps, or is about to, and must be signalled, because there are frames
    /// since this was asked last.
    ///
    /// Asked right after [`Sender::publish`] the fence would wait until the peer's core, which
    /// looks at our index all the time, has given up its line, and all the frames'. Asked some
    /// hundred cycles later it waits for nothing.
    #[inline]
    pub(super) fn must_signal(&mut self) -> bool {
        if !std::mem::take(&mut self.is_shown) {
            return false;
        }
        // Pairs with the fence of a receiver that goes to sleep: either we see that it wants to be
        // signalled, or it sees our frames.
        fence(Ordering::SeqCst);
        !self.ring.is_polled()
    }

    /// Wakes the peer.
    pub(super) fn signal(&self) {
        self.event.signal();
    }
}

/// How many places there are from `at` on to where the peer lets us go: to `seen`, or, when those
/// are fewer than wanted, to where it is by another look. It can give no more than the ring has,
/// counted from `first` on, which it has not got back yet, and cannot take any back.
#[inline]
fn reach(
    seen: &mut u16,
    (first, at): (u16, u16),
    want: u16,
    size: u16,
    look: impl FnOnce() -> u16,
) -> Result<u16, Fault> {
    let before = seen.wrapping_sub(at);
    if before >= want {
        return Ok(before);
    }
    let theirs = look();
    let (all, now) = (theirs.wrapping_sub(first), theirs.wrapping_sub(at));
    if all > size || now > all || now < before {
        return Err(Fault::Index);
    }
    *seen = theirs;
    Ok(now)
}

/// Where the first lines of a frame of so many bytes begin, wherever in a line it does itself. A
/// line may be named twice: that is cheaper than a branch that is often taken wrongly.
#[inline]
fn first_lines(len: u32) -> [usize; 3] {
    let last = len.saturating_sub(1) as usize;
    [0, LINE_BYTES.min(last), (2 * LINE_BYTES).min(last)]
}

/// Four cache lines of descriptors.
const DESCRIPTORS_AHEAD: u16 = 16;
const DESCRIPTORS_A_LINE: usize = 4;

/// Where a frame goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) start: *mut u8,
    pub(super) capacity: u32,
    region: u16,
    offset: u32,
}

impl Target {
    pub(super) const NOWHERE: Self =
        Self { start: std::ptr::null_mut(), capacity: 0, region: 0, offset: 0 };
}

// SAFETY: as for `Piece`.
unsafe impl Send for Target {}
