//! Every TCP endpoint with its state: for `netstat`-like views, tests and the control plane.
//! Walks whole tables, so it is nothing for a turn.

use crate::interface::unmapped;
use crate::stack::Stack;
use crate::tcb::{Flags, State, Tcb};
use crate::wire_key::Endpoints;
use core::net::SocketAddr;

/// One endpoint of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Surveyed {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// The state's name in RFC 9293 3.3.2.
    pub state: &'static str,
    /// Slot and generation of the control block; SYN-RECEIVED of a passive open and TIME-WAIT have
    /// none.
    pub conn: Option<(u32, u32)>,
}

impl Stack {
    /// Calls `each` for every endpoint that the stack knows, listening ports left out.
    pub fn survey(&self, mut each: impl FnMut(Surveyed)) {
        for index in self.tcbs.live() {
            let tcb = &self.tcbs[index];
            if let Some(state) = name_of(tcb) {
                let conn = Some((index, tcb.generation));
                each(self.surveyed(&tcb.endpoints(), state, conn));
            }
        }
        for index in self.half_opens.slab.live() {
            let endpoints = self.half_opens.slab[index].endpoints();
            each(self.surveyed(&endpoints, "SYN-RECEIVED", None));
        }
        for endpoints in self.time_waits.endpoints() {
            each(self.surveyed(&endpoints, "TIME-WAIT", None));
        }
    }

    fn surveyed(
        &self,
        endpoints: &Endpoints,
        state: &'static str,
        conn: Option<(u32, u32)>,
    ) -> Surveyed {
        let address = self.addresses.address(endpoints.local_id);
        Surveyed {
            local: SocketAddr::new(unmapped(address), endpoints.local_port),
            remote: SocketAddr::new(unmapped(endpoints.remote), endpoints.remote_port),
            state,
            conn,
        }
    }
}

/// The state as RFC 9293 3.10.4 names it: CLOSE changes it at once, although our state changes
/// only when the FIN goes out, after all that is queued.
fn name_of(tcb: &Tcb) -> Option<&'static str> {
    let closing = tcb.flags.any(Flags::FIN_QUEUED);
    Some(match tcb.state() {
        State::Closed => return None,
        State::SynSent => "SYN-SENT",
        State::FastOpened | State::SynReceived => "SYN-RECEIVED",
        State::Established if closing => "FIN-WAIT-1",
        State::Established => "ESTABLISHED",
        State::CloseWait if closing => "LAST-ACK",
        State::CloseWait => "CLOSE-WAIT",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
    })
}
