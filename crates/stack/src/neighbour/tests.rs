//! Neighbours that answer, fall silent, move, and crowd in.

use alloc::{collections::BTreeMap, vec::Vec};

use crore_mem::Memory;
use proptest::prelude::*;

use super::{Neighbours, Resolution, State};

const GATEWAY: u128 = 0xffff_0a00_0001;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn neighbours(entries_max: u32) -> Neighbours {
    Neighbours::new(&mut Memory::heap(), [1, 2], entries_max).unwrap()
}

/// Lets time pass from `from` to `to`, 10 ms at a time; when and which neighbours had to be asked.
fn asked(neighbours: &mut Neighbours, from: u32, to: u32) -> Vec<(u32, u32)> {
    let mut asked = Vec::new();
    let mut now = from;
    while now != to {
        now = now.wrapping_add(10);
        neighbours.due(now, 8, |index, _| asked.push((now.wrapping_sub(from), index)));
    }
    asked
}

fn state(neighbours: &Neighbours, address: u128) -> Option<State> {
    Some(neighbours.entry(neighbours.lookup(address)?)?.state())
}

fn resolved(neighbours: &mut Neighbours, address: u128, mac: [u8; 6], now: u32) -> u32 {
    let Resolution::AskNow(index) = neighbours.resolve(address, now) else {
        panic!("{address:x} is known already, or there is no room");
    };
    assert_eq!(neighbours.learn(address, mac, now), Some(index));
    index
}

/// RFC 1122-3.3.1.4, RFC 9293 MUST-20: bad news makes it be asked before its time.
#[test]
fn a_suspect_is_asked_whether_it_is_there_when_it_is_used_next() {
    let mut neighbours = neighbours(8);
    let index = resolved(&mut neighbours, GATEWAY, MAC, 0);
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Reachable));
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(MAC));
    assert!(asked(&mut neighbours, 0, 500).is_empty());
    neighbours.suspect(index);
    assert!(asked(&mut neighbours, 500, 1000).is_empty(), "not used since");
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(MAC));
    assert_eq!(asked(&mut neighbours, 1000, 1500).len(), 1);
    neighbours.learn(GATEWAY, MAC, 1500);
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Reachable));
}

#[test]
fn a_neighbour_is_asked_for_once_and_known_when_it_answers() {
    let mut neighbours = neighbours(8);
    let Resolution::AskNow(index) = neighbours.resolve(GATEWAY, 0) else { panic!("known?") };
    assert_eq!(neighbours.resolve(GATEWAY, 1), Resolution::Wait(index));
    assert_eq!(neighbours.mac_for(index, GATEWAY), None);
    neighbours.learn(GATEWAY, MAC, 2);
    assert_eq!(neighbours.resolve(GATEWAY, 3), Resolution::Known(index));
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(MAC));
    assert_eq!(neighbours.mac_for(index, GATEWAY + 1), None, "another next hop");
    assert_eq!(neighbours.mac_for(77, GATEWAY), None, "no such entry");
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Reachable));
}

#[test]
fn a_silent_neighbour_is_asked_three_times_and_then_left_alone_for_a_while() {
    for start in [0, 3_000_000_000, u32::MAX - 1500] {
        let mut neighbours = neighbours(8);
        let Resolution::AskNow(index) = neighbours.resolve(GATEWAY, start) else { panic!() };
        let again = asked(&mut neighbours, start, start.wrapping_add(2990));
        let times: Vec<u32> = again.iter().map(|&(time, _)| time).collect();
        assert!(matches!(times[..], [1000..=1100, 2000..=2200]), "{times:?} from {start}");
        assert!(
            asked(&mut neighbours, start.wrapping_add(2990), start.wrapping_add(3400)).is_empty()
        );
        let now = start.wrapping_add(3400);
        assert_eq!(neighbours.resolve(GATEWAY, now), Resolution::Unreachable(index));
        let now = start.wrapping_add(8000);
        assert_eq!(neighbours.resolve(GATEWAY, now), Resolution::Unreachable(index));
        let now = start.wrapping_add(8400);
        assert_eq!(neighbours.resolve(GATEWAY, now), Resolution::AskNow(index));
    }
}

