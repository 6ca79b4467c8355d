//! What the main paths cost, and what a connection takes, against `bench/record.toml`.
//!
//! ```text
//!   crore-turn under callgrind ─> instructions a packet ─┐
//!   crore-turn sizes ───────────> bytes a structure ─────┴─> the record: within 3 %?
//! ```
//!
//! Growth fails until the record is written anew, so a commit that makes something slower or
//! larger says so in its own diff. A gain must be recorded too, else it could be lost unseen.
//! Counts are of the release profile as users build it, and exact: nothing in a run is luck.

mod measure;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::sources;

/// Figures by table and name.
type Figures = BTreeMap<String, BTreeMap<String, f64>>;

/// Measures, prints, and fails when a figure is not as it was recorded.
pub(crate) fn check(root: &Path) -> Result<()> {
    let recorded = parse(&sources::read(&root.join(FILE))?)?;
    let measured = measure::all(root)?;
    print!("{}", table(&recorded, &measured));
    let problems = problems(&recorded, &measured);
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "{} not as {FILE} has it:\n  {}\nTo record it, with a reason in the commit: \
         `cargo xtask guard --write`",
        problems.len(),
        problems.join("\n  ")
    )
}

/// Measures and writes the record.
pub(crate) fn write(root: &Path) -> Result<()> {
    let path = root.join(FILE);
    let recorded = if path.exists() { parse(&sources::read(&path)?)? } else { Figures::new() };
    let measured = measure::all(root)?;
    print!("{}", table(&recorded, &measured));
    std::fs::write(&path, render(&measured)).with_context(|| format!("writing {FILE}"))
}

/// Each figure that moved by more than is allowed, came, or went, as a sentence.
fn problems(recorded: &Figures, measured: &Figures) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, before, now) in pairs(recorded, measured) {
        match (before, now) {
            (Some(before), Some(now)) => {
                let change = percent(before, now);
                if change > ALLOWED_PERCENT {
                    problems.push(format!("{name} grew from {before} to {now} ({change:+.1} %)"));
                } else if change < -ALLOWED_PERCENT {
                    problems.push(format!(
                        "{name} shrank from {before} to {now} ({change:+.1} %): update the record"
                    ));
                }
            }
            (None, Some(now)) => problems.push(format!("{name} is {now} and not recorded")),
            (_, None) => problems.push(format!("{name} is recorded and was not measured")),
        }
    }
    problems
}

fn table(recorded: &Figures, measured: &Figures) -> String {
    let mut text = String::new();
    for (name, before, now) in pairs(recorded, measured) {
        let shown = |figure: Option<f64>| figure.map_or("-".to_owned(), |it| format!("{it}"));
        let change = before.zip(now).map_or(0.0, |(before, now)| percent(before, now));
        let change = if change == 0.0 { String::new() } else { format!("  {change:+.2} %") };
        writeln!(text, "{name:40} {:>10} -> {:>10}{change}", shown(before), shown(now))
            .expect("a String takes everything");
    }
    text
}

/// Every name of either, with both figures.
fn pairs<'a>(
    recorded: &'a Figures,
    measured: &'a Figures,
) -> impl Iterator<Item = (String, Option<f64>, Option<f64>)> + 'a {
    let of = |all: &Figures, table: &str, name: &str| all.get(table)?.get(name).copied();
    let names = recorded.iter().chain(measured).flat_map(|(table, figures)| {
        figures.keys().map(move |name| (table.as_str(), name.as_str()))
    });
    let names: std::collections::BTreeSet<_> = names.collect();
    names.into_iter().map(move |(table, name)| {
        let label = format!("{table}.{name}");
        (label, of(recorded, table, name), of(measured, table, name))
    })
}

fn percent(before: f64, now: f64) -> f64 {
    (now - before) / before * 100.0
}

fn parse(text: &str) -> Result<Figures> {
    toml::from_str(text).with_context(|| format!("{FILE} is not as it should be"))
}

fn render(figures: &Figures) -> String {
    let mut text = HEAD.to_owned();
    for (table, figures) in figures {
        write!(text, "\n[{table}]\n").expect("a String takes everything");
        for (name, figure) in figures {
            writeln!(text, "{name} = {figure:.1}").expect("a String takes everything");
        }
    }
    text
}

const FILE: &str = "bench/record.toml";

/// Below this a change is none: another compiler, another order of the same code.
const ALLOWED_PERCENT: f64 = 3.0;

const HEAD: &str = "\
# What the main paths cost in the stack and engine, without driver and client, in instructions of
# the release profile (x86-64 with AVX2, as callgrind shows it); and what a connection takes.
# `cargo xtask guard` compares and fails beyond 3 %; `cargo xtask guard --write` writes this file.
";

#[cfg(test)]
mod tests;
