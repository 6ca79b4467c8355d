//! The conversation with the kernel: one request, its answers, until the kernel says that is all.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::error::CtlError;

/// A blocking socket for requests.
pub(crate) struct Netlink(Socket);

impl Netlink {
    pub(crate) fn open() -> Result<Self, CtlError> {
        let refused = |source| CtlError::System { doing: "open a socket", source };
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(refused)?;
        socket.bind_auto().map_err(refused)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(refused)?;
        Ok(Self(socket))
    }

    /// Asks for all objects of a kind.
    pub(crate) fn dump(
        &self,
        doing: &'static str,
        request: RouteNetlinkMessage,
        mut each: impl FnMut(RouteNetlinkMessage),
    ) -> Result<(), CtlError> {
        self.exchange(doing, request, NLM_F_REQUEST | NLM_F_DUMP, &mut each)
    }

    /// Makes an object, or changes the one there is.
    pub(crate) fn set(
        &self,
        doing: &'static str,
        request: RouteNetlinkMessage,
    ) -> Result<(), CtlError> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.exchange(doing, request, flags, &mut |_| {})
    }

    fn exchange(
        &self,
        doing: &'static str,
        request: RouteNetlinkMessage,
        flags: u16,
        each: &mut impl FnMut(RouteNetlinkMessage),
    ) -> Result<(), CtlError> {
        let refused = |source| CtlError::System { doing, source };
        let mut message =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(request));
        message.header.flags = flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.0.send(&bytes, 0).map_err(refused)?;
        loop {
            let (bytes, _) = match self.0.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(refused)?,
            };
            for message in Messages::in_bytes(&bytes) {
                match message.map_err(|what| CtlError::Malformed { doing, what })? {
                    NetlinkPayload::InnerMessage(message) => each(message),
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(error) => {
                        // An error without a number is an acknowledgement.
                        let Some(code) = error.code else { return Ok(()) };
                        return Err(refused(io::Error::from_raw_os_error(-code.get())));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Walks over the messages of one datagram.
pub(crate) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub(crate) fn in_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<NetlinkPayload<RouteNetlinkMessage>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(self.0);
        // After a message that cannot be read the rest cannot be found.
        let len = message.as_ref().map_or(0, |message| message.header.length as usize);
        let next = len.next_multiple_of(4);
        self.0 = if len == 0 { &[] } else { self.0.get(next..).unwrap_or_default() };
        Some(message.map(|message| message.payload).map_err(|error| error.to_string()))
    }
}
