//! memif, version 2.0: a wire of shared memory between two processes of one machine, as VPP, DPDK
//! and what is built on them speak it. No privileges, and no system call while there is traffic.
//!
//! ```text
//!   options      what a link is to be
//!   control      the thread beside the data path; Control: the same by hand
//!     listening    a listening socket and its clients      server    what a client may say when
//!     connecting   a connection, made again and again      client    the memory that it brings
//!     socket       the unix socket      message    what is said over it
//!   seat         how a queue learns that a peer has come or gone
//!   queue        bursts in and out
//!     session      the two rings of a queue, and their buffers
//!     ring         a ring in shared memory      frames    memory of our own for frames
//!     region       shared memory, checked       copy      in and out of it
//!     guard        memory that a peer takes away
//!   interface    what both know of a link, and its news
//! ```
//!
//! The client brings the memory, and the server names none. **Neither is trusted**: each word of
//! shared memory is read once and checked before it is used, frames are copied out and in
//! ([`Queue`] says why), and whoever breaks a rule is sent away with a reason and costs its own
//! link only. A peer goes and comes; the link stays, and what is sent meanwhile is lost and
//! counted, as on a wire that is cut.

mod client;
mod connecting;
mod control;
mod copy;
mod frames;
mod guard;
mod interface;
mod listening;
mod message;
mod options;
mod queue;
mod region;
mod ring;
mod seat;
mod server;
mod session;
mod socket;

use std::sync::{Arc, Mutex};

use crore_mem::Memory;

use crate::wakeup::Event;
use crate::{Capabilities, RxChecksum};
use connecting::{ClientLink, new_region};
use control::{Attendant, attendant_at};
use interface::{Interface, Membership};
use listening::ServerSocket;
use socket::Listener;

pub use control::Control;
pub use interface::Status;
pub use options::{MemifError, Options};
pub use queue::Queue;
pub use ring::Role;
pub use socket::Address;

/// A link that is open. Peers may come and go from now on.
#[derive(Debug)]
pub struct Opened {
    /// One a core. The link ends with the last of them.
    pub queues: Vec<Queue>,
    /// Whether a peer is there, and what happened.
    pub status: Status,
}

/// Opens a link, with a thread for its control channel.
///
/// Links of one process that listen at one address share the socket and the thread.
///
/// # Errors
/// See [`MemifError`]. That nobody is at the other end is none.
pub fn open(options: &Options, memory: &mut Memory) -> Result<Opened, MemifError> {
    options.check()?;
    let (interface, attendant) = match options.role {
        Role::Server => serve(options)?,
        Role::Client => {
            let (control, interface) = client(options, memory)?;
            let event = Arc::clone(&interface.control);
            (interface, Arc::new(Attendant::start(control, &event, Arc::default())?))
        }
    };
    queues(interface, Some(attendant), memory)
}

/// Opens a link whose control channel the caller leads, by [`Control::step`].
///
/// # Errors
/// As [`open`].
pub fn open_by_hand(
    options: &Options,
    memory: &mut Memory,
) -> Result<(Control, Opened), MemifError> {
    options.check()?;
    let (control, interface) = match options.role {
        Role::Server => {
            let event = Arc::new(Event::new()?);
            let interface = Arc::new(Interface::new(options.clone(), Arc::clone(&event))?);
            let joining = Arc::new(Mutex::new(vec![Arc::clone(&interface)]));
            (Control::server(ServerSocket::new(listen(options)?, event, joining)), interface)
        }
        Role::Client => client(options, memory)?,
    };
    Ok((control, queues(interface, None, memory)?))
}

fn serve(options: &Options) -> Result<(Arc<Interface>, Arc<Attendant>), MemifError> {
    let attendant = attendant_at(&options.address, || {
        let (event, joining) = (Arc::new(Event::new()?), Arc::default());
        let listener = listen(options)?;
        let socket = ServerSocket::new(listener, Arc::clone(&event), Arc::clone(&joining));
        Attendant::start(Control::server(socket), &event, joining)
    })?;
    let interface = attendant.add(options)?;
    Ok((interface, attendant))
}

fn client(options: &Options, memory: &mut Memory) -> Result<(Control, Arc<Interface>), MemifError> {
    let event = Arc::new(Event::new()?);
    let interface = Arc::new(Interface::new(options.clone(), Arc::clone(&event))?);
    let region = new_region(options, memory)?;
    let link = ClientLink::new(Arc::clone(&interface), event, region);
    Ok((Control::client(link), interface))
}

fn listen(options: &Options) -> Result<Listener, MemifError> {
    let address = options.address.clone();
    Listener::bind(&options.address).map_err(|source| MemifError::Listen { address, source })
}

fn queues(
    interface: Arc<Interface>,
    attendant: Option<Arc<Attendant>>,
    memory: &mut Memory,
) -> Result<Opened, MemifError> {
    let status = interface.status.clone();
    let capabilities = Capabilities {
        mtu: interface.options.mtu,
        mac: interface.options.mac(),
        // The peer's stack may be any; there are no offloads in this protocol.
        rx_checksum: RxChecksum::Verify,
        kernel_neighbours: false,
        name: interface.options.name(),
    };
    let seats = interface.seats.clone();
    let membership = Arc::new(Membership { interface, attendant });
    let queue = |seat| Queue::new(seat, memory, capabilities.clone(), Arc::clone(&membership));
    let queues = seats.into_iter().map(queue).collect::<Result<_, _>>()?;
    Ok(Opened { queues, status })
}

#[cfg(test)]
mod tests;
