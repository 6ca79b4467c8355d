//! Bytes into and out of memory that a peer may write at the same time.
//!
//! Such memory belongs to no Rust allocation, and a `&[u8]` to it would promise that nobody writes.
//! So each word of it is read or written once, by an instruction that the compiler does not look
//! into; what comes out may be torn, and is checked as any frame is.

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
        while at + BLOCK_BYTES <= len {
            copy_block(from.add(at), to.add(at));
            at += BLOCK_BYTES;
        }
        while at + WORD_BYTES <= len {
            copy_word(from.add(at), to.add(at));
            at += WORD_BYTES;
        }
        // The rest with some of what was copied already.
        if at < len {
            let last = len - WORD_BYTES;
            copy_word(from.add(last), to.add(last));
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

/// In registers: a volatile access to what is not aligned goes by way of the stack.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy_word(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's; no alignment is asked of a peer's buffers.
    unsafe {
        core::arch::asm!(
            "movups {word}, [{from}]",
            "movups [{to}], {word}",
            from = in(reg) from,
            to = in(reg) to,
            word = out(xmm_reg) _,
            options(nostack, preserves_flags)
        );
    }
}

/// A whole cache line, where both begin with one.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy_block(from: *const u8, to: *mut u8) {
    // SAFETY: as for `copy_word`.
    unsafe {
        core::arch::asm!(
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            from = in(reg) from,
            to = in(reg) to,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
unsafe fn copy_word(from: *const u8, to: *mut u8) {
    #[derive(Clone, Copy)]
    #[repr(C, packed)]
    struct Word([u64; 2]);
    // SAFETY: the caller's; a word of any bytes is a value, at any alignment.
    unsafe { to.cast::<Word>().write_volatile(from.cast::<Word>().read_volatile()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
unsafe fn copy_block(from: *const u8, to: *mut u8) {
    for at in (0..BLOCK_BYTES).step_by(WORD_BYTES) {
        // SAFETY: the caller's.
        unsafe { copy_word(from.add(at), to.add(at)) };
    }
}

const WORD_BYTES: usize = 16;
const BLOCK_BYTES: usize = 64;

#[cfg(test)]
mod tests;
