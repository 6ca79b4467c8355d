//! What a profile found: the same value is printed, written as JSON and drawn as HTML.
//!
//! The names of the fields are the JSON's (docs/bench.md lists them). Fields may be added; who
//! renames or removes one raises [`FORMAT`].

pub(crate) use crore_plot::{Axis, Limit, Plot, Series};

use serde::Serialize;

/// Of the JSON; readers look at it first.
pub(crate) const FORMAT: u32 = 1;

/// What one profile found.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ProfileResult {
    pub(crate) name: &'static str,
    /// What was measured, for somebody who has not read the code: a few sentences.
    pub(crate) measured: String,
    /// The few figures that the profile is run for, first of all beside what was asked for.
    pub(crate) figures: Vec<Figure>,
    pub(crate) tables: Vec<Table>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) pairs: Vec<Pairs>,
    /// What could not be done, and why; what a reader must know to read the figures.
    pub(crate) notes: Vec<String>,
    /// What was not as it must be, such as a wrong byte: the run counts as failed.
    pub(crate) failures: Vec<String>,
}

/// One figure, and what it should be.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) here: f64,
    /// What it should be, if anything was said.
    pub(crate) asked: Option<f64>,
    /// Where `asked` comes from: "the C10M talk", "the project's aim".
    pub(crate) asked_by: &'static str,
    /// True when less is better.
    pub(crate) at_most: bool,
}

/// A table of numbers and words.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A column's heading.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// "" for what is only counted, or words.
    pub(crate) unit: &'static str,
}

/// A place in a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    Number(f64),
    Text(String),
    /// Not measured.
    Nothing,
}

/// The same quantity of ours and of another, measured in turn: one pair a round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pairs {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// "limit" or "kernel".
    pub(crate) other: &'static str,
    pub(crate) rounds: Vec<Pair>,
    pub(crate) median_ours: f64,
    pub(crate) median_theirs: f64,
    /// The median of the pairs' ratios, which is not the ratio of the medians: what disturbed a
    /// pair disturbed both of it.
    pub(crate) median_ratio: f64,
}

/// Of one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Pair {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    /// Ours over theirs.
    pub(crate) ratio: f64,
}

impl ProfileResult {
    /// Nothing found yet.
    pub(crate) fn new(name: &'static str, measured: &str) -> Self {
        Self { name, measured: measured.to_owned(), ..Self::default() }
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Something is not as it must be, unless `right`.
    pub(crate) fn check(&mut self, right: bool, failure: impl FnOnce() -> String) {
        if !right {
            self.failures.push(failure());
        }
    }

    pub(crate) fn is_right(&self) -> bool {
        self.failures.is_empty()
    }
}

impl Figure {
    /// A figure that stands for itself.
    pub(crate) fn of(name: impl Into<String>, unit: &'static str, here: f64) -> Self {
        Self { name: name.into(), unit, here, asked: None, asked_by: "", at_most: false }
    }

    /// It should be no more than this.
    pub(crate) fn at_most(self, asked: f64, asked_by: &'static str) -> Self {
        Self { asked: Some(asked), asked_by, at_most: true, ..self }
    }

    /// It should be no less than this.
    pub(crate) fn at_least(self, asked: f64, asked_by: &'static str) -> Self {
        Self { asked: Some(asked), asked_by, at_most: false, ..self }
    }

    /// Whether it is as was asked; `None` when nothing was.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.asked.map(|asked| if self.at_most { self.here <= asked } else { self.here >= asked })
    }
}

impl Table {
    pub(crate) fn new(
        name: &'static str,
        title: impl Into<String>,
        columns: &[(&'static str, &'static str)],
    ) -> Self {
        let columns = columns.iter().map(|&(name, unit)| Column { name, unit }).collect();
        Self { name, title: title.into(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let row: Vec<_> = cells.into_iter().collect();
        debug_assert_eq!(row.len(), self.columns.len(), "{}", self.name);
        self.rows.push(row);
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Pairs {
    /// Of pairs (ours, theirs), a round each.
    pub(crate) fn of(
        name: impl Into<String>,
        unit: &'static str,
        other: &'static str,
        rounds: &[(f64, f64)],
    ) -> Self {
        let pair = |&(ours, theirs)| Pair { ours, theirs, ratio: ours / theirs };
        let rounds: Vec<_> = rounds.iter().map(pair).collect();
        let median_of = |of: fn(&Pair) -> f64| median(rounds.iter().map(of).collect());
        Self {
            name: name.into(),
            unit,
            other,
            median_ours: median_of(|pair| pair.ours),
            median_theirs: median_of(|pair| pair.theirs),
            median_ratio: median_of(|pair| pair.ratio),
            rounds,
        }
    }
}

/// The middle one; of an even number the mean of the middle two; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_median_of_ratios_is_not_the_ratio_of_medians() {
        // In the second round the machine was disturbed: both took twice as long.
        let pairs = Pairs::of("cycles", "cycles", "limit", &[(15.0, 10.0), (36.0, 24.0)]);
        assert_eq!((pairs.median_ours, pairs.median_theirs), (25.5, 17.0));
        assert_eq!(pairs.median_ratio, 1.5);
    }

    #[test]
    fn a_figure_is_held_against_what_was_asked() {
        let cycles = Figure::of("cycles", "cycles", 190.0);
        assert_eq!(cycles.is_met(), None);
        assert_eq!(cycles.clone().at_most(200.0, "C10M talk").is_met(), Some(true));
        assert_eq!(cycles.at_least(200.0, "the project's aim").is_met(), Some(false));
    }
}
