//! Request heads: limits, syntax, framing, and what must be refused (RFC 9112 2 to 6).

use std::mem::MaybeUninit;

use crate::content::{Chunks, Framing};
use crate::range::decimal;
use crate::status::Status;

/// A request's head. It borrows from the bytes it was read from.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The request target as it was sent.
    pub(crate) target: &'a str,
    /// True for HTTP/1.0.
    pub(crate) is_1_0: bool,
    /// True when the client wants the connection to persist.
    pub(crate) keep_alive: bool,
    /// How long the content is; `None` without content.
    pub(crate) framing: Option<Framing>,
    /// True when the client waits for 100 (Continue).
    pub(crate) expects_continue: bool,
    /// The fields that replies depend on.
    pub(crate) fields: Fields<'a>,
    headers: &'a [httparse::Header<'a>],
}

/// Methods as far as this server tells them apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    /// Known to RFC 9110, but no resource here has it: 405.
    Other,
    /// Not known: 501 (RFC 9110 9.1).
    Unknown,
}

/// The fields that replies depend on. Lists are read again by [`Request::values`].
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) range: Field<'a>,
    pub(crate) if_range: Field<'a>,
    pub(crate) if_modified_since: Field<'a>,
    pub(crate) if_unmodified_since: Field<'a>,
    pub(crate) if_match: Field<'a>,
    pub(crate) if_none_match: Field<'a>,
    host: Field<'a>,
    content_length: Field<'a>,
    expect: Field<'a>,
    transfer_encoding: Field<'a>,
    connection: Field<'a>,
}

/// The last value of a field, and how often the field is there.
#[derive(Debug, Default)]
pub(crate) struct Field<'a> {
    value: Option<&'a [u8]>,
    count: usize,
}

impl<'a> Field<'a> {
    /// The value, when there is exactly one.
    pub(crate) fn one(&self) -> Option<&'a [u8]> {
        if self.count == 1 { self.value } else { None }
    }

    /// True when the field is there at all.
    pub(crate) fn is_present(&self) -> bool {
        self.count > 0
    }

    fn add(&mut self, value: &'a [u8]) {
        self.value = Some(value);
        self.count += 1;
    }
}

/// Room for the fields of one head.
pub(crate) type FieldRoom<'a> = [MaybeUninit<httparse::Header<'a>>; FIELDS_MAX];

/// Room for the fields of one head, not written yet.
pub(crate) const fn field_room<'a>() -> FieldRoom<'a> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

/// Reads a head from the beginning of `bytes`: the request and the head's length, `None` when
/// there is more to come, or the status that refuses it.
///
/// The outcome depends on the bytes of the head alone, not on how much follows it.
pub(crate) fn parse<'a>(
    bytes: &'a [u8],
    room: &'a mut FieldRoom<'a>,
) -> Result<Option<(Request<'a>, usize)>, Status> {
    let within = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    if target_len(within) > TARGET_BYTES_MAX {
        return Err(Status::URI_TOO_LONG);
    }
    let mut head = httparse::Request::new(&mut []);
    match head.parse_with_uninit_headers(within, room) {
        Ok(httparse::Status::Complete(len)) => {
            let headers = head.headers;
            // A complete head has all three.
            let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version)
            else {
                return Err(Status::BAD_REQUEST);
            };
            Ok(Some((Request::check(method, target, minor == 0, headers)?, len)))
        }
        Ok(httparse::Status::Partial) if within.len() == HEAD_BYTES_MAX => {
            Err(Status::FIELDS_TOO_LARGE)
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Status::FIELDS_TOO_LARGE),
        Err(httparse::Error::Version) => Err(version_status(within)),
        // Folded lines and space before a colon are here as well (RFC 9112 5.1, 5.2).
        Err(_) => Err(Status::BAD_REQUEST),
    }
}

