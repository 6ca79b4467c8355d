//! TCP segments (RFC 9293 3.1): the fixed header; options are in [`Options`].
//!
//! The checksum covers a pseudo-header and the payload, so it is not made here: [`Header::sum`]
//! gives the header's part, the caller adds the rest and hands the result to [`Header::write`].

use crate::Malformed;
use crate::checksum::Sum;

mod flags;
mod options;

pub use flags::Flags;
pub(crate) use options::TIMESTAMPS_PREFIX;
pub use options::{
    FAST_OPEN_COOKIE_MAX, FastOpen, FastOpenCookie, OptionLayout, Options, SACK_BLOCKS_MAX,
    SackBlocks, Timestamps, UsualSyn, WINDOW_SCALE_MAX,
};
use options::{OPTIONS_LEN_MAX, TIMESTAMPS_ONLY_LEN};

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// The sequence number of the first byte, or of SYN.
    pub seq: u32,
    /// The next sequence number that the sender expects; valid with ACK.
    pub ack: u32,
    /// The control bits.
    pub flags: Flags,
    /// The window as it stands in the header, not scaled.
    pub window: u16,
    /// The urgent pointer; valid with URG.
    pub urgent: u16,
    /// The options that we know.
    pub options: Options,
}

impl Header {
    /// Splits a segment into header and payload. The checksum is not looked at.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some((h, rest)) = segment.split_first_chunk::<MIN_HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        // The data offset is the upper four bits, in words of four bytes.
        let header_len = usize::from(h[12] >> 4) * 4;
        let (options, payload) = if header_len == MIN_HEADER_LEN {
            (Options::NONE, rest)
        } else {
            let Some(options_len) = header_len.checked_sub(MIN_HEADER_LEN) else {
                return Err(Malformed::HeaderLength);
            };
            let Some((options, payload)) = rest.split_at_checked(options_len) else {
                return Err(Malformed::Truncated);
            };
            (Options::parse(options)?, payload)
        };
        let header = Self {
            src_port: u16::from_be_bytes([h[0], h[1]]),
            dst_port: u16::from_be_bytes([h[2], h[3]]),
            seq: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
            ack: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
            flags: Flags(h[13]),
            window: u16::from_be_bytes([h[14], h[15]]),
            urgent: u16::from_be_bytes([h[18], h[19]]),
            options,
        };
        Ok((header, payload))
    }

    /// Bytes of the header with its options: 20 to 60, a multiple of 4.
    #[inline]
    pub const fn header_len(&self) -> usize {
        MIN_HEADER_LEN + self.options.written_len()
    }

    /// The sum of the header as [`Header::write`] writes it, with a checksum of zero.
    ///
    /// It is taken from the fields: reading the header back from the frame, in wider words than it
    /// was just written in, would stall the processor.
    #[inline]
    pub fn sum(&self) -> Sum {
        let (first, second) = self.words(self.header_len());
        let sum = Sum::ZERO.add_u64(first).add_u64(second).add_u16(self.urgent);
        self.options.add_to(sum)
    }

    /// Writes header and options to the front of `out` and returns their length.
    ///
    /// # Panics
    /// When `out` is shorter than [`Header::header_len`].
    #[inline]
    pub fn write(&self, out: &mut [u8], checksum: u16) -> usize {
        let rest = self.write_fixed(out, self.words(self.header_len()), checksum);
        MIN_HEADER_LEN + self.options.write(rest)
    }

    /// The same, with the checksum over the header and `rest`: the pseudo header and the payload.
    /// What options there are is looked at once, which pays on every segment sent.
    ///
    /// # Panics
    /// When `out` is shorter than [`Header::header_len`].
    #[inline]
    pub fn write_summed(&self, out: &mut [u8], rest: Sum) -> usize {
        if !self.options.is_empty_but_timestamps() {
            return self.write_summed_with_options(out, rest);
        }
        let timestamps = self.options.timestamps;
        let len = MIN_HEADER_LEN + timestamps.map_or(0, |_| TIMESTAMPS_ONLY_LEN);
        let words = self.words(len);
        let sum = rest.add_u64(words.0).add_u64(words.1).add_u16(self.urgent);
        let sum = timestamps.map_or(sum, |timestamps| options::add_timestamps(sum, timestamps));
        let rest = self.write_fixed(out, words, sum.finish());
        if let Some(timestamps) = timestamps {
            options::write_timestamps(timestamps, rest);
        }
        len
    }

    fn write_summed_with_options(&self, out: &mut [u8], rest: Sum) -> usize {
        if let Some(usual) = UsualSyn::of(&self.options) {
            let options = usual.words();
            let len = MIN_HEADER_LEN + size_of_val(&options);
            let words = self.words(len);
            let sum = rest.add_u64(words.0).add_u64(words.1).add_u16(self.urgent);
            let sum = options.iter().fold(sum, |sum, &word| sum.add_u32(word));
            let rest = self.write_fixed(out, words, sum.finish());
            let (places, _) = rest[..size_of_val(&options)].as_chunks_mut();
            for (place, word) in places.iter_mut().zip(options) {
                *place = word.to_be_bytes();
            }
            return len;
        }
        let mut options = [0; OPTIONS_LEN_MAX];
        let len = self.options.write(&mut options);
        let words = self.words(MIN_HEADER_LEN + len);
        let sum = rest.add_u64(words.0).add_u64(words.1).add_u16(self.urgent);
        let checksum = sum.add_bytes(&options[..len]).finish();
        self.write_fixed(out, words, checksum)[..len].copy_from_slice(&options[..len]);
        MIN_HEADER_LEN + len
    }

    /// Writes all but the options; gives the room behind.
    #[inline]
    fn write_fixed<'a>(
        &self,
        out: &'a mut [u8],
        (first, second): (u64, u64),
        checksum: u16,
    ) -> &'a mut [u8] {
        let Some((fixed, rest)) = out.split_first_chunk_mut::<MIN_HEADER_LEN>() else {
            panic!("no room for a TCP header");
        };
        let third = (u32::from(checksum) << 16) | u32::from(self.urgent);
        fixed[..8].copy_from_slice(&first.to_be_bytes());
        fixed[8..16].copy_from_slice(&second.to_be_bytes());
        fixed[16..].copy_from_slice(&third.to_be_bytes());
        rest
    }

    /// The first sixteen bytes, as two big-endian numbers.
    #[inline]
    fn words(&self, header_len: usize) -> (u64, u64) {
        let first = (u64::from(self.src_port) << 48)
            | (u64::from(self.dst_port) << 32)
            | u64::from(self.seq);
        let second = (u64::from(self.ack) << 32)
            | ((header_len as u64 / 4) << 28)
            | (u64::from(self.flags.0) << 16)
            | u64::from(self.window);
        (first, second)
    }
}

