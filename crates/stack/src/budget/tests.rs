//! How connections share a pool.

use super::{Budget, Pressure, charge};
use crate::config::StackConfig;

const MIB: usize = 1 << 20;

fn budget(bytes: usize) -> Budget {
    Budget::new(&StackConfig::for_connections(1), bytes)
}

#[test]
fn pressure_begins_at_one_mark_and_ends_at_a_lower_one() {
    let mut budget = budget(100);
    for (in_use, level) in [
        (0, Pressure::None),
        (74, Pressure::None),
        (75, Pressure::Some),
        (60, Pressure::Some),
        (59, Pressure::None),
        (60, Pressure::None),
        (87, Pressure::High),
        (86, Pressure::Some),
        (59, Pressure::None),
    ] {
        budget.pressure = budget.level_at(in_use);
        assert_eq!(budget.pressure, level, "at {in_use}");
    }
}

/// All want the same and much. Whoever was last has soon as much as whoever was first, or about
/// that, and what they may fill together stays below the mark.
#[test]
fn windows_that_want_the_same_get_the_same() {
    let mut budget = budget(32 * MIB);
    let mut limits = [0u32; 50];
    for round in 0..20 {
        for limit in &mut limits {
            *limit = budget.regrant(0, *limit, 16 * MIB as u32);
        }
        let sum: u64 = limits.iter().map(|&limit| charge(limit)).sum();
        assert_eq!(sum, budget.granted());
        assert!(sum <= 24 * MIB as u64 || round == 0, "{sum} in round {round}");
    }
    let (least, most) = (limits.iter().min().unwrap(), limits.iter().max().unwrap());
    assert!(*least > *most / 2, "{limits:?}");
    assert!(*least as usize > 32 * MIB / 50 / 3, "{least}");
    for limit in limits {
        budget.revoke(limit);
    }
    assert_eq!(budget.granted(), 0);
}

#[test]
fn one_window_alone_gets_most_of_the_pool_and_none_grows_under_pressure() {
    let mut budget = budget(32 * MIB);
    let alone = budget.regrant(0, 0, 64 * MIB as u32);
    assert!(alone > 12 * MIB as u32, "{alone}");
    budget.revoke(alone);
    budget.pressure = Pressure::Some;
    assert_eq!(budget.regrant(20 * MIB, 0, 64 * MIB as u32), 0);
    assert_eq!(budget.granted(), 0);
}

#[test]
fn queues_get_four_times_what_is_left() {
    let budget = budget(100 * MIB);
    assert_eq!(budget.queue_share(0) as usize, 300 * MIB);
    assert_eq!(budget.queue_share(60 * MIB) as usize, 60 * MIB);
    assert_eq!(budget.queue_share(75 * MIB), 0);
    assert_eq!(budget.queue_share(100 * MIB), 0);
}
