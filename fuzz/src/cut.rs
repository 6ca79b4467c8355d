//! An input, cut from its front.

pub(crate) struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Near zero, mostly: a byte's low six bits with a sign, shifted by twice its high bit's worth
    /// when that is set, so that segment sizes and whole windows are reached as well.
    pub(crate) fn near(&mut self) -> Option<u32> {
        let byte = self.u8()?;
        let small = i32::from(byte & 0x3f) - 32;
        let shift = match byte >> 6 {
            0 => 0,
            1 => 5,
            2 => 8,
            _ => 11,
        };
        Some((small << shift) as u32)
    }

    /// As many as there are, `len` at most.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
