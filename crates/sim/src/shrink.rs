//! From a mix that fails to a smaller one that fails as well: fewer sessions, faults, liars and
//! hosts, then shorter streams, plainer lanes and plainer hosts, until no step goes on.
//!
//! The order is from what takes most away to what takes least. Whether a mix fails is the caller's
//! question, so that a panic can end a process without ending the search.

use crate::mix::{LaneMix, Mix};

/// Makes `mix`, which fails, as small as it gets while `fails` says so. `fails` is called `budget`
/// times at most.
pub fn shrink(mix: &Mix, budget: usize, mut fails: impl FnMut(&Mix) -> bool) -> Mix {
    let mut best = mix.clone();
    let mut left = budget;
    let mut try_one = |best: &mut Mix, candidate: Option<Mix>| -> bool {
        let Some(candidate) = candidate else { return false };
        if left == 0 || candidate == *best || candidate.check().is_err() {
            return false;
        }
        left -= 1;
        let is_smaller = fails(&candidate);
        if is_smaller {
            *best = candidate;
        }
        is_smaller
    };
    loop {
        let before = best.clone();
        for list in [List::Sessions, List::Faults, List::Liars] {
            without_parts(&mut best, list, &mut try_one);
        }
        for n in (0..best.hosts.len()).rev() {
            let fewer = without_host(&best, n);
            try_one(&mut best, fewer);
        }
        for step in STEPS {
            let simpler = step(&best);
            try_one(&mut best, Some(simpler));
        }
        simplify_each(&mut best, &mut try_one);
        if best == before {
            return best;
        }
    }
}

#[derive(Clone, Copy)]
enum List {
    Sessions,
    Faults,
    Liars,
}

impl List {
    fn len(self, mix: &Mix) -> usize {
        match self {
            List::Sessions => mix.sessions.len(),
            List::Faults => mix.faults.len(),
            List::Liars => mix.liars.len(),
        }
    }

    fn without(self, mix: &Mix, start: usize, len: usize) -> Mix {
        let mut mix = mix.clone();
        let end = (start + len).min(self.len(&mix));
        match self {
            List::Sessions => drop(mix.sessions.drain(start..end)),
            List::Faults => drop(mix.faults.drain(start..end)),
            List::Liars => drop(mix.liars.drain(start..end)),
        }
        mix
    }
}

/// Takes parts of a list away: halves first, then ever smaller ones (delta debugging).
fn without_parts(
    best: &mut Mix,
    list: List,
    try_one: &mut impl FnMut(&mut Mix, Option<Mix>) -> bool,
) {
    let mut size = list.len(best);
    while size > 0 {
        let mut start = 0;
        while start < list.len(best) {
            let fewer = list.without(best, start, size);
            if !try_one(best, Some(fewer)) {
                start += size;
            }
        }
        size /= 2;
    }
}

/// Without host `n`, when no session needs it: those above move down by one.
fn without_host(mix: &Mix, n: usize) -> Option<Mix> {
    if mix.sessions.iter().any(|session| session.hosts.contains(&n)) || mix.hosts.len() == 2 {
        return None;
    }
    // Liars and faults name hosts as well; they go before, or stay in the way.
    let is_named = !mix.liars.is_empty() || mix.faults.iter().any(|fault| fault.node() >= n);
    if is_named {
        return None;
    }
    let mut fewer = mix.clone();
    fewer.hosts.remove(n);
    for session in &mut fewer.sessions {
        for host in &mut session.hosts {
            *host -= usize::from(*host > n);
        }
    }
    Some(fewer)
}

/// Steps that make all of a mix simpler at once.
const STEPS: &[fn(&Mix) -> Mix] = &[
    |mix| Mix { vlan: None, ..mix.clone() },
    |mix| lanes(mix, |lane| lane.loss_per_mille = 0),
    |mix| lanes(mix, |lane| lane.duplicate_per_mille = 0),
    |mix| lanes(mix, |lane| lane.ancient_per_mille = 0),
    |mix| lanes(mix, |lane| lane.corrupt_per_mille = 0),
    |mix| lanes(mix, |lane| lane.truncate_per_mille = 0),
    |mix| lanes(mix, |lane| lane.split_per_mille = 0),
    |mix| lanes(mix, |lane| lane.mark_per_mille = 0),
    |mix| with(mix, |mix| mix.hosts.iter_mut().for_each(|host| host.ecn = 0)),
    |mix| lanes(mix, |lane| lane.reorder_per_mille = 0),
    |mix| lanes(mix, |lane| lane.jitter_us = 0),
    |mix| lanes(mix, |lane| lane.bytes_per_second = None),
    |mix| with(mix, |mix| mix.faults_us /= 2),
    |mix| each_side(mix, |side| side.send_bytes /= 2),
    |mix| each_side(mix, |side| (side.pause_per_mille, side.stall_per_mille) = (0, 0)),
    |mix| {
        each_side(mix, |side| (side.shares, side.uses_timer, side.nodelay) = (false, false, None))
    },
    |mix| each_side(mix, |side| side.read_bytes = usize::MAX),
    |mix| with(mix, |mix| mix.sessions.iter_mut().for_each(|session| session.at_us = 0)),
    |mix| with(mix, |mix| mix.sessions.iter_mut().for_each(|session| session.over_v6 = false)),
    |mix| with(mix, |mix| mix.faults.iter_mut().for_each(|fault| fault.for_us /= 2)),
    |mix| with(mix, |mix| mix.hosts.iter_mut().for_each(|host| host.clock_us = 1)),
    |mix| with(mix, |mix| mix.hosts.iter_mut().for_each(|host| host.timestamps = false)),
    |mix| with(mix, |mix| mix.hosts.iter_mut().for_each(|host| host.sack = false)),
    |mix| with(mix, |mix| mix.hosts.iter_mut().for_each(|host| host.keepalive_idle_ms = None)),
    |mix| with(mix, |mix| mix.hosts.iter_mut().for_each(|host| host.rx_frames = 1)),
];

/// Single sessions and lanes.
fn simplify_each(best: &mut Mix, try_one: &mut impl FnMut(&mut Mix, Option<Mix>) -> bool) {
    for n in 0..best.hosts.len() {
        let plain = LaneMix { queue_us: best.hosts[n].up.queue_us, ..LaneMix::default() };
        let simpler = with(best, |mix| mix.hosts[n].up = plain);
        try_one(best, Some(simpler));
    }
    for n in 0..best.sessions.len() {
        for side in 0..2 {
            let simpler = with(best, |mix| mix.sessions[n].sides[side].aborts_at = None);
            try_one(best, Some(simpler));
            let simpler = with(best, |mix| mix.sessions[n].sides[side].send_bytes /= 2);
            try_one(best, Some(simpler));
        }
    }
}

fn with(mix: &Mix, change: impl FnOnce(&mut Mix)) -> Mix {
    let mut mix = mix.clone();
    change(&mut mix);
    mix
}

fn lanes(mix: &Mix, change: fn(&mut LaneMix)) -> Mix {
    with(mix, |mix| {
        for host in &mut mix.hosts {
            change(&mut host.up);
            change(&mut host.down);
        }
        for liar in &mut mix.liars {
            change(&mut liar.up);
            change(&mut liar.down);
        }
    })
}

fn each_side(mix: &Mix, change: fn(&mut crate::script::Side)) -> Mix {
    with(mix, |mix| mix.sessions.iter_mut().flat_map(|s| &mut s.sides).for_each(change))
}

#[cfg(test)]
mod tests;
