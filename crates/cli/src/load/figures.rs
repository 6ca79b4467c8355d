//! The figures of a load: checked, shown, and as JSON.

use crate::args::LoadOptions;
use crate::figures::CoreFigures;
use crate::report::{LatencyUs, rounded};
use crate::text::{bytes, grouped, rate};
use crore_load::{Load, Protocol};
use serde::Serialize;

/// What a run found. The names are part of the interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    connections: u64,
    connect_errors: u64,
    established: u64,
    requests: u64,
    replies: u64,
    missed: u64,
    lost: u64,
    bad_bytes: u64,
    bad_replies: u64,
    resets: u64,
    timeouts: u64,
    closed_early: u64,
    closed: u64,
    open_seconds: f64,
    connections_per_second: f64,
    requests_per_second: f64,
    latency_us: LatencyUs,
    core: CoreFigures,
    #[serde(skip)]
    wanted: u64,
    #[serde(skip)]
    was_interrupted: bool,
}

impl Figures {
    pub(super) fn of<P: Protocol>(
        options: &LoadOptions,
        load: &Load<P>,
        core: CoreFigures,
        was_interrupted: bool,
    ) -> Self {
        let numbers = load.numbers();
        let per_second = |count: u64, seconds: f64| {
            rounded(if seconds > 0.0 { count as f64 / seconds } else { 0.0 })
        };
        Self {
            connections: numbers.opened,
            connect_errors: numbers.connect_errors,
            established: numbers.established,
            requests: numbers.requests,
            replies: numbers.replies,
            missed: numbers.missed,
            lost: numbers.lost,
            bad_bytes: numbers.bad_bytes,
            bad_replies: numbers.bad_replies,
            resets: numbers.resets,
            timeouts: numbers.timeouts,
            closed_early: numbers.closed_early,
            closed: numbers.closed,
            open_seconds: numbers.open_seconds,
            connections_per_second: per_second(numbers.opened, numbers.open_seconds),
            requests_per_second: per_second(numbers.replies, numbers.traffic_seconds),
            latency_us: load.latency().summary().into(),
            core,
            wanted: u64::from(options.connections),
            was_interrupted,
        }
    }

    /// What is not as it must be, a sentence each.
    pub(super) fn complaints(&self) -> Vec<String> {
        let opened = grouped(self.connections);
        let checks = [
            (
                self.connections < self.wanted && !self.was_interrupted,
                format!("{opened} connections of {} were opened", grouped(self.wanted)),
            ),
            (
                self.established < self.connections,
                format!("{} of {opened} connections stood at the end", grouped(self.established)),
            ),
            (self.bad_bytes > 0, format!("{} bytes of replies were wrong", self.bad_bytes)),
            (self.bad_replies > 0, format!("{} replies were wrong", self.bad_replies)),
            (
                self.requests > self.replies,
                format!("{} requests had no reply", self.requests.saturating_sub(self.replies)),
            ),
            (self.missed > 0, format!("{} requests of the rate could not be sent", self.missed)),
        ];
        checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, what)| what).collect()
    }

    /// The figures for people.
    pub(super) fn table(&self) -> String {
        let latency = &self.latency_us;
        format!(
            "\n{} connections opened in {:.1} s, {}/s; {} stood at the end, {} closed in order\n\
             {} requests, {}/s; {} bytes wrong, {} replies wrong; {} resets, {} timeouts\n\
             latency p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, max {:.1} us\n\
             memory {}{}",
            grouped(self.connections),
            self.open_seconds,
            rate(self.connections_per_second),
            grouped(self.established),
            grouped(self.closed),
            grouped(self.requests),
            rate(self.requests_per_second),
            self.bad_bytes,
            self.bad_replies,
            self.resets,
            self.timeouts,
            latency.p50,
            latency.p99,
            latency.p999,
            latency.max,
            bytes(self.core.memory_bytes),
            self.core.table(),
        )
    }
}
