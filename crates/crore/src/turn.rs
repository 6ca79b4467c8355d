//! What a service can do in a turn without an event.

use crate::conn::{Conn, ConnId, Payload};
use crate::states::States;
use core::net::SocketAddr;
use crore_mem::Pod;
use crore_stack::{ConnectError, Stack};

/// The engine, for the length of one call of [`Service::turn`](crate::Service::turn).
pub struct Turn<'a, S: Pod> {
    pub(crate) stack: &'a mut Stack,
    pub(crate) states: &'a mut States<S>,
    pub(crate) stop: &'a mut bool,
}

impl<S: Pod> Turn<'_, S> {
    /// The time of this turn, in microseconds since the engine started.
    #[inline]
    pub fn now_us(&self) -> u64 {
        self.stack.now_us()
    }

    /// A live connection by its name.
    #[inline]
    pub fn conn(&mut self, id: ConnId) -> Option<Conn<'_, S>> {
        if !self.stack.is_live(id.index, id.generation) {
            return None;
        }
        Some(Conn { stack: self.stack, states: self.states, index: id.index })
    }

    /// A live connection by its slot.
    #[inline]
    pub fn conn_at(&mut self, index: u32) -> Option<Conn<'_, S>> {
        let generation = self.stack.generation_at(index)?;
        self.conn(ConnId { index, generation })
    }

    /// Asks for a connection's memory ahead of a call that will need it.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.stack.prefetch_conn(index);
        self.states.prefetch(index);
    }

    /// Opens a connection. Without `local`, or with port 0, the stack picks. Its state is zeroed;
    /// `connected` or `closed` tells how it went.
    pub fn connect(
        &mut self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Result<ConnId, ConnectError> {
        let index = self.stack.connect(remote, local)?;
        self.states.zero(index);
        Ok(ConnId { index, generation: self.stack.tcb(index).generation })
    }

    /// Opens a connection with Fast Open (RFC 7413) and sends `bytes`: the first of them go on the
    /// SYN when the server was here before and gave a cookie, a round trip earlier. Else the cookie
    /// is asked for, and all of them follow the handshake, as they do when a server or the path
    /// does not take them. Says how many were queued, as [`Conn::send`] does.
    ///
    /// Only for requests that may arrive twice: a server that forgot the connection takes a late
    /// copy of the SYN for a new one.
    ///
    /// ```
    /// # use crore::{Conn, ConnectError, Service, Turn};
    /// # use std::net::SocketAddr;
    /// /// Asks once, at the start.
    /// struct Client {
    ///     server: SocketAddr,
    ///     asked: bool,
    /// }
    ///
    /// impl Service for Client {
    ///     type State = ();
    ///
    ///     fn turn(&mut self, turn: &mut Turn<'_, ()>) {
    ///         if !self.asked {
    ///             self.asked = true;
    ///             let request = b"GET / HTTP/1.1\r\nhost: example.org\r\n\r\n";
    ///             let opened = turn.connect_fast_open(self.server, None, request);
    ///             assert!(opened.is_ok_and(|(_, queued)| queued == request.len()));
    ///         }
    ///     }
    ///
    ///     fn data(&mut self, _: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
    ///         bytes.len()
    ///     }
    /// }
    /// ```
    pub fn connect_fast_open(
        &mut self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
        bytes: &[u8],
    ) -> Result<(ConnId, usize), ConnectError> {
        let (index, on_syn) = self.stack.connect_fast_open(remote, local, bytes)?;
        self.states.zero(index);
        let rest = &bytes[on_syn..];
        let queued = if rest.is_empty() { 0 } else { self.stack.send(index, rest) };
        let id = ConnId { index, generation: self.stack.tcb(index).generation };
        Ok((id, on_syn + queued))
    }

    /// A payload to queue on many connections; see [`Conn::share`].
    pub fn share(&mut self, bytes: &[u8]) -> Option<Payload> {
        self.stack.share(bytes).map(Payload)
    }

    /// Gives a shared payload back.
    #[expect(clippy::needless_pass_by_value, reason = "the caller has it no more")]
    pub fn release(&mut self, payload: Payload) {
        self.stack.release_shared(payload.0);
    }

    /// Connections with a control block, opening and closing ones included.
    pub fn conns(&self) -> u32 {
        self.stack.conns()
    }

    /// Connections that have something to send and wait for room in the link: a caller that adds
    /// more work than the link takes looks here and holds back.
    pub fn output_waiting(&self) -> u32 {
        self.stack.output_waiting()
    }

    /// The stack, to read its counters and tables.
    pub fn stack(&self) -> &Stack {
        self.stack
    }

    /// Ends the core's loop after this turn.
    pub fn stop(&mut self) {
        *self.stop = true;
    }
}