#[test]
fn a_neighbour_that_failed_and_is_not_wanted_any_more_is_forgotten() {
    let mut neighbours = neighbours(8);
    neighbours.resolve(GATEWAY, 0);
    asked(&mut neighbours, 0, 9000);
    assert_eq!(neighbours.lookup(GATEWAY), None);
    assert!(neighbours.is_empty());
}

#[test]
fn a_stale_neighbour_is_usable_and_asked_when_used() {
    let mut neighbours = neighbours(8);
    let index = resolved(&mut neighbours, GATEWAY, MAC, 0);
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(MAC));
    assert!(asked(&mut neighbours, 0, 60_000).is_empty(), "unused, so nobody asks");
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Stale));
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(MAC));
    assert_eq!(asked(&mut neighbours, 60_000, 60_200).len(), 1);
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Probe));
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(MAC), "usable all the time");
    neighbours.learn(GATEWAY, MAC, 60_200);
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Reachable));
}

#[test]
fn a_neighbour_in_steady_use_is_asked_each_30_seconds_and_given_up_when_it_is_gone() {
    let mut neighbours = neighbours(8);
    let index = resolved(&mut neighbours, GATEWAY, MAC, 0);
    let mut times = Vec::new();
    for now in (0..200_000).step_by(10) {
        let is_there = now < 100_000;
        neighbours.mac_for(index, GATEWAY);
        let mut answers = false;
        neighbours.due(now, 8, |_, neighbour| {
            assert_eq!(neighbour.mac(), Some(MAC), "asked at its own address");
            times.push(now);
            answers = is_there;
        });
        if answers {
            neighbours.learn(GATEWAY, MAC, now);
        }
    }
    assert_eq!(times.len(), 6, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "{times:?}");
    assert_eq!(neighbours.mac_for(index, GATEWAY), None);
}

#[test]
fn a_neighbour_that_moves_is_followed_and_asked_whether_it_is_true() {
    let mut neighbours = neighbours(8);
    let index = resolved(&mut neighbours, GATEWAY, MAC, 0);
    neighbours.refresh(GATEWAY, OTHER_MAC, 10);
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Stale));
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(OTHER_MAC));
    assert_eq!(asked(&mut neighbours, 10, 200).len(), 1);
}

#[test]
fn an_announcement_of_the_same_address_does_not_prolong_the_time() {
    let mut neighbours = neighbours(8);
    resolved(&mut neighbours, GATEWAY, MAC, 0);
    neighbours.refresh(GATEWAY, MAC, 29_000);
    asked(&mut neighbours, 29_000, 30_200);
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Stale));
}

#[test]
fn frames_for_others_teach_nothing_new() {
    let mut neighbours = neighbours(8);
    assert_eq!(neighbours.refresh(GATEWAY, MAC, 0), None);
    assert!(neighbours.is_empty());
    let index = neighbours.learn(GATEWAY, MAC, 0).unwrap();
    assert_eq!(neighbours.refresh(GATEWAY, OTHER_MAC, 0), Some(index));
}

#[test]
fn group_addresses_and_zeros_are_not_learned() {
    let mut neighbours = neighbours(8);
    neighbours.resolve(GATEWAY, 0);
    for mac in [[0xff; 6], [0; 6], [1, 0, 0x5e, 0, 0, 1]] {
        assert_eq!(neighbours.learn(GATEWAY, mac, 0), None);
        assert_eq!(neighbours.learn(GATEWAY + 1, mac, 0), None);
    }
    assert_eq!(neighbours.len(), 1);
    assert_eq!(state(&neighbours, GATEWAY), Some(State::Incomplete));
}

