//! Payloads that are different for each request, and known again at any offset of the reply.

/// The payload of one request. A reply of another request, another connection or another place in
/// the stream differs from it in nearly every byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// The payload of request `number` on the connection in slot `index`, of this `generation`.
    #[inline]
    pub fn new(index: u32, generation: u32, number: u32) -> Self {
        let conn = mixed(u64::from(index) << 32 | u64::from(generation));
        Self { seed: mixed(conn ^ u64::from(number)) }
    }

    /// Writes the payload's octets from offset `from` on.
    #[inline]
    pub fn fill(self, from: usize, out: &mut [u8]) {
        let (head, rest) = out.split_at_mut(to_next_word(from).min(out.len()));
        self.fill_within_word(from, head);
        let first = (from + head.len()) / WORD;
        let (words, tail) = rest.as_chunks_mut::<WORD>();
        for (at, place) in words.iter_mut().enumerate() {
            *place = self.word(first + at).to_le_bytes();
        }
        self.fill_within_word((first + words.len()) * WORD, tail);
    }

    /// How many of these octets are not the payload's from offset `from` on.
    #[inline]
    pub fn mismatches(self, from: usize, bytes: &[u8]) -> usize {
        let (head, rest) = bytes.split_at(to_next_word(from).min(bytes.len()));
        let first = (from + head.len()) / WORD;
        let (words, tail) = rest.as_chunks::<WORD>();
        let difference = |at: usize| u64::from_le_bytes(words[at]) ^ self.word(first + at);
        let mut bad = self.mismatches_within_word(from, head);
        if (0..words.len()).fold(0, |all, at| all | difference(at)) != 0 {
            let bytes = (0..words.len()).flat_map(|at| difference(at).to_le_bytes());
            bad += bytes.filter(|&difference| difference != 0).count();
        }
        bad + self.mismatches_within_word((first + words.len()) * WORD, tail)
    }

    /// The seed is mixed well; words of one payload need only be different.
    #[inline]
    fn word(self, number: usize) -> u64 {
        let word = self.seed.wrapping_add((number as u64).wrapping_mul(STEP));
        word ^ word >> 32
    }

    fn fill_within_word(self, from: usize, out: &mut [u8]) {
        if out.is_empty() {
            return;
        }
        let (word, at) = (self.word(from / WORD).to_le_bytes(), from % WORD);
        out.copy_from_slice(&word[at..at + out.len()]);
    }

    fn mismatches_within_word(self, from: usize, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        let (word, at) = (self.word(from / WORD).to_le_bytes(), from % WORD);
        bytes.iter().zip(&word[at..]).filter(|(found, wanted)| found != wanted).count()
    }
}

/// Octets up to the next whole word.
#[inline]
fn to_next_word(from: usize) -> usize {
    from.wrapping_neg() % WORD
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014): every bit depends on every bit.
#[inline]
pub(crate) fn mixed(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// The golden ratio's odd neighbour, as in `SplitMix64`.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

const WORD: usize = 8;

#[cfg(test)]
mod tests;
