//! From a seed to a mix.
//!
//! Swarm testing (Groce et al., 2012): each seed first draws which kinds of faults and which
//! features it has at all, then how much of each. A kind that is always there hides what happens
//! only in its absence, and all at once hide each other. Most runs are small; a few are not.

use super::{HostMix, LaneMix, Middle, Mix};
use crate::addresses;
use crate::fault::{Fault, What};
use crate::liar::{LiarMix, Trick};
use crate::luck::Luck;
use crate::script::{Bounds, Script};

/// What a seed has at all.
#[expect(clippy::struct_excessive_bools, reason = "a swarm is made of switches")]
struct Swarm {
    has_faults: bool,
    is_harsh: bool,
    loss: bool,
    duplicate: bool,
    ancient: bool,
    corrupt: bool,
    truncate: bool,
    split: bool,
    reorder: bool,
    jitter: bool,
    rate: bool,
    small_tables: bool,
    cookies: bool,
    few_ports: bool,
    keepalive: bool,
    narrow: bool,
    aborts: bool,
    gives_up: bool,
    odd_kinds: bool,
    liars: bool,
    ecn: bool,
    tuning: bool,
}

impl Swarm {
    fn draw(luck: &mut Luck) -> Self {
        let has_faults = luck.chance(750);
        let mut on = |per_mille: u32| has_faults && luck.chance(per_mille);
        Self {
            has_faults,
            is_harsh: on(250),
            loss: on(600),
            duplicate: on(400),
            ancient: on(200),
            corrupt: on(300),
            truncate: on(200),
            split: on(300),
            reorder: on(500),
            jitter: luck.chance(600),
            rate: luck.chance(300),
            small_tables: luck.chance(150),
            cookies: luck.chance(150),
            few_ports: luck.chance(300),
            keepalive: luck.chance(300),
            narrow: luck.chance(200),
            aborts: luck.chance(400),
            gives_up: luck.chance(200),
            odd_kinds: luck.chance(500),
            liars: luck.chance(150),
            ecn: luck.chance(400),
            tuning: luck.chance(500),
        }
    }
}

/// How much of everything there is.
struct Scale {
    hosts: usize,
    liars: usize,
    sessions: usize,
    /// Connections that a liar opens, and that are opened to it.
    lies: usize,
}

impl Scale {
    fn draw(luck: &mut Luck, swarm: &Swarm) -> Self {
        let hosts = match luck.below(100) {
            0..65 => 2,
            65..92 => luck.between(3, 5),
            _ => luck.between(6, 16),
        };
        let sessions = match luck.below(1000) {
            0 => luck.scaled(1000, 4000),
            1..20 => luck.scaled(40, 400),
            _ => luck.scaled(1, 40),
        };
        let liars = if swarm.liars { luck.between(1, 2) } else { 0 };
        let lies = luck.scaled(1, 12) as usize;
        Self { hosts: hosts as usize, liars: liars as usize, sessions: sessions as usize, lies }
    }
}

pub(super) fn mix(seed: u64, luck: &mut Luck) -> Mix {
    let swarm = Swarm::draw(luck);
    let scale = Scale::draw(luck, &swarm);
    let faults_us = if swarm.has_faults { luck.scaled(500_000, 15_000_000) } else { 0 };
    let middle = if luck.chance(500) { Middle::Switch } else { Middle::Router };
    let mut hosts: Vec<HostMix> = (0..scale.hosts).map(|_| host(luck, &swarm, &scale)).collect();
    if scale.sessions > CROWD {
        hosts.iter_mut().for_each(make_quick);
    }
    let faults = faults(luck, &swarm, &scale, faults_us);
    for fault in &faults {
        if let What::MemoryFull { node } = fault.what {
            hosts[node].is_ample = false;
        }
    }
    let forgets: Vec<bool> = hosts.iter().map(|host| host.may_forget(scale.sessions)).collect();
    if forgets.contains(&true) {
        for host in &mut hosts {
            host.few_ports = false;
        }
    }
    keep_ancient_below_msl(&mut hosts);
    let spread_us = luck.scaled(1, 3_000_000);
    let bounds = Bounds {
        send_bytes_max: (600_000 / scale.sessions as u64).max(500),
        spread_us,
        aborts_per_mille: if swarm.aborts { luck.pick(&[50, 300]) } else { 0 },
        gives_up_per_mille: if swarm.gives_up { luck.pick(&[50, 300]) } else { 0 },
        v6_per_mille: luck.pick(&[0, 400, 500, 1000]),
        odd_kinds: swarm.odd_kinds,
        reuses_ports: swarm.few_ports,
        forgets,
    };
    let sessions = (0..scale.sessions).map(|n| Script::draw(luck, &bounds, n)).collect();
    let liars = (0..scale.liars).map(|_| liar(luck, &swarm, &scale, spread_us)).collect();
    Mix {
        seed,
        middle,
        vlan: luck.chance(200).then(|| 1 + luck.below(4094) as u16),
        spares_neighbours: !swarm.is_harsh,
        faults_us,
        hosts,
        liars,
        sessions,
        faults,
    }
}

