//! What a run is made of, drawn from its seed: two hosts, the link between them, the scripts.

use crate::luck::Luck;
use crate::script::{Bounds, Script};
use crore::mem::PoolClass;
use crore::{AddressRange, Interface, StackConfig};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Everything that a seed decides before the run.
pub(crate) struct Mix {
    pub(crate) temper: Temper,
    pub(crate) hosts: [HostMix; 2],
    /// `lanes[n]` leads away from host `n`.
    pub(crate) lanes: [LaneMix; 2],
    pub(crate) vlan: Option<u16>,
    pub(crate) scripts: Vec<Script>,
    /// The hosts' clocks at the beginning: near a seam of some counter in some runs.
    pub(crate) start_us: u64,
    /// From here on the link loses nothing but what its queue has no room for.
    pub(crate) faults_end_us: u64,
}

/// How hard a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Temper {
    /// No faults but delay.
    Calm,
    /// A few percent of faults.
    Rough,
    /// Up to a third lost, blackouts, small tables.
    Harsh,
}

/// One host.
pub(crate) struct HostMix {
    pub(crate) config: StackConfig,
    pub(crate) mtu: u16,
    /// It has room for all that the run can want of it.
    pub(crate) is_ample: bool,
    /// Frames it can send in a turn.
    pub(crate) tx_frames: usize,
    /// Frames it takes in a turn.
    pub(crate) rx_frames: usize,
    /// Connections served by one output stage.
    pub(crate) output_budget: usize,
    /// Timer entries handled in a turn.
    pub(crate) timer_budget: usize,
    /// From the start of one turn to the next, at least.
    pub(crate) turn_us: u64,
}

/// One direction of the link.
#[derive(Default)]
pub(crate) struct LaneMix {
    pub(crate) delay_us: u64,
    /// Added to each frame's delay, 0 to this, without changing the order.
    pub(crate) jitter_us: u64,
    pub(crate) loss_per_mille: u32,
    pub(crate) duplicate_per_mille: u32,
    pub(crate) corrupt_per_mille: u32,
    /// Segments cut in two that overlap.
    pub(crate) split_per_mille: u32,
    /// Frames held back so that others overtake them, and how long at most.
    pub(crate) reorder_per_mille: u32,
    pub(crate) reorder_us: u64,
    /// Bytes a second; `None`: no limit.
    pub(crate) bytes_per_second: Option<u64>,
    /// Frames that would wait longer than this for their turn are dropped.
    pub(crate) queue_us: u64,
    /// Times in which nothing gets through.
    pub(crate) blackouts: Vec<(u64, u64)>,
}

impl Mix {
    pub(crate) fn draw(luck: &mut Luck) -> Self {
        let temper = match luck.below(100) {
            0..30 => Temper::Calm,
            30..80 => Temper::Rough,
            _ => Temper::Harsh,
        };
        let sessions = match temper {
            Temper::Calm => luck.scaled(1, 60),
            _ => luck.scaled(1, 40),
        } as usize;
        let faults_us = match temper {
            Temper::Calm => 0,
            _ => luck.scaled(500_000, 15_000_000),
        };
        let start_us = start_us(luck);
        let faults_end_us = start_us + faults_us;
        let lanes = [0, 1].map(|_| LaneMix::draw(luck, temper, start_us, faults_us));
        let mut hosts = [0, 1].map(|_| HostMix::draw(luck, temper, sessions));
        let forgets = [0, 1].map(|side: usize| {
            let config = &hosts[side].config;
            config.always_cookies || (config.half_open_max as usize) < sessions
        });
        for side in 0..2 {
            if forgets[1 - side] {
                hosts[side].config.ephemeral_first = 32_768;
            }
        }
        let bounds = Bounds {
            send_bytes_max: (600_000 / sessions as u64).max(2000),
            spread_us: luck.scaled(1, 3_000_000),
            aborts_per_mille: luck.pick(&[0, 0, 50, 300]),
            opener_speaks: forgets,
        };
        let scripts = (0..sessions).map(|n| Script::draw(luck, &bounds, n)).collect();
        let vlan = luck.chance(200).then(|| 1 + luck.below(4094) as u16);
        Self { temper, hosts, lanes, vlan, scripts, start_us, faults_end_us }
    }

    /// What host `side` must know of its link.
    pub(crate) fn interface(&self, side: usize) -> Interface {
        let range = |first: IpAddr, prefix_len| AddressRange { first, count: 3, prefix_len };
        Interface {
            mac: [2, 0, 0, 0, 0, side as u8 + 1],
            mtu: self.hosts[side].mtu,
            vlan: self.vlan,
            addresses: vec![range(address(side, 0, false), 24), range(address(side, 0, true), 64)],
            gateway_v4: None,
            gateway_v6: None,
            verify_checksums: true,
        }
    }
}

