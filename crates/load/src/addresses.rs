//! From which addresses and ports connections are opened.

use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use crore::AddressRange;

/// Ports used of each local address, unless others are asked for.
pub const PORTS: RangeInclusive<u16> = 1024..=65_534;

/// The local ends of connections to one remote, numbered from 0: all ports of the first address,
/// then those of the next.
#[derive(Clone, Debug)]
pub struct LocalAddresses {
    ranges: Vec<(IpAddr, u32)>,
    first_port: u16,
    ports: u32,
}

impl LocalAddresses {
    /// The addresses of these ranges from which `remote` can be connected to: those of its family,
    /// link-local ones only to a link-local remote.
    pub fn for_remote(ranges: &[AddressRange], remote: IpAddr) -> Self {
        let usable = |range: &&AddressRange| {
            range.first.is_ipv4() == remote.is_ipv4()
                && is_link_local(range.first) == is_link_local(remote)
        };
        let ranges = ranges.iter().filter(usable).map(|range| (range.first, range.count));
        Self { ranges: ranges.collect(), first_port: 0, ports: 0 }.with_ports(PORTS)
    }

    /// The same addresses with other ports.
    #[must_use]
    pub fn with_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.first_port = *ports.start();
        self.ports = ports.len() as u32;
        self
    }

    /// How many addresses with all of [`PORTS`] so many connections take.
    pub fn needed_for(connections: u32) -> u32 {
        connections.div_ceil(PORTS.len() as u32)
    }

    /// How many connections to one remote there can be.
    pub fn capacity(&self) -> u64 {
        let addresses: u64 = self.ranges.iter().map(|&(_, count)| u64::from(count)).sum();
        addresses * u64::from(self.ports)
    }

    /// Local end `number`; `None` past the last.
    pub fn nth(&self, number: u64) -> Option<SocketAddr> {
        let mut address = number.checked_div(u64::from(self.ports))?;
        let port = self.first_port + (number % u64::from(self.ports)) as u16;
        for &(first, count) in &self.ranges {
            if address < u64::from(count) {
                return Some(SocketAddr::new(plus(first, address), port));
            }
            address -= u64::from(count);
        }
        None
    }
}

fn plus(first: IpAddr, offset: u64) -> IpAddr {
    match first {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits().wrapping_add(offset as u32)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits().wrapping_add(u128::from(offset))).into()),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
