//! Clients that ask nothing and send back what comes: for servers that ask whether they are there.

use crate::protocol::{Protocol, Received, Request};
use crate::state::Asked;

/// No requests; every octet that comes is sent back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answering;

impl Protocol for Answering {
    fn depth(&self) -> u8 {
        0
    }

    fn request_bytes(&self) -> u16 {
        0
    }

    fn write(&mut self, _: Request, _: usize, _: &mut [u8]) {}

    fn begin(&mut self, _: &mut Asked) {}

    fn receive(&mut self, _: Request, _: &mut Asked, bytes: &[u8]) -> Received {
        Received { consumed: bytes.len(), answers: true, ..Received::default() }
    }

    /// There is nothing to ask.
    fn may_begin(&self) -> bool {
        false
    }
}
