//! The 4-tuple, as a control block keeps it and as the flow table hashes it.

use crate::hash::FlowKey;
use crate::interface::Addresses;

/// The 4-tuple with our address as the interface numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Endpoints {
    pub(crate) remote: u128,
    pub(crate) remote_port: u16,
    pub(crate) local_port: u16,
    pub(crate) local_id: u16,
}

impl Endpoints {
    /// With our address spelled out.
    #[inline]
    pub(crate) fn key(&self, addresses: &Addresses) -> FlowKey {
        FlowKey {
            remote: self.remote,
            local: addresses.address(self.local_id),
            remote_port: self.remote_port,
            local_port: self.local_port,
        }
    }
}
