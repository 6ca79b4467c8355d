//! The flow table against a plain map, and its corners: collisions, wrap-around, full.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crore_mem::Memory;
use proptest::prelude::*;

use crore_mem::vectors::equal_words;

use super::{FlowTable, Full, NO_TAG, SLOTS, buckets_for, first_slot, tag};

fn table(entries_max: u32) -> FlowTable {
    FlowTable::new(&mut Memory::heap(), "flows", entries_max).unwrap()
}

/// A hash whose home is `bucket` of `table`, with the tag given.
fn hash_at(table: &FlowTable, bucket: u32, tag: u16) -> u64 {
    let buckets = u64::from(table.buckets.len());
    let upper = (u64::from(bucket) << 32).div_ceil(buckets);
    upper << 32 | u64::from(tag)
}

fn passed_total(table: &FlowTable) -> u32 {
    (0..table.buckets.len()).map(|at| u32::from(table.buckets[at].passed)).sum()
}

fn slots_used(table: &FlowTable) -> u32 {
    let used = |at| table.buckets[at].tags.iter().filter(|&&tag| tag != NO_TAG).count() as u32;
    (0..table.buckets.len()).map(used).sum()
}

#[test]
fn an_entry_is_found_until_it_is_removed() {
    let mut flows = table(100);
    let hash = 0x1234_5678_9abc_def0;
    assert_eq!(flows.find(hash, |_| true), None);
    flows.insert(hash, 7).unwrap();
    assert_eq!(flows.find(hash, |id| id == 7), Some(7));
    assert_eq!(flows.first(hash), Some(7));
    assert!(!flows.remove(hash, 8), "another id is not this entry");
    assert!(flows.remove(hash, 7));
    assert!(!flows.remove(hash, 7));
    assert_eq!(flows.find(hash, |_| true), None);
    assert!(flows.is_empty());
}

#[test]
fn flows_with_one_hash_are_told_apart_by_the_caller() {
    let mut flows = table(100);
    let hash = 0xfeed_0000_0000_0042;
    for id in 0..5 {
        flows.insert(hash, id).unwrap();
    }
    let mut asked = Vec::new();
    let found = flows.find(hash, |id| {
        asked.push(id);
        id == 3
    });
    assert_eq!(found, Some(3));
    assert!(asked.len() <= 5, "each is asked for once at most: {asked:?}");
    assert!(flows.replace(hash, 3, 0x8000_0003), "a flow that changes its kind keeps its place");
    assert!(!flows.replace(hash, 3, 9));
    assert_eq!(flows.find(hash, |id| id & 0xff == 3), Some(0x8000_0003));
    assert_eq!(flows.len(), 5);
}

#[test]
fn a_hash_with_a_zero_tag_is_an_entry_like_any_other() {
    let mut flows = table(100);
    let hash = 0xabcd_ef01_2345_0000;
    assert_eq!(tag(hash), 1);
    flows.insert(hash, 0).unwrap();
    assert_eq!(flows.first(hash), Some(0));
    assert!(flows.remove(hash, 0));
    assert_eq!(slots_used(&flows), 0);
}

#[test]
fn entries_that_do_not_fit_their_last_bucket_go_on_at_the_first() {
    let mut flows = table(64);
    let last = flows.buckets.len() - 1;
    let hash = hash_at(&flows, last, 99);
    assert_eq!(flows.home(hash), last);
    for id in 0..20 {
        flows.insert(hash, id).unwrap();
    }
    assert_eq!(flows.longest_probe(), 3);
    assert_eq!(flows.buckets[last].passed, 12);
    assert_eq!(flows.buckets[0].passed, 4);
    for id in 0..20 {
        assert_eq!(flows.find(hash, |found| found == id), Some(id));
    }
    for id in (0..20).rev() {
        assert!(flows.remove(hash, id));
    }
    assert_eq!(passed_total(&flows), 0);
}

#[test]
fn an_entry_behind_a_bucket_with_room_again_is_still_found() {
    let mut flows = table(64);
    let hash = hash_at(&flows, 2, 5);
    for id in 0..9 {
        flows.insert(hash, id).unwrap();
    }
    assert!(flows.remove(hash, 0), "room in the home bucket; id 8 stays in the next one");
    assert_eq!(flows.find(hash, |id| id == 8), Some(8));
    flows.insert(hash, 9).unwrap();
    assert_eq!(flows.buckets[2].passed, 1);
    assert!(flows.remove(hash, 8));
    assert_eq!(flows.buckets[2].passed, 0);
}

#[test]
fn a_full_table_says_so_and_works_on() {
    for entries_max in [1, 2, 8, 33, 1000] {
        let mut flows = table(entries_max);
        for id in 0..entries_max {
            flows.insert(u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15), id).unwrap();
        }
        assert_eq!(flows.insert(1, 1), Err(Full));
        assert_eq!(slots_used(&flows), entries_max);
        assert!(flows.remove(0, 0));
        flows.insert(1, 1).unwrap();
        assert_eq!(flows.len(), entries_max);
    }
}

