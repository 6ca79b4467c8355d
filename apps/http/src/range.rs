//! Byte ranges: which part of a file a `Range` field asks for (RFC 9110 14).

/// The part of a representation to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// No range asked for, or one to be ignored.
    Whole,
    /// From offset `first` to `last`, both included, within the representation.
    Bytes { first: u64, last: u64 },
    /// Nothing of the representation is in the range.
    Unsatisfiable,
}

/// The part of `size` bytes that the field's value asks for.
///
/// What is malformed, of another unit, or more than one range is ignored (RFC 9110 14.2).
pub(crate) fn part(value: &[u8], size: u64) -> Part {
    let Some(spec) = bytes_spec(value) else { return Part::Whole };
    let Some(dash) = spec.iter().position(|&b| b == b'-') else { return Part::Whole };
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Part::Whole,
        (true, false) => suffix(last, size),
        (false, true) => decimal(first).map_or(Part::Whole, |first| between(first, u64::MAX, size)),
        (false, false) => match (decimal(first), decimal(last)) {
            (Some(first), Some(last)) if first <= last => between(first, last, size),
            // RFC 9110 14.1.1: an int-range whose last-pos is below its first-pos is invalid.
            _ => Part::Whole,
        },
    }
}

/// The single range-spec of `bytes=...`; range units are case-insensitive (RFC 9110 14.1).
fn bytes_spec(value: &[u8]) -> Option<&[u8]> {
    let (unit, spec) = value.split_at_checked(6)?;
    let single = unit.eq_ignore_ascii_case(b"bytes=") && !spec.contains(&b',');
    single.then(|| spec.trim_ascii())
}

fn between(first: u64, last: u64, size: u64) -> Part {
    if first >= size {
        Part::Unsatisfiable
    } else {
        Part::Bytes { first, last: last.min(size - 1) }
    }
}

fn suffix(length: &[u8], size: u64) -> Part {
    match decimal(length) {
        None => Part::Whole,
        Some(0) => Part::Unsatisfiable,
        // RFC 9110 14.1.2: satisfiable, but Content-Range has no words for zero bytes.
        Some(_) if size == 0 => Part::Whole,
        Some(length) => Part::Bytes { first: size.saturating_sub(length), last: size - 1 },
    }
}

/// 1*DIGIT. What does not fit is as good as the largest number (RFC 9110 14.1.2).
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| {
        digits.iter().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        })
    })
}

#[cfg(test)]
mod tests;
