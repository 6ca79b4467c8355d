//! Where the cycles of some cores went: by core, in the service's calls, in the longest turns, and
//! what the processor's own counters say. For the live view, tables and JSON.
//!
//! What is not here: cycles a packet and stage ([`CyclesPerPacket`]), which stand for themselves.

mod hardware;

pub(crate) use hardware::{Hardware, HardwareFigures};

use crate::report::{CyclesPerPacket, busy, packets_between, rounded};
use crate::text::grouped;
use crore::{CALLBACK_NAMES, Histogram, SERVICE_BUDGET_CYCLES, STAGE_NAMES, Stage};
use crore::{ServiceCycles, Snapshot, WorstTurn};
use serde::Serialize;
use std::collections::BTreeMap;

/// The account of a time.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Account {
    pub(crate) cores: Vec<CoreAccount>,
    pub(crate) service: ServiceAccount,
    pub(crate) turns: TurnAccount,
    pub(crate) hardware: HardwareFigures,
}

/// One core.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct CoreAccount {
    pub(crate) packets: u64,
    pub(crate) busy_cycles: u64,
    /// Of its time: all that is not idle.
    pub(crate) busy_percent: f64,
    /// Of its time; sleep is idle too.
    pub(crate) idle_percent: f64,
    /// Of its time: writing its numbers, and the control plane's work on it.
    pub(crate) control_percent: f64,
    pub(crate) cycles_per_packet: CyclesPerPacket,
}

/// The service's calls for connections, of those that were timed: one burst of 61.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ServiceAccount {
    pub(crate) calls_timed: u64,
    pub(crate) mean_cycles: f64,
    pub(crate) p50_cycles: u64,
    pub(crate) p99_cycles: u64,
    pub(crate) p999_cycles: u64,
    pub(crate) budget_cycles: u64,
    pub(crate) over_budget_percent: f64,
    /// The most cycles of a bucket, and the calls in it.
    pub(crate) histogram: Vec<(u64, u64)>,
    /// Of each kind of call the slowest since the start, the slowest first.
    pub(crate) slowest: Vec<SlowestCall>,
}

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SlowestCall {
    pub(crate) callback: &'static str,
    pub(crate) cycles: u64,
    pub(crate) core: usize,
    /// Slot and generation; nothing for `turn`, which is of no connection.
    pub(crate) connection: Option<String>,
    pub(crate) at_seconds: f64,
}

/// Busy turns by their length.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct TurnAccount {
    pub(crate) busy: u64,
    /// Above the cap.
    pub(crate) long: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// The longest since the start, and of the last second or two.
    pub(crate) worst: Option<WorstAccount>,
    pub(crate) worst_lately: Option<WorstAccount>,
}

/// One turn and its reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct WorstAccount {
    pub(crate) us: f64,
    pub(crate) core: usize,
    /// The stage that took most.
    pub(crate) main_stage: &'static str,
    pub(crate) us_by_stage: BTreeMap<&'static str, f64>,
    pub(crate) frames_received: u64,
    pub(crate) frames_sent: u64,
    pub(crate) timers: u64,
    pub(crate) at_seconds: f64,
    /// Whether the system had set the thread aside at about that time; nothing: not known.
    pub(crate) was_set_aside: Option<bool>,
}

impl Account {
    /// What happened between two moments of the same cores.
    pub(crate) fn between(earlier: &[Snapshot], later: &[Snapshot]) -> Self {
        let pairs = || earlier.iter().zip(later);
        let mut calls = ServiceCycles::default();
        let mut turns = Histogram::default();
        let (mut busy, mut long) = (0, 0);
        for (earlier, later) in pairs() {
            calls.merge(&later.service.since(&earlier.service));
            let cycles = later.cycles.since(&earlier.cycles);
            turns.merge(&cycles.turns);
            busy += cycles.busy_turns;
            long += cycles.long_turns;
        }
        let cycles_a_us = later.iter().map(|core| core.cycles_a_us).max().unwrap_or(0).max(1);
        let us = |cycles: u64| rounded(cycles as f64 / cycles_a_us as f64);
        Self {
            cores: pairs().map(|(earlier, later)| CoreAccount::of(earlier, later)).collect(),
            service: ServiceAccount::of(&calls, later),
            turns: TurnAccount {
                busy,
                long,
                p50_us: us(turns.quantile(0.5)),
                p99_us: us(turns.quantile(0.99)),
                p999_us: us(turns.quantile(0.999)),
                worst: worst(later, |core| core.worst),
                worst_lately: worst(later, |core| core.worst_lately),
            },
            hardware: HardwareFigures::default(),
        }
    }

    /// The account in lines, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.service.line(), self.turns.line()];
        lines.extend(self.hardware.line());
        lines
    }
}

