//! What the RFCs ask for, where the code obeys it, and which test shows it: `docs/rfc/`.
//!
//! ```text
//!   docs/rfc/requirements/rfcN.toml   what is asked, and whether it is done     (by hand)
//!   comments in the sources           "RFC 9293 MUST-13", "RFC 6298-5.7"        (by hand)
//!   docs/rfc/rfcN.md, README.md       both, joined                              (generated)
//!   xtask/rfc-untested.toml           MUSTs that are done but shown by no test  (only shrinks)
//! ```
//!
//! A requirement that is done has a citation in the code; a citation names a requirement that
//! exists.

mod citations;
mod pages;
mod requirements;
mod untested;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::citations::Citation;
use self::requirements::{Rfc, Status};
use crate::ratchet::Growth;
use crate::sources;

/// Everything that is wrong, each as a sentence.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let (rfcs, citations) = collect(root)?;
    let mut problems = disagreements(&rfcs, &citations);
    for (path, text) in pages::all(&rfcs, &citations) {
        if fs::read_to_string(root.join(&path)).unwrap_or_default() != text {
            problems.push(format!("{path} is out of date: `cargo xtask rfc --write`"));
        }
    }
    let recorded = untested::read(root)?;
    let measured = untested::of(&rfcs, &citations);
    problems.extend(untested::growth(&recorded, &measured));
    problems.extend(untested::shrinkage(&recorded, &measured));
    Ok(problems)
}

/// Writes the pages, and takes out of the list of untested requirements what has a test now.
pub(crate) fn write(root: &Path, growth_is: Growth) -> Result<()> {
    let (rfcs, citations) = collect(root)?;
    let problems = disagreements(&rfcs, &citations);
    if !problems.is_empty() {
        bail!("{} to put right first:\n  {}", problems.len(), problems.join("\n  "));
    }
    let measured = untested::of(&rfcs, &citations);
    let grown = untested::growth(&untested::read(root)?, &measured);
    if growth_is == Growth::Refused && !grown.is_empty() {
        bail!("the list only shrinks:\n  {}", grown.join("\n  "));
    }
    untested::write(root, &measured)?;
    for (path, text) in pages::all(&rfcs, &citations) {
        fs::write(root.join(&path), text).with_context(|| format!("cannot write {path}"))?;
    }
    println!("docs/rfc: {} RFCs, {} citations", rfcs.len(), citations.len());
    Ok(())
}

fn collect(root: &Path) -> Result<(Vec<Rfc>, Vec<Citation>)> {
    let rfcs = requirements::read_all(root)?;
    let mut citations = Vec::new();
    for file in sources::rust_files(root)? {
        // The chores' own tests talk about citations.
        if !file.path.starts_with("xtask/") {
            citations.extend(citations::of_rust(&file, &rfcs)?);
        }
    }
    for (path, text) in sources::packetdrill_scripts(root)? {
        citations.extend(citations::of_script(&path, &text, &rfcs));
    }
    Ok((rfcs, citations))
}

/// Where the tables and the citations contradict each other.
fn disagreements(rfcs: &[Rfc], citations: &[Citation]) -> Vec<String> {
    let mut asked = BTreeMap::new();
    for requirement in rfcs.iter().flat_map(|rfc| &rfc.requirements) {
        asked.insert(requirement.id.as_str(), requirement);
    }
    let mut problems = Vec::new();
    for citation in citations {
        let place = format!("{}:{}", citation.path, citation.line);
        match asked.get(citation.id.as_str()) {
            None => problems.push(format!("{place}: there is no requirement {}", citation.id)),
            Some(requirement) if !citation.is_test && requirement.status != Status::Done => {
                problems.push(format!(
                    "{place}: {} is cited as obeyed, but its table does not say \"done\"",
                    citation.id
                ));
            }
            Some(_) => {}
        }
    }
    for (id, requirement) in asked {
        let is_cited = citations.iter().any(|citation| citation.id == id && !citation.is_test);
        if requirement.status == Status::Done && !is_cited {
            problems.push(format!("{id} is said to be done, but no line of code cites it"));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
