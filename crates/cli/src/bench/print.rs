//! What was found, on the terminal.

use super::machine::Machine;
use super::result::{Cell, Figure, Pairs, ProfileResult, Table};
use crate::text;

/// The machine in a few lines.
pub(crate) fn machine(machine: &Machine) {
    println!("\nthe machine just before:");
    for line in machine.lines() {
        println!("  {line}");
    }
}

/// All that a profile found but its plots.
pub(crate) fn result(found: &ProfileResult) {
    for one in &found.tables {
        print!("\n{}", table(one));
    }
    println!();
    for one in &found.figures {
        println!("{}", figure(one));
    }
    for one in &found.pairs {
        println!("{}", pairs(one));
    }
    for note in &found.notes {
        println!("note: {note}");
    }
    for failure in &found.failures {
        println!("CHECK FAILED: {failure}");
    }
}

/// A figure and what was asked for.
fn figure(figure: &Figure) -> String {
    let here = format!("{}: {} {}", figure.name, number(figure.here), figure.unit);
    let (Some(asked), Some(is_met)) = (figure.asked, figure.is_met()) else { return here };
    let bound = if figure.at_most { "at most" } else { "at least" };
    let verdict = if is_met { "met" } else { "not met" };
    format!("{here} ({} asks for {bound} {}: {verdict})", figure.asked_by, number(asked))
}

/// Medians and their ratio.
fn pairs(pairs: &Pairs) -> String {
    format!(
        "{}, ours beside {}: {} / {} {}, ratio {:.2} (medians of {} pairs)",
        pairs.name,
        pairs.other,
        number(pairs.median_ours),
        number(pairs.median_theirs),
        pairs.unit,
        pairs.median_ratio,
        pairs.rounds.len()
    )
}

/// Columns as wide as they must be, numbers to the right.
fn table(table: &Table) -> String {
    let heading = |at: usize| {
        let column = table.columns[at];
        let (name, unit) = (column.name, column.unit);
        if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
    };
    let rows: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |at: usize| {
        let widths = rows.iter().map(|row| row[at].chars().count());
        widths.chain([heading(at).chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..table.columns.len()).map(width).collect();
    let mut out = format!("{}\n", table.title);
    let headings: Vec<_> = (0..table.columns.len()).map(heading).collect();
    for row in std::iter::once(&headings).chain(&rows) {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
        out += cells.collect::<Vec<_>>().join("  ").as_str();
        out.push('\n');
    }
    out
}

/// A place of a table as people read it.
pub(crate) fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Number(value) => number(*value),
        Cell::Text(text) => text.clone(),
        Cell::Nothing => "-".to_owned(),
    }
}

/// Three digits that matter, or all before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        100.0.. => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", text::grouped(value.abs().round() as u64))
        }
        10.0.. => format!("{value:.1}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}
