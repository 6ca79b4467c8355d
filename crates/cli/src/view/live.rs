//! The live picture: some lines at the bottom of the terminal, drawn again and again.
//!
//! No raw mode and no other screen: what was printed before stays where it is, and Ctrl-C works as
//! ever.

use super::sample::{Sample, Unit};
use crate::text::{bytes, grouped, rate, time_ns};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Gauge, Paragraph, Widget};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use std::fmt::Write;
use std::io::{Result, Stdout, stdout};

/// The picture.
pub(crate) struct Live {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Live {
    pub(crate) fn open() -> Result<Self> {
        let options = TerminalOptions { viewport: Viewport::Inline(LINES) };
        Terminal::with_options(CrosstermBackend::new(stdout()), options)
            .map(|terminal| Self { terminal })
    }

    /// Errors of the terminal are not worth ending a run for.
    pub(crate) fn show(&mut self, sample: &Sample) {
        let _ = self.terminal.draw(|frame| draw(frame, sample));
    }

    /// A line above the picture.
    pub(crate) fn note(&mut self, text: &str) {
        let write = |buffer: &mut ratatui::buffer::Buffer| {
            Paragraph::new(text).render(buffer.area, buffer);
        };
        let _ = self.terminal.insert_before(1, write);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.terminal.clear();
        let _ = self.terminal.show_cursor();
    }
}

fn draw(frame: &mut Frame<'_>, sample: &Sample) {
    let rows = Layout::vertical([Constraint::Length(1); LINES as usize]).split(frame.area());
    frame.render_widget(progress(sample), rows[1]);
    frame.render_widget(traffic(sample), rows[2]);
    let (bar, names) = cycles(sample, rows[3].width);
    frame.render_widget(bar, rows[3]);
    frame.render_widget(names, rows[4]);
    frame.render_widget(latency(sample), rows[5]);
    frame.render_widget(service(sample), rows[6]);
    frame.render_widget(longest_turn(sample), rows[7]);
    frame.render_widget(links(sample), rows[0]);
}

/// The bar of what is being done; without a known end, a line.
fn progress(sample: &Sample) -> Gauge<'_> {
    let progress = &sample.progress;
    let ratio = match progress.of {
        0 => 0.0,
        of => (progress.done as f64 / of as f64).clamp(0.0, 1.0),
    };
    let shown = |number: u64| match progress.unit {
        Unit::Count => grouped(number),
        Unit::Milliseconds => format!("{:.1} s", number as f64 / 1e3),
    };
    let mut label = format!("{} {}", progress.doing, shown(progress.done));
    if progress.of > 0 {
        let _ = write!(label, " of {}", shown(progress.of));
    }
    if progress.unit == Unit::Count && sample.done_per_second > 0.0 {
        let _ = write!(label, "  {}/s", rate(sample.done_per_second));
    }
    Gauge::default().ratio(ratio).label(label).gauge_style(Style::new().cyan().on_dark_gray())
}

fn traffic(sample: &Sample) -> Line<'static> {
    let mut line = Line::default();
    let mut put = |name: &'static str, value: String| {
        line.push_span(format!("{name} ").dim());
        line.push_span(format!("{value}   ").bold());
    };
    put("connections", grouped(sample.connections));
    put("packets/s", rate(sample.packets_per_second));
    if sample.progress.replies.is_some() {
        put("requests/s", rate(sample.replies_per_second));
    }
    put("retransmits", grouped(sample.retransmits));
    put("memory", bytes(sample.memory_bytes));
    line
}

/// Cycles a packet as a bar with a part for each stage, and below it what the parts are.
fn cycles(sample: &Sample, width: u16) -> (Line<'static>, Line<'static>) {
    let stages = sample.cycles.stages();
    let sum: f64 = stages.iter().map(|(_, cycles)| cycles).sum();
    let mut bar = Line::default();
    let mut names = Line::default();
    names.push_span("cycles/packet ".dim());
    names.push_span(format!("{sum:.0}  ").bold());
    for ((name, cycles), color) in stages.into_iter().zip(COLORS) {
        let cells = if sum > 0.0 { cycles / sum * f64::from(width) } else { 0.0 };
        bar.push_span(Span::styled("▄".repeat(cells.round() as usize), color));
        names.push_span(Span::styled("■ ", color));
        names.push_span(format!("{name} {cycles:.0}  "));
    }
    (bar, names)
}

fn latency(sample: &Sample) -> Line<'static> {
    let latency = sample.progress.latency;
    if latency.max_ns == 0 {
        return Line::default();
    }
    let shown = [
        ("latency p50", latency.p50_ns),
        ("p99", latency.p99_ns),
        ("p99.9", latency.p999_ns),
        ("max", latency.max_ns),
    ];
    let spans = shown
        .into_iter()
        .flat_map(|(name, ns)| [format!("{name} ").dim(), format!("{}   ", time_ns(ns)).bold()]);
    spans.collect()
}

/// The service's calls, against what the design leaves them.
fn service(sample: &Sample) -> Line<'static> {
    let service = &sample.account.service;
    if service.calls_timed == 0 {
        return Line::default();
    }
    let mut line = Line::default();
    line.push_span("service p50 ".dim());
    line.push_span(format!("{}   ", grouped(service.p50_cycles)).bold());
    line.push_span("p99 ".dim());
    line.push_span(format!("{}   ", grouped(service.p99_cycles)).bold());
    line.push_span(format!("over {} ", grouped(service.budget_cycles)).dim());
    line.push_span(format!("{} %   ", service.over_budget_percent).bold());
    if let Some(slowest) = service.slowest.first() {
        line.push_span("slowest ".dim());
        let conn = slowest.connection.as_deref().unwrap_or("");
        line.push_span(format!("{} {} {conn}", slowest.callback, grouped(slowest.cycles)).bold());
    }
    line
}

/// The longest turn of late, with its reason; and what the processor counts, where it lets us see.
fn longest_turn(sample: &Sample) -> Line<'static> {
    let mut line = Line::default();
    if let Some(worst) = &sample.account.turns.worst_lately {
        line.push_span("longest turn ".dim());
        line.push_span(format!("{} us ", worst.us).bold());
        line.push_span(format!("in {}   ", worst.main_stage));
        if worst.was_set_aside == Some(true) {
            line.push_span("set aside by the system   ".dim());
        }
    }
    let hardware = &sample.account.hardware;
    if let (Some(instructions), Some(misses)) =
        (hardware.instructions_per_packet, hardware.cache_misses_per_packet)
    {
        line.push_span("instructions/packet ".dim());
        line.push_span(format!("{instructions:.0}   ").bold());
        line.push_span("cache misses ".dim());
        line.push_span(format!("{misses:.1}").bold());
    }
    line
}

/// Every link, as far as there is room; it is a blank line where nothing is to be said of them.
fn links(sample: &Sample) -> Line<'static> {
    let mut line = Line::default();
    for link in &sample.links {
        let is_up = link.state == "up";
        let state = if is_up { link.state.green() } else { link.state.red().bold() };
        line.push_span(format!("{} ", link.name).dim());
        line.push_span(state);
        line.push_span(format!(" {}/s   ", rate(link.packets_per_second)));
    }
    line
}

const LINES: u16 = 8;

const COLORS: [Color; 6] =
    [Color::Blue, Color::Cyan, Color::Green, Color::Yellow, Color::Magenta, Color::Red];

#[cfg(test)]
mod tests;
