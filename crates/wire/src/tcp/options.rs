//! TCP options: MSS (RFC 9293 3.7.1), window scale and timestamps (RFC 7323), SACK (RFC 2018),
//! Fast Open (RFC 7413).
//!
//! They are written in the order and with the padding that Linux uses, each group a multiple of
//! four bytes; so a segment with only timestamps has exactly the twelve bytes that every stack,
//! this one included, reads without a loop:
//!
//! ```text
//!   MSS 4 mm mm                  maximum segment size
//!   SACKOK 2 TS 10 vvvv eeee     both; NOP NOP in place of SACKOK; NOP NOP SACKOK 2 alone
//!   NOP WS 3 s                   window scale
//!   FO n cccc .. NOP NOP         Fast Open cookie
//!   NOP NOP SACK n llll rrrr ..  as many blocks as still fit
//! ```

use crate::Malformed;
use crate::checksum::Sum;
use crate::tcp::MIN_HEADER_LEN;

mod fast_open;
mod freebsd;
mod sack;
mod syn;

use fast_open::{EXPERIMENT, EXPERIMENT_ID, FAST_OPEN};
pub use fast_open::{FAST_OPEN_COOKIE_MAX, FastOpen, FastOpenCookie};
pub use sack::{SACK_BLOCKS_MAX, SackBlocks};
pub use syn::UsualSyn;

/// The options of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The largest segment that the sender takes; on SYN only.
    pub mss: Option<u16>,
    /// The shift of the sender's windows, at most [`WINDOW_SCALE_MAX`]; on SYN only.
    pub window_scale: Option<u8>,
    /// The sender understands SACK; on SYN only.
    pub sack_permitted: bool,
    /// The sender's clock, and ours come back.
    pub timestamps: Option<Timestamps>,
    /// What has arrived beyond the acknowledgment.
    pub sack: SackBlocks,
    /// A Fast Open cookie, or the request for one; on SYN only.
    pub fast_open: Option<FastOpen>,
    /// In which order they are written; what was read has the default.
    pub layout: OptionLayout,
}

/// An order of the options of a SYN, and its padding. Which one is no matter of the protocol
/// (RFC 9293 3.2), but peers tell systems apart by it and test scripts name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptionLayout {
    /// MSS, SACK-permitted, timestamps, window scale, each group padded in front.
    #[default]
    Linux,
    /// MSS, window scale, SACK-permitted, timestamps, padded at the end.
    FreeBsd,
}

/// The timestamps option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// `TSval`: the sender's clock.
    pub value: u32,
    /// `TSecr`: the clock value that it last had from us.
    pub echo: u32,
}

impl Options {
    /// No option.
    pub const NONE: Self = Self {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
        sack: SackBlocks::EMPTY,
        fast_open: None,
        layout: OptionLayout::Linux,
    };

    /// The options of a segment whose header was found to be right before; `None` when it is not.
    #[inline]
    pub fn of_segment(segment: &[u8]) -> Option<Self> {
        let header_len = usize::from(segment.get(12)? >> 4) * 4;
        let bytes = segment.get(MIN_HEADER_LEN..header_len)?;
        // Handed on as it is made: who takes it apart again waits for what was just stored.
        if let Some(usual) = UsualSyn::parse(bytes) {
            return Some(usual.into());
        }
        Self::parse_any(bytes).ok()
    }

