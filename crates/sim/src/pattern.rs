//! What streams are made of: each octet follows from the stream's key and its offset, so any part
//! can be made or checked without the rest.

/// The key of one direction of one session.
pub(crate) fn key(session: u32, side: usize) -> u64 {
    u64::from(session) << 1 | side as u64
}

/// Fills `out` with the octets of a stream from `offset` on.
pub(crate) fn fill(key: u64, offset: u64, out: &mut [u8]) {
    let (mut at, mut done) = (offset, 0);
    while done < out.len() {
        let word = word(key, at >> 3).to_le_bytes();
        let skip = (at & 7) as usize;
        let len = (8 - skip).min(out.len() - done);
        out[done..done + len].copy_from_slice(&word[skip..skip + len]);
        done += len;
        at += len as u64;
    }
}

/// Where `bytes` first differ from the stream at `offset`.
pub(crate) fn mismatch(key: u64, offset: u64, bytes: &[u8]) -> Option<usize> {
    let mut expected = [0; 512];
    for (n, part) in bytes.chunks(expected.len()).enumerate() {
        let before = n * expected.len();
        let expected = &mut expected[..part.len()];
        fill(key, offset + before as u64, expected);
        if expected != part {
            return part.iter().zip(&*expected).position(|(a, b)| a != b).map(|at| before + at);
        }
    }
    None
}

/// Eight octets (the finalizer of `SplitMix64`).
fn word(key: u64, index: u64) -> u64 {
    let mut z = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index).wrapping_add(0x9e37_79b9);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests;