fn host(luck: &mut Luck, swarm: &Swarm, scale: &Scale) -> HostMix {
    let is_small = swarm.small_tables && luck.chance(500);
    let all = scale.sessions + scale.lies * scale.liars * 2 + 8;
    let shorter = if swarm.has_faults || swarm.rate { 7 } else { 3 };
    let narrow = swarm.narrow && luck.chance(500);
    let time_wait_max = if luck.chance(100) { luck.scaled(1, 8) as u32 } else { all as u32 + 256 };
    let snd_buf_bytes = luck.scaled(4096, 256 << 10) as u32;
    let rcv_buf_bytes = luck.scaled(4096, 1 << 20) as u32;
    let (snd_shift, rcv_shift) = if swarm.tuning { (luck.below(5), luck.below(5)) } else { (0, 0) };
    HostMix {
        clock_us: clock_us(luck),
        mtu: luck.pick(&[1500, 1500, 1500, 1280, 9000]),
        tx_frames: if narrow { luck.between(1, 3) } else { luck.between(8, 64) } as usize,
        rx_frames: luck.pick(&[1, 8, 32, 32, 32]),
        output_budget: luck.pick(&[1, 8, 64, 64]),
        timer_budget: luck.pick(&[1, 64, 64]),
        turn_us: luck.scaled(1, 2000),
        up: lane(luck, swarm, luck_half),
        down: lane(luck, swarm, |_| true),
        is_ample: !is_small,
        conns_max: if is_small { luck.scaled(2, all as u64) } else { all as u64 } as u32,
        half_open_max: match (is_small, swarm.cookies) {
            (true, _) => luck.scaled(1, 8) as u32,
            (_, true) => luck.pick(&[1, 4, 128]),
            _ => all as u32 + 128,
        },
        time_wait_max: if swarm.ancient { all as u32 + 256 } else { time_wait_max },
        pool: if is_small {
            [(); 3].map(|()| luck.scaled(4, 512) as u32)
        } else {
            [2048 + 2 * all as u32, 512, 512]
        },
        snd_buf_bytes,
        rcv_buf_bytes,
        snd_buf_max_bytes: snd_buf_bytes << snd_shift,
        rcv_buf_max_bytes: rcv_buf_bytes << rcv_shift,
        buf_min_bytes: luck.below(4096) as u32,
        ack_delay_ms: luck.pick(&[0, 10, 40, 200]),
        quick_acks: luck.chance(200),
        quick_acks_after_loss: luck.chance(500),
        fin_on_acks: luck.chance(200),
        ecn: if swarm.ecn { luck.pick(&[0, 1, 2, 2]) } else { 0 },
        nagle_classic: luck.chance(300),
        reassembly_datagrams_max: if luck.chance(200) { 4 } else { 0 },
        rto_min_ms: luck.pick(&[50, 200, 1000]),
        rto_max_ms: luck.pick(&[10_000, 60_000]),
        syn_retries: luck.pick(&[7, shorter]),
        syn_ack_retries: luck.pick(&[5, 5, 3]),
        data_retries: luck.pick(&[15, 15, 9]),
        time_wait_ms: luck.pick(&[500, 2_000, 10_000]),
        fin_wait_2_ms: 600_000,
        keepalive_idle_ms: (swarm.keepalive && luck.chance(700))
            .then(|| luck.between(2000, 10_000) as u32),
        nodelay: luck.chance(300),
        timestamps: luck.chance(600),
        window_scaling: luck.chance(850),
        sack: luck.chance(650),
        cubic: luck.chance(500),
        tail_loss_probes: luck.chance(700),
        frto: luck.chance(700),
        initial_window_segments: luck.pick(&[1, 4, 10]),
        always_cookies: swarm.cookies && luck.chance(400),
        few_ports: luck.chance(300),
        path_search: 1,
        header_prediction: true,
        ..HostMix::default()
    }
}

