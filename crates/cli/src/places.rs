//! Which processors to run on, and who we are.

use anyhow::{Result, bail};
use crore::CoreConfig;
use std::fs;
use std::time::Duration;

/// The processors of two cores; the same one twice where there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TwoPlaces {
    pub(crate) first: usize,
    pub(crate) second: usize,
}

impl TwoPlaces {
    /// The ones asked for; else the first two allowed that are not two halves of one core.
    pub(crate) fn choose(asked: Option<(usize, usize)>) -> Result<Self> {
        let allowed = crore::pin::allowed_cpus();
        if let Some((first, second)) = asked {
            for cpu in [first, second] {
                if !allowed.contains(&cpu) {
                    bail!("processor {cpu} may not be used here; these may: {}", list(&allowed));
                }
            }
            return Ok(Self { first, second });
        }
        let first = allowed[0];
        let siblings = siblings_of(first);
        let others = || allowed.iter().copied().filter(|&cpu| cpu != first);
        let apart = others().find(|cpu| !siblings.contains(cpu));
        Ok(Self { first, second: apart.or_else(|| others().next()).unwrap_or(first) })
    }

    pub(crate) fn is_shared(self) -> bool {
        self.first == self.second
    }

    /// How the core at `cpu` behaves. Cores that share a processor must not wait for each other by
    /// turning.
    pub(crate) fn config(self, cpu: usize) -> CoreConfig {
        let spin = if self.is_shared() { Duration::ZERO } else { Duration::from_micros(200) };
        CoreConfig { pin_to: Some(cpu), spin_before_sleep: Some(spin), ..CoreConfig::default() }
    }
}

/// How some cores behave, each at a processor of its own as far as there are any.
pub(crate) fn for_cores(count: usize, asked: Option<&[usize]>) -> Result<Vec<CoreConfig>> {
    let allowed = crore::pin::allowed_cpus();
    let places = asked.unwrap_or(&allowed);
    if let Some(cpu) = places.iter().find(|cpu| !allowed.contains(cpu)) {
        bail!("processor {cpu} may not be used here; these may: {}", list(&allowed));
    }
    if asked.is_some() && places.len() != count {
        bail!("{count} core(s) need as many processors, and {} were given", places.len());
    }
    // From the last one down: the first ones have the interrupts.
    let shared = count >= places.len() && asked.is_none();
    let spin = if shared { Duration::ZERO } else { Duration::from_micros(200) };
    let at = |number: usize| places[places.len() - 1 - number % places.len()];
    let place = |number: usize| CoreConfig {
        pin_to: Some(asked.map_or_else(|| at(number), |asked| asked[number])),
        spin_before_sleep: Some(spin),
        ..CoreConfig::default()
    };
    Ok((0..count).map(place).collect())
}

/// True when we may do what only root may.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real, effective, saved, file system.
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

/// The processors that share the core of `cpu`, itself among them.
fn siblings_of(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    cpus_in(&fs::read_to_string(path).unwrap_or_default())
}

/// The processors of a list like `0-3,8`.
fn cpus_in(text: &str) -> Vec<usize> {
    let ranges = text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    });
    ranges.flatten().collect()
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists_of_processors_are_read() {
        assert_eq!(cpus_in("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(cpus_in("5"), [5]);
        assert_eq!(cpus_in(""), Vec::<usize>::new());
    }

    #[test]
    fn cores_are_where_they_were_asked_to_be() {
        let first = crore::pin::allowed_cpus()[0];
        let places = for_cores(1, Some(&[first])).unwrap();
        assert_eq!(places[0].pin_to, Some(first));
        assert_eq!(for_cores(5, None).unwrap().len(), 5);
        let error = for_cores(2, Some(&[first])).unwrap_err().to_string();
        assert_eq!(error, "2 core(s) need as many processors, and 1 were given");
    }

    #[test]
    fn a_processor_that_is_not_ours_is_refused_by_name() {
        let error = TwoPlaces::choose(Some((0, 100_000))).unwrap_err().to_string();
        assert!(error.contains("processor 100000"), "{error}");
    }
}
