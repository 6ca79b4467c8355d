//! Linux's neighbour table: which MAC a next hop has.
//!
//! A stack beside the kernel sends no ARP and no neighbour solicitation of its own: the kernel owns
//! the interface's addresses and answers for them. But Linux forgets a neighbour that none of its
//! own traffic goes to. So it is asked to resolve one ([`resolve`]), or to keep doing so by itself
//! ([`keep_resolved`]).

use std::io;
use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
    NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::CtlError;
use crate::netlink::Netlink;

/// An entry of the neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Number of the interface that it is reached through.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, when known.
    pub mac: Option<[u8; 6]>,
    /// How sure that is.
    pub reach: Reach,
}

/// How sure Linux is of a neighbour (RFC 4861 7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Being asked for; no answer so far.
    Incomplete,
    /// Confirmed a short while ago, or set by hand.
    Reachable,
    /// Known, and not confirmed for a while: usable.
    Stale,
    /// It did not answer, or the entry was removed.
    Failed,
}

/// All neighbours of an interface.
///
/// # Errors
/// When the kernel does not answer.
pub fn neighbours(interface: u32) -> Result<Vec<Neighbour>, CtlError> {
    let mut all = Vec::new();
    let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    Netlink::open()?.dump("list neighbours", request, |message| {
        if let RouteNetlinkMessage::NewNeighbour(message) = message {
            all.extend(neighbour_in(&message).filter(|found| found.interface == interface));
        }
    })?;
    Ok(all)
}

/// Has Linux ask for a neighbour now. The answer comes as an event of a [`Watch`](crate::Watch).
///
/// # Errors
/// When this is not permitted, or there is no such interface.
pub fn resolve(interface: u32, address: IpAddr) -> Result<(), CtlError> {
    let mut request = request_for(interface, address);
    // "Use it": the kernel asks, as if it had a packet to send.
    request.header.flags = NeighbourFlags::Use;
    set(request, interface, address)
}

/// Has Linux ask for a neighbour now, and again for ever: a managed neighbour, of Linux 5.16 and
/// newer. On an older kernel it is only asked for once: the answer is false.
///
/// # Errors
/// When this is not permitted, or there is no such interface.
pub fn keep_resolved(interface: u32, address: IpAddr) -> Result<bool, CtlError> {
    let mut request = request_for(interface, address);
    request.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    match set(request, interface, address) {
        Err(CtlError::System { source, .. })
            if matches!(source.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) =>
        {
            resolve(interface, address).map(|()| false)
        }
        result => result.map(|()| true),
    }
}

/// The neighbour that a message is about: only those with an IP address, so not a bridge's.
pub(crate) fn neighbour_in(message: &NeighbourMessage) -> Option<Neighbour> {
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let reach = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Noarp => {
            Reach::Reachable
        }
        NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => Reach::Stale,
        NeighbourState::Failed => Reach::Failed,
        _ => Reach::Incomplete,
    };
    Some(Neighbour { interface: message.header.ifindex, address: address?, mac, reach })
}

fn request_for(interface: u32, address: IpAddr) -> NeighbourMessage {
    let mut request = NeighbourMessage::default();
    request.header.ifindex = interface;
    let (family, address) = match address {
        IpAddr::V4(v4) => (AddressFamily::Inet, NeighbourAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, NeighbourAddress::Inet6(v6)),
    };
    request.header.family = family;
    request.attributes.push(NeighbourAttribute::Destination(address));
    request
}

fn set(request: NeighbourMessage, interface: u32, address: IpAddr) -> Result<(), CtlError> {
    let request = RouteNetlinkMessage::NewNeighbour(request);
    let result = Netlink::open()?.set("have a neighbour resolved", request);
    result.map_err(|error| match &error {
        CtlError::System { source, .. } => match source.kind() {
            io::ErrorKind::PermissionDenied => CtlError::NotPermitted { address },
            _ if source.raw_os_error() == Some(libc::ENODEV) => CtlError::Gone { index: interface },
            _ => error,
        },
        _ => error,
    })
}

#[cfg(test)]
mod tests;
