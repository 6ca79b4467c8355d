//! The link as the stack sees it: its hardware address, its addresses and its way out.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A run of addresses of ours on one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The first address.
    pub first: IpAddr,
    /// How many, one after the other.
    pub count: u32,
    /// Length of the on-link prefix, in bits of the address's own family.
    pub prefix_len: u8,
}

impl AddressRange {
    /// One address with its prefix length.
    pub fn one(address: IpAddr, prefix_len: u8) -> Self {
        Self { first: address, count: 1, prefix_len }
    }
}

/// What the stack must know of its link.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Our hardware address.
    pub mac: [u8; 6],
    /// The largest packet, in octets, Ethernet header not counted.
    pub mtu: u16,
    /// Our VLAN, when frames are tagged.
    pub vlan: Option<u16>,
    /// Our addresses; 65,535 in all at most.
    pub addresses: Vec<AddressRange>,
    /// Where packets go whose destination is not on the link.
    pub gateway_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub gateway_v6: Option<Ipv6Addr>,
    /// Take complete checksums only. False where peers on the same machine leave TCP's unfinished:
    /// then the sum of the pseudo-header alone is taken as well.
    pub verify_checksums: bool,
}

impl Interface {
    /// Frames without a tag, no way off the link, complete checksums only.
    pub fn new(mac: [u8; 6], mtu: u16, addresses: Vec<AddressRange>) -> Self {
        Self {
            mac,
            mtu,
            vlan: None,
            addresses,
            gateway_v4: None,
            gateway_v6: None,
            verify_checksums: true,
        }
    }
}

/// Ranges of addresses, in numbers: what look-ups use.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u128,
    count: u32,
    base_id: u16,
    /// Bits of the mapped form that must agree for an address to be on the link.
    mask: u128,
}

/// A range of IPv4 addresses; an empty one when there is none.
#[derive(Clone, Copy, Debug, Default)]
struct RangeV4 {
    first: u32,
    count: u32,
    base_id: u16,
    mask: u32,
    /// There is no other range of IPv4 addresses.
    alone: bool,
}

/// The addresses of an interface, numbered from 0.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    ranges: Vec<Range>,
    /// The first range of IPv4 addresses, in numbers of its own: most packets are for it.
    v4: RangeV4,
    gateway_v4: Option<u128>,
    gateway_v6: Option<u128>,
}

/// IPv4 in its mapped form, IPv6 as it is.
#[inline]
pub fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => mapped_v4(v4),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `::ffff:a.b.c.d`.
#[inline]
pub(crate) fn mapped_v4(address: Ipv4Addr) -> u128 {
    0xffff_0000_0000 | u128::from(address.to_bits())
}