impl CoreAccount {
    fn of(earlier: &Snapshot, later: &Snapshot) -> Self {
        let (earlier, later) = (std::slice::from_ref(earlier), std::slice::from_ref(later));
        let cycles = later[0].cycles.since(&earlier[0].cycles);
        let all: u64 = cycles.stages.iter().sum();
        let (busy_cycles, busy_percent) = busy(earlier, later);
        let percent = |stage| rounded(cycles.of(stage) as f64 * 100.0 / all.max(1) as f64);
        Self {
            packets: packets_between(earlier, later),
            busy_cycles,
            busy_percent,
            idle_percent: percent(Stage::Idle),
            control_percent: percent(Stage::Control),
            cycles_per_packet: CyclesPerPacket::between(earlier, later),
        }
    }
}

impl ServiceAccount {
    fn of(calls: &ServiceCycles, cores: &[Snapshot]) -> Self {
        let count = calls.calls.count();
        let each = |sum: f64| if count > 0 { sum / count as f64 } else { 0.0 };
        Self {
            calls_timed: count,
            mean_cycles: rounded(each(calls.cycles as f64)),
            p50_cycles: calls.calls.quantile(0.5),
            p99_cycles: calls.calls.quantile(0.99),
            p999_cycles: calls.calls.quantile(0.999),
            budget_cycles: SERVICE_BUDGET_CYCLES,
            over_budget_percent: each(calls.over_budget as f64 * 1e5).round() / 1e3,
            histogram: calls.calls.buckets().collect(),
            slowest: slowest(cores),
        }
    }

    /// The same, short.
    pub(crate) fn line(&self) -> String {
        if self.calls_timed == 0 {
            return "service: no call was timed".to_owned();
        }
        let mut line = format!(
            "service: cycles a call p50 {}, p99 {}, p99.9 {}; {} % above the budget of {}",
            grouped(self.p50_cycles),
            grouped(self.p99_cycles),
            grouped(self.p999_cycles),
            self.over_budget_percent,
            grouped(self.budget_cycles)
        );
        if let Some(slowest) = self.slowest.first() {
            line += &slowest.words();
        }
        line
    }
}

impl SlowestCall {
    fn words(&self) -> String {
        let of = self.connection.as_ref().map(|name| format!(" for connection {name}"));
        let (of, core) = (of.unwrap_or_default(), self.core);
        format!("; slowest: {} {}{of} of core {core}", self.callback, grouped(self.cycles))
    }
}

impl TurnAccount {
    /// The same, short.
    pub(crate) fn line(&self) -> String {
        let (p50, p999) = (self.p50_us, self.p999_us);
        let long = grouped(self.long);
        let mut line = format!("turns: p50 {p50} us, p99.9 {p999} us; {long} above the cap");
        if let Some(worst) = &self.worst {
            line += &worst.words();
        }
        line
    }
}

impl WorstAccount {
    fn of(turn: &WorstTurn, core: usize, cycles_a_us: u64) -> Self {
        let us = |cycles: u64| rounded(cycles as f64 / cycles_a_us.max(1) as f64);
        let stages = STAGE_NAMES.iter().zip(turn.stages).filter(|(_, cycles)| *cycles > 0);
        Self {
            us: us(turn.cycles),
            core,
            main_stage: turn.main_stage(),
            us_by_stage: stages.map(|(name, cycles)| (*name, us(cycles))).collect(),
            frames_received: turn.received,
            frames_sent: turn.sent,
            timers: turn.timers,
            at_seconds: rounded(turn.at_us as f64 / 1e6),
            was_set_aside: turn.was_set_aside(),
        }
    }

    /// The length and the reason.
    pub(crate) fn words(&self) -> String {
        let most = self.us_by_stage.get(self.main_stage).copied().unwrap_or(0.0);
        let why = match self.was_set_aside {
            Some(true) => ", while the system had set the thread aside",
            Some(false) => ", and the system had no part in it",
            None => "",
        };
        format!(
            "; longest {} us, {} of it {most} us{why} ({} frames in, {} out, {} timers)",
            self.us, self.main_stage, self.frames_received, self.frames_sent, self.timers
        )
    }
}

/// The worst of all cores.
fn worst(cores: &[Snapshot], of: impl Fn(&Snapshot) -> WorstTurn) -> Option<WorstAccount> {
    let turns = cores.iter().enumerate().map(|(number, core)| (number, core, of(core)));
    let (number, core, turn) = turns.max_by_key(|(_, _, turn)| turn.cycles)?;
    (turn.cycles > 0).then(|| WorstAccount::of(&turn, number, core.cycles_a_us))
}

/// Of each kind of call the slowest, with the core it was on.
fn slowest(cores: &[Snapshot]) -> Vec<SlowestCall> {
    let mut found = Vec::new();
    for (kind, callback) in CALLBACK_NAMES.into_iter().enumerate() {
        let calls = cores.iter().map(|core| core.service.slowest[kind]).enumerate();
        let Some((core, call)) = calls.max_by_key(|(_, call)| call.cycles) else { continue };
        if call.cycles > 0 {
            let id = call.conn;
            let connection =
                (id.generation != 0).then(|| format!("{}#{}", id.index, id.generation));
            let at_seconds = rounded(call.at_us as f64 / 1e6);
            found.push(SlowestCall { callback, cycles: call.cycles, core, connection, at_seconds });
        }
    }
    found.sort_by_key(|call| std::cmp::Reverse(call.cycles));
    found
}

#[cfg(test)]
mod tests;
