//! What memory a stack takes, known before it is taken.
//!
//! The sizes are not computed by a second set of formulas that could go wrong: a stack of the same
//! settings, or two smaller ones when it is large, is laid out on the heap, where memory that
//! nobody touches costs nothing, and its account is read.

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
        let conns = config.conns_max;
        if conns <= LAID_OUT_MAX {
            let regions = laid_out::<S>(config, interface)?;
            return Ok(Self::rounded(regions));
        }
        // All sizes are linear in the limits: two small stacks tell what a large one takes.
        let shares = [0.5, 1.0].map(|part| part * f64::from(LAID_OUT_MAX) / f64::from(conns));
        let small = laid_out::<S>(&scaled(config, shares[0]), interface)?;
        let medium = laid_out::<S>(&scaled(config, shares[1]), interface)?;
        let steps = (1.0 - shares[0]) / (shares[1] - shares[0]);
        let regions = small.into_iter().zip(medium).map(|((name, small), (_, medium))| {
            let more = (medium.saturating_sub(small)) as f64 * steps;
            (name, small + more.ceil() as usize)
        });
        Ok(Self::rounded(regions.collect()))
    }

    /// What was taken from the heap in its place.
    pub(crate) fn of_memory(memory: &Memory) -> Self {
        let accounts = memory.accounts().iter();
        Self::rounded(accounts.map(|account| (account.name, account.bytes)).collect())
    }

    fn rounded(regions: Vec<(&'static str, usize)>) -> Self {
        let round = |(name, bytes)| (name, region_bytes(bytes));
        Self { regions: regions.into_iter().map(round).collect() }
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

/// Name and bytes of each region of an engine on the heap, which is dropped again.
fn laid_out<S: Pod>(
    config: &StackConfig,
    interface: &Interface,
) -> Result<Vec<(&'static str, usize)>> {
    let mut memory = Memory::heap();
    let service = Nobody::<S>(PhantomData);
    Engine::new(config.clone(), interface, service, &mut memory, [0; 32])?;
    Ok(memory.accounts().iter().map(|account| (account.name, account.bytes)).collect())
}

/// The settings with all limits that regions follow from multiplied by `share`.
fn scaled(config: &StackConfig, share: f64) -> StackConfig {
    let part = |count: u32| (f64::from(count) * share).round().max(1.0) as u32;
    let mut scaled = config.clone();
    scaled.conns_max = part(config.conns_max);
    scaled.half_open_max = part(config.half_open_max);
    scaled.time_wait_max = part(config.time_wait_max);
    for class in &mut scaled.pool {
        class.count = part(class.count);
    }
    scaled
}

/// A service of which only the size of the state matters.
struct Nobody<S>(PhantomData<S>);

impl<S: Pod> Service for Nobody<S> {
    type State = S;

    fn data(&mut self, _: &mut Conn<'_, S>, bytes: &[u8]) -> usize {
        bytes.len()
    }
}

/// Stacks of up to so many connections are laid out as they are.
const LAID_OUT_MAX: u32 = 1 << 18;

/// What the rest of the machine keeps at least.
const LEFT_FREE_BYTES: usize = 192 << 20;

#[cfg(test)]
mod tests;