#[test]
fn a_permanent_neighbour_does_not_change_by_frames_or_time() {
    let mut neighbours = neighbours(2);
    let index = neighbours.learn_permanent(GATEWAY, MAC, 0).unwrap();
    neighbours.learn(GATEWAY, OTHER_MAC, 1);
    neighbours.refresh(GATEWAY, OTHER_MAC, 2);
    for now in 0..100 {
        neighbours.mac_for(index, GATEWAY);
        assert!(asked(&mut neighbours, now * 1000, now * 1000 + 1000).is_empty());
        neighbours.learn(u128::from(now), OTHER_MAC, now * 1000);
    }
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(MAC));
    assert_eq!(neighbours.learn_permanent(GATEWAY, OTHER_MAC, 100_000), Some(index));
    assert_eq!(neighbours.mac_for(index, GATEWAY), Some(OTHER_MAC));
    assert!(neighbours.forget(GATEWAY));
    assert!(!neighbours.forget(GATEWAY));
    assert_eq!(neighbours.mac_for(index, GATEWAY), None);
}

#[test]
fn a_flood_of_announcements_drives_out_only_announcements() {
    let mut neighbours = neighbours(64);
    let pinned = neighbours.learn(GATEWAY, MAC, 0).unwrap();
    neighbours.pin(pinned, true);
    let used = resolved(&mut neighbours, 1, MAC, 0);
    let idle = resolved(&mut neighbours, 2, MAC, 0);
    neighbours.mac_for(used, 1);
    asked(&mut neighbours, 0, 100_000);
    for flood in 0..100_000 {
        assert!(neighbours.learn(1000 + flood, OTHER_MAC, 100_000).is_some());
    }
    assert_eq!(neighbours.len(), 64);
    assert_eq!(neighbours.mac_for(pinned, GATEWAY), Some(MAC));
    assert_eq!(neighbours.mac_for(used, 1), Some(MAC));
    assert_eq!(neighbours.mac_for(idle, 2), Some(MAC));
}

#[test]
fn when_all_are_asked_for_there_is_no_room_until_they_had_their_time() {
    let mut neighbours = neighbours(4);
    for address in 1..=4 {
        assert!(matches!(neighbours.resolve(address, 0), Resolution::AskNow(_)));
    }
    assert_eq!(neighbours.resolve(5, 999), Resolution::Full);
    assert_eq!(neighbours.learn(5, MAC, 5000), None, "who speaks up has to wait");
    assert!(matches!(neighbours.resolve(5, 1000), Resolution::AskNow(_)));
    assert_eq!(neighbours.lookup(5).map(|_| neighbours.len()), Some(4));
}

#[test]
fn the_neighbour_used_longest_ago_makes_room() {
    let mut neighbours = neighbours(3);
    for (address, at) in [(1, 0), (2, 20), (3, 10)] {
        resolved(&mut neighbours, address, MAC, at);
    }
    asked(&mut neighbours, 20, 40_020);
    for (address, at) in [(1, 40_030), (3, 40_130)] {
        assert!(matches!(neighbours.resolve(address, at), Resolution::Known(_)));
    }
    assert!(matches!(neighbours.resolve(4, 50_000), Resolution::AskNow(_)));
    assert_eq!(neighbours.lookup(2), None, "1 and 3 were used ten seconds ago");
    assert!(neighbours.lookup(1).is_some() && neighbours.lookup(3).is_some());
}

#[test]
fn each_call_looks_at_no_more_than_its_budget() {
    let mut neighbours = neighbours(100);
    for address in 0..100 {
        neighbours.resolve(address, 0);
    }
    let mut counts = Vec::new();
    for now in 1000..1012 {
        let mut count = 0;
        neighbours.due(now, 10, |_, _| count += 1);
        counts.push(count);
    }
    assert_eq!(counts, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 0, 0]);
}

