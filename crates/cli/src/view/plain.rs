//! A line a second, for files and pipes.

use super::sample::{Sample, Unit};
use crate::text::{grouped, rate, time_ns};
use std::fmt::Write;

/// How things stand, in a line.
pub(crate) fn line(sample: &Sample) -> String {
    let progress = &sample.progress;
    let mut line = format!("{:6.1} s  {}", sample.since_start.as_secs_f64(), progress.doing);
    if progress.of > 0 && progress.unit == Unit::Count {
        let (done, of) = (grouped(progress.done), grouped(progress.of));
        let _ = write!(line, " {done} of {of}");
        if sample.done_per_second > 0.0 {
            let _ = write!(line, " ({}/s)", rate(sample.done_per_second));
        }
    }
    let _ = write!(line, "; {} connections", grouped(sample.connections));
    if sample.packets_per_second > 0.0 {
        let packets = rate(sample.packets_per_second);
        let _ = write!(line, "; {packets} packets/s, cycles each {}", sample.cycles.line());
    }
    if sample.replies_per_second > 0.0 {
        let latency = progress.latency;
        let (p50, p99) = (time_ns(latency.p50_ns), time_ns(latency.p99_ns));
        let _ = write!(line, "; {} requests/s", rate(sample.replies_per_second));
        let _ = write!(line, ", p50 {p50}, p99 {p99}");
    }
    if sample.retransmits > 0 {
        let _ = write!(line, "; {} retransmits", grouped(sample.retransmits));
    }
    for link in &sample.links {
        let _ = write!(line, "; {}", link.words());
    }
    line
}
