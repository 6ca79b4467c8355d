//! The chain of extension headers between an IPv6 header and the transport (RFC 8200 4).
//!
//! A chain is stepped over, not obeyed: we are never a hop of a source route, and no option is of
//! use to an end host here. What asks to be dropped when not understood is dropped; what RFC 8200
//! wants its sender to be told is in [`problem_of`].

use crate::{Malformed, Protocol};

/// What a fragment header said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where the fragment belongs, in units of 8 bytes; 13 bits.
    pub offset: u16,
    /// It is not the last one.
    pub more: bool,
    /// The identification that the fragments of one packet share.
    pub ident: u32,
}

impl Fragment {
    /// True for a whole packet that carries a fragment header all the same (RFC 6946).
    #[inline]
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

impl Fragment {
    /// Writes a fragment header in front of `next`.
    ///
    /// # Panics
    /// When `out` is shorter than [`FRAGMENT_HEADER_LEN`].
    pub fn write(&self, next: Protocol, out: &mut [u8]) {
        let offset_and_more = self.offset << 3 | u16::from(self.more);
        out[..2].copy_from_slice(&[next.0, 0]);
        out[2..4].copy_from_slice(&offset_and_more.to_be_bytes());
        out[4..8].copy_from_slice(&self.ident.to_be_bytes());
    }
}

/// What the sender of a packet with bad extension headers is to be told (RFC 4443 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// 0: a field, 1: a next header, 2: an option.
    pub code: u8,
    /// Which octet of the packet is to blame.
    pub pointer: u32,
}

/// What is wrong with a packet that [`skip_extensions`] refused, if its sender is to be told: an
/// unknown option that asks for it (RFC 8200-4.2b), a source route that does not end here
/// (RFC 8200-4.4a, RFC 5095-3a), hop-by-hop options in the wrong place (RFC 8200 4).
pub fn problem_of(packet: &[u8]) -> Option<Problem> {
    let mut next = Protocol(*packet.get(NEXT_HEADER_AT)?);
    // Where the field is that names the next header, and where that begins.
    let (mut named_at, mut at) = (NEXT_HEADER_AT, super::HEADER_LEN);
    let told = |code, pointer| Some(Problem { code, pointer: pointer as u32 });
    for place in 0..EXTENSIONS_MAX {
        let header = packet.get(at..)?;
        if next == Protocol::HOP_BY_HOP && place > 0 {
            return told(1, named_at);
        }
        let len = match next {
            Protocol::FRAGMENT => FRAGMENT_HEADER_LEN,
            _ if !is_extension(next) => return None,
            _ => (usize::from(*header.get(1)?) + 1) * 8,
        };
        if next == Protocol::ROUTING && *header.get(3)? != 0 {
            return told(0, at + 2);
        }
        if next == Protocol::HOP_BY_HOP || next == Protocol::DESTINATION_OPTIONS {
            match unknown_option(header.get(2..len)?) {
                Some((kind, offset)) if kind & ACTION_TELL != 0 => return told(2, at + 2 + offset),
                Some(_) => return None,
                None => {}
            }
        }
        (named_at, next, at) = (at, Protocol(*header.first()?), at + len);
    }
    None
}

/// The first option that must not be stepped over, and where it is.
fn unknown_option(options: &[u8]) -> Option<(u8, usize)> {
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        if kind & ACTION != 0 {
            return Some((kind, at));
        }
        at += if kind == PAD1 { 1 } else { 2 + usize::from(*options.get(at + 1)?) };
    }
    None
}

/// True when a packet carries an `ICMPv6` error, or may: nothing that is wrong with such a packet
/// is answered (RFC 4443 2.4).
pub fn may_be_error(first: Protocol, payload: &[u8]) -> bool {
    let (mut next, mut rest) = (first, payload);
    for _ in 0..EXTENSIONS_MAX {
        if next == Protocol::ICMPV6 {
            return rest.first().is_none_or(|&kind| kind < ICMPV6_INFORMATIONAL);
        }
        if !is_extension(next) {
            return false;
        }
        let &[after, len, ..] = rest else { return true };
        let len = if next == Protocol::FRAGMENT { 8 } else { (usize::from(len) + 1) * 8 };
        let Some(behind) = rest.get(len..) else { return true };
        (next, rest) = (Protocol(after), behind);
    }
    true
}

