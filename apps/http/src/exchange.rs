//! What a request under way owns, in a bounded table: an idle connection is not in it.

use sha2::Sha256;

use crate::content::Content;
use crate::files::FilePart;

/// One request under way.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Bytes of the reply that found no room, from `sent` on.
    pub(crate) unsent: Vec<u8>,
    pub(crate) sent: usize,
    /// The part of a file to be sent after them.
    pub(crate) file: Option<FilePart>,
    /// Content of the request that was not read yet.
    pub(crate) content: Option<Content>,
    /// Content read for a reply that needs all of it.
    pub(crate) collected: Vec<u8>,
    /// The sum of the content read so far, for a reply that needs no more of it.
    pub(crate) sum: Option<Box<Sha256>>,
}

/// The exchanges of a core.
#[derive(Debug)]
pub(crate) struct Exchanges {
    slots: Vec<Exchange>,
    free: Vec<u32>,
    slots_max: u32,
    held_bytes: usize,
    held_bytes_max: usize,
}

impl Exchanges {
    /// An empty table. Its memory is reserved here and touched when it is needed.
    pub(crate) fn new(slots_max: u32, held_bytes_max: usize) -> Self {
        let capacity = slots_max as usize;
        let (slots, free) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        Self { slots, free, slots_max, held_bytes: 0, held_bytes_max }
    }

    /// An empty exchange, or `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = self.slots.len() as u32;
        (slot < self.slots_max).then(|| {
            self.slots.push(Exchange::default());
            slot
        })
    }

    /// True when [`Exchanges::take`] would give one.
    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty() || self.slots.len() < self.slots_max as usize
    }

    /// True when so many bytes more may be held.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.held_bytes + bytes <= self.held_bytes_max
    }

    /// Ends an exchange; gives back the file it was sending.
    pub(crate) fn release(&mut self, slot: u32) -> Option<FilePart> {
        self.drop_unsent(slot);
        self.drop_collected(slot);
        let exchange = &mut self.slots[slot as usize];
        exchange.content = None;
        exchange.sum = None;
        self.free.push(slot);
        exchange.file.take()
    }

    /// An exchange's fields, apart from the bytes it holds.
    pub(crate) fn get(&mut self, slot: u32) -> &mut Exchange {
        &mut self.slots[slot as usize]
    }

    /// Holds the bytes of a reply that found no room, after those that are held already.
    pub(crate) fn hold_unsent(&mut self, slot: u32, bytes: &[u8]) {
        self.slots[slot as usize].unsent.extend_from_slice(bytes);
        self.held_bytes += bytes.len();
    }

    /// Holds a piece of content.
    pub(crate) fn collect(&mut self, slot: u32, bytes: &[u8]) {
        self.slots[slot as usize].collected.extend_from_slice(bytes);
        self.held_bytes += bytes.len();
    }

    /// The unsent bytes are gone.
    pub(crate) fn drop_unsent(&mut self, slot: u32) {
        let exchange = &mut self.slots[slot as usize];
        self.held_bytes -= exchange.unsent.len();
        exchange.sent = 0;
        empty(&mut exchange.unsent);
    }

    /// The collected content is gone.
    pub(crate) fn drop_collected(&mut self, slot: u32) {
        let exchange = &mut self.slots[slot as usize];
        self.held_bytes -= exchange.collected.len();
        empty(&mut exchange.collected);
    }

    /// Exchanges in use, and bytes held by them.
    pub(crate) fn in_use(&self) -> (usize, usize) {
        (self.slots.len() - self.free.len(), self.held_bytes)
    }
}

/// Empties a buffer, and keeps its memory for the next exchange only when it is small.
fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

const KEPT_BYTES_MAX: usize = 4_096;