/// The timestamps of a segment whose header has twelve bytes of options, in the form that nearly
/// all have: behind two NOPs, alone. `None`: it has others, or is shorter.
#[inline]
pub fn timestamps_alone(segment: &[u8]) -> Option<Timestamps> {
    let options = segment.get(MIN_HEADER_LEN..MIN_HEADER_LEN + TIMESTAMPS_ONLY_LEN)?;
    options::parse_timestamps_only(options.first_chunk()?)
}

/// What an ICMP error surely quotes of a segment: its first eight bytes (RFC 792).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The port of who sent the segment: ours.
    pub src_port: u16,
    /// The port that it was for.
    pub dst_port: u16,
    /// Its sequence number, by which a forged error is told (RFC 5927 4.1).
    pub seq: u32,
}

impl Quoted {
    /// Reads the first eight bytes of a segment.
    pub fn parse(start: &[u8]) -> Result<Self, Malformed> {
        let Some(h) = start.first_chunk::<8>() else {
            return Err(Malformed::Truncated);
        };
        Ok(Self {
            src_port: u16::from_be_bytes([h[0], h[1]]),
            dst_port: u16::from_be_bytes([h[2], h[3]]),
            seq: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
        })
    }
}

/// Where the checksum stands in the header.
pub const CHECKSUM_OFFSET: usize = 16;
/// Bytes of a header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Bytes of the longest header that the data offset can state.
pub const MAX_HEADER_LEN: usize = 60;

#[cfg(test)]
mod tests;
