//! Who has which address. All of them follow from a node's number, and from how often it moved.
//!
//! ```text
//!   node n, moved m times     IPv4 10.0.(n+1).(1 + 8 m + k)     IPv6 fd00:0:0:(n+1)::(1 + 8 m + k)
//!   the router, towards n          10.0.(n+1).254                    fd00:0:0:(n+1)::fe
//!   nobody, near n                 10.0.(n+1).(200 + k)              fd00:0:0:(n+1)::(c8 + k)
//! ```

use crate::mix::{Middle, Mix};
use crore::{AddressRange, Interface};
use crore_wire::ethernet::MacAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that each node has, of either family.
pub(crate) const PER_NODE: u8 = 3;

/// Address `k` of node `n`.
pub(crate) fn address(n: usize, moved: u8, k: u8, is_v6: bool) -> IpAddr {
    at(n, 1 + 8 * moved + k, is_v6)
}

/// An address near node `n` that nobody has.
pub(crate) fn nobody(n: usize, k: u8, is_v6: bool) -> IpAddr {
    at(n, 200 + k, is_v6)
}

/// The router's address towards node `n`.
pub(crate) fn gateway(n: usize, is_v6: bool) -> IpAddr {
    at(n, 254, is_v6)
}

fn at(n: usize, low: u8, is_v6: bool) -> IpAddr {
    let n = n as u8 + 1;
    if is_v6 {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, u16::from(n), 0, 0, 0, u16::from(low)))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, n, low))
    }
}

/// Whose prefix an address is of, and its last octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeAddress {
    pub(crate) node: usize,
    pub(crate) low: u8,
}

/// The place of an address; `None`: it is not of this network.
pub(crate) fn place_of(address: IpAddr) -> Option<NodeAddress> {
    let (n, low) = match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 0, n, low] => (n, low),
            _ => return None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0xfd00, 0, 0, n, 0, 0, 0, low] => (n as u8, low as u8),
            _ => return None,
        },
    };
    Some(NodeAddress { node: usize::from(n.checked_sub(1)?), low })
}

/// Which of its addresses a node that moved so often has at `low`; `None`: it is not there.
pub(crate) fn number_of(low: u8, moved: u8) -> Option<u8> {
    low.checked_sub(1 + 8 * moved).filter(|&k| k < PER_NODE)
}

/// A node's hardware address.
pub(crate) fn mac(n: usize, moved: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, moved, n as u8 + 1])
}

/// The router's.
pub(crate) const ROUTER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 255, 254]);

/// What host `n` must know of its link.
pub(crate) fn interface(mix: &Mix, n: usize, moved: u8) -> Interface {
    let routed = mix.middle == Middle::Router;
    let (v4, v6) = if routed { (24, 64) } else { (16, 48) };
    let range = |is_v6: bool, prefix_len| AddressRange {
        first: address(n, moved, 0, is_v6),
        count: u32::from(PER_NODE),
        prefix_len,
    };
    let (IpAddr::V4(gateway_v4), IpAddr::V6(gateway_v6)) = (gateway(n, false), gateway(n, true))
    else {
        unreachable!("asked for one of each family");
    };
    Interface {
        vlan: mix.vlan,
        gateway_v4: routed.then_some(gateway_v4),
        gateway_v6: routed.then_some(gateway_v6),
        ..Interface::new(mac(n, moved).0, mix.hosts[n].mtu, vec![range(false, v4), range(true, v6)])
    }
}

#[cfg(test)]
mod tests;
