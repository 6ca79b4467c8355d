//! Request targets: what a client asks for, as a path below the root.

use percent_encoding::percent_decode;

/// The path of a target, still encoded and without its query.
///
/// Takes origin-form, and absolute-form as every server must (RFC 9112 3.2.2). `None` for the
/// rest: authority-form and asterisk-form belong to methods that name no file.
pub(crate) fn path_of(target: &str) -> Option<&str> {
    let path = if target.starts_with('/') { target } else { after_authority(target)? };
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    // RFC 9112 3.2.1: a target has no fragment.
    (!path.contains('#')).then_some(if path.is_empty() { "/" } else { path })
}

/// What follows `http://authority`.
fn after_authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_at_checked("http://".len())?;
    if !scheme.eq_ignore_ascii_case("http://") {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (end > 0).then(|| &rest[end..])
}

/// Writes the decoded path below the root into `relative`: no leading slash, no empty or `.`
/// segment, a slash at the end when a directory is meant. False when it may name nothing:
/// a broken escape, a NUL, or a `..` however it was written.
///
/// This is the first of two fences. The second is the kernel's: see [`crate::files`].
pub(crate) fn decode(path: &str, relative: &mut Vec<u8>) -> bool {
    if !has_whole_escapes(path.as_bytes()) {
        return false;
    }
    relative.clear();
    let mut is_directory = true;
    // Decoding comes first, so an escaped slash or dot is judged as what it stands for.
    let decoded: Vec<u8> = percent_decode(path.as_bytes()).collect();
    for segment in decoded.split(|&b| b == b'/') {
        if segment == b".." || segment.contains(&0) {
            return false;
        }
        is_directory = segment.is_empty() || segment == b".";
        if is_directory {
            continue;
        }
        if !relative.is_empty() {
            relative.push(b'/');
        }
        relative.extend_from_slice(segment);
    }
    if is_directory && !relative.is_empty() {
        relative.push(b'/');
    }
    true
}

/// True when each `%` is followed by two hexadecimal digits (RFC 3986 2.1).
fn has_whole_escapes(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(at) = rest.iter().position(|&b| b == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