    /// Reads the options of a segment: everything between fixed header and payload.
    ///
    /// They may be in any segment and begin anywhere (RFC 9293 MUST-4, MUST-5, MUST-64). Unknown
    /// kinds are stepped over by their length (RFC 9293 MUST-6, MUST-68), the user timeout's among
    /// them (RFC 5482-3c, RFC 5482-3.1a); a length that cannot be
    /// is [`Malformed::Option`] (RFC 9293 MUST-7).
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if let Ok(only) = <&[u8; TIMESTAMPS_ONLY_LEN]>::try_from(bytes)
            && let Some(timestamps) = parse_timestamps_only(only)
        {
            return Ok(Self { timestamps: Some(timestamps), ..Self::NONE });
        }
        if let Some(usual) = UsualSyn::parse(bytes) {
            return Ok(usual.into());
        }
        Self::parse_any(bytes)
    }

    /// Bytes that [`Options::write`] writes: 0 to 40, a multiple of 4.
    #[inline]
    pub const fn written_len(&self) -> usize {
        // What nearly every segment has, in line; the rest would bloat whoever writes a header.
        if !self.is_empty_but_timestamps() {
            return self.written_len_of_any();
        }
        if self.timestamps.is_some() { TIMESTAMPS_ONLY_LEN } else { 0 }
    }

    const fn written_len_of_any(&self) -> usize {
        let len = self.len_without_sack();
        match self.sack_blocks_written() {
            0 => len,
            blocks => len + 4 + 8 * blocks,
        }
    }

    /// Writes the options to the front of `out` and returns their length.
    ///
    /// SACK blocks for which forty bytes have no room are left out, the last ones first: with
    /// timestamps there is room for three (RFC 2018 3). So is a Fast Open option that finds no room
    /// (RFC 7413 4.2.2); none does beside those of a SYN, however long its cookie is.
    ///
    /// # Panics
    /// When `out` is shorter than [`Options::written_len`].
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> usize {
        match self.timestamps {
            Some(timestamps) if self.is_timestamps_only() => {
                write_timestamps(timestamps, out);
                TIMESTAMPS_ONLY_LEN
            }
            None if self.is_empty_but_timestamps() => 0,
            _ => self.write_any(out),
        }
    }

    /// Adds to `sum` what [`Options::write`] would write.
    #[inline]
    pub(super) fn add_to(&self, sum: Sum) -> Sum {
        match self.timestamps {
            Some(timestamps) if self.is_timestamps_only() => add_timestamps(sum, timestamps),
            None if self.is_empty_but_timestamps() => sum,
            _ => {
                let mut bytes = [0; OPTIONS_LEN_MAX];
                let len = self.write_any(&mut bytes);
                sum.add_bytes(&bytes[..len])
            }
        }
    }

    /// True when there is nothing, or timestamps alone.
    #[inline]
    pub const fn is_empty_but_timestamps(&self) -> bool {
        self.mss.is_none()
            && self.window_scale.is_none()
            && !self.sack_permitted
            && self.sack.is_empty()
            && self.fast_open.is_none()
    }

    #[inline]
    const fn is_timestamps_only(&self) -> bool {
        self.timestamps.is_some() && self.is_empty_but_timestamps()
    }

    #[inline]
    const fn len_without_sack(&self) -> usize {
        let len = self.len_of_others();
        match &self.fast_open {
            Some(option) if len + option.len() <= OPTIONS_LEN_MAX => {
                (len + option.len()).next_multiple_of(4)
            }
            _ => len.next_multiple_of(4),
        }
    }

    /// Without SACK blocks and Fast Open.
    #[inline]
    const fn len_of_others(&self) -> usize {
        if matches!(self.layout, OptionLayout::FreeBsd) {
            return freebsd::len(self);
        }
        let timestamps = if self.timestamps.is_some() { TIMESTAMPS_ONLY_LEN } else { 0 };
        let sack_permitted = self.sack_permitted && self.timestamps.is_none();
        let small = self.mss.is_some() as usize
            + self.window_scale.is_some() as usize
            + sack_permitted as usize;
        timestamps + 4 * small
    }

    /// How many SACK blocks fit: on other segments than SYNs at least three do.
    #[inline]
    const fn sack_blocks_written(&self) -> usize {
        let room = OPTIONS_LEN_MAX.saturating_sub(self.len_without_sack() + 4) / 8;
        if self.sack.len() < room { self.sack.len() } else { room }
    }

    fn parse_any(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let mut options = Self::NONE;
        loop {
            let (kind, len, rest) = match *bytes {
                [] | [END, ..] => return Ok(options),
                [NOP, ref rest @ ..] => {
                    bytes = rest;
                    continue;
                }
                [kind, len, ref rest @ ..] if len >= 2 => (kind, usize::from(len) - 2, rest),
                _ => return Err(Malformed::Option),
            };
            let Some((body, behind)) = rest.split_at_checked(len) else {
                return Err(Malformed::Option);
            };
            options.take(kind, body)?;
            bytes = behind;
        }
    }

    /// Takes in one option, given its bytes after kind and length.
    fn take(&mut self, kind: u8, body: &[u8]) -> Result<(), Malformed> {
        match (kind, body) {
            (MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            // RFC 7323-2.3f: a larger shift counts as 14.
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift.min(WINDOW_SCALE_MAX)),
            (SACK_PERMITTED, &[]) => self.sack_permitted = true,
            (TIMESTAMPS, _) => {
                let both = body.try_into().map_err(|_| Malformed::Option)?;
                self.timestamps = Some(Timestamps::from_u64(u64::from_be_bytes(both)));
            }
            (SACK, _) => return self.sack.take(body),
            // RFC 7413-4.1.1d: one with a length that cannot be is as none. The last one counts.
            (FAST_OPEN, _) => {
                self.fast_open = FastOpen::parse(body, false).or(self.fast_open);
            }
            (EXPERIMENT, &[a, b, ref body @ ..]) if [a, b] == EXPERIMENT_ID => {
                self.fast_open = FastOpen::parse(body, true).or(self.fast_open);
            }
            (MSS | WINDOW_SCALE | SACK_PERMITTED, _) => return Err(Malformed::Option),
            _ => {}
        }
        Ok(())
    }

    fn write_any(&self, out: &mut [u8]) -> usize {
        let len = self.written_len();
        let mut rest = &mut out[..len];
        let others = self.len_without_sack();
        if self.layout == OptionLayout::FreeBsd {
            freebsd::write(self, &mut rest[..others]);
        } else {
            self.write_linux(&mut rest[..others]);
        }
        rest = &mut rest[others..];
        let blocks = &self.sack.as_slice()[..self.sack_blocks_written()];
        if !blocks.is_empty() {
            let len = 2 + 8 * blocks.len() as u8;
            rest = put(rest, u32::from_be_bytes([NOP, NOP, SACK, len]));
            for &(left, right) in blocks {
                rest = put(rest, left);
                rest = put(rest, right);
            }
        }
        debug_assert!(rest.is_empty(), "written_len counts what is written");
        len
    }

    /// All but SACK blocks, in the usual order.
    fn write_linux(&self, mut rest: &mut [u8]) {
        if let Some(mss) = self.mss {
            rest = put(rest, (u32::from(MSS) << 24) | (4 << 16) | u32::from(mss));
        }
        if let Some(timestamps) = self.timestamps {
            let prefix = if self.sack_permitted { SACK_AND_TIMESTAMPS } else { TIMESTAMPS_PREFIX };
            rest = put(rest, prefix);
            rest = put(rest, timestamps.value);
            rest = put(rest, timestamps.echo);
        } else if self.sack_permitted {
            rest = put(rest, u32::from_be_bytes([NOP, NOP, SACK_PERMITTED, 2]));
        }
        if let Some(shift) = self.window_scale {
            rest = put(rest, u32::from_be_bytes([NOP, WINDOW_SCALE, 3, shift]));
        }
        if let Some(option) = self.fast_open
            && !rest.is_empty()
        {
            let len = option.write(rest);
            rest[len..].fill(NOP);
        }
    }
}

