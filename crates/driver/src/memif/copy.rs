//! Bytes into and out of memory that a peer may write at the same time.
//!
//! Such memory belongs to no Rust allocation, and a `&[u8]` to it would promise that nobody writes.
//! So each word of it is read or written once, by a volatile access, which is what those are for;
//! what comes out may be torn, and is checked as any frame is.

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::__m128i as Lanes;

/// What one access takes: no alignment is asked of a peer's buffers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Word(Lanes);

#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Word(u64);

/// Copies `len` bytes, of which the peer may write those at `from`, or read and write those at
/// `to`.
///
/// # Safety
/// `from` can be read for `len` bytes and `to` written; they do not overlap; the one of the two
/// that is not shared is nobody else's meanwhile.
#[inline]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: every access below is inside the first `len` bytes.
    unsafe {
        if len < WORD_BYTES {
            return copy_bytes(from, to, len);
        }
        let mut at = 0;
        while at + 4 * WORD_BYTES <= len {
            let words = [
                read(from, at),
                read(from, at + WORD_BYTES),
                read(from, at + 2 * WORD_BYTES),
                read(from, at + 3 * WORD_BYTES),
            ];
            write(to, at, words[0]);
            write(to, at + WORD_BYTES, words[1]);
            write(to, at + 2 * WORD_BYTES, words[2]);
            write(to, at + 3 * WORD_BYTES, words[3]);
            at += 4 * WORD_BYTES;
        }
        while at + WORD_BYTES <= len {
            write(to, at, read(from, at));
            at += WORD_BYTES;
        }
        // The rest with some of what was copied already.
        if at < len {
            let last = len - WORD_BYTES;
            write(to, last, read(from, last));
        }
    }
}

#[inline]
unsafe fn copy_bytes(from: *const u8, to: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: inside the first `len` bytes.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
    }
}

#[inline]
unsafe fn read(from: *const u8, at: usize) -> Word {
    // SAFETY: the caller's; a word of any bytes is a value, at any alignment.
    unsafe { from.add(at).cast::<Word>().read_volatile() }
}

#[inline]
unsafe fn write(to: *mut u8, at: usize, word: Word) {
    // SAFETY: the caller's.
    unsafe { to.add(at).cast::<Word>().write_volatile(word) };
}

const WORD_BYTES: usize = size_of::<Word>();

#[cfg(test)]
mod tests;
