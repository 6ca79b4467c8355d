//! A large file to serve, and the sum that tells whether it arrived whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::namespace;

/// Writes a file of `len_bytes` that no compression and no repetition can hide a fault in.
pub fn write_file(path: &Path, len_bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut left = len_bytes;
    while left > 0 {
        // Xorshift (Marsaglia 2003): the same file each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let count = left.min(8) as usize;
        writer.write_all(&bytes[..count])?;
        left -= count as u64;
    }
    writer.flush()?;
    Ok(())
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let line = namespace::output(Command::new("sha256sum").arg(path))?;
    let sum = line.split_whitespace().next().context("sha256sum said nothing")?;
    Ok(sum.to_owned())
}
