//! The wheel against a sorted map of deadlines, and its corners: far, long asleep, wrapped around.

use alloc::{collections::BTreeMap, vec::Vec};

use crore_mem::Memory;
use proptest::prelude::*;

use super::{Due, Wheel, WheelMark, duplicates_max};

/// Connections with deadlines on one wheel, used as an engine uses it.
struct Engine {
    wheel: Wheel,
    conns: Vec<Conn>,
    now: u32,
    budget: usize,
    /// What was handed out in vain: too early, or for nobody.
    visits: u32,
}

#[derive(Clone, Copy, Default)]
struct Conn {
    mark: WheelMark,
    deadline: Option<u32>,
    /// The wheel may hand it out so many ticks after its deadline.
    slack: u32,
}

impl Engine {
    fn new(conns: u32, now: u32, budget: usize) -> Self {
        let wheel = Wheel::new(&mut Memory::heap(), "wheel", conns, now).unwrap();
        Self { wheel, conns: alloc::vec![Conn::default(); conns as usize], now, budget, visits: 0 }
    }

    fn arm(&mut self, conn: u32, after: u32) {
        let deadline = self.now.wrapping_add(after);
        let late = self.wheel.late();
        let entry = &mut self.conns[conn as usize];
        self.wheel.arm(&mut entry.mark, conn, deadline);
        entry.deadline = Some(deadline);
        entry.slack = if self.wheel.late() > late { 255 } else { u32::from(after == 0) };
    }

    /// One call of `expire`, and what an engine does with its entries. True when there may be more.
    fn expire_once(&mut self, fired: &mut BTreeMap<u32, u32>) -> bool {
        let mut due = alloc::vec![Due::default(); self.budget];
        let count = self.wheel.expire(self.now, &mut due);
        for &Due { index, level, slot } in &due[..count] {
            let conn = &mut self.conns[index as usize];
            if !Wheel::take(&mut conn.mark, level, slot) {
                self.visits += 1;
                continue;
            }
            match conn.deadline {
                Some(deadline) if is_due(deadline, self.now) => {
                    conn.deadline = None;
                    assert_eq!(fired.insert(index, deadline), None);
                }
                Some(deadline) => {
                    self.visits += 1;
                    self.wheel.arm(&mut conn.mark, index, deadline);
                }
                None => self.visits += 1,
            }
        }
        count == self.budget
    }

    /// Time passes; the connections that fired, with their deadlines.
    fn pass(&mut self, ticks: u32) -> BTreeMap<u32, u32> {
        self.now = self.now.wrapping_add(ticks);
        let mut fired = BTreeMap::new();
        while self.expire_once(&mut fired) {}
        fired
    }

    /// No connection waits for a deadline that has passed.
    fn check(&self) {
        let mut earliest = u32::MAX;
        for (conn, index) in self.conns.iter().zip(0..) {
            let Some(deadline) = conn.deadline else { continue };
            let latest = deadline.wrapping_add(conn.slack);
            assert!(!is_due(latest, self.now), "{index}: {deadline} missed at {}", self.now);
            earliest = earliest.min(latest.wrapping_sub(self.now));
        }
        match self.wheel.next_deadline_hint(self.now) {
            Some(hint) => assert!(hint.wrapping_sub(self.now) <= earliest, "sleeps too long"),
            None => assert_eq!((earliest, self.wheel.len()), (u32::MAX, 0)),
        }
        let conns = self.conns.len() as u32;
        assert!(self.wheel.len() <= conns * 3 + duplicates_max(conns));
    }

    /// Nobody waits any more: after at most all of the wheel's length, nothing is left in it.
    fn check_nothing_leaks(&mut self) {
        for conn in &mut self.conns {
            conn.deadline = None;
        }
        for _ in 0..3 * 256 {
            let Some(hint) = self.wheel.next_deadline_hint(self.now) else { break };
            self.pass(hint.wrapping_sub(self.now));
        }
        assert!(self.wheel.is_empty());
        assert_eq!(self.wheel.chunks.in_use(), 0);
        assert_eq!(self.wheel.duplicates_len, 0);
        assert!(self.conns.iter().all(|conn| conn.mark.present == 0));
    }
}

fn is_due(deadline: u32, now: u32) -> bool {
    now.wrapping_sub(deadline) as i32 >= 0
}

#[test]
fn a_deadline_fires_at_its_tick_from_each_level() {
    for start in [0, 255, 256, 65_535, 77_777, u32::MAX - 100] {
        for after in [1, 2, 255, 256, 257, 511, 65_535, 65_536, 70_000, 16_000_000] {
            let mut engine = Engine::new(1, start, 4);
            engine.arm(0, after);
            assert!(engine.pass(after - 1).is_empty(), "{start} {after}");
            assert_eq!(engine.pass(1).len(), 1, "{start} {after}");
            assert!(engine.visits <= 2, "once a level above the lowest");
            engine.check_nothing_leaks();
        }
    }
}