impl<'a> Request<'a> {
    fn check(
        method: &'a str,
        target: &'a str,
        is_1_0: bool,
        headers: &'a [httparse::Header<'a>],
    ) -> Result<Self, Status> {
        let mut request = Self {
            method: Method::of(method),
            target,
            is_1_0,
            keep_alive: !is_1_0,
            framing: None,
            expects_continue: false,
            fields: Fields::of(headers),
            headers,
        };
        request.check_host()?;
        request.framing = request.framing()?;
        request.keep_alive = request.keep_alive();
        request.expects_continue = request.expectation()?;
        Ok(request)
    }

    /// All values of a field that may be there many times. `name` is in lower case.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value)
    }

    /// RFC 9112 3.2: HTTP/1.1 has exactly one Host, and nobody has two or a broken one.
    fn check_host(&self) -> Result<(), Status> {
        let host = &self.fields.host;
        match host.one() {
            Some(value) if value.iter().all(|&b| is_host_byte(b)) => Ok(()),
            None if !host.is_present() && self.is_1_0 => Ok(()),
            _ => Err(Status::BAD_REQUEST),
        }
    }

    /// RFC 9112 6.3, and stricter where peers that disagree could be smuggled past.
    fn framing(&self) -> Result<Option<Framing>, Status> {
        let length = &self.fields.content_length;
        if self.fields.transfer_encoding.is_present() {
            // RFC 9112 6.1: chunked in HTTP/1.0 is faulty; with Content-Length it is an attack.
            if length.is_present() || self.is_1_0 {
                return Err(Status::BAD_REQUEST);
            }
            return self.check_codings().map(|()| Some(Framing::Chunked(Chunks::START)));
        }
        if !length.is_present() {
            return Ok(None);
        }
        match length.one().and_then(decimal) {
            None => Err(Status::BAD_REQUEST),
            Some(0) => Ok(None),
            Some(length) => Ok(Some(Framing::Length(length))),
        }
    }

    /// Chunked must be there once, last (RFC 9112 6.3), and is all we know (501: RFC 9112 6.1).
    fn check_codings(&self) -> Result<(), Status> {
        let mut last_is_chunked = false;
        let mut others = false;
        for coding in self.values("transfer-encoding").flat_map(list) {
            if last_is_chunked {
                return Err(Status::BAD_REQUEST);
            }
            last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            others |= !last_is_chunked;
        }
        match (last_is_chunked, others) {
            (false, _) => Err(Status::BAD_REQUEST),
            (true, true) => Err(Status::NOT_IMPLEMENTED),
            (true, false) => Ok(()),
        }
    }

    /// RFC 9112 9.3: close wins, then HTTP/1.1, then keep-alive.
    fn keep_alive(&self) -> bool {
        if !self.fields.connection.is_present() {
            return !self.is_1_0;
        }
        let has = |option: &[u8]| {
            self.values("connection").flat_map(list).any(|o| o.eq_ignore_ascii_case(option))
        };
        !has(b"close") && (!self.is_1_0 || has(b"keep-alive"))
    }

    /// RFC 9110 10.1.1: 417 for what cannot be met; HTTP/1.0 is not answered with 100.
    fn expectation(&self) -> Result<bool, Status> {
        let expect = &self.fields.expect;
        if !expect.is_present() {
            return Ok(false);
        }
        match expect.one() {
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
                Ok(!self.is_1_0 && self.framing.is_some())
            }
            _ => Err(Status::EXPECTATION_FAILED),
        }
    }
}

impl Method {
    fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" | "DELETE" | "OPTIONS" | "TRACE" | "PATCH" => Self::Other,
            _ => Self::Unknown,
        }
    }
}

impl<'a> Fields<'a> {
    fn of(headers: &[httparse::Header<'a>]) -> Self {
        let mut fields = Self::default();
        for field in headers {
            fields.add(field.name, field.value);
        }
        fields
    }

    /// Sorts by length first: most fields of most requests are none of ours.
    fn add(&mut self, name: &str, value: &'a [u8]) {
        let is = |ours: &str| name.eq_ignore_ascii_case(ours);
        match name.len() {
            4 if is("host") => self.host.add(value),
            5 if is("range") => self.range.add(value),
            6 if is("expect") => self.expect.add(value),
            8 if is("if-range") => self.if_range.add(value),
            8 if is("if-match") => self.if_match.add(value),
            10 if is("connection") => self.connection.add(value),
            13 if is("if-none-match") => self.if_none_match.add(value),
            14 if is("content-length") => self.content_length.add(value),
            17 if is("transfer-encoding") => self.transfer_encoding.add(value),
            17 if is("if-modified-since") => self.if_modified_since.add(value),
            19 if is("if-unmodified-since") => self.if_unmodified_since.add(value),
            _ => {}
        }
    }
}

/// The elements of a comma-separated list (RFC 9110 5.6.1), empty ones left out.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// What may be in `uri-host [ ":" port ]` (RFC 3986 3.2.2).
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[]:".contains(&byte)
}

/// How much of the request target is in `head`.
fn target_len(head: &[u8]) -> usize {
    let line = head.iter().position(|&b| b != b'\r' && b != b'\n').map_or(head, |i| &head[i..]);
    if line.len() <= TARGET_BYTES_MAX {
        return 0;
    }
    let mut words = line.split(|b| matches!(b, b' ' | b'\r' | b'\n'));
    words.nth(1).map_or(0, <[u8]>::len)
}

/// 505 for a request line that ends in the name of another version, else 400.
fn version_status(head: &[u8]) -> Status {
    let line = head.split(|&b| b == b'\n').find(|line| !line.trim_ascii().is_empty());
    let word = line.unwrap_or_default().trim_ascii_end().rsplit(|&b| b == b' ').next();
    match word.unwrap_or_default() {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Status::VERSION_NOT_SUPPORTED
        }
        _ => Status::BAD_REQUEST,
    }
}

/// The longest request head. The stack must be able to offer that much in one piece.
pub(crate) const HEAD_BYTES_MAX: usize = 16_384;

/// The longest request target; RFC 9112 3 asks for request lines of 8,000 at least.
pub(crate) const TARGET_BYTES_MAX: usize = 8_192;

/// The most fields of a head.
pub(crate) const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests;
