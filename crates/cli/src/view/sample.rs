//! How things stand at a moment, and how fast they move.

use crate::account::{Account, Hardware, HardwareFigures};
use crate::report::{CyclesPerPacket, packets_between};
use core::ops::Range;
use crore::{Snapshot, StatsPage};
use crore_load::LatencySummary;
use std::time::{Duration, Instant};

/// What the work is at, as its owner knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// What is being done: "opening".
    pub(crate) doing: &'static str,
    /// So much of it is done.
    pub(crate) done: u64,
    /// Of so much; 0: no end is known.
    pub(crate) of: u64,
    /// What both are counted in.
    pub(crate) unit: Unit,
    /// Requests answered so far, for those who know.
    pub(crate) replies: Option<u64>,
    /// Latency so far, for those who know.
    pub(crate) latency: LatencySummary,
    /// The links, where there is something to say of them.
    pub(crate) links: Vec<LinkProgress>,
}

/// A link, as its owner knows it.
#[derive(Clone, Debug)]
pub(crate) struct LinkProgress {
    /// As the user wrote it.
    pub(crate) name: String,
    /// In a word: "up".
    pub(crate) state: &'static str,
    /// Its cores among all.
    pub(crate) cores: Range<usize>,
}

/// What progress is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unit {
    #[default]
    Count,
    Milliseconds,
}

/// How a link does.
#[derive(Clone, Debug)]
pub(crate) struct LinkSample {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) connections: u64,
    pub(crate) packets_per_second: f64,
}

/// How things stand, ready to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) since_start: Duration,
    pub(crate) progress: Progress,
    pub(crate) connections: u64,
    pub(crate) packets_per_second: f64,
    pub(crate) replies_per_second: f64,
    pub(crate) done_per_second: f64,
    pub(crate) cycles: CyclesPerPacket,
    pub(crate) account: Account,
    pub(crate) retransmits: u64,
    pub(crate) memory_bytes: usize,
    pub(crate) links: Vec<LinkSample>,
}

/// Looks at the cores' pages, and makes of two looks what lies between them.
pub(crate) struct Sampler {
    pages: Vec<StatsPage>,
    memory_bytes: usize,
    started: Instant,
    last: Look,
    /// As soon as the threads are known.
    hardware: Option<Hardware>,
}

struct Look {
    at: Instant,
    snapshots: Vec<Snapshot>,
    progress: Progress,
}

impl Sampler {
    /// Cycles and packets are those of the cores of `pages`.
    pub(crate) fn new(pages: Vec<StatsPage>, memory_bytes: usize) -> Self {
        let started = Instant::now();
        let snapshots = pages.iter().map(StatsPage::read).collect();
        let last = Look { at: started, snapshots, progress: Progress::default() };
        Self { pages, memory_bytes, started, last, hardware: None }
    }

    /// How things stand now, compared with the last look.
    pub(crate) fn look(&mut self, progress: Progress) -> Sample {
        let at = Instant::now();
        let snapshots: Vec<_> = self.pages.iter().map(StatsPage::read).collect();
        let seconds = (at - self.last.at).as_secs_f64().max(1e-3);
        let before = &self.last;
        let replies = |progress: &Progress| progress.replies.unwrap_or(0);
        let same = before.progress.doing == progress.doing;
        let done_before = if same { before.progress.done } else { progress.done };
        let more_replies = replies(&progress).saturating_sub(replies(&before.progress));
        let packets = packets_between(&before.snapshots, &snapshots);
        let mut account = Account::between(&before.snapshots, &snapshots);
        account.hardware = self.look_at_hardware(&snapshots, packets);
        let before = &self.last;
        let sample = Sample {
            since_start: at - self.started,
            connections: snapshots.iter().map(|one| one.conns).sum(),
            packets_per_second: packets as f64 / seconds,
            replies_per_second: more_replies as f64 / seconds,
            done_per_second: progress.done.saturating_sub(done_before) as f64 / seconds,
            cycles: CyclesPerPacket::between(&before.snapshots, &snapshots),
            account,
            retransmits: snapshots.iter().map(|one| one.counters.retransmits).sum(),
            memory_bytes: self.memory_bytes,
            links: links(&progress.links, (&before.snapshots, &snapshots), seconds),
            progress: progress.clone(),
        };
        self.last = Look { at, snapshots, progress };
        sample
    }

    /// What the processor counted in all looks so far.
    pub(crate) fn hardware(&self) -> HardwareFigures {
        self.hardware.as_ref().map_or_else(HardwareFigures::default, Hardware::whole)
    }

    fn look_at_hardware(&mut self, cores: &[Snapshot], packets: u64) -> HardwareFigures {
        let threads: Vec<_> = cores.iter().map(|core| core.thread).collect();
        if self.hardware.is_none() && !threads.contains(&0) {
            self.hardware = Some(Hardware::of(&threads));
            // What it counts begins now.
            return HardwareFigures::default();
        }
        self.hardware.as_mut().map_or_else(HardwareFigures::default, |all| all.look(packets))
    }
}

/// What each link did between two looks.
fn links(
    links: &[LinkProgress],
    (earlier, later): (&[Snapshot], &[Snapshot]),
    seconds: f64,
) -> Vec<LinkSample> {
    let of = |link: &LinkProgress| {
        let (earlier, later) = (&earlier[link.cores.clone()], &later[link.cores.clone()]);
        LinkSample {
            name: link.name.clone(),
            state: link.state,
            connections: later.iter().map(|core| core.conns).sum(),
            packets_per_second: packets_between(earlier, later) as f64 / seconds,
        }
    };
    links.iter().map(of).collect()
}