#[test]
fn a_deadline_beyond_the_last_slot_is_carried_on() {
    let mut engine = Engine::new(1, 12_345, 4);
    let after = 60_000_000;
    engine.arm(0, after);
    for _ in 0..after / 1_000_000 - 1 {
        assert!(engine.pass(1_000_000).is_empty());
        engine.check();
    }
    assert!(engine.pass(999_999).is_empty());
    assert_eq!(engine.pass(1).len(), 1);
    assert!(engine.visits <= 8, "{}", engine.visits);
}

#[test]
fn a_deadline_now_or_in_the_past_fires_at_the_next_tick() {
    let mut engine = Engine::new(2, 500, 4);
    engine.pass(0);
    engine.arm(0, 0);
    engine.arm(1, u32::MAX - 10);
    assert!(engine.pass(0).is_empty());
    assert_eq!(engine.pass(1).len(), 2);
}

#[test]
fn moving_a_deadline_back_costs_nothing() {
    let mut engine = Engine::new(1, 0, 4);
    engine.arm(0, 200);
    for _ in 0..1000 {
        assert!(engine.pass(1).is_empty());
        engine.arm(0, 200);
        assert_eq!(engine.wheel.len(), 1);
    }
    assert_eq!(engine.visits, 5, "one look each 200 ticks");
    assert_eq!(engine.pass(200).len(), 1);
}

#[test]
fn a_deadline_brought_forward_on_the_lowest_level_leaves_a_duplicate_that_is_ignored() {
    let mut engine = Engine::new(1, 0, 4);
    engine.arm(0, 200);
    engine.arm(0, 40);
    assert_eq!((engine.wheel.len(), engine.wheel.duplicates_len), (2, 1));
    assert_eq!(engine.pass(40).len(), 1);
    engine.arm(0, 160);
    assert_eq!(engine.pass(160).len(), 1, "at tick 200 there are two entries, and one counts");
    assert_eq!((engine.visits, engine.wheel.duplicates_len), (1, 0));
    engine.check_nothing_leaks();
}

#[test]
fn a_deadline_brought_forward_on_an_upper_level_uses_the_level_below() {
    let mut engine = Engine::new(1, 0, 4);
    engine.arm(0, 60_000);
    engine.arm(0, 30_000);
    assert_eq!(engine.wheel.len(), 2);
    assert_eq!(engine.wheel.duplicates_len, 0);
    assert!(engine.pass(29_999).is_empty());
    assert_eq!(engine.pass(1).len(), 1);
    engine.check_nothing_leaks();
}

#[test]
fn without_room_for_duplicates_a_deadline_is_late_and_counted() {
    let mut engine = Engine::new(1, 0, 4);
    engine.wheel.duplicates_max = 0;
    engine.arm(0, 200);
    engine.arm(0, 40);
    assert_eq!((engine.wheel.late(), engine.wheel.len()), (1, 1));
    assert!(engine.pass(199).is_empty());
    assert_eq!(engine.pass(1).len(), 1);
}

#[test]
fn a_connection_armed_between_its_hand_out_and_its_turn_keeps_its_deadline() {
    let mut engine = Engine::new(2, 0, 4);
    engine.arm(0, 10);
    engine.arm(1, 12);
    engine.now = 20;
    let mut due = [Due::default(); 4];
    assert_eq!(engine.wheel.expire(20, &mut due), 2);
    // The timer of connection 1 is in hand when connection 0 makes it want another deadline.
    engine.arm(1, 100);
    for Due { index, level, slot } in due.into_iter().take(2) {
        let conn = &mut engine.conns[index as usize];
        if Wheel::take(&mut conn.mark, level, slot) && index == 1 {
            engine.wheel.arm(&mut conn.mark, 1, 120);
        }
    }
    engine.conns[0].deadline = None;
    engine.check();
    assert_eq!(engine.pass(100).into_iter().collect::<Vec<_>>(), [(1, 120)]);
    engine.check_nothing_leaks();
}

#[test]
fn a_small_budget_hands_out_all_entries_in_as_many_calls_as_it_takes() {
    let mut engine = Engine::new(1000, 0, 7);
    for conn in 0..1000 {
        engine.arm(conn, 5 + conn % 3);
    }
    engine.now = 10;
    let mut fired = BTreeMap::new();
    let mut calls = 1;
    while engine.expire_once(&mut fired) {
        calls += 1;
    }
    assert_eq!((fired.len(), calls), (1000, 1000 / 7 + 1));
    assert_eq!(engine.wheel.expire(10, &mut []), 0, "no room for any entry is no loop");
}

