//! The processor's own counters of some threads, where the machine lets us read them. They are
//! read from here, by the threads' numbers: it costs the cores nothing.

use crate::report::rounded;
use perf_event::events;
use perf_event::{Builder, Counter};
use serde::Serialize;

/// The counters of some cores' threads; or why there are none.
pub(crate) struct Hardware {
    counters: Result<Vec<Counters>, String>,
    /// Instructions and misses, and the packets of that time.
    sums: [u64; 2],
    packets: u64,
}

/// Of one thread, in user mode.
struct Counters {
    instructions: Counter,
    cache_misses: Counter,
}

/// What they say about a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct HardwareFigures {
    pub(crate) instructions_per_packet: Option<f64>,
    /// Of the last level of cache.
    pub(crate) cache_misses_per_packet: Option<f64>,
    /// Why there are no figures.
    pub(crate) unavailable: Option<String>,
}

impl Hardware {
    /// Begins to count what these threads do, by the system's numbers of them.
    pub(crate) fn of(threads: &[u64]) -> Self {
        let counters = threads.iter().map(|&thread| Counters::of(thread)).collect();
        Self { counters, sums: [0; 2], packets: 0 }
    }

    /// What was counted since the last look, in which there were so many packets.
    pub(crate) fn look(&mut self, packets: u64) -> HardwareFigures {
        let counters = match &mut self.counters {
            Ok(counters) => counters,
            Err(why) => return HardwareFigures::unavailable(why),
        };
        let mut sums = [0; 2];
        for thread in counters {
            sums[0] += thread.instructions.read().unwrap_or(0);
            sums[1] += thread.cache_misses.read().unwrap_or(0);
        }
        let more = std::array::from_fn(|i| sums[i].saturating_sub(self.sums[i]));
        self.sums = sums;
        self.packets += packets;
        HardwareFigures::of(more, packets)
    }

    /// What all looks found together.
    pub(crate) fn whole(&self) -> HardwareFigures {
        match &self.counters {
            Ok(_) => HardwareFigures::of(self.sums, self.packets),
            Err(why) => HardwareFigures::unavailable(why),
        }
    }
}

impl Counters {
    fn of(thread: u64) -> Result<Self, String> {
        let open = |event: events::Hardware| {
            let mut counter = Builder::new(event).observe_pid(thread as i32).build()?;
            counter.enable()?;
            Ok(counter)
        };
        let both = open(events::Hardware::INSTRUCTIONS)
            .and_then(|first| Ok((first, open(events::Hardware::CACHE_MISSES)?)));
        let (instructions, cache_misses) = both.map_err(|error: std::io::Error| why(&error))?;
        Ok(Self { instructions, cache_misses })
    }
}

impl HardwareFigures {
    fn of([instructions, misses]: [u64; 2], packets: u64) -> Self {
        let each = |count: u64| (packets > 0).then(|| rounded(count as f64 / packets as f64));
        Self {
            instructions_per_packet: each(instructions),
            cache_misses_per_packet: each(misses),
            unavailable: None,
        }
    }

    fn unavailable(why: &str) -> Self {
        Self { unavailable: Some(why.to_owned()), ..Self::default() }
    }

    /// In a line; nothing when nobody looked.
    pub(crate) fn line(&self) -> Option<String> {
        if let Some(why) = &self.unavailable {
            return Some(format!("the processor's counters: {why}"));
        }
        let (instructions, misses) = (self.instructions_per_packet?, self.cache_misses_per_packet?);
        Some(format!("instructions a packet: {instructions}; misses of the last cache: {misses}"))
    }
}

/// The system's refusal, and what to do about it.
fn why(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
            "none here, as in most virtual machines".to_owned()
        }
        Some(libc::EACCES | libc::EPERM) => "not for us to read; root may, or anybody after \
             `sysctl kernel.perf_event_paranoid=1`"
            .to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
