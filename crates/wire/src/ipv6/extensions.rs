//! The chain of extension headers between an IPv6 header and the transport (RFC 8200 4).
//!
//! A chain is stepped over, not obeyed: we are never a hop of a source route, and no option is of
//! use to an end host here. What asks to be dropped when not understood is dropped. The ICMP
//! errors that RFC 8200 would answer with are left out: nobody honest needs them, and they are a
//! reflector.

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

/// Steps over the extension headers of a packet; gives the transport, its bytes, and the fragment
/// header if there was one.
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

/// RFC 8200 4.2: an option that is not known is stepped over only if its two top bits are zero.
fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    loop {
        match *options {
            [] => return Ok(()),
            [PAD1, ref rest @ ..] => options = rest,
            [kind, len, ref rest @ ..] => {
                if kind & 0b1100_0000 != 0 {
                    return Err(Malformed::Option);
                }
                options = rest.get(usize::from(len)..).ok_or(Malformed::Option)?;
            }
            [_] => return Err(Malformed::Option),
        }
    }
}

const PAD1: u8 = 0;

#[cfg(test)]
mod tests;
