//! Bytes that a receiver can foretell: the byte at `offset` of stream `stream`.

/// Fills `bytes` with what the stream has from `offset` on.
pub(crate) fn fill(stream: u64, offset: u64, bytes: &mut [u8]) {
    for (at, byte) in (offset..).zip(bytes) {
        *byte = byte_at(stream, at);
    }
}

/// How many of these bytes are not what the stream has from `offset` on.
pub(crate) fn differences(stream: u64, offset: u64, bytes: &[u8]) -> u64 {
    (offset..).zip(bytes).filter(|(at, byte)| **byte != byte_at(stream, *at)).count() as u64
}

/// A multiplicative hash: neighbours, and the same offset of two streams, look unlike each other.
fn byte_at(stream: u64, offset: u64) -> u8 {
    let mixed = (offset ^ (stream << 40)).wrapping_add(stream).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 56) as u8
}
