//! MUSTs that are done but that no test shows: a list that only shrinks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::citations::Citation;
use super::requirements::{Rfc, Status};
use crate::sources;

pub(crate) fn of(rfcs: &[Rfc], citations: &[Citation]) -> BTreeSet<String> {
    rfcs.iter()
        .flat_map(|rfc| &rfc.requirements)
        .filter(|asked| asked.is_must() && asked.status == Status::Done)
        .filter(|asked| !citations.iter().any(|c| c.is_test && c.id == asked.id))
        .map(|asked| asked.id.clone())
        .collect()
}

pub(crate) fn read(root: &Path) -> Result<BTreeSet<String>> {
    let table: Table = toml::from_str(&sources::read(&root.join(FILE))?)
        .with_context(|| format!("{FILE} is not as it should be"))?;
    let Some(Value::Array(list)) = table.get("untested") else {
        bail!("{FILE} has a list `untested`");
    };
    let ids = list.iter().map(|id| id.as_str().map(str::to_owned));
    ids.collect::<Option<_>>().with_context(|| format!("{FILE}: requirements are texts"))
}

pub(crate) fn growth(recorded: &BTreeSet<String>, measured: &BTreeSet<String>) -> Vec<String> {
    let new = measured.difference(recorded);
    new.map(|id| format!("{id} is done, but no test cites it")).collect()
}

pub(crate) fn shrinkage(recorded: &BTreeSet<String>, measured: &BTreeSet<String>) -> Vec<String> {
    let gone = recorded.difference(measured);
    gone.map(|id| format!("{id} stands in {FILE} for nothing: `cargo xtask rfc --write`")).collect()
}

pub(crate) fn write(root: &Path, ids: &BTreeSet<String>) -> Result<()> {
    let mut text = HEAD.to_owned();
    text.push_str("untested = [\n");
    for id in ids {
        writeln!(text, "  {id:?},").expect("a String takes everything");
    }
    text.push_str("]\n");
    fs::write(root.join(FILE), text).with_context(|| format!("cannot write {FILE}"))
}

const FILE: &str = "xtask/rfc-untested.toml";

const HEAD: &str = "\
# Requirements (MUST) that are done but that no test cites. The list may only shrink.
# `cargo xtask rfc --write` writes this file.
";