/// Address `n` of host `side`.
pub(crate) fn address(side: usize, n: u8, is_v6: bool) -> IpAddr {
    let host = 1 + 100 * side as u8 + n;
    if is_v6 {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host)))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
    }
}

/// Usually near the start of the clock; else shortly before some counter wraps.
fn start_us(luck: &mut Luck) -> u64 {
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

impl HostMix {
    fn draw(luck: &mut Luck, temper: Temper, sessions: usize) -> Self {
        let is_small = luck.chance(if temper == Temper::Harsh { 300 } else { 50 });
        let mut config = StackConfig::for_connections(sessions as u32 + 4);
        config.half_open_max = if luck.chance(200) { luck.scaled(1, 8) as u32 } else { 128 };
        config.time_wait_max = if luck.chance(200) { luck.scaled(1, 8) as u32 } else { 256 };
        config.neighbours_max = 16;
        config.snd_buf_bytes = luck.scaled(4096, 256 << 10) as u32;
        config.rcv_buf_bytes = luck.scaled(4096, 1 << 20) as u32;
        // Of what was drawn already, so that a seed stays what it was.
        config.snd_buf_max_bytes = config.snd_buf_bytes << (config.snd_buf_bytes % 5);
        config.rcv_buf_max_bytes = config.rcv_buf_bytes << (config.rcv_buf_bytes % 5);
        config.buf_min_bytes = config.snd_buf_bytes % 4096;
        config.pool = ample_pool();
        if is_small {
            config.conns_max = luck.scaled(2, sessions as u64 + 4) as u32;
            config.pool = scarce_pool(luck);
        }
        config.ack_delay_ms = luck.pick(&[0, 10, 40, 200]);
        config.rto_min_ms = luck.pick(&[50, 200, 1000]);
        config.rto_max_ms = luck.pick(&[10_000, 60_000]);
        config.time_wait_ms = luck.pick(&[500, 2_000, 10_000]);
        config.fin_wait_2_ms = 600_000;
        if luck.chance(200) {
            config.keepalive_idle_ms = Some(luck.between(2000, 10_000) as u32);
            config.keepalive_interval_ms = 2048;
            config.keepalive_probes = 20;
        }
        config.nodelay = luck.chance(300);
        config.timestamps = luck.chance(700);
        config.sack = luck.chance(700);
        config.initial_window_segments = luck.pick(&[1, 4, 10]);
        config.always_cookies = luck.chance(100);
        config.ephemeral_first = if luck.chance(500) { 65_500 } else { 32_768 };
        let narrow = luck.chance(200);
        Self {
            config,
            is_ample: !is_small,
            mtu: luck.pick(&[1500, 1500, 1500, 1280, 9000]),
            tx_frames: if narrow { luck.between(1, 3) } else { luck.between(8, 64) } as usize,
            rx_frames: luck.pick(&[1, 8, 32, 32, 32]),
            output_budget: luck.pick(&[1, 8, 64, 64]),
            timer_budget: luck.pick(&[1, 64, 64]),
            turn_us: luck.scaled(1, 2000),
        }
    }
}

fn ample_pool() -> [PoolClass; 3] {
    [
        PoolClass { payload_bytes: 160, count: 8192 },
        PoolClass { payload_bytes: 480, count: 2048 },
        PoolClass { payload_bytes: 2016, count: 1024 },
    ]
}

fn scarce_pool(luck: &mut Luck) -> [PoolClass; 3] {
    [160, 480, 2016]
        .map(|payload_bytes| PoolClass { payload_bytes, count: luck.scaled(4, 512) as u32 })
}

impl LaneMix {
    fn draw(luck: &mut Luck, temper: Temper, start_us: u64, faults_us: u64) -> Self {
        let harsh = temper == Temper::Harsh;
        let fault = |luck: &mut Luck, rough: u64, harsh_most: u64| -> u32 {
            match temper {
                Temper::Calm => 0,
                Temper::Rough => luck.below(rough + 1) as u32,
                Temper::Harsh => luck.below(harsh_most + 1) as u32,
            }
        };
        let mut blackouts = Vec::new();
        if temper != Temper::Calm && luck.chance(if harsh { 500 } else { 100 }) {
            for _ in 0..luck.between(1, 3) {
                let at = start_us + luck.below(faults_us);
                blackouts.push((at, at + luck.scaled(10_000, 3_000_000)));
            }
        }
        Self {
            delay_us: luck.scaled(1, 100_000),
            jitter_us: luck.scaled(1, 20_000),
            loss_per_mille: fault(luck, 40, 300),
            duplicate_per_mille: fault(luck, 20, 200),
            corrupt_per_mille: fault(luck, 10, 100),
            split_per_mille: fault(luck, 20, 200),
            reorder_per_mille: fault(luck, 40, 400),
            reorder_us: luck.scaled(100, 100_000),
            bytes_per_second: luck.chance(300).then(|| luck.scaled(100_000, 100_000_000)),
            queue_us: luck.scaled(20_000, 500_000),
            blackouts,
        }
    }
}
