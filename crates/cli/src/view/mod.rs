//! Progress: a live picture on a terminal, a line a second elsewhere.

mod live;
mod plain;
mod sample;

pub(crate) use sample::{LinkProgress, Progress, Sampler, Unit};

use crate::text::{grouped, rate};
use live::Live;
use sample::{LinkSample, Sample};
use std::io::{IsTerminal, stdout};
use std::time::Duration;

/// Where progress is shown.
pub(crate) enum View {
    /// Lines.
    Plain,
    /// A picture at the bottom of the terminal.
    Live(Box<Live>),
    /// Nowhere.
    Nowhere,
}

impl LinkSample {
    /// `tap:tap0 up, 12 connections, 3 k packets/s`.
    fn words(&self) -> String {
        let (connections, packets) = (grouped(self.connections), rate(self.packets_per_second));
        format!("{} {}, {connections} connections, {packets} packets/s", self.name, self.state)
    }
}

impl View {
    /// A picture when standard output is a terminal and nobody asked for lines.
    pub(crate) fn open(plain: bool) -> Self {
        let wanted = !plain && stdout().is_terminal();
        match wanted.then(Live::open) {
            Some(Ok(live)) => Self::Live(Box::new(live)),
            // A terminal that cannot say where its cursor is gets lines.
            Some(Err(_)) | None => Self::Plain,
        }
    }

    /// How often to show something.
    pub(crate) fn pace(&self) -> Duration {
        match self {
            Self::Live(_) => Duration::from_millis(200),
            Self::Plain | Self::Nowhere => Duration::from_secs(1),
        }
    }

    /// Shows how things stand.
    pub(crate) fn show(&mut self, sample: &Sample) {
        match self {
            Self::Plain => println!("{}", plain::line(sample)),
            Self::Live(live) => live.show(sample),
            Self::Nowhere => {}
        }
    }

    /// A line that stays.
    pub(crate) fn note(&mut self, text: &str) {
        match self {
            Self::Plain => println!("{text}"),
            Self::Live(live) => live.note(text),
            Self::Nowhere => {}
        }
    }
}