#[test]
fn searches_end_even_when_each_bucket_was_passed_for_good() {
    let mut flows = table(10);
    for at in 0..flows.buckets.len() {
        flows.buckets[at].passed = u16::MAX;
    }
    assert_eq!(flows.find(77, |_| true), None);
    let hash = hash_at(&flows, 0, 3);
    for id in 0..10 {
        flows.insert(hash, id).unwrap();
    }
    assert!(flows.remove(hash, 9));
    assert_eq!(flows.buckets[0].passed, u16::MAX, "a count that ran over is never trusted again");
}

#[test]
fn each_slot_with_the_tag_is_named_once() {
    for wanted in 0..=u8::MAX {
        let tags =
            core::array::from_fn(|slot| if wanted >> slot & 1 != 0 { 0x8001 } else { 0x8000 });
        let mut left = equal_words(&tags, 0x8001);
        let mut named = 0_u8;
        while left != 0 {
            let bit = 1 << first_slot(left);
            assert_eq!(named & bit, 0);
            named |= bit;
            left &= !(0xff << (first_slot(left) * 8));
        }
        assert_eq!(named, wanted);
    }
}

#[test]
fn two_thirds_of_the_slots_at_most_are_used() {
    for entries_max in [1, 5, 16, 10_000_000, 100_000_000] {
        let slots = u64::from(buckets_for(entries_max)) * SLOTS as u64;
        assert!(u64::from(entries_max) * 3 <= slots * 2, "{entries_max}");
        assert!(slots <= u64::from(entries_max) * 3 / 2 + SLOTS as u64, "{entries_max}");
    }
}

#[test]
fn a_hundred_thousand_random_flows_stay_near_their_homes() {
    let mut flows = table(100_000);
    let hashes: Vec<u64> = (1..=100_000_u64).map(mix).collect();
    for (id, &hash) in (0..).zip(&hashes) {
        flows.insert(hash, id).unwrap();
    }
    assert!(flows.longest_probe() < 20, "{}", flows.longest_probe());
    assert!(passed_total(&flows) < 25_000, "{}", passed_total(&flows));
    let wrong_first = (0..).zip(&hashes).filter(|&(id, &hash)| flows.first(hash) != Some(id));
    assert!(wrong_first.count() < 100, "a tag of 16 bits nearly always names the right flow");
    for (id, &hash) in (0..).zip(&hashes) {
        assert!(flows.remove(hash, id));
    }
    assert_eq!((flows.len(), passed_total(&flows), slots_used(&flows)), (0, 0, 0));
}

/// The finaliser of splitmix64.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Remove(u8),
    Replace(u8),
    Find(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u8>().prop_map(Step::Insert),
        3 => any::<u8>().prop_map(Step::Remove),
        1 => any::<u8>().prop_map(Step::Replace),
        2 => any::<u8>().prop_map(Step::Find),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    /// 256 flows crowd into few homes with few tags, so that buckets overflow all the time.
    #[test]
    fn the_table_does_what_a_map_does(steps in steps(), homes in 1_u64..6) {
        let mut flows = table(120);
        let mut model: BTreeMap<u8, u32> = BTreeMap::new();
        let hash = |flow: u8| (u64::from(flow) % homes * (u64::MAX / homes)) & !0xffff
            | u64::from(flow % 3);
        for (step, unique) in steps.into_iter().zip(0_u32..) {
            // The lowest byte of an id says whose it is.
            match step {
                Step::Insert(flow) if !model.contains_key(&flow) => {
                    let id = unique << 8 | u32::from(flow);
                    let inserted = flows.insert(hash(flow), id);
                    prop_assert_eq!(inserted.is_ok(), model.len() < 120);
                    if inserted.is_ok() {
                        model.insert(flow, id);
                    }
                }
                Step::Remove(flow) => {
                    let id = model.remove(&flow);
                    prop_assert_eq!(flows.remove(hash(flow), id.unwrap_or(u32::MAX)), id.is_some());
                }
                Step::Replace(flow) => {
                    if let Some(id) = model.get_mut(&flow) {
                        prop_assert!(flows.replace(hash(flow), *id, *id | 1 << 31));
                        *id |= 1 << 31;
                    }
                }
                Step::Insert(flow) | Step::Find(flow) => {
                    let found = flows.find(hash(flow), |id| id as u8 == flow);
                    prop_assert_eq!(found, model.get(&flow).copied());
                }
            }
            prop_assert_eq!(flows.len() as usize, model.len());
        }
        for (flow, id) in model {
            prop_assert!(flows.remove(hash(flow), id));
        }
        prop_assert_eq!(passed_total(&flows) + slots_used(&flows), 0);
    }
}
