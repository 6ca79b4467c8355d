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

/// What they say, besides that SACK is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsualSyn {
    /// The largest segment that the sender takes.
    pub mss: u16,
    /// The sender's clock, and ours come back.
    pub timestamps: Timestamps,
    /// The shift of the sender's windows, at most [`WINDOW_SCALE_MAX`].
    pub window_scale: u8,
}

impl UsualSyn {
    /// Bytes that they take.
    pub const LEN: usize = 20;

    /// The same, for options that are just these.
    #[inline]
    pub fn of(options: &Options) -> Option<Self> {
        let (mss, timestamps) = (options.mss?, options.timestamps?);
        let window_scale = options.window_scale?;
        let others = !options.sack.is_empty() || options.fast_open.is_some();
        if others || !options.sack_permitted || options.layout != OptionLayout::Linux {
            return None;
        }
        Some(Self { mss, timestamps, window_scale })
    }

    /// Reads bytes that are just these options.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let words = <&[[u8; 4]; 5]>::try_from(words).ok().filter(|_| rest.is_empty())?;
        let [mss, prefix, value, echo, scale] = words.map(u32::from_be_bytes);
        let fits = mss & !0xffff == MSS_PREFIX
            && prefix == SACK_AND_TIMESTAMPS
            && scale & !0xff == WINDOW_SCALE_PREFIX;
        fits.then(|| Self {
            mss: mss as u16,
            timestamps: Timestamps { value, echo },
            // RFC 7323-2.3f: a larger shift counts as 14.
            window_scale: (scale as u8).min(WINDOW_SCALE_MAX),
        })
    }

    /// The five words.
    #[inline]
    pub(crate) fn words(&self) -> [u32; 5] {
        [
            MSS_PREFIX | u32::from(self.mss),
            SACK_AND_TIMESTAMPS,
            self.timestamps.value,
            self.timestamps.echo,
            WINDOW_SCALE_PREFIX | u32::from(self.window_scale),
        ]
    }
}

impl From<UsualSyn> for Options {
    #[inline]
    fn from(syn: UsualSyn) -> Self {
        Self {
            mss: Some(syn.mss),
            window_scale: Some(syn.window_scale),
            sack_permitted: true,
            timestamps: Some(syn.timestamps),
            ..Self::NONE
        }
    }
}

const MSS_PREFIX: u32 = u32::from_be_bytes([MSS, 4, 0, 0]);
const WINDOW_SCALE_PREFIX: u32 = u32::from_be_bytes([NOP, WINDOW_SCALE, 3, 0]);
