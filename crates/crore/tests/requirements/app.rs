//! The application of the engine under test: it records what it is told.

use crore::{Closed, Conn, ConnId, Service, Trouble};

/// Records calls; consumes what arrives unless told otherwise.
pub(crate) struct App {
    /// `accepted`, `connected`, `peer_closed`, `closed Why`, in order.
    pub(crate) calls: Vec<String>,
    pub(crate) troubles: Vec<Trouble>,
    /// What `urgent_ahead` said at each call of `urgent`, and in each of `data`.
    pub(crate) urgents: Vec<usize>,
    pub(crate) ahead_in_data: Vec<usize>,
    pub(crate) received: Vec<u8>,
    pub(crate) conn: Option<ConnId>,
    /// Consume what arrives.
    pub(crate) reads: bool,
    /// The most octets consumed in one call.
    pub(crate) most: Option<usize>,
    /// Close when the peer did.
    pub(crate) closes_with_peer: bool,
}

impl Default for App {
    fn default() -> Self {
        let (reads, closes_with_peer) = (true, false);
        Self {
            calls: Vec::new(),
            troubles: Vec::new(),
            urgents: Vec::new(),
            ahead_in_data: Vec::new(),
            received: Vec::new(),
            conn: None,
            reads,
            most: None,
            closes_with_peer,
        }
    }
}

impl Service for App {
    type State = ();

    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        self.conn = Some(conn.id());
        self.calls.push("accepted".into());
    }

    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        self.conn = Some(conn.id());
        self.calls.push("connected".into());
    }

    fn urgent(&mut self, conn: &mut Conn<'_, ()>) {
        self.urgents.push(conn.urgent_ahead());
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        if !self.reads {
            return 0;
        }
        self.ahead_in_data.push(conn.urgent_ahead());
        let taken = self.most.map_or(bytes.len(), |most| most.min(bytes.len()));
        self.received.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        self.calls.push("peer_closed".into());
        if self.closes_with_peer {
            conn.close();
        }
    }

    fn trouble(&mut self, _: &mut Conn<'_, ()>, what: Trouble) {
        self.troubles.push(what);
    }

    fn closed(&mut self, _: &mut Conn<'_, ()>, why: Closed) {
        self.calls.push(format!("closed {why:?}"));
    }
}
