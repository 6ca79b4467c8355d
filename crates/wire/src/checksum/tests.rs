use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::tests::{any_v4, any_v6, bytes, checksum_by_the_book, pseudo_v6_bytes};

/// Bytes without a pattern that a wrong sum could hide in.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn the_example_of_rfc_1071_section_3() {
    let sum = Sum::ZERO.add_bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    assert_eq!(sum.partial(), 0xddf2);
    assert_eq!(sum.finish(), 0x220d);
}

#[test]
fn a_header_with_a_known_checksum() {
    let header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];
    assert!(verify(Sum::ZERO.add_bytes(&header)));
    let mut blank = header;
    blank[10..12].fill(0);
    assert_eq!(Sum::ZERO.add_bytes(&blank).finish(), 0xb861);
}

#[test]
fn every_length_at_every_alignment_is_as_by_the_book() {
    let noise = noise(700 + 64);
    for start in 0..64 {
        for len in 0..700 {
            let part = &noise[start..start + len];
            let expected = checksum_by_the_book(part);
            assert_eq!(Sum::ZERO.add_bytes(part).finish(), expected, "{len} bytes at {start}");
        }
    }
}

#[test]
fn long_runs_of_ones_bring_every_carry_round() {
    for len in [64, 128, 1_460, 9_000, 65_535, 1 << 20] {
        let ones = vec![0xff; len];
        assert_eq!(Sum::ZERO.add_bytes(&ones).finish(), checksum_by_the_book(&ones), "{len}");
    }
}

#[test]
fn sums_at_the_edge_of_64_bits_fold_right() {
    let all = Sum::ZERO.add_u64(u64::MAX);
    assert_eq!(all.finish(), 0);
    assert_eq!(all.add_u64(u64::MAX).add_u16(1).partial(), 1);
    assert_eq!(all.add_sum(all).add_u32(0x0001_0002).partial(), 3);
}

#[test]
fn nothing_sums_to_zero_and_zeros_do_not_pass_as_a_checksum() {
    assert_eq!(Sum::ZERO.finish(), 0xffff);
    assert!(!verify(Sum::ZERO.add_bytes(&[0; 40])));
    assert!(verify(Sum::ZERO.add_bytes(&[0; 38]).add_u16(0xffff)));
}

#[test]
fn a_checksum_of_zero_is_stored_as_its_twin_where_zero_means_none() {
    let sum = Sum::ZERO.add_u16(0xffff);
    assert_eq!(sum.finish(), 0);
    assert_eq!(sum.finish_nonzero(), 0xffff);
    assert_eq!(Sum::ZERO.add_u16(0x1234).finish_nonzero(), !0x1234);
}

#[test]
fn the_example_of_rfc_1624_section_4() {
    assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

#[test]
fn copy_and_sum_copies_every_length_and_leaves_the_rest() {
    let noise = noise(300);
    for len in 0..300 {
        let mut copy = [0xa5; 320];
        let sum = copy_and_sum(&mut copy, &noise[..len]);
        assert_eq!(sum.finish(), checksum_by_the_book(&noise[..len]));
        assert_eq!(copy[..len], noise[..len]);
        assert!(copy[len..].iter().all(|byte| *byte == 0xa5), "wrote behind {len} bytes");
    }
}

#[test]
#[should_panic(expected = "range end index 3")]
fn copy_and_sum_refuses_a_short_destination() {
    let _ = copy_and_sum(&mut [0; 2], &[1, 2, 3]);
}

proptest! {
    #[test]
    fn pieces_sum_to_the_whole(data in bytes(0..2_000), cut in any::<prop::sample::Index>()) {
        let (front, back) = data.split_at(cut.index(data.len() + 1));
        let (first, second) = (Sum::ZERO.add_bytes(front), Sum::ZERO.add_bytes(back));
        let whole = if front.len().is_multiple_of(2) {
            first.add_sum(second)
        } else {
            first.add_sum_at_odd(second)
        };
        prop_assert_eq!(whole.finish(), checksum_by_the_book(&data));
    }

    #[test]
    fn fields_count_as_their_bytes(a: u16, b: u32, c: u64) {
        let mut laid_out = a.to_be_bytes().to_vec();
        laid_out.extend(b.to_be_bytes());
        laid_out.extend(c.to_be_bytes());
        let sum = Sum::ZERO.add_u16(a).add_u32(b).add_u64(c);
        prop_assert_eq!(sum.finish(), checksum_by_the_book(&laid_out));
    }

    #[test]
    fn pseudo_v4_counts_as_its_bytes(
        src in any_v4(), dst in any_v4(), protocol: u8, len: u16,
    ) {
        let mut laid_out = src.octets().to_vec();
        laid_out.extend(dst.octets());
        laid_out.extend([0, protocol]);
        laid_out.extend(len.to_be_bytes());
        let sum = Sum::pseudo_v4(src, dst, Protocol(protocol), len);
        prop_assert_eq!(sum.finish(), checksum_by_the_book(&laid_out));
    }

    #[test]
    fn pseudo_v6_counts_as_its_bytes(
        src in any_v6(), dst in any_v6(), protocol: u8, len: u32,
    ) {
        let laid_out = pseudo_v6_bytes(src, dst, protocol, len);
        let sum = Sum::pseudo_v6(src, dst, Protocol(protocol), len);
        prop_assert_eq!(sum.finish(), checksum_by_the_book(&laid_out));
    }

    #[test]
    fn an_update_equals_a_new_sum(
        data in prop::collection::vec(any::<u16>(), 1..100),
        place in any::<prop::sample::Index>(),
        new in prop_oneof![Just(0u16), Just(0xffff), any::<u16>()],
    ) {
        // As in every real header, something beside the changed word is not zero (RFC 1624 3).
        let mut data = data;
        data.push(0x4500);
        let place = place.index(data.len() - 1);
        let before = data.iter().fold(Sum::ZERO, |sum, word| sum.add_u16(*word)).finish();
        let old = core::mem::replace(&mut data[place], new);
        let after = data.iter().fold(Sum::ZERO, |sum, word| sum.add_u16(*word)).finish();
        prop_assert_eq!(update(before, old, new), after);
    }

    #[test]
    fn every_single_flipped_bit_is_seen(data in bytes(2..80)) {
        let mut data = data;
        data.truncate(data.len() & !1);
        let checksum = Sum::ZERO.add_bytes(&data).finish();
        data.extend(checksum.to_be_bytes());
        prop_assert!(verify(Sum::ZERO.add_bytes(&data)));
        for bit in 0..data.len() * 8 {
            data[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify(Sum::ZERO.add_bytes(&data)), "bit {} passed", bit);
            data[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
