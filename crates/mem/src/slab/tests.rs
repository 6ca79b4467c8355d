//! Slabs: names that go stale, slots that come back, and a model to compare with.

use std::collections::HashMap;

use proptest::prelude::*;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::*;
use crate::{Memory, NO_SLOT};

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Session {
    link: u32,
    generation: u32,
    value: u64,
}

impl Slot for Session {
    fn link(&self) -> u32 {
        self.link
    }

    fn set_link(&mut self, link: u32) {
        self.link = link;
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }
}

fn slab(count: u32) -> Slab<Session> {
    Memory::heap().slab("sessions", 1, count).unwrap()
}

#[test]
fn slots_never_used_come_in_order_and_then_there_are_none() {
    let mut slab = slab(3);
    assert_eq!([slab.insert(), slab.insert(), slab.insert()], [Some(0), Some(1), Some(2)]);
    assert_eq!((slab.insert(), slab.len(), slab.next_free()), (None, 3, None));
}

#[test]
fn the_slot_last_given_back_is_the_next_one_handed_out() {
    let mut slab = slab(4);
    for _ in 0..3 {
        slab.insert().unwrap();
    }
    slab.remove(0);
    slab.remove(2);
    assert_eq!(slab.next_free(), Some(2));
    let handed_out = [slab.insert(), slab.insert(), slab.insert(), slab.insert()];
    assert_eq!(handed_out, [Some(2), Some(0), Some(3), None]);
}

#[test]
fn a_name_does_not_find_the_slots_next_tenant() {
    let mut slab = slab(1);
    let index = slab.insert().unwrap();
    let first = slab[index].generation;
    slab[index].value = 11;
    assert_eq!(slab.get(index, first).unwrap().value, 11);

    slab.remove(index);
    assert_eq!(slab.get(index, first), None);
    assert_eq!(slab.get(index, slab[index].generation), None, "a free slot has no name");

    assert_eq!(slab.insert(), Some(index));
    let second = slab[index].generation;
    assert_eq!(slab.get_mut(index, first), None);
    assert_eq!(slab.get_mut(index, second).unwrap().value, 11, "content is as it was left");
    assert_eq!(slab.get(index + 1, second), None);
}

#[test]
fn the_generation_stays_odd_for_live_slots_when_it_wraps() {
    let mut slab = slab(1);
    slab.insert().unwrap();
    slab[0].generation = u32::MAX;
    slab.remove(0);
    assert_eq!((slab[0].generation, slab.is_live(0)), (0, false));
    slab.insert().unwrap();
    assert_eq!((slab[0].generation, slab.is_live(0)), (1, true));
}

#[test]
#[should_panic(expected = "slot 0 is taken back, and it was not handed out")]
fn taking_a_slot_back_twice_panics() {
    let mut slab = slab(2);
    slab.insert().unwrap();
    slab.remove(0);
    slab.remove(0);
}

#[test]
#[should_panic(expected = "has 2 slots, and slot 2 was asked for")]
fn taking_back_a_slot_that_does_not_exist_panics() {
    slab(2).remove(2);
}

#[test]
#[should_panic(expected = "a free slot was written to")]
fn a_chain_that_leaves_the_slab_is_noticed() {
    let mut slab = slab(2);
    slab.insert().unwrap();
    slab.remove(0);
    slab[0].link = 1;
    slab.insert();
}

#[test]
#[should_panic(expected = "a free slot was written to")]
fn a_chain_into_a_live_slot_hands_nothing_out_twice() {
    let mut slab = slab(2);
    slab.insert().unwrap();
    slab.insert().unwrap();
    slab.remove(0);
    slab[0].link = 1;
    assert_eq!(slab.insert(), Some(0));
    slab.insert();
}

#[test]
fn free_slots_are_found_again_in_the_region_alone() {
    let mut slab = slab(4);
    for _ in 0..3 {
        slab.insert().unwrap();
    }
    slab.remove(1);
    let Slab { table } = slab;
    // What a new program does after it adopted the region: nothing is kept outside it.
    let mut adopted = Slab { table };
    assert_eq!((adopted.len(), adopted.insert(), adopted.insert()), (2, Some(1), Some(3)));
    assert_eq!(adopted.live().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn no_slab_uses_the_index_that_names_no_slot() {
    assert!(Memory::heap().slab::<Session>("sessions", 1, NO_SLOT).is_err());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u64),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => any::<u64>().prop_map(Step::Insert),
        2 => any::<usize>().prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..if cfg!(miri) { 20 } else { 300 })
}

proptest! {
    #![proptest_config(crate::test_runs())]

    #[test]
    fn a_slab_does_what_a_map_does(capacity in 0u32..20, steps in steps()) {
        let mut slab = slab(capacity);
        let mut model = HashMap::<u32, (u32, u64)>::new();
        let mut order = Vec::new();
        let mut gone = Vec::new();
        for step in steps {
            match step {
                Step::Insert(value) => {
                    let expected = slab.next_free();
                    let index = slab.insert();
                    prop_assert_eq!(index, expected);
                    prop_assert_eq!(index.is_some(), model.len() < capacity as usize);
                    let Some(index) = index else { continue };
                    slab[index].value = value;
                    // The owner may use the link of a live slot for its own chains.
                    slab[index].link = value as u32;
                    let before = model.insert(index, (slab[index].generation, value));
                    prop_assert!(before.is_none(), "slot {} was handed out twice", index);
                    order.push(index);
                }
                Step::Remove(which) if !order.is_empty() => {
                    let index = order.swap_remove(which % order.len());
                    slab.remove(index);
                    gone.push((index, model.remove(&index).unwrap().0));
                }
                Step::Remove(_) => {}
            }
            prop_assert_eq!(slab.len() as usize, model.len());
            for (&index, &(generation, value)) in &model {
                prop_assert_eq!(slab.get(index, generation).unwrap().value, value);
            }
            prop_assert!(gone.iter().all(|&(index, was)| slab.get(index, was).is_none()));
        }
        let mut live: Vec<_> = model.into_keys().collect();
        live.sort_unstable();
        prop_assert_eq!(slab.live().collect::<Vec<_>>(), live);
    }
}

#[test]
fn the_slots_to_come_are_known_until_one_was_given_back() {
    let mut slab = slab(4);
    assert_eq!([0, 1, 2].map(|nth| slab.free().nth(nth)), [Some(0), Some(1), Some(2)]);
    let first = slab.insert().unwrap();
    slab.insert().unwrap();
    assert_eq!(slab.free().nth(0), slab.next_free());
    slab.remove(first);
    assert_eq!([0, 1].map(|nth| slab.free().nth(nth)), [Some(first), None]);
    // Any number may be asked for.
    slab.prefetch_next(u32::MAX);
}
