//! Curves as SVG, for reports and documents: nothing to load, light and dark, a few kilobytes.
//!
//! ```text
//!   Plot      what is shown: two axes, series of points, horizontal limits
//!   scale     where a value lies on an axis, and which values are named
//!   svg       the picture
//! ```
//!
//! It is not a library of charts: lines and points over one pair of axes is all there is.
#![forbid(unsafe_code)]

mod scale;
mod svg;

pub use svg::{CSS, file, inline};

use serde::Serialize;

/// Curves in one picture.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plot {
    /// Names it among others.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The curves.
    pub series: Vec<Series>,
    /// Horizontal lines: what was asked for.
    pub limits: Vec<Limit>,
}

/// One direction of a plot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Axis {
    /// What is along it, with its unit.
    pub title: String,
    /// True when equal steps are equal factors.
    pub is_log: bool,
    /// From where to where; `None`: as far as there are points.
    pub range: Option<(f64, f64)>,
}

/// Points of one kind, in the order of x.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    /// What they are.
    pub name: String,
    /// Each across and upwards.
    pub points: Vec<(f64, f64)>,
    /// How they are drawn.
    pub mark: Mark,
    /// Which colour; series of the same number have the same one. `None`: the next.
    pub colour: Option<usize>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A line through its points.
    #[default]
    Both,
    /// A line only: theory.
    Line,
    /// Points only: measurements that a theory is drawn for.
    Points,
}

/// A horizontal line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Limit {
    /// Whose it is.
    pub name: String,
    /// How high.
    pub at: f64,
}

impl Axis {
    /// Equal steps are equal differences, from 0 if nothing is below.
    pub fn linear(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_log: false, range: None }
    }

    /// Equal steps are equal factors.
    pub fn log(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_log: true, range: None }
    }

    /// From where to where, whatever the points.
    #[must_use]
    pub fn within(mut self, from: f64, to: f64) -> Self {
        self.range = Some((from, to));
        self
    }
}

impl Series {
    /// A line through these points.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, mark: Mark::Both, colour: None }
    }
}

impl Limit {
    /// A line at this height.
    pub fn new(name: impl Into<String>, at: f64) -> Self {
        Self { name: name.into(), at }
    }
}

#[cfg(test)]
mod tests;
