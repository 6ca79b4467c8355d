//! The report of `crore demo --json FILE`: what must be true of it on every machine.
//!
//! Speeds are not judged here; they depend on the machine.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::sources;

/// Fails with all that is wrong with the report in this file.
pub(crate) fn check(file: &Path) -> Result<()> {
    let report: Value = serde_json::from_str(&sources::read(file)?)
        .with_context(|| format!("{} is not JSON", file.display()))?;
    let problems = problems(&report);
    if problems.is_empty() {
        println!("{}: nothing leaked, no bad byte, all connections kept", file.display());
        return Ok(());
    }
    bail!("{}:\n  {}", file.display(), problems.join("\n  "))
}

fn problems(report: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let connections = &report["connections"];
    if connections.as_u64().is_none_or(|count| count == 0) {
        problems.push(format!("connections: {connections}, expected some"));
    }
    for name in ["established_server", "established_client"] {
        if report[name] != *connections {
            problems.push(format!("{name}: {}, expected {connections}", report[name]));
        }
    }
    if report["requests"].as_u64().is_none_or(|count| count == 0) {
        problems.push(format!("requests: {}, expected some", report["requests"]));
    }
    for name in ["bad_bytes", "resets", "leaked"] {
        if !is_zero(&report[name]) {
            problems.push(format!("{name}: {}, expected 0", report[name]));
        }
    }
    problems
}

/// Zero, or an object of nothing but zeroes. What is missing is not zero.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Object(parts) => !parts.is_empty() && parts.values().all(is_zero),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
