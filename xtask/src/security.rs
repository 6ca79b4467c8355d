//! `docs/security.md` promises nothing that is not there: every test, setting and counter that its
//! tables name must exist.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;

use crate::sources;

/// What the page names and the sources do not have.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let page = root.join(PAGE);
    let text = std::fs::read_to_string(&page)
        .with_context(|| format!("{} cannot be read", page.display()))?;
    let mut found = Found::default();
    for file in sources::rust_files(root)? {
        found.take_in(&file.text);
    }
    Ok(problems_of(&text, &found))
}

/// Names that a page may use.
#[derive(Default)]
pub(crate) struct Found {
    tests: BTreeSet<String>,
    fields: BTreeSet<String>,
    reasons: BTreeSet<String>,
}

impl Found {
    /// Notes the tests, the public fields and the quoted words of a file.
    pub(crate) fn take_in(&mut self, text: &str) {
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ") {
                if is_test && let Some((name, _)) = rest.split_once('(') {
                    self.tests.insert(name.to_owned());
                }
                is_test = false;
            } else if let Some((name, _)) =
                line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
            {
                self.fields.insert(name.to_owned());
            } else if let Some(name) =
                line.strip_prefix('"').and_then(|rest| rest.strip_suffix("\","))
            {
                self.reasons.insert(name.to_owned());
            }
        }
    }
}

/// Checks each row of each table that has a column of tests.
pub(crate) fn problems_of(page: &str, found: &Found) -> Vec<String> {
    let mut problems = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
    let mut rows = 0;
    for (number, line) in page.lines().enumerate() {
        let Some(row) = line.strip_prefix('|') else {
            columns.clear();
            continue;
        };
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        if columns.is_empty() {
            columns = cells;
            continue;
        }
        if columns.last() != Some(&"test") || cells.iter().all(|cell| cell.starts_with("--")) {
            continue;
        }
        rows += 1;
        let at = format!("{PAGE}:{}", number + 1);
        if cells.len() != columns.len() {
            problems.push(format!("{at}: {} cells, not {}", cells.len(), columns.len()));
            continue;
        }
        for (&column, cell) in columns.iter().zip(&cells) {
            let names = names_in(cell);
            if column == "test" && names.is_empty() {
                problems.push(format!("{at}: no test"));
            }
            for name in names {
                let known = match column {
                    "test" => found.tests.contains(name),
                    "setting" => found.fields.contains(name),
                    "counter" => found.fields.contains(name) || found.reasons.contains(name),
                    _ => true,
                };
                if !known {
                    problems.push(format!("{at}: there is no {column} `{name}`"));
                }
            }
        }
    }
    if rows == 0 {
        problems.push(format!("{PAGE} has no table with tests"));
    }
    problems
}

/// What stands between backquotes.
fn names_in(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

const PAGE: &str = "docs/security.md";

#[cfg(test)]
mod tests;