/// The reverse of [`mapped`].
#[inline]
pub fn unmapped(address: u128) -> IpAddr {
    if address >> 32 == 0xffff {
        IpAddr::V4(Ipv4Addr::from_bits(address as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(address))
    }
}

impl Addresses {
    pub(crate) fn new(interface: &Interface) -> Result<Self, &'static str> {
        let mut ranges = Vec::new();
        let mut base_id = 0u32;
        for range in &interface.addresses {
            let host_bits = match range.first {
                IpAddr::V4(_) => 32u32.checked_sub(u32::from(range.prefix_len)),
                IpAddr::V6(_) => 128u32.checked_sub(u32::from(range.prefix_len)),
            };
            let host_bits = host_bits.ok_or("a prefix longer than its address")?;
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            let first = mapped(range.first);
            ranges.push(Range { first, count: range.count, base_id: base_id as u16, mask });
            base_id += range.count;
            if base_id > 65_535 {
                return Err("more than 65,535 addresses on one interface");
            }
        }
        let mut of_v4 = ranges.iter().filter(|range| range.first >> 32 == 0xffff);
        let v4 = of_v4.next().map(|range: &Range| RangeV4 {
            first: range.first as u32,
            count: range.count,
            base_id: range.base_id,
            mask: range.mask as u32,
            alone: of_v4.next().is_none(),
        });
        Ok(Self {
            v4: v4.unwrap_or_default(),
            ranges,
            gateway_v4: interface.gateway_v4.map(mapped_v4),
            gateway_v6: interface.gateway_v6.map(Ipv6Addr::to_bits),
        })
    }

    /// The number of one of our addresses.
    #[inline]
    pub(crate) fn id_of(&self, address: u128) -> Option<u16> {
        for range in &self.ranges {
            let offset = address.wrapping_sub(range.first);
            if offset < u128::from(range.count) {
                return Some(range.base_id + offset as u16);
            }
        }
        None
    }

    /// The number of one of our IPv4 addresses.
    #[inline]
    pub(crate) fn id_of_v4(&self, address: Ipv4Addr) -> Option<u16> {
        let offset = address.to_bits().wrapping_sub(self.v4.first);
        if offset < self.v4.count {
            return Some(self.v4.base_id + offset as u16);
        }
        self.id_of(mapped_v4(address))
    }

    /// Our IPv4 address of this number, and whom to send to so that a packet for `remote` gets
    /// there. `None` unless there is just one range of IPv4 addresses: then look closer.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "two addresses in memory would be waited for")]
    pub(crate) fn hop_v4(&self, id: u16, remote: Ipv4Addr) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let offset = u32::from(id.wrapping_sub(self.v4.base_id));
        if offset >= self.v4.count || !self.v4.alone {
            return None;
        }
        let on_link = (remote.to_bits() ^ self.v4.first) & self.v4.mask == 0;
        let hop = match self.gateway_v4 {
            Some(gateway) if !on_link => Ipv4Addr::from_bits(gateway as u32),
            _ => remote,
        };
        Some((Ipv4Addr::from_bits(self.v4.first.wrapping_add(offset)), hop))
    }

    /// The address of a number; of an unknown number the unspecified one.
    #[inline]
    pub(crate) fn address(&self, id: u16) -> u128 {
        for range in &self.ranges {
            let offset = u32::from(id.wrapping_sub(range.base_id));
            if id >= range.base_id && offset < range.count {
                return range.first + u128::from(offset);
            }
        }
        0
    }

    /// All-nodes, or the solicited-node group of one of our addresses (RFC 4291 2.7.1).
    pub(crate) fn is_our_group(&self, group: Ipv6Addr) -> bool {
        let bits = group.to_bits();
        let solicited = bits >> 24 == SOLICITED_NODE_PREFIX >> 24;
        let ours = |range: &Range| {
            let ahead = (bits.wrapping_sub(range.first) & 0xff_ffff) as u32;
            ahead < range.count && range.first >> 32 != 0xffff
        };
        group == ALL_NODES || solicited && self.ranges.iter().any(ours)
    }

    /// Which address to send to so that a packet for `remote` gets there; `None`: no way known.
    #[inline]
    pub(crate) fn next_hop(&self, remote: u128) -> Option<u128> {
        let is_v4 = remote >> 32 == 0xffff;
        for range in &self.ranges {
            let same_family = (range.first >> 32 == 0xffff) == is_v4;
            if same_family && (remote ^ range.first) & range.mask == 0 {
                return Some(remote);
            }
        }
        // Link-local addresses are always on the link (RFC 4291 2.5.6).
        if remote >> 118 == 0xfe80 >> 6 {
            return Some(remote);
        }
        if is_v4 { self.gateway_v4 } else { self.gateway_v6 }
    }

    /// True for IPv4's broadcast addresses: the limited one, and those of our prefixes in either
    /// form (RFC 1122 3.2.1.3). Prefixes of one or two addresses have none (RFC 3021).
    pub(crate) fn is_broadcast(&self, address: u128) -> bool {
        let directed = |range: &Range| {
            let host_bits = !range.mask;
            let on_link = (address ^ range.first) & range.mask == 0;
            let host = address & host_bits;
            on_link && host_bits > 1 && (host == 0 || host == host_bits)
        };
        let is_v4 = |range: &&Range| range.first >> 32 == 0xffff;
        address == mapped_v4(Ipv4Addr::BROADCAST)
            || address >> 32 == 0xffff && self.ranges.iter().filter(is_v4).any(directed)
    }

    /// One of our addresses of the same family, to send from: on the same prefix when there is one.
    pub(crate) fn source_for(&self, remote: u128) -> Option<u128> {
        let is_v4 = remote >> 32 == 0xffff;
        let family = |r: &&Range| (r.first >> 32 == 0xffff) == is_v4;
        let on_link = |r: &&Range| (remote ^ r.first) & r.mask == 0;
        let near = self.ranges.iter().filter(family).find(on_link);
        near.or_else(|| self.ranges.iter().find(family)).map(|r| r.first)
    }
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// `ff02::1:ff00:0/104`.
const SOLICITED_NODE_PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn interface() -> Interface {
        Interface {
            gateway_v4: Some("10.0.255.254".parse().unwrap()),
            ..Interface::new(
                [2; 6],
                1500,
                vec![
                    AddressRange { first: "10.0.0.1".parse().unwrap(), count: 300, prefix_len: 16 },
                    AddressRange::one("fd00::1".parse().unwrap(), 64),
                ],
            )
        }
    }

    fn ip(text: &str) -> u128 {
        mapped(text.parse().unwrap())
    }

    #[test]
    fn addresses_are_numbered_in_order_and_found_again() {
        let addresses = Addresses::new(&interface()).unwrap();
        assert_eq!(addresses.id_of(ip("10.0.0.1")), Some(0));
        assert_eq!(addresses.id_of(ip("10.0.1.44")), Some(299));
        assert_eq!(addresses.id_of(ip("10.0.1.45")), None);
        assert_eq!(addresses.id_of(ip("fd00::1")), Some(300));
        for id in [0, 17, 299, 300] {
            assert_eq!(addresses.id_of(addresses.address(id)), Some(id));
        }
        assert_eq!(addresses.address(301), 0);
    }

    #[test]
    fn the_groups_of_our_addresses_are_ours() {
        let addresses = Addresses::new(&interface()).unwrap();
        assert!(addresses.is_our_group("ff02::1".parse().unwrap()));
        assert!(addresses.is_our_group("ff02::1:ff00:1".parse().unwrap()));
        assert!(!addresses.is_our_group("ff02::1:ff00:2".parse().unwrap()));
        assert!(!addresses.is_our_group("ff02::2".parse().unwrap()));
    }

    #[test]
    fn broadcast_addresses_are_known_as_such() {
        let addresses = Addresses::new(&interface()).unwrap();
        for broadcast in ["255.255.255.255", "10.0.255.255", "10.0.0.0"] {
            assert!(addresses.is_broadcast(ip(broadcast)), "{broadcast}");
        }
        for one in ["10.0.0.255", "10.0.1.0", "192.0.2.255", "fd00::", "fd00::ffff"] {
            assert!(!addresses.is_broadcast(ip(one)), "{one}");
        }
    }

    /// With and without a gateway, with one range of IPv4 addresses and with two, each behind one
    /// of IPv6; and without any of IPv4.
    fn interfaces() -> Vec<Interface> {
        let v4 = |text: &str, count, prefix_len| AddressRange {
            first: text.parse().unwrap(),
            count,
            prefix_len,
        };
        let v6 = AddressRange::one("fd00::1".parse().unwrap(), 64);
        let near = v4("10.0.0.1", 300, 16);
        let one = Interface { addresses: vec![v6, near], ..interface() };
        let two = vec![v6, near, v4("10.1.0.1", 2, 24)];
        vec![
            Interface { gateway_v4: None, ..one.clone() },
            Interface { addresses: two, ..one.clone() },
            Interface { addresses: vec![v6], ..one.clone() },
            Interface { addresses: vec![v4("192.0.2.1", 1, 0)], ..one.clone() },
            one,
        ]
    }

    #[test]
    fn the_shorter_ways_of_ipv4_lead_where_the_others_do() {
        let mut hops = 0;
        for interface in interfaces() {
            let addresses = Addresses::new(&interface).unwrap();
            for text in ["10.0.0.0", "10.0.0.1", "10.0.1.44", "10.0.1.45", "10.1.0.2", "192.0.2.1"]
            {
                let v4 = text.parse().unwrap();
                assert_eq!(addresses.id_of_v4(v4), addresses.id_of(mapped_v4(v4)), "{text}");
                for id in [0, 1, 17, 299, 300, 301, 303, u16::MAX] {
                    let Some((local, hop)) = addresses.hop_v4(id, v4) else { continue };
                    let remote = mapped_v4(v4);
                    assert_eq!(mapped_v4(local), addresses.address(id), "{id}");
                    let expected = addresses.next_hop(remote).unwrap_or(remote);
                    assert_eq!(mapped_v4(hop), expected, "{text} from {id}");
                    hops += 1;
                }
            }
        }
        // Two with 300 addresses, which four of the numbers are of, and one with a single address.
        assert_eq!(hops, 6 * (4 + 4 + 1));
    }

    #[test]
    fn packets_for_strangers_go_to_the_gateway_of_their_family() {
        let addresses = Addresses::new(&interface()).unwrap();
        assert_eq!(addresses.next_hop(ip("10.0.9.9")), Some(ip("10.0.9.9")));
        assert_eq!(addresses.next_hop(ip("192.0.2.1")), Some(ip("10.0.255.254")));
        assert_eq!(addresses.next_hop(ip("fd00::99")), Some(ip("fd00::99")));
        assert_eq!(addresses.next_hop(ip("fe80::99")), Some(ip("fe80::99")));
        assert_eq!(addresses.next_hop(ip("2001:db8::1")), None);
        assert_eq!(addresses.source_for(ip("192.0.2.1")), Some(ip("10.0.0.1")));
        assert_eq!(addresses.source_for(ip("2001:db8::1")), Some(ip("fd00::1")));
    }
}