impl Timestamps {
    #[inline]
    const fn from_u64(both: u64) -> Self {
        Self { value: (both >> 32) as u32, echo: both as u32 }
    }

    #[inline]
    const fn to_u64(self) -> u64 {
        ((self.value as u64) << 32) | self.echo as u64
    }
}

/// The twelve bytes `NOP NOP TIMESTAMPS`, on nearly every segment of a modern connection.
#[inline]
pub(super) fn parse_timestamps_only(b: &[u8; TIMESTAMPS_ONLY_LEN]) -> Option<Timestamps> {
    if u32::from_be_bytes([b[0], b[1], b[2], b[3]]) != TIMESTAMPS_PREFIX {
        return None;
    }
    b.last_chunk().map(|both| Timestamps::from_u64(u64::from_be_bytes(*both)))
}

/// Writes the timestamps option as it stands alone.
///
/// # Panics
/// When `out` is shorter than it.
#[inline]
pub(super) fn write_timestamps(timestamps: Timestamps, out: &mut [u8]) {
    let Some(out) = out.first_chunk_mut::<TIMESTAMPS_ONLY_LEN>() else {
        panic!("no room for the timestamps option");
    };
    out[..4].copy_from_slice(&TIMESTAMPS_PREFIX.to_be_bytes());
    out[4..].copy_from_slice(&timestamps.to_u64().to_be_bytes());
}

/// Adds what [`write_timestamps`] writes.
#[inline]
pub(super) fn add_timestamps(sum: Sum, timestamps: Timestamps) -> Sum {
    sum.add_u32(TIMESTAMPS_PREFIX).add_u64(timestamps.to_u64())
}

/// Writes one word and gives the room behind it.
fn put(out: &mut [u8], word: u32) -> &mut [u8] {
    let (place, rest) = out.split_at_mut(4);
    place.copy_from_slice(&word.to_be_bytes());
    rest
}

/// The largest window shift (RFC 7323 2.3).
pub const WINDOW_SCALE_MAX: u8 = 14;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

pub(super) const OPTIONS_LEN_MAX: usize = 40;
pub(super) const TIMESTAMPS_ONLY_LEN: usize = 12;
pub(crate) const TIMESTAMPS_PREFIX: u32 = u32::from_be_bytes([NOP, NOP, TIMESTAMPS, 10]);
const SACK_AND_TIMESTAMPS: u32 = u32::from_be_bytes([SACK_PERMITTED, 2, TIMESTAMPS, 10]);

#[cfg(test)]
mod tests;
