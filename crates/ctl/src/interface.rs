//! One interface as Linux has it configured.

use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::CtlError;
use crate::netlink::Netlink;

/// An interface, its addresses, and the ways out through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// As `ip link` shows it.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
    /// Hardware address; zeroes where there is none.
    pub mac: [u8; 6],
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Set up, by `ip link set up`.
    pub up: bool,
    /// Something is at the other end of the wire.
    pub carrier: bool,
    /// What kind of virtual interface it is (`veth`, `bridge`, ...); `None` for hardware.
    pub kind: Option<String>,
    /// Receive queues that it was made with. It may use fewer (`ethtool -l`).
    pub rx_queues_max: u32,
    /// Transmit queues that it was made with. It may use fewer.
    pub tx_queues_max: u32,
    /// Its addresses, with the length of the prefix that is reached directly.
    pub addresses: Vec<Prefix>,
    /// Next hops of the main table's default routes through this interface, the preferred one
    /// first.
    pub gateways: Vec<IpAddr>,
}

impl InterfaceInfo {
    /// True when the peer of this interface is on this machine, so that frames from there may come
    /// with unfinished checksums.
    pub fn is_veth(&self) -> bool {
        self.kind.as_deref() == Some("veth")
    }

    /// The gateway for destinations of this address's family that no prefix covers.
    pub fn gateway_for(&self, destination: IpAddr) -> Option<IpAddr> {
        self.gateways.iter().copied().find(|hop| hop.is_ipv4() == destination.is_ipv4())
    }
}

/// An address and how many of its bits name the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The address itself, with its host bits.
    pub address: IpAddr,
    /// Bits of the network, at most 32 or 128.
    pub len: u8,
}

impl Prefix {
    /// True when `other` is in the same network.
    pub fn covers(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let host_bits = 32u32.saturating_sub(self.len.into());
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                (ours.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let host_bits = 128u32.saturating_sub(self.len.into());
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                (ours.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// The interface with this name.
///
/// # Errors
/// When there is none, or the kernel does not answer.
pub fn interface(name: &str) -> Result<InterfaceInfo, CtlError> {
    let mut all = interfaces()?;
    match all.iter().position(|interface| interface.name == name) {
        Some(place) => Ok(all.swap_remove(place)),
        None => Err(CtlError::NoSuchInterface {
            name: name.to_owned(),
            existing: all.into_iter().map(|interface| interface.name).collect(),
        }),
    }
}

/// All interfaces of this network namespace.
///
/// # Errors
/// When the kernel does not answer.
pub fn interfaces() -> Result<Vec<InterfaceInfo>, CtlError> {
    let netlink = Netlink::open()?;
    let mut all = Vec::new();
    let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
    netlink.dump("list interfaces", links, |message| {
        if let RouteNetlinkMessage::NewLink(link) = message {
            all.push(described(&link));
        }
    })?;
    let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    netlink.dump("list addresses", addresses, |message| {
        if let RouteNetlinkMessage::NewAddress(message) = message
            && let Some((index, prefix)) = prefix_in(&message)
            && let Some(interface) = all.iter_mut().find(|interface| interface.index == index)
        {
            interface.addresses.push(prefix);
        }
    })?;
    let mut defaults = default_routes(&netlink)?;
    defaults.sort_by_key(|route| route.metric);
    for route in defaults {
        if let Some(interface) = all.iter_mut().find(|interface| interface.index == route.index) {
            interface.gateways.push(route.gateway);
        }
    }
    Ok(all)
}

/// The interface and the address that a message is about. An address that was found to be somebody
/// else's is none.
pub(crate) fn prefix_in(message: &AddressMessage) -> Option<(u32, Prefix)> {
    if message.header.flags.contains(AddressHeaderFlags::Dadfailed) {
        return None;
    }
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link `Address` is the peer's; `Local` is always ours.
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    let prefix = Prefix { address: local.or(address)?, len: message.header.prefix_len };
    Some((message.header.index, prefix))
}

struct DefaultRoute {
    index: u32,
    gateway: IpAddr,
    metric: u32,
}

fn default_routes(netlink: &Netlink) -> Result<Vec<DefaultRoute>, CtlError> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        netlink.dump("list routes", RouteNetlinkMessage::GetRoute(request), |message| {
            if let RouteNetlinkMessage::NewRoute(route) = message {
                routes.extend(default_routes_in(&route));
            }
        })?;
    }
    Ok(routes)
}

/// None unless it is a default route of the main table; several when it has several next hops.
fn default_routes_in(route: &RouteMessage) -> Vec<DefaultRoute> {
    let main = route.header.table == RouteHeader::RT_TABLE_MAIN;
    if !main || route.header.destination_prefix_length != 0 {
        return Vec::new();
    }
    let (mut index, mut gateway, mut metric) = (None, None, 0);
    let mut hops = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => index = Some(*oif),
            RouteAttribute::Gateway(address) => gateway = ip_of(address),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::MultiPath(paths) => {
                for path in paths {
                    let via = path.attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(address) => ip_of(address),
                        _ => None,
                    });
                    hops.extend(via.map(|gateway| (path.interface_index, gateway)));
                }
            }
            _ => {}
        }
    }
    hops.extend(index.zip(gateway));
    hops.into_iter().map(|(index, gateway)| DefaultRoute { index, gateway, metric }).collect()
}

fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// What a link message says; addresses and gateways come from elsewhere.
fn described(link: &LinkMessage) -> InterfaceInfo {
    let flags = link.header.flags;
    let mut interface = InterfaceInfo {
        name: String::new(),
        index: link.header.index,
        mac: [0; 6],
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        kind: None,
        rx_queues_max: 1,
        tx_queues_max: 1,
        addresses: Vec::new(),
        gateways: Vec::new(),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::NumRxQueues(count) => interface.rx_queues_max = *count,
            LinkAttribute::NumTxQueues(count) => interface.tx_queues_max = *count,
            LinkAttribute::Address(mac) => {
                interface.mac = mac.as_slice().try_into().unwrap_or_default();
            }
            LinkAttribute::LinkInfo(infos) => {
                interface.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    interface
}

#[cfg(test)]
mod tests;
