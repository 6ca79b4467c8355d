//! What the secrets promise: the same question, the same answer; any other question, another one.

use proptest::prelude::*;

use super::{MSS_OF_CLASS, Secrets, SynOptions, class_mss, fast_open_cookie, mss_class};
use crate::hash::FlowKey;
use crate::tcp::FastOpenKey;

fn secrets() -> Secrets {
    Secrets::new(core::array::from_fn(|i| i as u8))
}

const FLOW: FlowKey = FlowKey {
    remote: 0xffff_c000_0201,
    local: 0xffff_c633_6401,
    remote_port: 40_000,
    local_port: 443,
};

/// RFC 6528-3a, RFC 9293 MUST-8.
#[test]
fn initial_sequence_numbers_of_a_flow_grow_by_one_each_4_us() {
    let secrets = secrets();
    let first = secrets.isn(&FLOW, 1_000_000);
    assert_eq!(secrets.isn(&FLOW, 1_000_003), first);
    assert_eq!(secrets.isn(&FLOW, 1_000_004), first.wrapping_add(1));
    assert_eq!(secrets.isn(&FLOW, 2_000_000), first.wrapping_add(250_000));
}

/// RFC 6528-3b, RFC 9293 MUST-9, SHLD-1: who knows some of them knows nothing of others.
#[test]
fn initial_sequence_numbers_of_other_flows_and_other_hosts_are_unrelated() {
    let secrets = secrets();
    let mut seed = core::array::from_fn(|i| i as u8);
    seed[31] ^= 0x80;
    let other_host = Secrets::new(seed);
    let isn = secrets.isn(&FLOW, 0);
    assert_ne!(other_host.isn(&FLOW, 0), isn);
    for port in 0..1000 {
        let next = FlowKey { remote_port: port, ..FLOW };
        assert!(secrets.isn(&next, 0).wrapping_sub(isn) > 1000, "port {port} is near");
    }
    let back = FlowKey {
        remote: FLOW.local,
        local: FLOW.remote,
        remote_port: FLOW.local_port,
        local_port: FLOW.remote_port,
    };
    assert_ne!(secrets.isn(&back, 0), isn);
}

#[test]
fn a_cookie_is_good_for_one_to_two_minutes() {
    let secrets = secrets();
    for sent_min in [0, 31, 32, 1000, u32::MAX] {
        let cookie = secrets.cookie(&FLOW, 77, 6, sent_min);
        let check_after = |min| secrets.check(&FLOW, 77, cookie, sent_min.wrapping_add(min));
        assert_eq!(check_after(0), Some(6));
        assert_eq!(check_after(1), Some(6));
        for min in 2..200 {
            assert_eq!(check_after(min), None, "{min} minutes, also when the count comes round");
        }
        assert_eq!(check_after(u32::MAX), None, "from a minute to come");
    }
}

#[test]
fn a_cookie_is_good_for_its_flow_and_its_syn_only() {
    let secrets = secrets();
    let cookie = secrets.cookie(&FLOW, 77, 3, 5);
    let others = [
        FlowKey { remote: FLOW.remote + 1, ..FLOW },
        FlowKey { local: FLOW.local + 1, ..FLOW },
        FlowKey { remote_port: FLOW.remote_port + 1, ..FLOW },
        FlowKey { local_port: FLOW.local_port + 1, ..FLOW },
    ];
    for other in others {
        assert_eq!(secrets.check(&other, 77, cookie, 5), None, "{other:?}");
    }
    assert_eq!(secrets.check(&FLOW, 78, cookie, 5), None);
    let other_host = Secrets::new([9; 32]);
    assert_eq!(other_host.check(&FLOW, 77, cookie, 5), None);
}

/// A segment of the first window is not taken for the first one of it, which was lost: the octets
/// before it would be missing, and nobody would know.
#[test]
fn a_cookie_is_not_good_for_any_later_segment_of_its_window() {
    let secrets = secrets();
    let cookie = secrets.cookie(&FLOW, 77, 3, 5);
    for later in 1..=u32::from(u16::MAX) {
        let seen = secrets.check(&FLOW, 77 + later, cookie, 5);
        assert_eq!(seen, None, "{later} octets on");
    }
}

/// Octets that overtake the segment with the cookie are known by its flow; acknowledgments of
/// octets that we sent since are not taken for it.
#[test]
fn a_cookie_is_known_by_its_flow_whatever_the_sequence_number() {
    let secrets = secrets();
    let cookie = secrets.cookie(&FLOW, 77, 3, 5);
    assert!(secrets.is_of_flow(&FLOW, cookie, 5));
    assert!(!secrets.is_of_flow(&FlowKey { remote_port: 1, ..FLOW }, cookie, 5));
    assert!(!secrets.is_of_flow(&FLOW, cookie, 8));
    for sent in 1..4096 {
        assert!(!secrets.is_of_flow(&FLOW, cookie.wrapping_add(sent), 5), "{sent} octets on");
    }
}

#[test]
fn each_flipped_bit_spoils_a_cookie() {
    let secrets = secrets();
    let cookie = secrets.cookie(&FLOW, 77, 3, 5);
    for bit in 0..32 {
        assert_eq!(secrets.check(&FLOW, 77, cookie ^ 1 << bit, 5), None, "bit {bit}");
    }
}

