//! The tables of requirements, as people write them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use toml::{Table, Value};

use crate::sources;

/// One RFC's requirements, in the order of its table.
#[derive(Debug)]
pub(crate) struct Rfc {
    pub(crate) number: u32,
    pub(crate) title: String,
    pub(crate) requirements: Vec<Requirement>,
}

/// One thing that an RFC asks for.
#[derive(Debug)]
pub(crate) struct Requirement {
    /// RFC 9293's own (`MUST-13`), or RFC, section and letter (`6298-2.1`, `7323-2.3a`).
    pub(crate) id: String,
    pub(crate) section: String,
    pub(crate) strength: String,
    pub(crate) statement: String,
    pub(crate) status: Status,
    /// What a reader should know of how it is done.
    pub(crate) note: Option<String>,
}

/// Whether a requirement is obeyed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Done,
    /// Not obeyed, because.
    NotDone(String),
    /// Asked of somebody else, because.
    NotOurs(String),
}

impl Requirement {
    /// True for what an implementation must or must not do.
    pub(crate) fn is_must(&self) -> bool {
        self.strength.starts_with("MUST")
    }
}

/// All tables, by RFC.
pub(crate) fn read_all(root: &Path) -> Result<Vec<Rfc>> {
    let folder = root.join(FOLDER);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {FOLDER}"))?;
    let mut rfcs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            let text = sources::read(&path)?;
            rfcs.push(parse(&text).with_context(|| format!("{}", path.display()))?);
        }
    }
    rfcs.sort_by_key(|rfc| rfc.number);
    Ok(rfcs)
}

pub(super) fn parse(text: &str) -> Result<Rfc> {
    let mut table: Table = toml::from_str(text)?;
    let number = take(&mut table, "rfc")?.as_integer().context("`rfc` is a number")? as u32;
    let title = take_text(&mut table, "title")?;
    let list = take(&mut table, "requirement")?;
    ensure!(table.is_empty(), "nobody reads {:?}", table.keys().collect::<Vec<_>>());
    let Value::Array(list) = list else { bail!("`requirement` is a list of tables") };
    let mut requirements = Vec::new();
    for item in list {
        let Value::Table(item) = item else { bail!("`requirement` is a list of tables") };
        let requirement = requirement_of(item)?;
        let is_double = |other: &Requirement| other.id == requirement.id;
        ensure!(!requirements.iter().any(is_double), "{} is there twice", requirement.id);
        requirements.push(requirement);
    }
    Ok(Rfc { number, title, requirements })
}

fn requirement_of(mut item: Table) -> Result<Requirement> {
    let id = take_text(&mut item, "id")?;
    let mut text = |key: &str| take_text(&mut item, key).with_context(|| id.clone());
    let (section, strength) = (text("section")?, text("strength")?);
    let (statement, status) = (text("statement")?, text("status")?);
    let status = match status.as_str() {
        "done" => Status::Done,
        "not done" => Status::NotDone(text("because")?),
        "not ours" => Status::NotOurs(text("because")?),
        other => bail!("{id}: no such status: {other}"),
    };
    ensure!(STRENGTHS.contains(&strength.as_str()), "{id}: no such strength: {strength}");
    let note = if item.contains_key("note") { Some(take_text(&mut item, "note")?) } else { None };
    ensure!(item.is_empty(), "{id}: nobody reads {:?}", item.keys().collect::<Vec<_>>());
    Ok(Requirement { id, section, strength, statement, status, note })
}

fn take(table: &mut Table, key: &str) -> Result<Value> {
    table.remove(key).with_context(|| format!("`{key}` is missing"))
}

fn take_text(table: &mut Table, key: &str) -> Result<String> {
    match take(table, key)? {
        Value::String(text) => Ok(text),
        other => bail!("`{key}` is text, not {other}"),
    }
}

const FOLDER: &str = "docs/rfc/requirements";

const STRENGTHS: [&str; 5] = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"];
