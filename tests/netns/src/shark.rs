//! What `tshark` makes of a record: an oracle that none of us wrote.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::namespace;

/// One frame of a record, as `tshark` judges it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its number in the record, for whoever opens it.
    pub number: u64,
    /// Where it came from, if it is TCP.
    pub source_port: Option<u16>,
    /// Octets of payload.
    pub payload: u64,
    /// No dissector could make sense of it.
    pub is_malformed: bool,
    /// Its checksum is wrong.
    pub is_corrupt: bool,
    /// The flags of `tcp.analysis` that it has, without that prefix.
    pub flags: Vec<&'static str>,
}

/// Judges each frame of a record.
pub fn judge(record: &Path) -> Result<Vec<Judged>> {
    let mut command = Command::new("tshark");
    // TCP and no more: pieces of random content would be judged by HTTP's dissector too.
    command.args(["-n", "-r"]).arg(record).args(["--disable-protocol", "http"]);
    for preference in ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"] {
        command.args(["-o", preference]);
    }
    command.args(["-T", "fields", "-E", "separator=;", "-E", "occurrence=f"]);
    let fields = FIELDS.iter().map(|field| (*field).to_owned());
    let flags = FLAGS.iter().map(|flag| format!("tcp.analysis.{flag}"));
    for field in fields.chain(flags) {
        command.args(["-e", &field]);
    }
    let said = namespace::output(&mut command)?;
    said.lines().map(|line| read(line).with_context(|| format!("tshark said `{line}`"))).collect()
}

fn read(line: &str) -> Result<Judged> {
    let columns: Vec<&str> = line.split(';').collect();
    ensure!(columns.len() == FIELDS.len() + FLAGS.len(), "another number of columns");
    let has = |at: usize| !columns[at].is_empty();
    Ok(Judged {
        number: columns[0].parse()?,
        source_port: columns[1].parse().ok(),
        payload: columns[2].parse().unwrap_or(0),
        // Wireshark's words: 0 is bad, 1 is good.
        is_corrupt: columns[3] == "0" || columns[4] == "0",
        is_malformed: has(5),
        flags: (0..)
            .zip(FLAGS)
            .filter(|(at, _)| has(FIELDS.len() + at))
            .map(|(_, flag)| *flag)
            .collect(),
    })
}

const FIELDS: &[&str] = &[
    "frame.number",
    "tcp.srcport",
    "tcp.len",
    "tcp.checksum.status",
    "ip.checksum.status",
    "_ws.malformed",
];

/// All flags that `tcp.analysis` has, but for those that are measurements.
const FLAGS: &[&str] = &[
    "ack_lost_segment",
    "duplicate_ack",
    "fast_retransmission",
    "keep_alive",
    "keep_alive_ack",
    "lost_segment",
    "out_of_order",
    "retransmission",
    "reused_ports",
    "spurious_retransmission",
    "window_full",
    "window_update",
    "zero_window",
    "zero_window_probe",
    "zero_window_probe_ack",
];
