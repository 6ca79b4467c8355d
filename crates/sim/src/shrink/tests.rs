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

#[test]
fn what_is_drawn_may_be_played() {
    for seed in 0..2000 {
        assert_eq!(Mix::draw(seed).check(), Ok(()), "seed {seed}");
    }
}

/// Both sides would wait: what fails then is the mix, not the stack.
#[test]
fn a_side_that_echoes_sends_what_it_gets() {
    let mut mixes = (0..1000).map(Mix::draw);
    let echoes = |mix: &Mix| mix.sessions.iter().any(|session| session.sides[0].echoes);
    let mut mix = mixes.find(echoes).expect("some sessions echo");
    let session = mix.sessions.iter_mut().find(|session| session.sides[0].echoes).unwrap();
    session.sides[0].send_bytes += 1;
    assert!(mix.check().is_err());
}

fn large_mix() -> Mix {
    let mut mixes = (0..1000).map(Mix::draw);
    mixes.find(|mix| mix.sessions.len() > 20).expect("one in a thousand is large")
}
