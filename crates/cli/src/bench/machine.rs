//! The machine as it is just now: what every figure depends on, whoever measures.

use super::probe::{self, Miss, Stalls};
use super::result::ProfileResult;
use crate::args::BenchOptions;
use crate::memory_plan;
use crate::places::TwoPlaces;
use anyhow::Result;
use crore::mem::HugePages;
use serde::Serialize;
use std::fs;
use std::time::Duration;

/// Where a benchmark runs, and in what state that is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    /// Processors that we may use.
    pub(crate) cores: usize,
    pub(crate) tsc_mhz: f64,
    pub(crate) kernel: String,
    /// 2 MiB pages that are reserved, and how many of them are free.
    pub(crate) huge_pages: [u64; 2],
    /// Processes that wanted to run, on average over the last minute.
    pub(crate) load_average: f64,
    /// A read that no cache has, at the server's processor.
    pub(crate) memory_miss: Miss,
    /// What one of the two processors wrote until the other one reads it.
    pub(crate) line_between_cores_cycles: Option<f64>,
    /// Of a spin loop at the server's processor.
    pub(crate) stalls: Stalls,
    /// The processors of server and client.
    pub(crate) server_cpu: usize,
    pub(crate) client_cpu: usize,
    #[serde(skip)]
    pub(crate) places: TwoPlaces,
    /// What memory is to be taken on.
    #[serde(skip)]
    pub(crate) pages: HugePages,
}

impl Machine {
    /// Looks at it, which takes a second or two.
    pub(crate) fn look(options: &BenchOptions) -> Result<Self> {
        let places = TwoPlaces::choose(options.cpus)?;
        let pages = options.memory.huge_pages();
        let tsc_hz = crore::tsc_hz();
        let load_average = first_number(&read("/proc/loadavg"));
        let time = options.time().min(STALLS_TIME);
        Ok(Self {
            cpu: cpu_model(&read("/proc/cpuinfo")),
            cores: crore::pin::allowed_cpus().len(),
            tsc_mhz: (tsc_hz / 1e6).round(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            huge_pages: ["nr_hugepages", "free_hugepages"]
                .map(|name| first_number(&read(&format!("{HUGE_PAGES}/{name}"))) as u64),
            load_average,
            memory_miss: probe::miss(places.first, pages)?,
            line_between_cores_cycles: probe::line_between(places),
            stalls: probe::stalls(places.first, time, tsc_hz),
            server_cpu: places.first,
            client_cpu: places.second,
            places,
            pages,
        })
    }

    /// Whether there is memory for so many connections; if not, that is noted, and how many would
    /// fit.
    pub(crate) fn has_room_for(
        &self,
        connections: u32,
        bytes_for: impl FnMut(u32) -> Result<usize>,
        found: &mut ProfileResult,
    ) -> bool {
        let fits = memory_plan::check_fit(connections, self.pages, bytes_for);
        if let Err(why) = &fits {
            found.note(format!("left out: {why}"));
        }
        fits.is_ok()
    }

    /// The state in lines: on the terminal, and under each result.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (miss, stalls) = (&self.memory_miss, &self.stalls);
        let between = match self.line_between_cores_cycles {
            Some(cycles) => format!("a cache line passed between the two cores {cycles:.0}"),
            None => "one processor for both sides: figures are half of what two would give".into(),
        };
        let [reserved, free] = self.huge_pages;
        vec![
            format!(
                "{}, {} processors, TSC {:.0} MHz; server at processor {}, client at {}",
                self.cpu, self.cores, self.tsc_mhz, self.server_cpu, self.client_cpu
            ),
            format!(
                "kernel {}; load average {}; huge pages: {reserved} reserved, {free} free",
                self.kernel, self.load_average
            ),
            format!("cycles of a memory miss {:.0} ({}); {between}", miss.cycles, miss.pages),
            format!(
                "a spin loop lost {:.2} % of its time; stalls a second over 1 us: {:.0}, 10 us: \
                 {:.0}, 100 us: {:.1}; the longest {:.0} us",
                stalls.lost_percent,
                stalls.over_1_us_per_second,
                stalls.over_10_us_per_second,
                stalls.over_100_us_per_second,
                stalls.longest_us
            ),
        ]
    }
}

/// "" when it cannot be read: what is not known is not shown.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or("processor of an unknown kind").to_owned()
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

const STALLS_TIME: Duration = Duration::from_secs(1);
