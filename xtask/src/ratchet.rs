//! The exceptions from the size limits, which may only shrink.
//!
//! `ratchet.toml` holds the size of each thing that was over a limit when it was last written.
//! Something that grew, or is new, is a problem; something that shrank has to be written down, so
//! that it cannot grow back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::sizes::{self, Excess, Kind};
use crate::sources;

/// What `write` does with a thing that is new or grew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    Refused,
    Recorded,
}

/// Where the code and the recorded exceptions differ, each difference as a sentence.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let recorded = read(&root.join(FILE))?;
    let measured = sizes::excess(&sources::rust_files(root)?)?;
    let mut problems = growth(&recorded, &measured);
    problems.extend(shrinkage(&recorded, &measured));
    Ok(problems)
}

/// Makes the recorded exceptions those of the code.
pub(crate) fn write(root: &Path, growth_is: Growth) -> Result<()> {
    let path = root.join(FILE);
    let recorded = read(&path)?;
    let measured = sizes::excess(&sources::rust_files(root)?)?;
    let grown = growth(&recorded, &measured);
    if growth_is == Growth::Refused && !grown.is_empty() {
        bail!("the ratchet only shrinks:\n  {}", grown.join("\n  "));
    }
    fs::write(&path, render(&measured)).with_context(|| format!("cannot write {FILE}"))?;
    println!("{FILE}: {} exceptions", measured.values().map(BTreeMap::len).sum::<usize>());
    Ok(())
}

fn growth(recorded: &Excess, measured: &Excess) -> Vec<String> {
    let mut problems = Vec::new();
    for (kind, name, size) in entries(measured) {
        let rule = kind.rule();
        match recorded.get(&kind).and_then(|table| table.get(name)) {
            None => problems.push(format!("{name}: {size} {rule}")),
            Some(before) if size > *before => {
                problems.push(format!("{name}: {size} {rule}; it was recorded with {before}"));
            }
            Some(_) => {}
        }
    }
    problems
}

fn shrinkage(recorded: &Excess, measured: &Excess) -> Vec<String> {
    let mut problems = Vec::new();
    for (kind, name, before) in entries(recorded) {
        let size = measured.get(&kind).and_then(|table| table.get(name));
        if size.is_none_or(|size| *size < before) {
            let table = kind.table();
            let now = size.map_or("is within the limit now".to_owned(), |n| format!("has {n} now"));
            problems.push(format!(
                "{name}: recorded with {before} in [{table}] and {now}: \
                 `cargo xtask ratchet --write`"
            ));
        }
    }
    problems
}

fn entries(excess: &Excess) -> impl Iterator<Item = (Kind, &str, usize)> {
    excess
        .iter()
        .flat_map(|(kind, table)| table.iter().map(|(name, size)| (*kind, name.as_str(), *size)))
}

fn read(path: &Path) -> Result<Excess> {
    parse(&sources::read(path)?)
}

fn parse(text: &str) -> Result<Excess> {
    let mut tables: BTreeMap<String, BTreeMap<String, usize>> =
        toml::from_str(text).with_context(|| format!("{FILE} is not as it should be"))?;
    let excess = Kind::ALL
        .into_iter()
        .map(|kind| (kind, tables.remove(kind.table()).unwrap_or_default()))
        .collect();
    if let Some(name) = tables.keys().next() {
        bail!("{FILE}: no such table: [{name}]");
    }
    Ok(excess)
}

fn render(excess: &Excess) -> String {
    let mut text = HEAD.to_owned();
    for (kind, table) in excess {
        write!(text, "\n[{}]\n", kind.table()).expect("a String takes everything");
        for (name, size) in table {
            writeln!(text, "{name:?} = {size}").expect("a String takes everything");
        }
    }
    text
}

const FILE: &str = "xtask/ratchet.toml";

const HEAD: &str = "\
# Exceptions from the size limits (STYLE: lines <= 100 columns, files <= 600 lines, functions <= 70
# lines). They may only shrink. `cargo xtask ratchet --write` writes this file.
";

#[cfg(test)]
mod tests;
