//! Neighbour solicitation and advertisement (RFC 4861 4.3 and 4.4), with the checks of 7.1.

use core::net::Ipv6Addr;

use super::Message;
use crate::Malformed;
use crate::checksum::Sum;
use crate::ethernet::MacAddr;

/// The multicast group on which the owner of an address is asked for it (RFC 4291 2.7.1).
pub const fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let low = target.to_bits() & 0x00ff_ffff;
    Ipv6Addr::from_bits(SOLICITED_NODE_PREFIX | low)
}

/// The hop limit of every neighbour discovery packet: it cannot have come through a router.
pub const NEIGHBOR_HOP_LIMIT: u8 = 255;

/// RFC 4861 7.1.1. `body` is what follows the first eight bytes.
pub(super) fn parse_solicit(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    code: u8,
    body: &[u8],
) -> Result<Message<'_>, Malformed> {
    let (target, source_mac) = parse_body(code, body, SOURCE_MAC)?;
    // A probe for duplicates goes to the solicited-node group and carries no address to learn.
    if src.is_unspecified() && (source_mac.is_some() || !is_solicited_node(dst)) {
        return Err(Malformed::NeighborDiscovery);
    }
    Ok(Message::NeighborSolicit { target, source_mac })
}

/// RFC 4861 7.1.2. `word` holds the flags, `body` is what follows the first eight bytes.
pub(super) fn parse_advert(
    dst: Ipv6Addr,
    code: u8,
    word: u32,
    body: &[u8],
) -> Result<Message<'_>, Malformed> {
    let (target, target_mac) = parse_body(code, body, TARGET_MAC)?;
    let solicited = word & SOLICITED != 0;
    if solicited && dst.is_multicast() {
        return Err(Malformed::NeighborDiscovery);
    }
    Ok(Message::NeighborAdvert {
        target,
        target_mac,
        router: word & ROUTER != 0,
        solicited,
        override_: word & OVERRIDE != 0,
    })
}

pub(super) const fn advert_flags(router: bool, solicited: bool, override_: bool) -> u32 {
    (if router { ROUTER } else { 0 })
        | (if solicited { SOLICITED } else { 0 })
        | (if override_ { OVERRIDE } else { 0 })
}

pub(super) const fn body_len(mac: Option<MacAddr>) -> usize {
    if mac.is_some() { TARGET_LEN + MAC_OPTION_LEN } else { TARGET_LEN }
}

/// Writes target and option; `out` has exactly the room. Returns their sum.
pub(super) fn write_body(out: &mut [u8], target: Ipv6Addr, kind: u8, mac: Option<MacAddr>) -> Sum {
    let (address, option) = out.split_at_mut(TARGET_LEN);
    address.copy_from_slice(&target.octets());
    if let Some(MacAddr(octets)) = mac {
        // The length of an option is in units of eight bytes.
        option[..2].copy_from_slice(&[kind, 1]);
        option[2..].copy_from_slice(&octets);
    }
    Sum::ZERO.add_bytes(out)
}

/// The target, and the Ethernet address from the option of the kind looked for.
fn parse_body(code: u8, body: &[u8], kind: u8) -> Result<(Ipv6Addr, Option<MacAddr>), Malformed> {
    let Some((target, options)) = body.split_first_chunk::<TARGET_LEN>() else {
        return Err(Malformed::Truncated);
    };
    let target = Ipv6Addr::from(*target);
    if code != 0 || target.is_multicast() {
        return Err(Malformed::NeighborDiscovery);
    }
    Ok((target, find_mac(options, kind)?))
}

/// Walks the options; those not looked for are stepped over (RFC 4861 4.6).
fn find_mac(mut options: &[u8], kind: u8) -> Result<Option<MacAddr>, Malformed> {
    let mut found = None;
    while !options.is_empty() {
        let &[this, units, ..] = options else {
            return Err(Malformed::Option);
        };
        let len = usize::from(units) * MAC_OPTION_LEN;
        let Some((option, rest)) = options.split_at_checked(len) else {
            return Err(Malformed::Option);
        };
        if len == 0 {
            // RFC 4861 7.1: this drops the packet, and would keep us here forever.
            return Err(Malformed::Option);
        }
        if this == kind
            && let Ok(mac) = <[u8; 6]>::try_from(&option[2..])
        {
            found = Some(MacAddr(mac));
        }
        options = rest;
    }
    Ok(found)
}

const fn is_solicited_node(group: Ipv6Addr) -> bool {
    group.to_bits() & !0x00ff_ffff == SOLICITED_NODE_PREFIX
}

/// The option with the asker's Ethernet address.
pub(super) const SOURCE_MAC: u8 = 1;
/// The option with the target's Ethernet address.
pub(super) const TARGET_MAC: u8 = 2;

/// `ff02::1:ff00:0/104`.
const SOLICITED_NODE_PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
const TARGET_LEN: usize = 16;
const MAC_OPTION_LEN: usize = 8;
const ROUTER: u32 = 1 << 31;
const SOLICITED: u32 = 1 << 30;
const OVERRIDE: u32 = 1 << 29;
