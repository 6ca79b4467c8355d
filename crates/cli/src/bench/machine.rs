//! The machine as it is just now: what every figure depends on, whoever measures.

use crate::args::BenchOptions;
use crate::places::TwoPlaces;
use anyhow::Result;
use crore::mem::HugePages;
use serde::Serialize;
use std::fs;

/// Where a benchmark runs, and in what state that is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) tsc_mhz: f64,
    pub(crate) kernel: String,
    /// Processes that wanted to run, on average over the last minute.
    pub(crate) load_average: f64,
    /// The processors of server and client.
    #[serde(skip)]
    pub(crate) places: TwoPlaces,
    /// What memory is to be taken on.
    #[serde(skip)]
    pub(crate) pages: HugePages,
}

impl Machine {
    /// Looks at it.
    pub(crate) fn look(options: &BenchOptions) -> Result<Self> {
        Ok(Self {
            cpu: cpu_model(&read("/proc/cpuinfo")),
            cores: crore::pin::allowed_cpus().len(),
            tsc_mhz: (crore::tsc_hz() / 1e6).round(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: first_number(&read("/proc/loadavg")),
            places: TwoPlaces::choose(options.cpus)?,
            pages: options.memory.huge_pages(),
        })
    }
}

/// "" when it cannot be read: what is not known is not shown.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or("not known").to_owned()
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
