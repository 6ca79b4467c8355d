use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::tcp::tests::any_options;
use crate::tests::bytes;

const TS: Timestamps = Timestamps { value: 0x0102_0304, echo: 0x0506_0708 };

fn sack(blocks: &[(u32, u32)]) -> SackBlocks {
    let mut sack = SackBlocks::EMPTY;
    for &(left, right) in blocks {
        assert!(sack.push(left, right));
    }
    sack
}

fn written(options: &Options) -> Vec<u8> {
    let mut out = [0xee; 40];
    let len = options.write(&mut out);
    assert_eq!(len, options.written_len());
    assert!(out[len..].iter().all(|byte| *byte == 0xee), "wrote behind its length");
    out[..len].to_vec()
}

#[test]
fn the_syn_of_linux_both_ways() {
    let bytes = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];
    let options = Options {
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { echo: 0, ..TS }),
        sack: SackBlocks::EMPTY,
        ..Options::NONE
    };
    assert_eq!(Options::parse(&bytes), Ok(options));
    assert_eq!(written(&options), bytes);
}

#[test]
fn without_timestamps_sack_permitted_is_padded() {
    let options = Options { mss: Some(536), sack_permitted: true, ..Options::NONE };
    assert_eq!(written(&options), [2, 4, 0x02, 0x18, 1, 1, 4, 2]);
}

#[test]
fn the_twelve_bytes_of_timestamps_both_ways() {
    let bytes = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    let options = Options { timestamps: Some(TS), ..Options::NONE };
    assert_eq!(Options::parse(&bytes), Ok(options));
    assert_eq!(written(&options), bytes);
}

#[test]
fn timestamps_in_any_other_place_are_found_too() {
    for bytes in [
        [8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1],
        [8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0],
        [1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0],
    ] {
        let options = Options::parse(&bytes).unwrap();
        assert_eq!(options, Options { timestamps: Some(TS), ..Options::NONE }, "{bytes:?}");
    }
}

#[test]
fn timestamps_with_two_sack_blocks() {
    let options = Options {
        timestamps: Some(TS),
        sack: sack(&[(0x10, 0x20), (0xffff_fff0, 5)]),
        ..Options::NONE
    };
    let bytes = [
        1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 18, 0, 0, 0, 0x10, 0, 0, 0, 0x20, 0xff, 0xff,
        0xff, 0xf0, 0, 0, 0, 5,
    ];
    assert_eq!(written(&options), bytes);
    assert_eq!(Options::parse(&bytes), Ok(options));
}

