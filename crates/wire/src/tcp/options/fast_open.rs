//! The Fast Open option (RFC 7413 4.1.1), in its own kind and in the experimental one before it.
//!
//! ```text
//!   FO 34   len   cookie ..              len: 2 to ask for a cookie, else 6 to 18, even
//!   EXP 254 len   0xf989   cookie ..     len: 4 to ask, else 8 to 20, even (RFC 6994)
//! ```

/// A Fast Open option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastOpen {
    /// The cookie; an empty one asks for one.
    pub cookie: FastOpenCookie,
    /// In the experimental option that was used before the option had a kind of its own.
    pub experimental: bool,
}

/// A Fast Open cookie: opaque to all but the server that made it.
#[derive(Clone, Copy, Default)]
pub struct FastOpenCookie {
    octets: [u8; FAST_OPEN_COOKIE_MAX],
    len: u8,
}

impl FastOpen {
    /// A client's request for a cookie.
    pub const REQUEST: Self = Self { cookie: FastOpenCookie::EMPTY, experimental: false };

    /// From the bytes after kind and length; RFC 7413-4.1.1d: `None` for a length that cannot be.
    pub(super) fn parse(body: &[u8], experimental: bool) -> Option<Self> {
        let cookie =
            if body.is_empty() { FastOpenCookie::EMPTY } else { FastOpenCookie::new(body)? };
        Some(Self { cookie, experimental })
    }

    /// Octets of the option, padding not counted.
    pub(super) const fn len(&self) -> usize {
        let head = if self.experimental { 4 } else { 2 };
        head + self.cookie.len as usize
    }

    /// Writes the option to the front of `out`; gives its length.
    pub(super) fn write(&self, out: &mut [u8]) -> usize {
        let len = self.len();
        let head: &[u8] = if self.experimental {
            &[EXPERIMENT, len as u8, EXPERIMENT_ID[0], EXPERIMENT_ID[1]]
        } else {
            &[FAST_OPEN, len as u8]
        };
        out[..head.len()].copy_from_slice(head);
        out[head.len()..len].copy_from_slice(self.cookie.as_slice());
        len
    }
}

impl FastOpenCookie {
    /// No cookie.
    pub const EMPTY: Self = Self { octets: [0; FAST_OPEN_COOKIE_MAX], len: 0 };

    /// A cookie of 4 to 16 octets, an even number (RFC 7413-4.1.1a); `None` for any other.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let len = octets.len();
        let is_even = len.is_multiple_of(2);
        if !is_even || !(FAST_OPEN_COOKIE_MIN..=FAST_OPEN_COOKIE_MAX).contains(&len) {
            return None;
        }
        let mut cookie = Self::EMPTY;
        cookie.octets[..len].copy_from_slice(octets);
        cookie.len = len as u8;
        Some(cookie)
    }

    /// Its octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// True for that of a request.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl PartialEq for FastOpenCookie {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for FastOpenCookie {}

impl core::fmt::Debug for FastOpenCookie {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FastOpenCookie(")?;
        for octet in self.as_slice() {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(")")
    }
}

/// The longest cookie.
pub const FAST_OPEN_COOKIE_MAX: usize = 16;
const FAST_OPEN_COOKIE_MIN: usize = 4;

pub(super) const FAST_OPEN: u8 = 34;
/// The experimental option, and who of its users we are (RFC 6994, RFC 7413 9).
pub(super) const EXPERIMENT: u8 = 254;
pub(super) const EXPERIMENT_ID: [u8; 2] = [0xf9, 0x89];
