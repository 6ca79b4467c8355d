//! A record of frames that `tshark` reads (the classic format of libpcap, with nanoseconds).

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

/// A record under way.
pub(crate) struct Capture {
    writer: BufWriter<File>,
    started_ns: u64,
}

impl Capture {
    /// An empty record.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        // Magic number, version 2.4, no time zone, no accuracy, longest frame, Ethernet.
        for word in [0xA1B2_3C4D_u32, 0x0004_0002, 0, 0, 65_535, 1] {
            writer.write_all(&word.to_le_bytes())?;
        }
        let started_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        Ok(Self { writer, started_ns })
    }

    /// Adds a frame.
    pub(crate) fn record(&mut self, now_ns: u64, frame: &[u8]) -> Result<()> {
        let time_ns = self.started_ns + now_ns;
        let (seconds, rest) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
        let len = frame.len() as u32;
        for word in [seconds as u32, rest as u32, len, len] {
            self.writer.write_all(&word.to_le_bytes())?;
        }
        Ok(self.writer.write_all(frame)?)
    }

    /// Writes what is still in memory.
    pub(crate) fn finish(&mut self) -> Result<()> {
        Ok(self.writer.flush()?)
    }
}