#[derive(Clone, Debug)]
enum Step {
    Resolve(u8),
    Learn(u8, u8),
    Refresh(u8, u8),
    Use(u8),
    Pin(u8, bool),
    Forget(u8),
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let address = 0_u8..30;
    prop_oneof![
        4 => address.clone().prop_map(Step::Resolve),
        3 => (address.clone(), 1_u8..4).prop_map(|(address, mac)| Step::Learn(address, mac)),
        1 => (address.clone(), 1_u8..4).prop_map(|(address, mac)| Step::Refresh(address, mac)),
        4 => address.clone().prop_map(Step::Use),
        1 => (address.clone(), any::<bool>()).prop_map(|(address, on)| Step::Pin(address, on)),
        1 => address.prop_map(Step::Forget),
        3 => prop_oneof![0_u32..200, 0_u32..40_000].prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn no_frame_goes_to_another_address_than_the_one_last_heard(
        start in any::<u32>(),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut neighbours = neighbours(10);
        let mut now = start;
        let mut heard: BTreeMap<u128, [u8; 6]> = BTreeMap::new();
        let mut asked_at: BTreeMap<u128, u32> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Resolve(address) => {
                    let address = u128::from(address);
                    match neighbours.resolve(address, now) {
                        Resolution::Known(index) => {
                            let mac = neighbours.mac_for(index, address);
                            prop_assert_eq!(mac, heard.get(&address).copied());
                        }
                        Resolution::AskNow(index) | Resolution::Wait(index)
                        | Resolution::Unreachable(index) => {
                            prop_assert_eq!(neighbours.lookup(address), Some(index));
                            prop_assert_eq!(neighbours.mac_for(index, address), None);
                        }
                        Resolution::Full => prop_assert_eq!(neighbours.len(), 10),
                    }
                }
                Step::Learn(address, mac) => {
                    let (address, mac) = (u128::from(address), [2, 0, 0, 0, 0, mac]);
                    if neighbours.learn(address, mac, now).is_some() {
                        heard.insert(address, mac);
                    }
                }
                Step::Refresh(address, mac) => {
                    let (address, mac) = (u128::from(address), [2, 0, 0, 0, 0, mac]);
                    if neighbours.refresh(address, mac, now).is_some() {
                        heard.insert(address, mac);
                    }
                }
                Step::Use(address) => {
                    let address = u128::from(address);
                    for index in 0..10 {
                        let mac = neighbours.mac_for(index, address);
                        prop_assert!(mac.is_none() || mac == heard.get(&address).copied());
                    }
                }
                Step::Pin(address, on) => {
                    if let Some(index) = neighbours.lookup(u128::from(address)) {
                        neighbours.pin(index, on);
                        prop_assert_eq!(neighbours.entry(index).unwrap().is_pinned(), on);
                    }
                }
                Step::Forget(address) => {
                    neighbours.forget(u128::from(address));
                    asked_at.remove(&u128::from(address));
                    prop_assert_eq!(neighbours.lookup(u128::from(address)), None);
                }
                Step::Pass(ticks) => {
                    now = now.wrapping_add(ticks);
                    for _ in 0..4 {
                        neighbours.due(now, 4, |_, neighbour| {
                            let last = asked_at.insert(neighbour.address(), now);
                            let since = last.map_or(u32::MAX, |last| now.wrapping_sub(last));
                            let fresh = neighbour.tries == 1;
                            assert!(fresh || since >= 1000, "asked again after {since} ms");
                        });
                    }
                }
            }
            let live: Vec<u32> = (0..10).filter(|&i| neighbours.entry(i).is_some()).collect();
            prop_assert_eq!(live.len() as u32, neighbours.len());
            for index in live {
                let address = neighbours.entry(index).unwrap().address();
                prop_assert_eq!(neighbours.lookup(address), Some(index));
            }
            for address in 0..20 {
                prop_assert_eq!(neighbours.recall(address), neighbours.lookup(address));
            }
        }
    }
}

#[test]
fn on_a_link_that_others_look_after_a_known_neighbour_is_never_asked() {
    let mut memory = Memory::heap();
    let mut neighbours = Neighbours::new(&mut memory, [1, 2], 8).unwrap();
    neighbours.believe_known();
    let index = neighbours.learn(7, [2, 0, 0, 0, 0, 7], 0).unwrap();
    for second in 0..100 {
        assert_eq!(neighbours.mac_for(index, 7), Some([2, 0, 0, 0, 0, 7]));
        neighbours.due(second * 1000, 8, |_, _| panic!("nobody is asked"));
    }
}