#[test]
fn random_numbers_are_hardly_ever_cookies() {
    let secrets = secrets();
    let guesses = (0..1_000_000_u32).map(|i| i.wrapping_mul(0x9e37_79b9));
    let good = guesses.filter(|&guess| secrets.check(&FLOW, 77, guess, 5).is_some()).count();
    assert!(good <= 2, "{good} of a million; one in 268 million is to be expected");
}

#[test]
fn mss_classes_round_down_and_come_back() {
    let secrets = secrets();
    for (class, &mss) in (0..).zip(&MSS_OF_CLASS) {
        assert_eq!(mss_class(mss), class);
        assert_eq!(class_mss(class), mss);
        let cookie = secrets.cookie(&FLOW, 1, class, 1);
        assert_eq!(secrets.check(&FLOW, 1, cookie, 2), Some(class));
    }
    for mss in 64..=u16::MAX {
        assert!(class_mss(mss_class(mss)) <= mss);
    }
    assert_eq!(class_mss(mss_class(1459)), 1440);
    assert_eq!(class_mss(mss_class(0)), 64);
}

#[test]
fn ports_are_offset_by_where_a_connection_goes_and_by_the_secret() {
    let secrets = secrets();
    let offset = secrets.port_offset(1, 2, 80);
    assert_eq!(secrets.port_offset(1, 2, 80), offset);
    assert_ne!(secrets.port_offset(1, 2, 81), offset);
    assert_ne!(secrets.port_offset(1, 3, 80), offset);
    assert_ne!(secrets.port_offset(2, 2, 80), offset);
    assert_ne!(Secrets::new([7; 32]).port_offset(1, 2, 80), offset);
}

#[test]
fn timestamps_have_one_offset_for_each_pair_of_hosts() {
    let secrets = secrets();
    assert_eq!(secrets.ts_offset(1, 2), secrets.ts_offset(1, 2));
    assert_ne!(secrets.ts_offset(1, 2), secrets.ts_offset(1, 3));
    assert_ne!(secrets.ts_offset(1, 2), secrets.port_offset(1, 2, 0), "keys of their own");
}

#[test]
fn the_secrets_are_not_printed() {
    assert_eq!(alloc::format!("{:?}", secrets()), "Secrets");
}

proptest! {
    #[test]
    fn options_come_back_in_a_timestamp_that_is_not_ahead(
        value in any::<u32>(),
        window_scale in prop::option::of(0_u8..=14),
        sack_permitted in any::<bool>(),
        ecn in any::<bool>(),
    ) {
        let options = SynOptions { window_scale, sack_permitted, ecn };
        let sent = options.encode(value);
        prop_assert_eq!(SynOptions::decode(sent), options);
        prop_assert!(value.wrapping_sub(sent) < 128);
    }

    #[test]
    fn a_cookie_is_checked_by_whoever_made_it(
        seed in any::<[u8; 32]>(),
        words in any::<(u128, u128, u16, u16)>(),
        irs in any::<u32>(),
        class in 0_u8..8,
        tick_min in any::<u32>(),
    ) {
        let (remote, local, remote_port, local_port) = words;
        let key = FlowKey { remote, local, remote_port, local_port };
        let secrets = Secrets::new(seed);
        let cookie = secrets.cookie(&key, irs, class, tick_min);
        prop_assert_eq!(secrets.check(&key, irs, cookie, tick_min), Some(class));
    }
}

/// RFC 7413-4.1.2a, RFC 7413 6.3.4: the cookies that Linux gives under the same key, in both
/// families.
#[test]
fn fast_open_cookies_are_those_of_the_function_that_linux_has() {
    let words: [u32; 4] = [0xa0bf_63f7, 0xed80_3d81, 0xcd64_1d30, 0xcebc_4a90];
    let mut key = [0; 16];
    for (word, place) in words.iter().zip(key.chunks_exact_mut(4)) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let key = FastOpenKey(key);
    let v4 = |a: [u8; 4]| core::net::Ipv4Addr::from(a).to_ipv6_mapped().to_bits();
    let cookie = fast_open_cookie(key, v4([10, 248, 0, 2]), v4([192, 168, 0, 2]));
    assert_eq!(cookie, [0x00, 0xab, 0xaa, 0xab, 0xe8, 0xe9, 0x54, 0xc2]);
    let back = fast_open_cookie(key, v4([192, 168, 0, 2]), v4([10, 248, 0, 2]));
    assert_ne!(back, cookie);
    let other = fast_open_cookie(FastOpenKey([0; 16]), v4([10, 248, 0, 2]), v4([192, 168, 0, 2]));
    assert_ne!(other, cookie);
}

/// RFC 7413-4.1.2b: each epoch has its key, each host its own.
#[test]
fn fast_open_keys_differ_from_epoch_to_epoch() {
    let secrets = secrets();
    assert_eq!(secrets.fast_open_key(5), secrets.fast_open_key(5));
    assert_ne!(secrets.fast_open_key(5), secrets.fast_open_key(6));
    assert_ne!(secrets.fast_open_key(5), Secrets::new([9; 32]).fast_open_key(5));
}
