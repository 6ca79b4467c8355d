//! HTTP/1.1: GET requests for one target, kept alive and pipelined, and every reply compared.
//!
//! The first reply with status 200 is the measure: the others must have the same length and the
//! same content, octet by octet. Until it is complete no other request is sent.

use crate::protocol::{Protocol, Received, Request};
use crate::state::{Asked, Marks};

/// Requests for one target.
#[derive(Clone, Debug)]
pub struct Http {
    requests: Vec<u8>,
    depth: u8,
    first: FirstReply,
}

/// What all other replies must be.
#[derive(Clone, Debug, Default)]
struct FirstReply {
    length: u32,
    /// Its content, as far as it is kept.
    content: Vec<u8>,
    is_complete: bool,
}

/// The head of a reply: as much of it as matters.
struct Head {
    bytes: usize,
    status: u16,
    /// `None` when the content's end cannot be told, or is told in chunks.
    content_bytes: Option<u32>,
}

enum HeadError {
    /// More octets must come.
    Incomplete,
    /// It never will be one.
    Malformed,
}

impl Http {
    /// `depth` requests at once for `target` at `host`; `None` when they are longer than 64 KiB
    /// together, or `depth` is 0.
    pub fn new(host: &str, target: &str, depth: u8) -> Option<Self> {
        let one = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: crore\r\n\r\n");
        let requests = one.repeat(usize::from(depth)).into_bytes();
        let fits = !requests.is_empty() && u16::try_from(requests.len()).is_ok();
        fits.then(|| Self { requests, depth, first: FirstReply::default() })
    }

    /// Bytes of content of the first good reply, once it is complete.
    pub fn content_bytes(&self) -> Option<u32> {
        self.first.is_complete.then_some(self.first.length)
    }

    /// The head of a reply. Its content, if any, follows in `asked.left_bytes` octets.
    fn head(&mut self, asked: &mut Asked, head: &Head, got: &mut Received) {
        let Some(length) = head.content_bytes else {
            got.bad_replies += 1;
            got.broken = true;
            return;
        };
        asked.left_bytes = length;
        if !self.first.is_complete && head.status == 200 {
            self.first.length = length;
            self.first.content.clear();
        }
        let good = head.status == 200 && length == self.first.length;
        asked.marks.put(Marks::BAD_REPLY, !good);
        got.bad_replies += u64::from(!good);
        if length == 0 {
            self.end(asked, got);
        }
    }

    /// Octets of content: those of the first reply are kept, all others compared with them.
    fn content(&mut self, asked: &mut Asked, bytes: &[u8], got: &mut Received) {
        if !asked.marks.has(Marks::BAD_REPLY) {
            let at = (self.first.length - asked.left_bytes) as usize;
            if self.first.is_complete {
                let kept = self.first.content.get(at..).unwrap_or_default();
                let bad = bytes.iter().zip(kept).filter(|(found, wanted)| found != wanted).count();
                got.bad_bytes += bad as u64;
            } else {
                let room = CONTENT_KEPT_MAX.saturating_sub(self.first.content.len());
                self.first.content.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
        asked.left_bytes -= bytes.len() as u32;
        if asked.left_bytes == 0 {
            self.end(asked, got);
        }
    }

    /// The last octet of a reply.
    fn end(&mut self, asked: &Asked, got: &mut Received) {
        self.first.is_complete |= !asked.marks.has(Marks::BAD_REPLY);
        got.replies += 1;
    }
}

impl Protocol for Http {
    fn depth(&self) -> u8 {
        self.depth
    }

    fn request_bytes(&self) -> u16 {
        self.requests.len() as u16
    }

    fn write(&mut self, _: Request, from: usize, out: &mut [u8]) {
        out.copy_from_slice(&self.requests[from..from + out.len()]);
    }

    fn begin(&mut self, asked: &mut Asked) {
        asked.left_bytes = 0;
    }

    fn receive(&mut self, _: Request, asked: &mut Asked, bytes: &[u8]) -> Received {
        let mut got = Received::default();
        let mut rest = bytes;
        while !rest.is_empty() && !got.broken {
            if got.replies == asked.awaited {
                got.bad_bytes += rest.len() as u64;
                rest = &[];
            } else if asked.left_bytes > 0 {
                let (content, after) = rest.split_at(rest.len().min(asked.left_bytes as usize));
                self.content(asked, content, &mut got);
                rest = after;
            } else {
                match Head::parse(rest) {
                    Ok(head) => {
                        self.head(asked, &head, &mut got);
                        rest = &rest[head.bytes..];
                    }
                    Err(HeadError::Incomplete) if rest.len() < HEAD_BYTES_MAX => break,
                    Err(_) => {
                        got.bad_replies += 1;
                        got.broken = true;
                    }
                }
            }
        }
        got.consumed = bytes.len() - rest.len();
        got
    }

    fn may_begin(&self) -> bool {
        self.first.is_complete
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut reply = httparse::Response::new(&mut fields);
        let parsed = reply.parse(bytes).map_err(|_| HeadError::Malformed)?;
        let httparse::Status::Complete(head_bytes) = parsed else {
            return Err(HeadError::Incomplete);
        };
        let field = |name: &str| {
            let mut fields = reply.headers.iter();
            fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let length = field("content-length").and_then(|value| {
            let text = str::from_utf8(value).ok()?;
            text.trim().parse().ok()
        });
        let is_chunked = field("transfer-encoding").is_some();
        Ok(Self {
            bytes: head_bytes,
            status: reply.code.unwrap_or(0),
            content_bytes: length.filter(|_| !is_chunked),
        })
    }
}

/// What is kept of the first reply; content beyond it is only counted.
const CONTENT_KEPT_MAX: usize = 4 << 20;

/// A head that is longer is none.
const HEAD_BYTES_MAX: usize = 16 << 10;

const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests;
