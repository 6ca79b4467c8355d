//! What goes on beside the data path: listening and connecting, by one thread for each address that
//! is listened at and for each client. It sleeps until there is something to do.
//!
//! ```text
//!   Control::step   sleep until a socket or an event has news; answer; hand sessions to queues
//!   Attendant       the thread that does so, ended by its last queue
//! ```

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::connecting::ClientLink;
use super::interface::Interface;
use super::listening::ServerSocket;
use super::message::{MESSAGE_BYTES, Message};
use super::options::{MemifError, Options};
use super::socket::{Address, Received, Socket};
use crate::wakeup::Event;

/// The control channel of a link, to be led by hand: [`Control::step`]. Tests and fuzzers do that;
/// everybody else has a thread for it.
#[derive(Debug)]
pub struct Control(Side);

#[derive(Debug)]
enum Side {
    Server(ServerSocket),
    Client(ClientLink),
}

impl Control {
    pub(super) fn server(socket: ServerSocket) -> Self {
        Self(Side::Server(socket))
    }

    pub(super) fn client(link: ClientLink) -> Self {
        Self(Side::Client(link))
    }

    /// Sleeps until there is something to do, for `patience` at most, and does it. It never waits
    /// for a peer. False when no queue is left.
    pub fn step(&mut self, patience: Duration) -> bool {
        match &mut self.0 {
            Side::Server(socket) => socket.step(patience),
            Side::Client(link) => link.step(patience),
        }
    }
}

/// A thread that leads a control channel.
#[derive(Debug)]
pub(super) struct Attendant {
    event: Arc<Event>,
    stop: Arc<AtomicBool>,
    /// Links that are to be served at the same address from now on.
    joining: Arc<Mutex<Vec<Arc<Interface>>>>,
    /// The ids of links there are.
    ids: Mutex<Vec<(u32, Weak<Interface>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Attendant {
    /// Starts the thread.
    pub(super) fn start(
        mut control: Control,
        event: &Arc<Event>,
        joining: Arc<Mutex<Vec<Arc<Interface>>>>,
    ) -> Result<Self, MemifError> {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("memif".to_owned()).spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                control.step(PATIENCE);
            }
            // Peers hear that their links have ended.
            control.step(Duration::ZERO);
        })?;
        let ids = Mutex::default();
        Ok(Self { event: Arc::clone(event), stop, joining, ids, thread: Some(thread) })
    }

    /// Another link at the same address.
    pub(super) fn add(&self, options: &Options) -> Result<Arc<Interface>, MemifError> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |interface: Arc<Interface>| !interface.is_closed();
        ids.retain(|(_, interface)| interface.upgrade().is_some_and(is_open));
        if ids.iter().any(|(id, _)| *id == options.id) {
            return Err(MemifError::Id { id: options.id, address: options.address.clone() });
        }
        let interface = Arc::new(Interface::new(options.clone(), Arc::clone(&self.event))?);
        ids.push((options.id, Arc::downgrade(&interface)));
        self.joining.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&interface));
        self.event.signal();
        Ok(interface)
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.event.signal();
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported.
            let _ = thread.join();
        }
    }
}

/// The threads of this process that listen, by their addresses.
static LISTENING: Mutex<Vec<(Address, Weak<Attendant>)>> = Mutex::new(Vec::new());

/// The thread that listens at this address, or else the one that `start` starts.
pub(super) fn attendant_at(
    address: &Address,
    start: impl FnOnce() -> Result<Attendant, MemifError>,
) -> Result<Arc<Attendant>, MemifError> {
    let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
    listening.retain(|(_, attendant)| attendant.strong_count() > 0);
    let known = listening.iter().find(|(known, _)| known == address);
    if let Some(attendant) = known.and_then(|(_, attendant)| attendant.upgrade()) {
        return Ok(attendant);
    }
    let attendant = Arc::new(start()?);
    listening.push((address.clone(), Arc::downgrade(&attendant)));
    Ok(attendant)
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The peer said so, or is gone.
    Theirs(String),
    /// The peer did, or asked for, something that cannot be: it is told.
    Ours(String),
}

impl End {
    /// Tells the peer, if it is to be told, and says what to write to the log.
    pub(super) fn part(self, socket: &Socket) -> String {
        match self {
            Self::Theirs(text) => text,
            Self::Ours(reason) => {
                let text = format!("sent away: {reason}");
                let message = Message::Disconnect { code: 0, reason };
                // Who does not read it loses only the reason.
                let _ = socket.send(&message.encode(), None);
                text
            }
        }
    }
}

/// The next message, if there is one; what ends a connection on either side is told here.
pub(super) fn next_message(socket: &Socket) -> Result<Option<(Message, Option<OwnedFd>)>, End> {
    let received = socket.receive().map_err(|error| End::Theirs(format!("gone: {error}")))?;
    let (bytes, fd) = match received {
        Received::Message(bytes, fd) => (bytes, fd),
        Received::Nothing => return Ok(None),
        Received::End => return Err(End::Theirs("gone".to_owned())),
        Received::Malformed => {
            let reason = format!("not a message of {MESSAGE_BYTES} bytes, or with descriptors");
            return Err(End::Ours(reason));
        }
    };
    match Message::decode(&bytes) {
        Ok(Message::Disconnect { code, reason }) => {
            Err(End::Theirs(format!("disconnected, code {code}: {reason}")))
        }
        Ok(message) => Ok(Some((message, fd))),
        Err(unknown) => Err(End::Ours(format!("a message of type {}", unknown.kind))),
    }
}

/// Sleeps until one of these has something to read, for `patience` at most.
pub(super) fn sleep(fds: &[BorrowedFd<'_>], patience: Duration) {
    let of =
        |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut fds: Vec<_> = fds.iter().map(of).collect();
    let limit = libc::timespec {
        tv_sec: patience.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: patience.subsec_nanos().into(),
    };
    // SAFETY: entries and their number, and one timespec, all alive over the call; no signal mask.
    // An interrupted or failed wait is an early return.
    unsafe {
        let (first, count) = (fds.as_mut_ptr(), fds.len() as libc::nfds_t);
        libc::ppoll(first, count, &raw const limit, std::ptr::null());
    }
}

/// Longer than anything that has a deadline of its own.
const PATIENCE: Duration = Duration::from_hours(1);

/// How long a peer may take to connect.
pub(super) const JOIN_TIME_MAX: Duration = Duration::from_secs(5);

/// While memory is still in use somewhere that is to be unmapped.
pub(super) const SWEEP_EVERY: Duration = Duration::from_millis(20);

/// Messages of one peer in one step: others have their turn.
pub(super) const MESSAGES_A_STEP: usize = 64;
