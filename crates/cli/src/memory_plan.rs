//! What memory a stack takes, known before it is taken.
//!
//! The sizes are not computed by a second set of formulas that could go wrong: the stack itself is
//! laid out, by the code of a real start, at addresses where memory that nobody writes to costs
//! nothing, and its account is read.

use crate::text;
use anyhow::{Result, bail};
use crore::mem::{HUGE_PAGE_BYTES, HugePages, Memory, Pod, available_bytes, region_bytes};
use crore::{Conn, Engine, Interface, Service, StackConfig};
use std::marker::PhantomData;

/// The regions of one side, in the order they will be made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) regions: Vec<(&'static str, usize)>,
}

impl Plan {
    /// What an engine with a service of state `S` takes.
    pub(crate) fn of_engine<S: Pod>(config: &StackConfig, interface: &Interface) -> Result<Self> {
        Self::of(|memory| {
            let service = Nobody::<S>(PhantomData);
            Engine::new(config.clone(), interface, service, memory, [0; 32])?;
            Ok(())
        })
    }

    /// What an engine with a service of so many bytes of state takes.
    pub(crate) fn of_state(
        config: &StackConfig,
        interface: &Interface,
        state_bytes: u32,
    ) -> Result<Self> {
        let mut plan = Self::of_engine::<()>(config, interface)?;
        if state_bytes > 0 {
            let bytes = state_bytes as usize * config.conns_max as usize;
            plan.regions.push((STATE, region_bytes(bytes)));
        }
        Ok(plan)
    }

    /// What `build` takes.
    pub(crate) fn of(build: impl FnOnce(&mut Memory) -> Result<()>) -> Result<Self> {
        let mut memory = Memory::planned();
        build(&mut memory)?;
        let accounts = memory.accounts().iter();
        Ok(Self { regions: accounts.map(|account| (account.name, account.bytes)).collect() })
    }

    pub(crate) fn total_bytes(&self) -> usize {
        self.regions.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Huge pages that these regions go to; small ones do not.
    pub(crate) fn huge_pages(&self) -> usize {
        let large = self.regions.iter().filter(|(_, bytes)| *bytes >= HUGE_PAGE_BYTES);
        large.map(|(_, bytes)| bytes / HUGE_PAGE_BYTES).sum()
    }

    /// Regions and their sizes in one line, small ones together.
    pub(crate) fn line(&self) -> String {
        let of_note = self.total_bytes() / 50;
        let mut parts = Vec::new();
        let mut rest = 0;
        for &(name, bytes) in &self.regions {
            if bytes >= of_note {
                parts.push(format!("{name} {}", text::bytes(bytes)));
            } else {
                rest += bytes;
            }
        }
        if rest > 0 {
            parts.push(format!("others {}", text::bytes(rest)));
        }
        format!("{} = {}", text::bytes(self.total_bytes()), parts.join(", "))
    }
}

/// Memory that can be taken now, on such pages. Some is left for the rest of the machine.
pub(crate) fn spare_bytes(pages: HugePages) -> usize {
    let reserved = if pages == HugePages::Reserve { crate::huge_pages::free_bytes() } else { 0 };
    let available = available_bytes().saturating_add(reserved);
    available.saturating_sub((available / 32).max(LEFT_FREE_BYTES))
}

/// The most connections, up to `wanted`, for which `bytes_for` is at most `spare`.
pub(crate) fn most_that_fit(
    wanted: u32,
    spare: usize,
    mut bytes_for: impl FnMut(u32) -> Result<usize>,
) -> Result<u32> {
    if bytes_for(wanted)? <= spare {
        return Ok(wanted);
    }
    let (mut fits, mut too_many) = (0, wanted);
    while too_many - fits > wanted / 1000 + 1 {
        let middle = fits + (too_many - fits) / 2;
        if bytes_for(middle)? <= spare { fits = middle } else { too_many = middle }
    }
    Ok(fits)
}

/// Refuses connections that would not fit, saying how many would.
pub(crate) fn check_fit(
    wanted: u32,
    pages: HugePages,
    mut bytes_for: impl FnMut(u32) -> Result<usize>,
) -> Result<()> {
    let (needed, spare) = (bytes_for(wanted)?, spare_bytes(pages));
    if needed > spare {
        let fits = most_that_fit(wanted, spare, bytes_for)?;
        bail!(
            "{} connections take {}, and {} can be spared; {} would fit: --connections {fits}",
            text::grouped(u64::from(wanted)),
            text::bytes(needed),
            text::bytes(spare),
            text::grouped(u64::from(fits)),
        );
    }
    Ok(())
}

/// The connections that each of some cores has room for. Queues are not equally busy, so it is an
/// eighth more than its share.
pub(crate) fn room_of_core(connections: u32, cores: u32) -> u32 {
    let share = connections.div_ceil(cores);
    if cores > 1 { share.saturating_add(share / 8 + 64) } else { share }
}

/// A service of which only the size of the state matters.
struct Nobody<S>(PhantomData<S>);

impl<S: Pod> Service for Nobody<S> {
    type State = S;

    fn data(&mut self, _: &mut Conn<'_, S>, bytes: &[u8]) -> usize {
        bytes.len()
    }
}

/// The region of the application's state.
const STATE: &str = "application state";

/// What the rest of the machine keeps at least.
const LEFT_FREE_BYTES: usize = 192 << 20;

#[cfg(test)]
mod tests;
