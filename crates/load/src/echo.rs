//! Echo: the reply is the request.

use crate::pattern::Pattern;
use crate::protocol::{Protocol, Received, Request};
use crate::state::Asked;

/// Requests of a fixed size, each with a pattern of its own.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    payload_bytes: u16,
}

impl Echo {
    /// Requests of `payload_bytes`.
    ///
    /// # Panics
    /// When that is 0.
    pub fn new(payload_bytes: u16) -> Self {
        assert!(payload_bytes > 0, "a request has at least one octet");
        Self { payload_bytes }
    }
}

impl Protocol for Echo {
    fn depth(&self) -> u8 {
        1
    }

    fn request_bytes(&self) -> u16 {
        self.payload_bytes
    }

    #[inline]
    fn write(&mut self, request: Request, from: usize, out: &mut [u8]) {
        pattern(request).fill(from, out);
    }

    #[inline]
    fn begin(&mut self, asked: &mut Asked) {
        asked.left_bytes = u32::from(self.payload_bytes);
    }

    #[inline]
    fn receive(&mut self, request: Request, asked: &mut Asked, bytes: &[u8]) -> Received {
        let (awaited, surplus) = bytes.split_at(bytes.len().min(asked.left_bytes as usize));
        let from = usize::from(self.payload_bytes) - asked.left_bytes as usize;
        let bad = pattern(request).mismatches(from, awaited) + surplus.len();
        asked.left_bytes -= awaited.len() as u32;
        Received {
            consumed: bytes.len(),
            replies: u8::from(asked.left_bytes == 0 && !awaited.is_empty()),
            bad_bytes: bad as u64,
            ..Received::default()
        }
    }
}

fn pattern(request: Request) -> Pattern {
    Pattern::new(request.conn.index, request.conn.generation, request.number)
}
