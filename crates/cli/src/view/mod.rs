//! Progress: a live picture on a terminal, a line a second elsewhere.

mod plain;
mod sample;

pub(crate) use sample::{Progress, Sampler};

use plain::Plain;
use sample::Sample;
use std::time::Duration;

/// Where progress is shown.
pub(crate) enum View {
    /// Lines.
    Plain(Plain),
}

impl View {
    /// A picture when standard output is a terminal and nobody asked for lines.
    pub(crate) fn open(plain: bool) -> Self {
        let _ = plain;
        Self::Plain(Plain::new())
    }

    /// Shows how things stand.
    pub(crate) fn show(&mut self, sample: &Sample) {
        match self {
            Self::Plain(plain) => plain.show(sample),
        }
    }

    /// How often to show something.
    pub(crate) fn pace(&self) -> Duration {
        match self {
            Self::Plain(_) => Duration::from_secs(1),
        }
    }

    /// A line that stays.
    pub(crate) fn note(&mut self, text: &str) {
        match self {
            Self::Plain(_) => println!("{text}"),
        }
    }
}