#[test]
fn sack_blocks_that_do_not_fit_are_left_out_from_the_end() {
    let four = sack(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
    let plain = Options { sack: four, ..Options::NONE };
    assert_eq!(written(&plain).len(), 36);
    let stamped = Options { timestamps: Some(TS), ..plain };
    let bytes = written(&stamped);
    assert_eq!(bytes.len(), 40);
    let read = Options::parse(&bytes).unwrap();
    assert_eq!(read.sack.as_slice(), &four.as_slice()[..3]);
    let full = Options { mss: Some(1), window_scale: Some(1), sack_permitted: true, ..stamped };
    let read = Options::parse(&written(&full)).unwrap();
    assert_eq!(read.sack.as_slice(), &four.as_slice()[..2]);
}

#[test]
fn a_fifth_sack_block_is_not_taken() {
    let mut blocks = sack(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
    assert!(!blocks.push(9, 10));
    assert_eq!(blocks.len(), 4);
    assert_eq!(blocks.as_slice().last(), Some(&(7, 8)));
}

#[test]
fn unknown_kinds_are_stepped_over_and_the_end_is_the_end() {
    // Kind 30 is MPTCP, 35 nobody's; behind the end stands what would be a bad length.
    let bytes = [30, 4, 9, 9, 35, 2, 3, 3, 2, 0, 2, 0];
    let options = Options::parse(&bytes).unwrap();
    assert_eq!(options, Options { window_scale: Some(2), ..Options::NONE });
}

#[test]
fn a_window_shift_above_14_counts_as_14() {
    for (shift, taken) in [(0, 0), (14, 14), (15, 14), (255, 14)] {
        let options = Options::parse(&[3, 3, shift, 1]).unwrap();
        assert_eq!(options.window_scale, Some(taken));
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let bad: [&[u8]; 13] = [
        &[30, 0, 1, 1],
        &[30, 1, 1, 1],
        &[30, 5, 1, 1],
        &[1, 1, 1, 30],
        &[2, 3, 1, 1],
        &[2, 2, 1, 1],
        &[2, 5, 1, 1, 1, 1, 1, 1],
        &[3, 2, 1, 1],
        &[3, 4, 1, 1],
        &[4, 3, 1, 1],
        &[8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1],
        &[5, 2, 1, 1],
        &[5, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1],
    ];
    for bytes in bad {
        assert_eq!(Options::parse(bytes), Err(Malformed::Option), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(options in any_options()) {
        let bytes = written(&options);
        prop_assert!(bytes.len().is_multiple_of(4) && bytes.len() <= 40);
        prop_assert_eq!(Options::parse(&bytes), Ok(options));
        let sum = options.add_to(Sum::ZERO);
        prop_assert_eq!(sum.finish(), Sum::ZERO.add_bytes(&bytes).finish());
    }

    #[test]
    fn no_options_make_it_panic(
        parts in prop::collection::vec(
            (prop::sample::select(vec![0u8, 1, 2, 3, 4, 5, 8, 30]), 0u8..36, bytes(0..10)), 0..8,
        ),
    ) {
        let mut raw = Vec::new();
        for (kind, len, body) in parts {
            raw.extend([kind, len]);
            raw.extend(body);
        }
        raw.truncate(40);
        if let Ok(options) = Options::parse(&raw) {
            // What was read can be written, and is then read the same way but for lost blocks.
            let again = Options::parse(&written(&options)).unwrap();
            prop_assert!(options.sack.as_slice().starts_with(again.sack.as_slice()));
            prop_assert_eq!(Options { sack: options.sack, ..again }, options);
        }
    }
}

/// Every SYN that FreeBSD's order can make, against bytes written down by hand.
#[test]
fn freebsd_writes_mss_scale_sack_and_timestamps_and_pads_the_end() {
    let all = Options {
        mss: Some(1460),
        window_scale: Some(6),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 0x0102_0304, echo: 0x0506_0708 }),
        layout: OptionLayout::FreeBsd,
        ..Options::NONE
    };
    let clocks = [8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    let head = [2, 4, 5, 180, 1, 3, 3, 6, 4, 2];
    assert_eq!(written(&all), [&head[..], &clocks].concat());
    let no_clock = Options { timestamps: None, ..all };
    assert_eq!(written(&no_clock), [&head[..], &[0, 0]].concat());
    let no_sack = Options { sack_permitted: false, ..all };
    assert_eq!(written(&no_sack), [&head[..8], &[1, 1], &clocks].concat());
    let mss_only = Options { mss: Some(1460), layout: OptionLayout::FreeBsd, ..Options::NONE };
    assert_eq!(written(&mss_only), [2, 4, 5, 180]);
    let parsed = Options::parse(&written(&all)).unwrap();
    assert_eq!(parsed, Options { layout: OptionLayout::Linux, ..all });
}

fn cookie(octets: &[u8]) -> FastOpenCookie {
    FastOpenCookie::new(octets).unwrap()
}

/// RFC 7413-4.1.1a: kind 34 is written, padded behind; RFC 7413 4.2.1: an empty one asks.
#[test]
fn a_fast_open_cookie_and_the_request_for_one_both_ways() {
    let fast_open =
        Some(FastOpen { cookie: cookie(&[1, 2, 3, 4, 5, 6, 7, 8]), experimental: false });
    let options = Options { mss: Some(1460), fast_open, ..Options::NONE };
    let bytes = [2, 4, 0x05, 0xb4, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
    assert_eq!(written(&options), bytes);
    assert_eq!(Options::parse(&bytes), Ok(options));
    let options = Options { fast_open: Some(FastOpen::REQUEST), ..Options::NONE };
    assert_eq!(written(&options), [34, 2, 1, 1]);
    assert_eq!(Options::parse(&[34, 2, 0, 0]), Ok(options));
}

#[test]
fn the_experimental_fast_open_option_both_ways() {
    let fast_open = Some(FastOpen { cookie: cookie(&[9, 8, 7, 6]), experimental: true });
    let options = Options { fast_open, ..Options::NONE };
    let bytes = [254, 8, 0xf9, 0x89, 9, 8, 7, 6];
    assert_eq!(written(&options), bytes);
    assert_eq!(Options::parse(&bytes), Ok(options));
    // Another experiment of the same kind (RFC 6994 3.1).
    assert_eq!(Options::parse(&[254, 8, 0xf9, 0x88, 9, 8, 7, 6]), Ok(Options::NONE));
    assert_eq!(Options::parse(&[254, 3, 0xf9, 0]), Ok(Options::NONE));
}

/// RFC 7413-4.1.1d: an option with a length that cannot be is ignored, and nothing else with it.
#[test]
fn a_fast_open_option_of_an_impossible_length_is_ignored() {
    for len in 1..=18 {
        let mut bytes = vec![34, len as u8 + 2];
        bytes.extend(vec![7; len]);
        bytes.extend([3, 3, 7]);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let options = Options::parse(&bytes).unwrap();
        assert_eq!(options.window_scale, Some(7));
        let good = len.is_multiple_of(2) && (4..=16).contains(&len);
        assert_eq!(options.fast_open.is_some(), good, "{len} octets");
        assert_eq!(FastOpenCookie::new(&vec![7; len]).is_some(), good, "{len} octets");
    }
}

/// RFC 7413 4.2.2: a SYN with all of our options has room for the longest cookie.
#[test]
fn the_longest_cookie_fits_beside_the_options_of_a_syn() {
    for layout in [OptionLayout::Linux, OptionLayout::FreeBsd] {
        for experimental in [false, true] {
            let fast_open = Some(FastOpen { cookie: cookie(&[0xab; 16]), experimental });
            let options = Options {
                mss: Some(1_460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: Some(TS),
                fast_open,
                layout,
                ..Options::NONE
            };
            assert_eq!(written(&options).len(), 40);
            let layout = OptionLayout::Linux;
            assert_eq!(Options::parse(&written(&options)), Ok(Options { layout, ..options }));
        }
    }
}

/// The words are what the general way writes, and reads.
#[test]
fn the_words_of_a_syn_are_its_bytes() {
    for (mss, shift, echo) in [(1_460, 7, 0), (0, 0, u32::MAX), (u16::MAX, 14, 5)] {
        let options = Options {
            mss: Some(mss),
            window_scale: Some(shift),
            sack_permitted: true,
            timestamps: Some(Timestamps { echo, ..TS }),
            ..Options::NONE
        };
        let words = UsualSyn::of(&options).unwrap().words();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(bytes, written(&options));
        assert_eq!(UsualSyn::parse(&bytes).map(Options::from), Some(options));
    }
    let large_shift = [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 200];
    assert_eq!(UsualSyn::parse(&large_shift).unwrap().window_scale, 14);
}

#[test]
fn options_that_are_not_just_those_of_a_syn_have_no_words() {
    let whole = Options {
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(TS),
        ..Options::NONE
    };
    let others = [
        Options { mss: None, ..whole },
        Options { window_scale: None, ..whole },
        Options { sack_permitted: false, ..whole },
        Options { timestamps: None, ..whole },
        Options { sack: sack(&[(1, 2)]), ..whole },
        Options { fast_open: FastOpen::parse(&[], false), ..whole },
        Options { layout: OptionLayout::FreeBsd, ..whole },
    ];
    for options in others {
        assert_eq!(UsualSyn::of(&options), None, "{options:?}");
        assert_eq!(UsualSyn::parse(&written(&options)), None, "{options:?}");
    }
}
