//! The options of nearly every SYN, and of its answer: all four that there are for it, in the order
//! of Linux. They are five whole words, and need no loop over bytes.
//!
//! ```text
//!   | MSS 4 mm mm | SACKOK 2 TS 10 | value | echo | NOP WS 3 s |
//! ```

use super::{
    MSS, NOP, OptionLayout, Options, SACK_AND_TIMESTAMPS, Timestamps, WINDOW_SCALE,
    WINDOW_SCALE_MAX,
};

/// The five words, for options that are just these.
#[inline]
pub(in crate::tcp) fn words(options: &Options) -> Option<[u32; 5]> {
    let (mss, timestamps, shift) = (options.mss?, options.timestamps?, options.window_scale?);
    let others = !options.sack.is_empty() || options.fast_open.is_some();
    if others || !options.sack_permitted || options.layout != OptionLayout::Linux {
        return None;
    }
    Some([
        MSS_PREFIX | u32::from(mss),
        SACK_AND_TIMESTAMPS,
        timestamps.value,
        timestamps.echo,
        WINDOW_SCALE_PREFIX | u32::from(shift),
    ])
}

/// The reverse of [`words`], for bytes that are just these options.
#[inline]
pub(super) fn parse(bytes: &[u8]) -> Option<Options> {
    let (words, rest) = bytes.as_chunks::<4>();
    let words = <&[[u8; 4]; 5]>::try_from(words).ok().filter(|_| rest.is_empty())?;
    let [mss, prefix, value, echo, scale] = words.map(u32::from_be_bytes);
    let fits = mss & !0xffff == MSS_PREFIX
        && prefix == SACK_AND_TIMESTAMPS
        && scale & !0xff == WINDOW_SCALE_PREFIX;
    fits.then(|| Options {
        mss: Some(mss as u16),
        // RFC 7323-2.3f: a larger shift counts as 14.
        window_scale: Some((scale as u8).min(WINDOW_SCALE_MAX)),
        sack_permitted: true,
        timestamps: Some(Timestamps { value, echo }),
        ..Options::NONE
    })
}

const MSS_PREFIX: u32 = u32::from_be_bytes([MSS, 4, 0, 0]);
const WINDOW_SCALE_PREFIX: u32 = u32::from_be_bytes([NOP, WINDOW_SCALE, 3, 0]);
