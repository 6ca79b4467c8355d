//! Changes of interfaces, addresses and neighbours as they happen, polled without a thread.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::error::CtlError;
use crate::interface::{Prefix, prefix_in};
use crate::neighbour::{Neighbour, Reach, neighbour_in};
use crate::netlink::Messages;

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A neighbour was learned, changed or lost ([`Reach::Failed`]).
    Neighbour(Neighbour),
    /// An interface got or lost an address.
    Address {
        /// The interface's number.
        interface: u32,
        /// The address.
        prefix: Prefix,
        /// It is there now; else it is gone.
        present: bool,
    },
    /// An interface was set up or down, changed its MTU, or went away.
    Link {
        /// The interface's number.
        interface: u32,
        /// It can carry frames: it is there, up, and its wire is connected.
        ready: bool,
        /// Its MTU, when the kernel says it.
        mtu: Option<u32>,
    },
    /// More happened than the kernel could keep for us: list everything again.
    Missed,
}

/// Sees all changes from its opening on.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
}

impl Watch {
    /// Begins to watch. Open it before listing, and nothing falls between the two.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> Result<Self, CtlError> {
        let refused = |source| CtlError::System { doing: "watch for changes", source };
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(refused)?;
        socket.bind_auto().map_err(refused)?;
        // As much as the system allows; `Missed` tells when it was too little.
        let _ = socket.set_rx_buf_sz(RECEIVE_BUFFER_BYTES);
        for group in [
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_NEIGH,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
        ] {
            socket.add_membership(group).map_err(refused)?;
        }
        socket.set_non_blocking(true).map_err(refused)?;
        Ok(Self { socket })
    }

    /// Calls `each` for every change since the last time, and returns at once.
    ///
    /// # Errors
    /// When the kernel sends what cannot be read.
    pub fn poll(&mut self, mut each: impl FnMut(Event)) -> Result<(), CtlError> {
        const DOING: &str = "watch for changes";
        loop {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => {
                    for message in Messages::in_bytes(&bytes) {
                        let what = |what| CtlError::Malformed { doing: DOING, what };
                        if let NetlinkPayload::InnerMessage(message) = message.map_err(what)?
                            && let Some(event) = event_in(&message)
                        {
                            each(event);
                        }
                    }
                }
                Err(error) => match error.raw_os_error() {
                    _ if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Some(libc::EINTR) => {}
                    Some(libc::ENOBUFS) => each(Event::Missed),
                    _ => return Err(CtlError::System { doing: DOING, source: error }),
                },
            }
        }
    }
}

impl AsRawFd for Watch {
    /// Readable when [`Watch::poll`] would find something.
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn event_in(message: &RouteNetlinkMessage) -> Option<Event> {
    match message {
        RouteNetlinkMessage::NewNeighbour(message) => neighbour_in(message).map(Event::Neighbour),
        RouteNetlinkMessage::DelNeighbour(message) => {
            let lost = |found| Neighbour { mac: None, reach: Reach::Failed, ..found };
            neighbour_in(message).map(lost).map(Event::Neighbour)
        }
        RouteNetlinkMessage::NewAddress(message) => prefix_in(message)
            .map(|(interface, prefix)| Event::Address { interface, prefix, present: true }),
        RouteNetlinkMessage::DelAddress(message) => prefix_in(message)
            .map(|(interface, prefix)| Event::Address { interface, prefix, present: false }),
        RouteNetlinkMessage::NewLink(link) => Some(link_event(link, true)),
        RouteNetlinkMessage::DelLink(link) => Some(link_event(link, false)),
        _ => None,
    }
}

fn link_event(link: &LinkMessage, present: bool) -> Event {
    let working = LinkFlags::Up | LinkFlags::LowerUp;
    let mtu = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    let ready = present && link.header.flags.contains(working);
    Event::Link { interface: link.header.index, ready, mtu }
}

/// Room for some thousand changes.
const RECEIVE_BUFFER_BYTES: u32 = 1 << 20;
