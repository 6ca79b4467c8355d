//! Conditional requests: what the preconditions of a request say about a file (RFC 9110 13).

use std::time::{Duration, SystemTime};

use crate::head::Request;

/// What a file is compared by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// A strong entity tag, with its quotes.
    pub(crate) etag: &'a str,
    /// Whole seconds, not after the time of the reply.
    pub(crate) last_modified: SystemTime,
}

/// What to do with the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// As if it had no preconditions.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// The steps of RFC 9110 13.2.2, in its order, for GET and HEAD.
pub(crate) fn judge(request: &Request<'_>, file: Validators<'_>) -> Verdict {
    let fields = &request.fields;
    if fields.if_match.is_present() {
        if !request.values("if-match").any(|list| lists(list, file.etag, Compare::Strong)) {
            return Verdict::Failed;
        }
    } else if let Some(date) = fields.if_unmodified_since.one().and_then(parse_date)
        && file.last_modified > date
    {
        return Verdict::Failed;
    }
    if fields.if_none_match.is_present() {
        if request.values("if-none-match").any(|list| lists(list, file.etag, Compare::Weak)) {
            return Verdict::NotModified;
        }
    } else if let Some(date) = fields.if_modified_since.one().and_then(parse_date)
        && file.last_modified <= date
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// True when `If-Range` lets the range stand: the client's part is of this very file
/// (RFC 9110 13.1.5).
pub(crate) fn range_applies(request: &Request<'_>, file: Validators<'_>, now: SystemTime) -> bool {
    let field = &request.fields.if_range;
    if !field.is_present() {
        return true;
    }
    let Some(value) = field.one() else { return false };
    if value.starts_with(b"\"") {
        return value == file.etag.as_bytes();
    }
    // RFC 9110 8.8.2.2: a date is a strong validator only when it is a second in the past.
    parse_date(value) == Some(file.last_modified)
        && now >= file.last_modified + Duration::from_secs(1)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Compare {
    Strong,
    Weak,
}

/// True when a list of entity tags, or `*`, holds the strong tag `etag` (RFC 9110 8.8.3.2).
fn lists(list: &[u8], etag: &str, compare: Compare) -> bool {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    while let Some((weak, tag, after)) = next_tag(rest) {
        if tag == etag.as_bytes() && !(weak && compare == Compare::Strong) {
            return true;
        }
        rest = after;
    }
    false
}

/// The first entity tag of a list: is it weak, itself with quotes, and what follows.
fn next_tag(list: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let start = list.iter().position(|b| !matches!(b, b' ' | b'\t' | b','))?;
    let list = &list[start..];
    let (weak, tag) = match list.strip_prefix(b"W/") {
        Some(tag) => (true, tag),
        None => (false, list),
    };
    let inner = tag.strip_prefix(b"\"")?;
    let end = inner.iter().position(|&b| b == b'"')? + 2;
    Some((weak, &tag[..end], &tag[end..]))
}

/// Any of the three date forms (RFC 9110 5.6.7). An invalid date is no date (13.1.3, 13.1.4).
fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests;
