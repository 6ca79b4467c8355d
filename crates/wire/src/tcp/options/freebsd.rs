//! The options of a SYN in FreeBSD's order: each aligned by NOPs in front of it, the end padded.
//!
//! ```text
//!   MSS 4 mm mm    NOP WS 3 s    SACKOK 2    TS 10 vvvv eeee    FO n cccc ..    END 0
//! ```

use super::{END, MSS, NOP, Options, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};

/// Octets of all but SACK and Fast Open, without the padding at the end.
pub(super) const fn len(options: &Options) -> usize {
    let mut len = 0usize;
    if options.mss.is_some() {
        len += 4;
    }
    if options.window_scale.is_some() {
        len += 4;
    }
    if options.sack_permitted {
        len += 2;
    }
    if options.timestamps.is_some() {
        // Two octets behind a word, so that the two clock values are aligned.
        len = aligned_for_clocks(len) + 10;
    }
    len
}

/// Where a timestamps option begins at or after `at`.
const fn aligned_for_clocks(at: usize) -> usize {
    if at % 4 == 2 { at } else { at.next_multiple_of(4) + 2 }
}

/// Fills `out` with all but SACK blocks.
pub(super) fn write(options: &Options, out: &mut [u8]) {
    // What is not written below pads the end: RFC 9293 MUST-69.
    out.fill(END);
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
        at
    };
    let mut end = 0;
    if let Some(mss) = options.mss {
        let [a, b] = mss.to_be_bytes();
        end = put(&[MSS, 4, a, b]);
    }
    if let Some(shift) = options.window_scale {
        end = put(&[NOP, WINDOW_SCALE, 3, shift]);
    }
    if options.sack_permitted {
        end = put(&[SACK_PERMITTED, 2]);
    }
    if let Some(timestamps) = options.timestamps {
        for _ in end..aligned_for_clocks(end) {
            put(&[NOP]);
        }
        put(&[TIMESTAMPS, 10]);
        end = put(&timestamps.to_u64().to_be_bytes());
    }
    if let Some(option) = options.fast_open
        && out.len() >= end + option.len()
    {
        option.write(&mut out[end..]);
    }
}
