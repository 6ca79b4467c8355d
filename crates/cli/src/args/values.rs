//! Values on the command line, from text; what is wrong is said in a few words.

mod memif;
mod xdp;

pub(crate) use memif::MemifArg;
pub(crate) use xdp::XdpArg;

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::str::FromStr;
use crore::AddressRange;

/// `xdp:IFACE[:QUEUES][,OPTION=VALUE...]`, `memif:PATH[,OPTION=VALUE...]` or `tap:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkArg {
    Xdp(XdpArg),
    Memif(Box<MemifArg>),
    Tap { name: String },
}

impl LinkArg {
    /// Our stack is alone on the link: it answers for its addresses, and no kernel does.
    pub(crate) fn has_no_kernel(&self) -> bool {
        matches!(self, Self::Memif(_) | Self::Tap { .. })
    }
}

/// `LINK[,address=ADDRESS/BITS]...`: a link, and our addresses on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedLink {
    /// As it was written, without the addresses and what is secret.
    pub(crate) name: String,
    pub(crate) link: LinkArg,
    pub(crate) addresses: Vec<AddressArg>,
}

/// `ADDRESS/BITS` or `FIRST-LAST/BITS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressArg(pub(crate) AddressRange);

/// `ADDRESS:PORT`, or a port on all our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenArg {
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

/// `FIRST-LAST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortsArg(pub(crate) RangeInclusive<u16>);

impl FromStr for LinkArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "xdp:IFACE[:QUEUES], memif:PATH or tap:NAME, like xdp:eth0".to_owned();
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            _ if rest.is_empty() => Err(wrong()),
            "xdp" => rest.parse().map(Self::Xdp),
            "memif" => rest.parse().map(Box::new).map(Self::Memif),
            "tap" => Ok(Self::Tap { name: rest.to_owned() }),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for ServedLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut link, mut addresses) = (Vec::new(), Vec::new());
        for part in text.split(',') {
            match part.strip_prefix("address=") {
                Some(address) => addresses.push(address.parse()?),
                None => link.push(part),
            }
        }
        let is_secret = |part: &&str| part.starts_with("secret=");
        let name: Vec<_> = link.iter().copied().filter(|part| !is_secret(part)).collect();
        Ok(Self { link: link.join(",").parse()?, name: name.join(","), addresses })
    }
}

impl FromStr for AddressArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an address and the bits of its network, like 10.0.0.2/24".to_owned();
        let (addresses, bits) = text.split_once('/').ok_or_else(wrong)?;
        let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
        let parse = |text: &str| text.parse::<IpAddr>().map_err(|_| wrong());
        let (first, last) = (parse(first)?, parse(last)?);
        let prefix_len = bits.parse().map_err(|_| wrong())?;
        let (bits_max, distance) = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (32, u128::from(b.to_bits()).checked_sub(u128::from(a.to_bits())))
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (128, b.to_bits().checked_sub(a.to_bits())),
            _ => return Err("first and last must be of one family".to_owned()),
        };
        if prefix_len > bits_max {
            return Err(format!("a network of such addresses has at most {bits_max} bits"));
        }
        match distance {
            None => Err("the last address comes before the first".to_owned()),
            Some(distance) if distance >= ADDRESSES_MAX => Err(format!("{ADDRESSES_MAX} at most")),
            Some(distance) => {
                Ok(Self(AddressRange { first, count: distance as u32 + 1, prefix_len }))
            }
        }
    }
}

impl FromStr for ListenArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a port from 1 to 65535, or ADDRESS:PORT".to_owned();
        let (address, port) = match text.parse::<SocketAddr>() {
            Ok(end) => (Some(end.ip()), end.port()),
            Err(_) => (None, text.trim_start_matches(':').parse().map_err(|_| wrong())?),
        };
        if port == 0 { Err(wrong()) } else { Ok(Self { address, port }) }
    }
}

impl fmt::Display for ListenArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => SocketAddr::new(address, self.port).fmt(f),
            None => write!(f, "port {} of all our addresses", self.port),
        }
    }
}

impl FromStr for PortsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two = text.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        match two {
            Some((first, last)) if 0 < first && first <= last => Ok(Self(first..=last)),
            _ => Err("two ports, like 10000-29999".to_owned()),
        }
    }
}

/// A number of connections: `10_000`, `10M`.
pub(super) fn count_1_to_1_billion(text: &str) -> Result<u32, String> {
    let (digits, factor) = suffixed(text);
    let number = digits.parse::<u64>().map_err(|_| "not a number".to_owned())?;
    match number.checked_mul(factor) {
        Some(count @ 1..=1_000_000_000) => Ok(count as u32),
        _ => Err("from 1 to 1000000000 (or 1000M, or 1G)".to_owned()),
    }
}

/// Digits, and what they are multiplied by. Underscores and a final k, M or G are understood.
fn suffixed(text: &str) -> (String, u64) {
    let mut digits: String = text.chars().filter(|&letter| letter != '_').collect();
    let factor = match digits.chars().last() {
        Some('k' | 'K') => 1_000,
        Some('m' | 'M') => 1_000_000,
        Some('g' | 'G') => 1_000_000_000,
        _ => return (digits, 1),
    };
    digits.pop();
    (digits, factor)
}

/// Bytes of a connection's state; k is 1024.
pub(super) fn state_bytes(text: &str) -> Result<u32, String> {
    let (digits, factor) = suffixed(text);
    let factor = if factor == 1_000 { 1_024 } else { factor };
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(bytes @ 0..=STATE_BYTES_MAX) => Ok(bytes as u32),
        _ => Err("a number of bytes from 0 to 65536 (or 64k)".to_owned()),
    }
}

/// A number above 0: cycles of a packet.
pub(super) fn cycles(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cycles) if (1.0..=1e9).contains(&cycles) => Ok(cycles),
        _ => Err("a number of cycles, at least 1".to_owned()),
    }
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 1000000".to_owned()),
    }
}

/// So many a second: `2.5M`, `100_000`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let (digits, factor) = suffixed(text);
    match digits.parse::<f64>().map(|number| number * factor as f64) {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("a number a second, above 0".to_owned()),
    }
}

pub(super) fn two_cpus(text: &str) -> Result<(usize, usize), String> {
    let two = text.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    two.ok_or_else(|| "two processor numbers, like 0,1".to_owned())
}

/// More than that is no state beside a control block, but a database.
const STATE_BYTES_MAX: u64 = 64 << 10;

/// What one stack can have.
const ADDRESSES_MAX: u128 = 65_535;

#[cfg(test)]
mod tests;