/// A crowd is no match for a host that takes a frame in a turn, some hundred a second.
fn make_quick(host: &mut HostMix) {
    host.turn_us = host.turn_us.min(100);
    host.rx_frames = host.rx_frames.max(8);
    host.timer_budget = 64;
    host.output_budget = 64;
}

fn luck_half(luck: &mut Luck) -> bool {
    luck.chance(400)
}

/// Usually near the start of the clock; else shortly before some counter wraps.
fn clock_us(luck: &mut Luck) -> u64 {
    let before = luck.below(5_000_000);
    match luck.below(10) {
        // 32 bits of microseconds.
        0 => (1 << 32) - before,
        // 32 bits of milliseconds.
        1 => (1 << 32) * 1000 - before,
        // 16 bits of 1024 ms; of 64 ms; of 1 ms.
        2 => (1 << 16) * 1_024_000 - before,
        3 => (1 << 16) * 64_000 - before,
        4 => (1 << 16) * 1000 - before,
        _ => 1 + before,
    }
}

/// A lane that is not `there` passes everything on at once.
fn lane(luck: &mut Luck, swarm: &Swarm, there: impl FnOnce(&mut Luck) -> bool) -> LaneMix {
    if !there(luck) {
        return LaneMix { queue_us: 500_000, ..LaneMix::default() };
    }
    let harsh = swarm.is_harsh;
    let mut some = |on: bool, rough: u64, harsh_most: u64| -> u32 {
        let most = if harsh { harsh_most } else { rough };
        if on { luck.below(most + 1) as u32 } else { 0 }
    };
    let loss_per_mille = some(swarm.loss, 40, 300);
    let duplicate_per_mille = some(swarm.duplicate, 20, 200);
    let ancient_per_mille = some(swarm.ancient, 10, 50);
    let corrupt_per_mille = some(swarm.corrupt, 10, 100);
    let truncate_per_mille = some(swarm.truncate, 10, 60);
    let mark_per_mille = some(swarm.ecn, 50, 300);
    let split_per_mille = some(swarm.split, 20, 200);
    let reorder_per_mille = some(swarm.reorder, 40, 400);
    LaneMix {
        delay_us: luck.scaled(1, 60_000),
        jitter_us: if swarm.jitter { luck.scaled(1, 20_000) } else { 0 },
        loss_per_mille,
        duplicate_per_mille,
        ancient_per_mille,
        ancient_us: luck.scaled(10_000, 5_000_000),
        corrupt_per_mille,
        truncate_per_mille,
        split_per_mille,
        fragment_per_mille: 0,
        mark_per_mille,
        reorder_per_mille,
        reorder_us: luck.scaled(100, 100_000),
        bytes_per_second: (swarm.rate && luck.chance(500))
            .then(|| luck.scaled(100_000, 100_000_000)),
        queue_us: luck.scaled(20_000, 500_000),
    }
}

/// TIME-WAIT keeps old segments apart from new ones only when they live for less than an MSL, half
/// of it (RFC 9293 3.4.2).
fn keep_ancient_below_msl(hosts: &mut [HostMix]) {
    let shortest_ms = hosts.iter().map(|host| host.time_wait_ms).min().unwrap_or(0);
    let msl_us = u64::from(shortest_ms) * 500;
    for host in hosts {
        for lane in [&mut host.up, &mut host.down] {
            lane.ancient_us = lane.ancient_us.min((msl_us / 2).saturating_sub(lane.longest_us()));
        }
    }
}

