use super::*;
use std::collections::HashMap;

fn exchange(number: u32) -> Exchange {
    let (kind, resend_at_ms) = (Kind::Asking, u64::from(number));
    let (due_ns, tries, received, acknowledged) = (7, 1, 0, false);
    Exchange { kind, requests: number, due_ns, resend_at_ms, tries, received, acknowledged }
}

#[test]
fn what_began_is_found_until_it_ends_however_full_it_is() {
    let (most, mut table, mut model) = (64, UnderWay::new(64), HashMap::new());
    let mut luck = 1;
    for number in 0..200_000 {
        luck = mixed(luck);
        // As many connections as twice what there is room for, and the last number that there is.
        let index = if luck % 257 == 0 { FREE - 1 } else { (luck >> 32) as u32 % (2 * most) };
        if luck & 1 == 0 && !model.contains_key(&index) && table.len() < most {
            table.begin(index, exchange(number));
            model.insert(index, number);
        } else {
            let ended = table.end(index).map(|ended| ended.requests);
            assert_eq!(ended, model.remove(&index));
        }
        assert_eq!(table.len() as usize, model.len());
        let other = (luck >> 16) as u32 % (2 * most);
        assert_eq!(table.get(other).map(|one| one.requests), model.get(&other).copied());
    }
    for (&index, &number) in &model {
        assert_eq!(table.get(index).map(|one| one.requests), Some(number));
    }
}

#[test]
fn what_is_late_is_listed_in_the_order_of_connections_ten_times_a_second() {
    let mut table = UnderWay::new(4);
    for index in [9, 3, 200] {
        table.begin(index, exchange(index));
    }
    let due = table.due(150);
    assert_eq!(due, [3, 9]);
    table.done_with(due);
    assert_eq!(table.due(249), [0; 0]);
    assert_eq!(table.due(250), [3, 9, 200]);
}

#[test]
#[should_panic(expected = "more than there may be")]
fn no_more_begin_than_there_is_room_for() {
    let mut table = UnderWay::new(2);
    for index in 0..3 {
        table.begin(index, exchange(index));
    }
}
