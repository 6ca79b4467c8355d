//! Packets as a script writes them: read from its text, built, and found in what came out.

use super::text::Text;
use std::fmt;

mod wire;

pub(crate) use wire::{Ends, Live, icmp, read, tcp};

/// A packet that the script injects.
pub(crate) enum Inbound {
    Tcp(Segment),
    Icmp(Icmp),
}

/// A packet that must come out.
pub(crate) struct Outbound {
    pub(crate) segment: Segment,
    /// `<...>`: whatever they are.
    pub(crate) any_options: bool,
}

/// A segment with the script's own sequence numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The two bits in the IP header; `None`: not said.
    pub(crate) ecn: Option<u8>,
    /// As in the TCP header.
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) len: u32,
    pub(crate) ack: u32,
    pub(crate) window: Option<u16>,
    pub(crate) urgent: u16,
    pub(crate) options: Vec<Opt>,
}

/// An option, in its place among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opt {
    Mss(u16),
    Nop,
    Eol,
    Scale(u8),
    SackOk,
    Sack(Vec<(u32, u32)>),
    Timestamps { value: u32, echo: u32 },
    FastOpen { cookie: Vec<u8>, experimental: bool },
    Unknown(u8),
}

/// An ICMP error about a segment of ours.
pub(crate) struct Icmp {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) mtu: u32,
    pub(crate) seq: u32,
    pub(crate) len: u32,
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

const FLAG_LETTERS: [(char, u8); 8] =
    [('F', FIN), ('S', SYN), ('R', RST), ('P', PSH), ('.', ACK), ('U', 32), ('E', 64), ('W', 128)];

pub(crate) fn inbound(text: &mut Text<'_>) -> Result<Inbound, String> {
    if text.eat("icmp") {
        return icmp_error(text).map(Inbound::Icmp);
    }
    segment(text).map(|(segment, _)| Inbound::Tcp(segment))
}

pub(crate) fn outbound(text: &mut Text<'_>) -> Result<Outbound, String> {
    let (segment, any_options) = segment(text)?;
    Ok(Outbound { segment, any_options })
}

fn segment(text: &mut Text<'_>) -> Result<(Segment, bool), String> {
    let mut segment = Segment { ecn: ecn(text)?, ..Segment::default() };
    text.skip();
    let letters = text.while_(|c| !c.is_whitespace());
    for letter in letters.chars() {
        let known = FLAG_LETTERS.iter().find(|(known, _)| *known == letter);
        segment.flags |= known.ok_or_else(|| text.unexpected("a flag"))?.1;
    }
    (segment.seq, segment.len) = range(text)?;
    if text.eat("ack") {
        segment.ack = text.number()? as u32;
    }
    if text.eat("win") {
        segment.window = Some(text.number()? as u16);
    }
    if text.eat("urg") {
        segment.urgent = text.number()? as u16;
    }
    let mut any_options = false;
    if text.eat("<") {
        any_options = text.eat("...");
        while !text.eat(">") {
            segment.options.push(option(text)?);
            text.eat(",");
        }
    }
    Ok((segment, any_options))
}

fn ecn(text: &mut Text<'_>) -> Result<Option<u8>, String> {
    if !text.eat("[") {
        return Ok(None);
    }
    let bits = match text.until(']')? {
        "noecn" => 0,
        "ect1" => 1,
        "ect0" => 2,
        "ce" => 3,
        _ => return Err(text.unexpected("noecn, ect0, ect1 or ce")),
    };
    Ok(Some(bits))
}

/// `first:end(len)`; an end that does not fit the length is an error.
fn range(text: &mut Text<'_>) -> Result<(u32, u32), String> {
    let first = text.number()? as u32;
    text.expect(":")?;
    let end = text.number()? as u32;
    text.expect("(")?;
    let len = text.number()? as u32;
    text.expect(")")?;
    if end.wrapping_sub(first) != len {
        return Err(text.unexpected("a length that fits the numbers"));
    }
    Ok((first, len))
}

fn option(text: &mut Text<'_>) -> Result<Opt, String> {
    let option = match text.word() {
        "mss" => Opt::Mss(text.number()? as u16),
        "nop" => Opt::Nop,
        "eol" => Opt::Eol,
        "wscale" => Opt::Scale(text.number()? as u8),
        "sackOK" => Opt::SackOk,
        "sack" => {
            let mut blocks = Vec::new();
            while !text.starts_with(",") && !text.starts_with(">") {
                let left = text.number()? as u32;
                text.expect(":")?;
                blocks.push((left, text.number()? as u32));
            }
            Opt::Sack(blocks)
        }
        "TS" => {
            text.expect("val")?;
            let value = text.number()? as u32;
            text.expect("ecr")?;
            Opt::Timestamps { value, echo: text.number()? as u32 }
        }
        kind @ ("FO" | "FOEXP") => {
            let cookie = hex(text.word()).ok_or_else(|| text.unexpected("a cookie in hex"))?;
            Opt::FastOpen { cookie, experimental: kind == "FOEXP" }
        }
        _ => return Err(text.unexpected("an option")),
    };
    Ok(option)
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// `type code [mtu N] [range]`
fn icmp_error(text: &mut Text<'_>) -> Result<Icmp, String> {
    let mut name = text.word();
    if name == "unreachable" {
        name = text.word();
    }
    let known = ICMP_CODES.iter().find(|(known, ..)| *known == name);
    let &(_, kind, code) = known.ok_or_else(|| text.unexpected("a kind of ICMP error"))?;
    let mtu = if text.eat("mtu") { text.number()? as u32 } else { 0 };
    text.expect("[")?;
    let (seq, len) = range(text)?;
    text.expect("]")?;
    Ok(Icmp { kind, code, mtu, seq, len })
}

/// Of ICMP for IPv4, and the one of `ICMPv6` that our scripts need.
const ICMP_CODES: [(&str, u8, u8); 8] = [
    ("net_unreachable", 3, 0),
    ("host_unreachable", 3, 1),
    ("protocol_unreachable", 3, 2),
    ("port_unreachable", 3, 3),
    ("frag_needed", 3, 4),
    ("source_quench", 4, 0),
    ("ttl_exceeded", 11, 0),
    ("packet_too_big", 2, 0),
];

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ecn) = self.ecn {
            write!(f, "[{}] ", ["noecn", "ect1", "ect0", "ce"][usize::from(ecn & 3)])?;
        }
        for (letter, bit) in FLAG_LETTERS {
            if self.flags & bit != 0 {
                write!(f, "{letter}")?;
            }
        }
        write!(f, " {}:{}({})", self.seq, self.seq.wrapping_add(self.len), self.len)?;
        if self.flags & ACK != 0 {
            write!(f, " ack {}", self.ack)?;
        }
        if let Some(window) = self.window {
            write!(f, " win {window}")?;
        }
        write!(f, " {:?}", self.options)
    }
}