fn liar(luck: &mut Luck, swarm: &Swarm, scale: &Scale, spread_us: u64) -> LiarMix {
    let some: Vec<Trick> = Trick::ALL.into_iter().filter(|_| luck.chance(350)).collect();
    let tricks = if some.is_empty() { vec![luck.pick(&Trick::ALL)] } else { some };
    let times = |luck: &mut Luck| {
        let count = luck.below(scale.lies as u64 + 1);
        let mut times = Vec::new();
        for _ in 0..count {
            let host = luck.below(scale.hosts as u64) as usize;
            times.push((host, luck.below(spread_us + 1)));
        }
        times
    };
    LiarMix {
        openings: times(luck),
        visits: times(luck),
        up: lane(luck, swarm, luck_half),
        down: lane(luck, swarm, luck_half),
        tricks,
        acts: luck.scaled(2, 60) as u32,
        pace_us: luck.scaled(100, 300_000),
        timestamps: luck.chance(500),
        resets: luck.chance(500),
    }
}

/// The kinds of faults by schedule that a seed has, then some of each.
fn faults(luck: &mut Luck, swarm: &Swarm, scale: &Scale, faults_us: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !swarm.has_faults {
        return faults;
    }
    for kind in 0..KINDS {
        if !luck.chance(150) {
            continue;
        }
        for _ in 0..luck.between(1, 3) {
            let at_us = luck.below(faults_us);
            let node = luck.below(scale.hosts as u64) as usize;
            let what = draw_fault(luck, kind, node, scale);
            let most_us = (faults_us - at_us).min(longest_us(&what)).max(1);
            let for_us = luck.scaled(1.max(most_us / 1000), most_us);
            let is_bad = restarts_twice(&faults, &what);
            let lasts = matches!(what, What::AddressGone { .. }) && luck.chance(500);
            let for_us = if lasts { FOR_GOOD_US } else { for_us };
            if !is_bad {
                faults.push(Fault { at_us, for_us, what });
            }
        }
    }
    faults
}

fn draw_fault(luck: &mut Luck, kind: u64, node: usize, scale: &Scale) -> What {
    match kind {
        0 => {
            let (up, down) = luck.pick(&[(true, false), (false, true), (true, true)]);
            What::Cut { node, up, down }
        }
        1 => {
            let to = (node + 1 + luck.below(scale.hosts as u64 - 1) as usize) % scale.hosts;
            What::Partition { from: node, to }
        }
        2 => {
            let mtu = luck.pick(&[1400, 1280, 1280, 1000, 576]);
            What::PathMtu { node, mtu, is_silent: luck.chance(300) }
        }
        3 => What::Rate { node, bytes_per_second: luck.scaled(20_000, 10_000_000) },
        4 => {
            let number = luck.below(u64::from(addresses::PER_NODE)) as u8;
            What::AddressGone { node, number }
        }
        5 => What::Restart { node, moves: luck.chance(300) },
        6 => What::MemoryFull { node },
        7 => What::ClockStep { node, by_us: luck.scaled(1_000_000, LEAP_MAX_US) },
        8 => What::Stall { node },
        9 => What::Deaf { node },
        _ => What::Forgery { node, every_us: luck.scaled(1_000, 500_000) },
    }
}

/// A host that is off cannot be switched off, nor listen; and it moves a few times at most.
fn restarts_twice(faults: &[Fault], what: &What) -> bool {
    let of = |what: &What| match *what {
        What::Restart { node, .. } => Some(node),
        _ => None,
    };
    let node = of(what);
    node.is_some() && faults.iter().any(|fault| of(&fault.what) == node)
}

/// What can be survived for long, and what cannot.
fn longest_us(what: &What) -> u64 {
    match what {
        What::Cut { .. } | What::Partition { .. } | What::PathMtu { .. } => 8_000_000,
        What::MemoryFull { .. } | What::Stall { .. } | What::Restart { .. } => 4_000_000,
        _ => u64::MAX,
    }
}

const KINDS: u64 = 11;

/// The application's timers reach as far as this: beyond a leap of 35 minutes they cannot tell
/// what is past from what is to come.
const LEAP_MAX_US: u64 = 1_800_000_000;

/// More sessions than this are a crowd.
const CROWD: usize = 40;

/// Longer than any run.
const FOR_GOOD_US: u64 = 400_000_000;
