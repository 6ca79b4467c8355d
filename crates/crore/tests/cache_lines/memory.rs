//! All memory that this thread took from the heap: what it held before a core's turn, and which
//! cache lines the turn changed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};

/// The heap, with an account of what one thread has of it.
struct Recording;

const PIECES_MAX: usize = 8192;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static PIECES: RefCell<Pieces> =
        const { RefCell::new(Pieces { list: [(0, 0); PIECES_MAX], count: 0 }) };
}

/// Address and bytes of each piece.
struct Pieces {
    list: [(usize, usize); PIECES_MAX],
    count: usize,
}

impl Pieces {
    fn add(&mut self, start: usize, bytes: usize) {
        assert!(self.count < PIECES_MAX, "more pieces of memory than there is room to note");
        self.list[self.count] = (start, bytes);
        self.count += 1;
    }

    fn remove(&mut self, start: usize) {
        if let Some(at) = self.list[..self.count].iter().position(|piece| piece.0 == start) {
            self.list[at] = self.list[self.count - 1];
            self.count -= 1;
        }
    }
}

// SAFETY: it passes each call on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let start = unsafe { System.alloc(layout) };
        if IS_ON.get() {
            PIECES.with_borrow_mut(|pieces| pieces.add(start.addr(), layout.size()));
        }
        start
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let start = unsafe { System.alloc_zeroed(layout) };
        if IS_ON.get() {
            PIECES.with_borrow_mut(|pieces| pieces.add(start.addr(), layout.size()));
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if IS_ON.get() {
            PIECES.with_borrow_mut(|pieces| pieces.remove(start.addr()));
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(start, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Recording = Recording;

/// Runs `f` with an account of the memory that it takes and keeps.
pub(crate) fn recorded<R>(f: impl FnOnce() -> R) -> R {
    IS_ON.set(true);
    let result = f();
    IS_ON.set(false);
    result
}

/// What all recorded memory holds.
pub(crate) struct Snapshot {
    pieces: Vec<(usize, Vec<u8>)>,
}

impl Snapshot {
    pub(crate) fn take() -> Self {
        let pieces: Vec<(usize, usize)> =
            PIECES.with_borrow(|pieces| pieces.list[..pieces.count].to_vec());
        let copy = |&(start, bytes): &(usize, usize)| (start, now_at(start, bytes).to_vec());
        Self { pieces: pieces.iter().map(copy).collect() }
    }

    /// Bytes in it.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.1.len()).sum()
    }

    /// The cache lines that hold something else now, each by its address. They are brought up to
    /// date.
    pub(crate) fn changed(&mut self) -> Vec<usize> {
        let mut lines = Vec::new();
        for (start, before) in &mut self.pieces {
            let now = now_at(*start, before.len());
            // Page by page, because nearly all of them are as they were.
            for (page, (then, now)) in before.chunks_mut(PAGE).zip(now.chunks(PAGE)).enumerate() {
                if then == now {
                    continue;
                }
                for (at, (old, new)) in then.iter().zip(now).enumerate() {
                    if old != new {
                        lines.push((*start + page * PAGE + at) / LINE * LINE);
                    }
                }
                then.copy_from_slice(now);
            }
        }
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}

fn now_at<'a>(start: usize, bytes: usize) -> &'a [u8] {
    let start = std::ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: the piece is recorded, so it was taken and not given back; nobody else runs. Bytes
    // that were never written may be in it: reading them is what a test of memory has to do, and
    // what comes of it is compared with nothing but itself.
    unsafe { std::slice::from_raw_parts(start, bytes) }
}

const LINE: usize = 64;
const PAGE: usize = 4096;
