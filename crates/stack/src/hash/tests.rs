//! The hash against the reference implementation, and its use in bursts.

use alloc::vec::Vec;
use core::hash::Hasher as _;

use proptest::prelude::*;
use siphasher::sip::{SipHasher13, SipHasher24};

use super::{FlowHasher, FlowKey, FlowV4, Level};

const SECRET: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

/// The message of a flow, with `more` before its ports.
fn message(key: &FlowKey, more: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    if key.is_v4() {
        message.extend_from_slice(&(key.local as u32).to_le_bytes());
        message.extend_from_slice(&(key.remote as u32).to_le_bytes());
    } else {
        message.extend_from_slice(&key.remote.to_le_bytes());
        message.extend_from_slice(&key.local.to_le_bytes());
    }
    message.extend_from_slice(more);
    message.extend_from_slice(&key.local_port.to_le_bytes());
    message.extend_from_slice(&key.remote_port.to_le_bytes());
    message
}

fn reference(secret: [u64; 2], key: &FlowKey) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(secret[0], secret[1]);
    hasher.write(&message(key, &[]));
    hasher.finish()
}

fn reference_2_4(secret: [u64; 2], key: &FlowKey, more: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(secret[0], secret[1]);
    hasher.write(&message(key, more));
    hasher.finish()
}

fn v4_key() -> impl Strategy<Value = FlowKey> {
    any::<(u32, u32, u16, u16)>().prop_map(|(remote, local, remote_port, local_port)| FlowKey {
        remote: 0xffff << 32 | u128::from(remote),
        local: 0xffff << 32 | u128::from(local),
        remote_port,
        local_port,
    })
}

fn v6_key() -> impl Strategy<Value = FlowKey> {
    any::<(u128, u128, u16, u16)>().prop_map(|(remote, local, remote_port, local_port)| FlowKey {
        remote,
        local,
        remote_port,
        local_port,
    })
}

proptest! {
    #[test]
    fn each_hash_is_the_reference_siphash_1_3(
        secret in any::<[u64; 2]>(),
        key in prop_oneof![v4_key(), v6_key()],
    ) {
        prop_assert_eq!(FlowHasher::new(secret).hash(&key), reference(secret, &key));
    }

    #[test]
    fn what_outsiders_see_is_the_reference_siphash_2_4(
        secret in any::<[u64; 2]>(),
        key in prop_oneof![v4_key(), v6_key()],
        more in any::<u64>(),
    ) {
        prop_assert_eq!(key.sip_2_4(secret), reference_2_4(secret, &key, &[]));
        let with = reference_2_4(secret, &key, &more.to_le_bytes());
        prop_assert_eq!(key.sip_2_4_with(secret, more), with);
    }

    #[test]
    fn a_burst_hashes_like_its_keys_one_by_one(
        keys in prop::collection::vec(v4_key(), 0..40),
    ) {
        let flows: Vec<_> = keys.iter().map(|key| FlowV4::of(key).unwrap()).collect();
        for level in Level::all() {
            let hasher = FlowHasher { level, ..FlowHasher::new(SECRET) };
            let mut hashes = alloc::vec![0; keys.len()];
            hasher.hash_burst(&flows, &mut hashes);
            for (key, hash) in keys.iter().zip(hashes) {
                prop_assert_eq!(hash, hasher.hash(key), "{:?}", level);
            }
        }
    }
}

#[test]
fn a_key_with_one_v4_address_takes_the_long_path() {
    let v4 = 0xffff_c000_0201;
    let key = FlowKey { remote: v4, local: 0x2001 << 112, remote_port: 1, local_port: 2 };
    assert!(!key.is_v4());
    assert_eq!(FlowHasher::new(SECRET).hash(&key), reference(SECRET, &key));
}

#[test]
fn neighbouring_ports_and_another_secret_change_about_half_of_the_bits() {
    let key = FlowKey {
        remote: 0xffff_0a00_0001,
        local: 0xffff_0a00_0002,
        remote_port: 1024,
        local_port: 80,
    };
    let hasher = FlowHasher::new(SECRET);
    let mut flipped = 0;
    for port in 1025..1281 {
        let next = FlowKey { remote_port: port, ..key };
        flipped += (hasher.hash(&key) ^ hasher.hash(&next)).count_ones();
    }
    assert!((30 * 256..34 * 256).contains(&flipped), "{flipped} of {} bits", 64 * 256);
    let other = FlowHasher::new([SECRET[0], SECRET[1] ^ 1]);
    assert!((other.hash(&key) ^ hasher.hash(&key)).count_ones() > 8);
}

#[test]
fn the_secret_is_not_printed() {
    assert_eq!(alloc::format!("{:?}", FlowHasher::new(SECRET)), "FlowHasher");
}
