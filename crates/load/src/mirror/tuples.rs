//! Connections by number: the client's end of each, and back.

use crate::addresses::PORTS;
use core::net::Ipv4Addr;

/// The client's ends: all ports of the first address, then those of the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuples {
    first: u32,
    connections: u32,
    addresses: u32,
}

impl Tuples {
    pub(super) fn new(first: Ipv4Addr, connections: u32) -> Self {
        Self { first: first.to_bits(), connections, addresses: connections.div_ceil(PORTS_EACH) }
    }

    /// The client's end of connection `index`.
    #[inline]
    pub(super) fn of(&self, index: u32) -> (Ipv4Addr, u16) {
        let address = self.first.wrapping_add(index / PORTS_EACH);
        (Ipv4Addr::from_bits(address), *PORTS.start() + (index % PORTS_EACH) as u16)
    }

    /// The connection whose client's end this is.
    #[inline]
    pub(super) fn index_of(&self, address: Ipv4Addr, port: u16) -> Option<u32> {
        let address = address.to_bits().wrapping_sub(self.first);
        if address >= self.addresses || !PORTS.contains(&port) {
            return None;
        }
        let index = address * PORTS_EACH + u32::from(port - *PORTS.start());
        (index < self.connections).then_some(index)
    }

    /// True for an address of the client's.
    pub(super) fn has_address(&self, address: Ipv4Addr) -> bool {
        address.to_bits().wrapping_sub(self.first) < self.addresses
    }
}

const PORTS_EACH: u32 = (*PORTS.end() - *PORTS.start()) as u32 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_an_end_of_its_own_that_leads_back_to_it() {
        let tuples = Tuples::new(Ipv4Addr::new(10, 0, 0, 1), 200_000);
        for index in [0, 1, 64_510, 64_511, 129_022, 199_999] {
            let (address, port) = tuples.of(index);
            assert_eq!(tuples.index_of(address, port), Some(index));
        }
        assert_eq!(tuples.of(0), (Ipv4Addr::new(10, 0, 0, 1), 1024));
        assert_eq!(tuples.of(64_511), (Ipv4Addr::new(10, 0, 0, 2), 1024));
    }

    #[test]
    fn an_end_of_nobodys_leads_nowhere() {
        let tuples = Tuples::new(Ipv4Addr::new(10, 0, 0, 1), 70_000);
        let at = |d: u8, port| tuples.index_of(Ipv4Addr::new(10, 0, 0, d), port);
        assert_eq!(at(0, 2000), None, "below the first address");
        assert_eq!(at(3, 2000), None, "above the last one");
        assert_eq!(at(1, 1023), None, "a port that is not used");
        assert_eq!(at(1, 65_535), None, "another one");
        assert_eq!(at(2, 60_000), None, "beyond the last connection");
        assert!(tuples.has_address(Ipv4Addr::new(10, 0, 0, 2)));
        assert!(!tuples.has_address(Ipv4Addr::new(10, 0, 0, 3)));
    }
}
