//! Octets that tell their place in the stream: each is its position modulo a prime.

/// What stands at `position`.
pub(crate) fn at(position: u32) -> u8 {
    (position % PERIOD) as u8
}

/// `len` octets from `position` on.
pub(crate) fn from(position: u32, len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| at(position.wrapping_add(i))).collect()
}

/// What follows `octet`.
pub(crate) fn after(octet: u8) -> u8 {
    at(u32::from(octet) + 1)
}

const PERIOD: u32 = 251;
