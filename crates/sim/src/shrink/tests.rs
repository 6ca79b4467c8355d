//! Small mixes from large ones.

use super::*;

#[test]
fn what_the_failure_does_not_need_is_taken_away() {
    let mix = large_mix();
    let culprit = mix.sessions[13].clone();
    let mut asked = 0;
    let small = shrink(&mix, 10_000, |mix| {
        asked += 1;
        mix.sessions.iter().any(|session| session.hosts == culprit.hosts)
    });
    assert_eq!(small.sessions.len(), 1, "one session of those hosts is enough");
    assert!(small.faults.is_empty() && small.liars.is_empty() && small.vlan.is_none());
    assert_eq!(small.sessions[0].sides[0].send_bytes, 0);
    assert!(asked < 3000, "{asked}");
    assert!(small.check().is_ok());
}

#[test]
fn the_budget_is_kept() {
    let mut asked = 0;
    shrink(&large_mix(), 10, |_| {
        asked += 1;
        false
    });
    assert_eq!(asked, 10);
}

fn large_mix() -> Mix {
    let mut mixes = (0..1000).map(Mix::draw);
    mixes.find(|mix| mix.sessions.len() > 20).expect("one in a thousand is large")
}