/// Octets of a fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 8;

/// Steps over the extension headers of a packet (RFC 8200-4a); gives the transport, its bytes, and
/// the fragment header if there was one.
///
/// At a real fragment the walk ends: what follows is not there as a whole. The caller tells by
/// [`Fragment::is_atomic`].
#[inline]
pub fn skip_extensions(
    next_header: Protocol,
    payload: &[u8],
) -> Result<(Protocol, &[u8], Option<Fragment>), Malformed> {
    if is_extension(next_header) {
        walk(next_header, payload)
    } else {
        Ok((next_header, payload, None))
    }
}

/// Extension headers that one packet may have; more are an attack (RFC 8504 5.3).
pub const EXTENSIONS_MAX: usize = 8;

#[cold]
fn walk(first: Protocol, payload: &[u8]) -> Result<(Protocol, &[u8], Option<Fragment>), Malformed> {
    let (mut next, mut rest, mut fragment) = (first, payload, None);
    for place in 0..EXTENSIONS_MAX {
        if !is_extension(next) {
            return Ok((next, rest, fragment));
        }
        if next == Protocol::FRAGMENT {
            let (seen, after, behind) = parse_fragment(rest)?;
            // A second fragment header can only come from somebody hiding something.
            if fragment.replace(seen).is_some() {
                return Err(Malformed::Extension);
            }
            (next, rest) = (after, behind);
            if !seen.is_atomic() {
                return Ok((next, rest, fragment));
            }
            continue;
        }
        let (body, behind) = split_extension(rest)?;
        match next {
            // RFC 8200 4.1: hop-by-hop options stand immediately after the IPv6 header.
            Protocol::HOP_BY_HOP if place > 0 => return Err(Malformed::Extension),
            // RFC 8200 4.4: with segments left we would have to be a router on the way.
            Protocol::ROUTING if body[1] != 0 => return Err(Malformed::Extension),
            Protocol::ROUTING => {}
            _ => check_options(body)?,
        }
        (next, rest) = (Protocol(rest[0]), behind);
    }
    if is_extension(next) { Err(Malformed::Extension) } else { Ok((next, rest, fragment)) }
}

#[inline]
const fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::DESTINATION_OPTIONS
    )
}

fn parse_fragment(bytes: &[u8]) -> Result<(Fragment, Protocol, &[u8]), Malformed> {
    let Some((h, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Malformed::Truncated);
    };
    let offset_and_more = u16::from_be_bytes([h[2], h[3]]);
    let fragment = Fragment {
        offset: offset_and_more >> 3,
        more: offset_and_more & 1 != 0,
        ident: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
    };
    Ok((fragment, Protocol(h[0]), rest))
}

/// Splits off one extension header; gives its bytes after next-header and length: at least six.
fn split_extension(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let &[_, len, ..] = bytes else {
        return Err(Malformed::Truncated);
    };
    match bytes.split_at_checked((usize::from(len) + 1) * 8) {
        Some((header, rest)) => Ok((&header[2..], rest)),
        None => Err(Malformed::Truncated),
    }
}

/// RFC 8200-4.2a: an option that is not known is stepped over only if its two top bits are zero.
fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    loop {
        match *options {
            [] => return Ok(()),
            [PAD1, ref rest @ ..] => options = rest,
            [kind, len, ref rest @ ..] => {
                if kind & ACTION != 0 {
                    return Err(Malformed::Option);
                }
                options = rest.get(usize::from(len)..).ok_or(Malformed::Option)?;
            }
            [_] => return Err(Malformed::Option),
        }
    }
}

const PAD1: u8 = 0;

/// The bits of an option's kind that say what to do who does not know it: 0 means to step over.
const ACTION: u8 = 0b1100_0000;

/// Of these the one that asks for an answer (RFC 8200 4.2). To a packet for many only one of the
/// two kinds wants one; such packets are not answered here at all.
const ACTION_TELL: u8 = 0b1000_0000;

/// Where the next header stands in an IPv6 header.
const NEXT_HEADER_AT: usize = 6;

/// `ICMPv6` types from here on are no errors (RFC 4443 2.1).
const ICMPV6_INFORMATIONAL: u8 = 128;

#[cfg(test)]
mod tests;
