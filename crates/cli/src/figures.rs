//! The final figures of `serve` and `load`: what the cores counted, and every drop by its reason.

use crate::account::Account;
use crate::link::PathFigures;
use crate::report::{CyclesPerPacket, busy};
use crate::text::{bytes, grouped};
use crore::Snapshot;
use crore::driver::Link;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What some cores counted together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CoreFigures {
    pub(crate) seconds: f64,
    pub(crate) cores: usize,
    /// Open at the end.
    pub(crate) connections: u64,
    pub(crate) accepted: u64,
    pub(crate) connected: u64,
    pub(crate) closed: u64,
    pub(crate) resets_in: u64,
    pub(crate) resets_out: u64,
    pub(crate) retransmits: u64,
    pub(crate) timeouts: u64,
    pub(crate) cookies_sent: u64,
    pub(crate) cookies_accepted: u64,
    pub(crate) evicted: u64,
    pub(crate) sources_uncounted: u64,
    pub(crate) flow_overflows: u64,
    pub(crate) rx_frames: u64,
    pub(crate) tx_frames: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) memory_bytes: usize,
    /// Cycles in which the cores had something to do.
    pub(crate) busy_cycles: u64,
    /// The same of their time; polling in vain and sleep are the rest.
    pub(crate) busy_percent: f64,
    pub(crate) cycles_per_packet: CyclesPerPacket,
    pub(crate) account: Account,
    /// How the frames of each queue of an interface crossed.
    pub(crate) paths: Vec<PathFigures>,
    /// Frames and segments not processed further, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl CoreFigures {
    pub(crate) fn of(cores: &[Snapshot], seconds: f64, memory_bytes: usize) -> Self {
        let counters = || cores.iter().map(|core| &core.counters);
        let mut dropped = BTreeMap::new();
        for (reason, count) in counters().flat_map(crore::Counters::dropped_by_name) {
            *dropped.entry(reason).or_default() += count;
        }
        let nothing = vec![zeroed(); cores.len()];
        let (busy_cycles, busy_percent) = busy(&nothing, cores);
        Self {
            seconds,
            cores: cores.len(),
            connections: cores.iter().map(|core| core.conns).sum(),
            accepted: counters().map(|of| of.accepted).sum(),
            connected: counters().map(|of| of.connected).sum(),
            closed: counters().map(|of| of.closed).sum(),
            resets_in: counters().map(|of| of.resets_in).sum(),
            resets_out: counters().map(|of| of.resets_out).sum(),
            retransmits: counters().map(|of| of.retransmits).sum(),
            timeouts: counters().map(|of| of.timeouts).sum(),
            cookies_sent: counters().map(|of| of.cookies_sent).sum(),
            cookies_accepted: counters().map(|of| of.cookies_accepted).sum(),
            evicted: counters().map(|of| of.evicted).sum(),
            sources_uncounted: counters().map(|of| of.sources_uncounted).sum(),
            flow_overflows: counters().map(|of| of.flow_overflows).sum(),
            rx_frames: counters().map(|of| of.rx_frames).sum(),
            tx_frames: counters().map(|of| of.tx_frames).sum(),
            rx_bytes: counters().map(|of| of.rx_bytes).sum(),
            tx_bytes: counters().map(|of| of.tx_bytes).sum(),
            memory_bytes,
            busy_cycles,
            busy_percent,
            cycles_per_packet: CyclesPerPacket::between(&nothing, cores),
            account: Account::between(&nothing, cores),
            paths: Vec::new(),
            dropped,
        }
    }

    /// Adds how a core's frames crossed, what its link dropped, and the kernel because the core did
    /// not take it in time.
    pub(crate) fn add_link(&mut self, link: &Link) {
        self.paths.extend(PathFigures::of(link));
        let counters = link.counters();
        let mut missed = vec![
            ("rx_bad", counters.rx_bad),
            ("rx_too_long", counters.rx_too_long),
            ("tx_errors", counters.tx_errors),
        ];
        if let Link::Xdp(queue) = link
            && let Ok(kernel) = queue.kernel_counters()
        {
            missed.push(("rx_no_frame", kernel.rx_dropped));
            missed.push(("rx_ring_full", kernel.rx_ring_full));
        }
        for (reason, count) in missed.into_iter().filter(|(_, count)| *count > 0) {
            *self.dropped.entry(reason).or_default() += count;
        }
    }

    /// The figures for people.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "\n{:.1} s on {} core(s): {} connections accepted, {} opened, {} ended, {} open now\n",
            self.seconds,
            self.cores,
            grouped(self.accepted),
            grouped(self.connected),
            grouped(self.closed),
            grouped(self.connections)
        );
        let _ = writeln!(
            table,
            "received {} frames, {}; sent {} frames, {}",
            grouped(self.rx_frames),
            bytes(self.rx_bytes as usize),
            grouped(self.tx_frames),
            bytes(self.tx_bytes as usize)
        );
        let _ = writeln!(
            table,
            "{} retransmits, {} timeouts, {} resets received, {} sent",
            grouped(self.retransmits),
            grouped(self.timeouts),
            grouped(self.resets_in),
            grouped(self.resets_out)
        );
        let _ = writeln!(table, "cycles a packet: {}", self.cycles_per_packet.line());
        let _ = writeln!(
            table,
            "busy {} % of the time, {} M cycles",
            self.busy_percent,
            grouped(self.busy_cycles / 1_000_000)
        );
        for line in self.account.lines() {
            let _ = writeln!(table, "{line}");
        }
        table += &dropped_line(&self.dropped);
        table
    }
}

/// Every reason for which something was dropped, with its count.
pub(crate) fn dropped_line(dropped: &BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<_> =
        dropped.iter().map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
    let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    format!("dropped: {parts}")
}

/// The numbers of a core that has not begun.
fn zeroed() -> Snapshot {
    use crore::zerocopy::FromZeros;
    Snapshot::new_zeroed()
}
