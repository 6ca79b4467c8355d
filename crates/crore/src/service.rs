//! What an application is to the engine.

use crate::conn::Conn;
use crate::turn::Turn;
use crore_mem::Pod;
use crore_stack::{Closed, Trouble};

/// An application, one instance a core. Every call runs to completion on the core that owns the
/// connection; nothing here may block.
///
/// The life of a connection, as its service sees it:
///
/// ```text
///   accepted / connected ─> data, writable, timer ... ─> peer_closed ─> closed
/// ```
///
/// `closed` is always the last call, and comes for every connection that was accepted or that
/// [`Turn::connect`](crate::Turn::connect) returned.
pub trait Service {
    /// What the application keeps for each connection: plain bytes of a fixed size, all zeros at
    /// first. It lies beside the control block. `()` takes no memory.
    type State: Pod;

    /// A peer opened a connection to a port we listen on.
    fn accepted(&mut self, conn: &mut Conn<'_, Self::State>) {
        let _ = conn;
    }

    /// A connection that we opened stands.
    fn connected(&mut self, conn: &mut Conn<'_, Self::State>) {
        let _ = conn;
    }

    /// Octets arrived, in order. Returns how many of them were consumed.
    ///
    /// The rest is kept, and the peer's window shrinks by it. It is offered again, with what
    /// arrived since, in one piece (up to [`OFFER_BYTES_MAX`](crate::OFFER_BYTES_MAX)): when more
    /// arrives; but after a [`Conn::send`] that did not take all, only when there is room to send
    /// again; and after [`Conn::resume`]. A connection whose octets are never consumed does not end
    /// by itself: [`Conn::abort`] it.
    fn data(&mut self, conn: &mut Conn<'_, Self::State>, bytes: &[u8]) -> usize;

    /// The peer has urgent data ahead, or more of it: [`Conn::urgent_ahead`] says how far
    /// (RFC 9293 MUST-32, RFC 1122-4.2.4.1). Its octets come through `data` like all others, in
    /// their place. New applications do without (RFC 6093 6).
    fn urgent(&mut self, conn: &mut Conn<'_, Self::State>) {
        let _ = conn;
    }

    /// After a [`Conn::send`] that did not take all: half of the send queue is free again.
    fn writable(&mut self, conn: &mut Conn<'_, Self::State>) {
        let _ = conn;
    }

    /// The peer will send no more, and all it sent was consumed. The default closes our side too.
    fn peer_closed(&mut self, conn: &mut Conn<'_, Self::State>) {
        conn.close();
    }

    /// The connection is over. The last call for it; sending has no effect any more.
    fn closed(&mut self, conn: &mut Conn<'_, Self::State>, why: Closed) {
        let _ = (conn, why);
    }

    /// Something is wrong that need not be the end (RFC 9293 MUST-47): it also comes for
    /// connections that are not open yet. To do nothing is right for most (RFC 9293 SHLD-20).
    fn trouble(&mut self, conn: &mut Conn<'_, Self::State>, what: Trouble) {
        let _ = (conn, what);
    }

    /// The time set by [`Conn::set_timer_ms`] is over.
    fn timer(&mut self, conn: &mut Conn<'_, Self::State>) {
        let _ = conn;
    }

    /// Once in every turn of the engine, after all events: work that no connection asked for, such
    /// as opening connections. It must be short: all connections of the core wait meanwhile.
    fn turn(&mut self, turn: &mut Turn<'_, Self::State>) {
        let _ = turn;
    }

    /// True while [`Service::turn`] must be called without pause. A core whose service does not
    /// say so sleeps when nothing arrives, and no timer is due.
    fn wants_turns(&self) -> bool {
        false
    }
}
