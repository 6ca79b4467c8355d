//! The addresses that `frames` builds with.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const SERVER: u8 = 2;
pub(crate) const BAIT: u8 = 1;

pub(crate) fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

pub(crate) fn v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, host)
}

pub(crate) fn v6(host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host))
}
