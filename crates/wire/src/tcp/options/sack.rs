//! The blocks of a SACK option (RFC 2018 3).

use core::fmt;

use crate::Malformed;

/// Up to four blocks `(left, right)`: the first sequence number of a block, and the one behind its
/// last.
#[derive(Clone, Copy, Default)]
pub struct SackBlocks {
    blocks: [(u32, u32); SACK_BLOCKS_MAX],
    len: u8,
}

impl SackBlocks {
    /// No block.
    pub const EMPTY: Self = Self { blocks: [(0, 0); SACK_BLOCKS_MAX], len: 0 };

    /// The blocks in the order of the option.
    #[inline]
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.blocks[..usize::from(self.len)]
    }

    /// Adds a block behind the others; false when there are four already.
    #[inline]
    pub fn push(&mut self, left: u32, right: u32) -> bool {
        let Some(place) = self.blocks.get_mut(usize::from(self.len)) else {
            return false;
        };
        *place = (left, right);
        self.len += 1;
        true
    }

    /// How many blocks there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// True when there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes in the body of an option: one to four blocks, no part of one.
    pub(super) fn take(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let (blocks, part) = body.as_chunks::<8>();
        if blocks.is_empty() || !part.is_empty() {
            return Err(Malformed::Option);
        }
        for block in blocks {
            let edges = u64::from_be_bytes(*block);
            // Forty bytes hold no more than four blocks, so there is always room.
            self.push((edges >> 32) as u32, edges as u32);
        }
        Ok(())
    }
}

/// By the blocks that count: what lies behind `len` is of no meaning.
impl PartialEq for SackBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SackBlocks {}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// Blocks that one segment can carry: the options have forty bytes.
pub const SACK_BLOCKS_MAX: usize = 4;