#[test]
fn no_room_at_all_keeps_the_wheel_where_it_is() {
    let mut engine = Engine::new(1, 0, 1);
    engine.arm(0, 5);
    assert_eq!(engine.wheel.expire(100, &mut []), 0);
    assert_eq!(engine.wheel.next_deadline_hint(100), Some(100));
    assert_eq!(engine.pass(100).len(), 1);
}

#[test]
fn after_weeks_of_silence_time_goes_on() {
    let mut engine = Engine::new(2, 1000, 4);
    engine.arm(0, 50_000);
    assert_eq!(engine.pass(2_000_000_000).len(), 1);
    assert!(engine.pass(3_000_000_000).is_empty(), "with no timer at all it may be longer");
    engine.arm(1, 100);
    assert!(engine.pass(99).is_empty());
    assert_eq!(engine.pass(1).len(), 1);
    assert_eq!(engine.wheel.expire(engine.now - 5, &mut [Due::default()]), 0, "nor back");
    assert_eq!(engine.wheel.tick, engine.now);
}

#[test]
fn each_connection_may_have_an_entry_on_each_level_in_any_slot() {
    let conns = 3000;
    let mut engine = Engine::new(conns, 0, 64);
    for conn in 0..conns {
        engine.arm(conn, 65_536 * (1 + conn % 255));
        engine.arm(conn, 256 * (1 + conn % 255));
        engine.arm(conn, 1 + conn % 255);
    }
    assert_eq!(engine.wheel.len(), 3 * conns);
    // And then all bring their deadline forward as often as they can.
    for after in (1..255).rev() {
        for conn in 0..conns {
            engine.arm(conn, after);
        }
    }
    assert!(engine.wheel.late() > 0);
    assert_eq!(engine.wheel.len(), 3 * conns + duplicates_max(conns));
    for _ in 0..300 {
        engine.pass(1);
        engine.check();
    }
    engine.check_nothing_leaks();
}

#[test]
fn a_mark_that_outlives_its_connection_serves_the_next_one() {
    let mut engine = Engine::new(1, 0, 4);
    for _ in 0..100_000 {
        engine.arm(0, 60_000);
        engine.conns[0].deadline = None;
        engine.pass(1);
    }
    assert!(engine.wheel.len() <= 3, "{}", engine.wheel.len());
}

#[derive(Clone, Debug)]
enum Step {
    Arm(u32, u32),
    Disarm(u32),
    Pass(u32),
}

fn span() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0_u32..300,
        3 => 0_u32..70_000,
        2 => 0_u32..17_000_000,
        1 => 0_u32..90_000_000,
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..CONNS, span()).prop_map(|(conn, after)| Step::Arm(conn, after)),
        1 => (0..CONNS).prop_map(Step::Disarm),
        4 => (0_u32..40).prop_map(Step::Pass),
        1 => span().prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..300)
}

const CONNS: u32 = 20;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_deadline_is_missed_or_fires_twice_and_nothing_leaks(
        start in prop_oneof![any::<u32>(), u32::MAX - 100_000..=u32::MAX],
        budget in 1_usize..20,
        duplicates in prop_oneof![Just(0_u32), Just(1), Just(duplicates_max(CONNS))],
        steps in steps(),
    ) {
        let mut engine = Engine::new(CONNS, start, budget);
        engine.wheel.duplicates_max = duplicates;
        // Deadlines in the order they come, counted from the start; and the time, likewise.
        let mut model: BTreeMap<(u64, u32), u32> = BTreeMap::new();
        let mut time = 0_u64;
        for step in steps {
            match step {
                Step::Arm(conn, after) => {
                    model.retain(|key, _| key.1 != conn);
                    engine.arm(conn, after);
                    let slack = engine.conns[conn as usize].slack;
                    model.insert((time + u64::from(after), conn), slack);
                }
                Step::Disarm(conn) => {
                    model.retain(|key, _| key.1 != conn);
                    engine.conns[conn as usize].deadline = None;
                }
                Step::Pass(ticks) => {
                    time += u64::from(ticks);
                    let fired = engine.pass(ticks);
                    for (&(at, conn), &slack) in &model {
                        let must = at + u64::from(slack) <= time;
                        prop_assert!(!must || fired.contains_key(&conn), "{conn} missed");
                        prop_assert!(at <= time || !fired.contains_key(&conn), "{conn} early");
                    }
                    model.retain(|key, _| !fired.contains_key(&key.1));
                }
            }
            engine.check();
        }
        engine.check_nothing_leaks();
    }
}
