//! What a request is, and what its reply must be.

use crate::state::Asked;
use crore::ConnId;

/// Names a request: of all there ever are, this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The connection.
    pub conn: ConnId,
    /// How many there were before it on the connection, plus one.
    pub number: u32,
}

/// What came of some octets of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Octets read. The others are offered again with those that follow them.
    pub consumed: usize,
    /// Replies that are complete with these octets.
    pub replies: u8,
    /// Octets that are not what they must be.
    pub bad_bytes: u64,
    /// Replies that say something else than they must: another status, another length.
    pub bad_replies: u64,
    /// The octets read are to be sent back.
    pub answers: bool,
    /// Nothing that follows on this connection can be understood.
    pub broken: bool,
}

/// Requests and replies of one kind.
pub trait Protocol {
    /// Requests sent at once on one connection.
    fn depth(&self) -> u8;

    /// Octets of these requests together.
    fn request_bytes(&self) -> u16;

    /// Writes the requests' octets from offset `from` on.
    fn write(&mut self, request: Request, from: usize, out: &mut [u8]);

    /// The requests were sent: sets what the first reply's first octets will be measured by.
    fn begin(&mut self, asked: &mut Asked);

    /// Octets of replies.
    fn receive(&mut self, request: Request, asked: &mut Asked, bytes: &[u8]) -> Received;

    /// False while another request would have no use.
    fn may_begin(&self) -> bool {
        true
    }

    /// A connection ended without having answered.
    fn lost(&mut self, request: Request) {
        let _ = request;
    }
}
