//! A line a second, for files and pipes.

use super::sample::Sample;
use crate::text;
use std::fmt::Write;

/// Prints lines to standard output.
pub(crate) struct Plain;

impl Plain {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn show(&mut self, sample: &Sample) {
        println!("{}", line(sample));
    }
}

fn line(sample: &Sample) -> String {
    let progress = &sample.progress;
    let mut line = format!("{:6.1} s  {}", sample.since_start.as_secs_f64(), progress.doing);
    if progress.of > 0 {
        let (done, of) = (text::grouped(progress.done), text::grouped(progress.of));
        let _ = write!(line, " {done} of {of}");
        if sample.done_per_second > 0.0 {
            let _ = write!(line, " ({}/s)", text::rate(sample.done_per_second));
        }
    }
    let _ = write!(line, "; {} connections", text::grouped(sample.connections));
    if sample.packets_per_second > 0.0 {
        let packets = text::rate(sample.packets_per_second);
        let _ = write!(line, "; {packets} packets/s at {} cycles", sample.cycles.line());
    }
    if sample.replies_per_second > 0.0 {
        let latency = progress.latency;
        let (p50, p99) = (text::time_ns(latency.p50_ns), text::time_ns(latency.p99_ns));
        let replies = text::rate(sample.replies_per_second);
        let _ = write!(line, "; {replies} requests/s, p50 {p50}, p99 {p99}");
    }
    if sample.retransmits > 0 {
        let _ = write!(line, "; {} retransmits", text::grouped(sample.retransmits));
    }
    line
}
