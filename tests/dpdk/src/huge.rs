//! Huge pages for a test's time.

use std::fs;

use anyhow::{Context as _, Result, ensure};

/// Pages of 2 MiB that were added to the system's. Given back when dropped.
#[derive(Debug)]
pub struct HugePages {
    added: u64,
}

impl HugePages {
    /// Adds so many.
    pub fn reserve(count: u64) -> Result<Self> {
        let before = number()?;
        fs::write(NUMBER, (before + count).to_string()).context("cannot reserve huge pages")?;
        let pages = Self { added: number()?.saturating_sub(before) };
        ensure!(pages.added == count, "of {count} huge pages the system found {}", pages.added);
        Ok(pages)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let given_back = number()
            .and_then(|now| Ok(fs::write(NUMBER, now.saturating_sub(self.added).to_string())?));
        if let Err(error) = given_back {
            eprintln!("{} huge pages stay: {error:#}", self.added);
        }
    }
}

fn number() -> Result<u64> {
    let text = fs::read_to_string(NUMBER).context("cannot count the huge pages")?;
    Ok(text.trim().parse()?)
}

const NUMBER: &str = "/proc/sys/vm/nr_hugepages";
