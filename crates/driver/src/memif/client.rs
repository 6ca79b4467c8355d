//! The client's side of a control socket: the memory that it brings, and what it says when.
//!
//! ```text
//!   region 0:  | header | rings to the server | rings to us | buffers of each of them ... |
//! ```
//!
//! It is lock-step: each message waits for the answer to the one before. Every connection gets
//! memory of its own, so that a server that is gone, or was sent away, cannot write into the next
//! one's frames.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crore_mem::{MemoryError, Region, SMALL_PAGE_BYTES};

use super::interface::Interface;
use super::message::{AddRing, Hello, Init, Message, VERSION};
use super::options::Options;
use super::region::{Mapped, Shared};
use super::ring::{Ring, ring_bytes};
use super::server::{Joined, MODE_ETHERNET, OUR_NAME};
use super::session::{Buffers, Placed, Receiver, Sender, Session};
use super::socket::Socket;
use crate::wakeup::Event;

/// A connection that is being made.
#[derive(Debug)]
pub(super) struct Joining {
    interface: Arc<Interface>,
    /// Once the server has said what it can do.
    made: Option<Made>,
    to_say: VecDeque<(Message, Option<OwnedFd>)>,
}

/// What the server is told of.
#[derive(Debug)]
struct Made {
    shared: Arc<Shared>,
    /// The ring to the server and the one to us of each queue.
    rings: Vec<[OwnRing; 2]>,
    server: String,
}

#[derive(Debug)]
struct OwnRing {
    ring: Ring,
    buffers: Placed,
    event: Event,
}

/// Where the parts of our region are, from the start of its file on.
#[derive(Clone, Copy, Debug)]
struct Layout {
    queues: u16,
    log2: u8,
    stride: u32,
    capacity: u32,
}

impl Joining {
    /// Waits for HELLO.
    pub(super) fn new(interface: Arc<Interface>) -> Self {
        Self { interface, made: None, to_say: VecDeque::new() }
    }

    /// Takes a message, and says what comes next. The link is up when it returns something.
    /// `memory` gives room for what the options ask for, when it is known that it will be used.
    pub(super) fn on_message(
        &mut self,
        message: Message,
        socket: &Socket,
        memory: impl FnOnce() -> Result<Region, MemoryError>,
    ) -> Result<Option<Joined>, String> {
        match message {
            Message::Hello(hello) if self.made.is_none() => self.on_hello(hello, memory)?,
            Message::Ack if !self.to_say.is_empty() => {}
            Message::Connected { name } if self.to_say.is_empty() => {
                let made = self.made.take().ok_or("CONNECTED before CONNECT")?;
                return Ok(Some(made.joined(&self.interface.options, &name)));
            }
            other => return Err(format!("{} is not expected here", other.name())),
        }
        if let Some((message, fd)) = self.to_say.pop_front() {
            let fd = fd.as_ref().map(AsFd::as_fd);
            socket.send(&message.encode(), fd).map_err(|error| error.to_string())?;
        }
        Ok(None)
    }

    fn on_hello(
        &mut self,
        hello: Hello,
        memory: impl FnOnce() -> Result<Region, MemoryError>,
    ) -> Result<(), String> {
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            let Hello { version_min: min, version_max: max, .. } = hello;
            return Err(format!(
                "its versions {min:#06x} to {max:#06x} are without {VERSION:#06x}"
            ));
        }
        let options = &self.interface.options;
        let rings = hello.to_client_max.min(hello.to_server_max).saturating_add(1);
        let layout = Layout {
            queues: options.queues.min(rings),
            log2: options.ring_log2.min(hello.ring_log2_max),
            stride: options.stride(),
            capacity: options.buffer_bytes,
        };
        if layout.log2 == 0 {
            return Err("it takes no ring".to_owned());
        }
        let region = memory().map_err(|error| format!("no memory to share: {error}"))?;
        self.prepare(layout, region, hello.name).map_err(|error| format!("no descriptor: {error}"))
    }

    /// Makes the rings, and all messages up to CONNECT.
    fn prepare(&mut self, layout: Layout, region: Region, server: String) -> io::Result<()> {
        let interface = Arc::clone(&self.interface);
        let file = region.file().map(|file| file.try_clone_to_owned()).transpose()?;
        let bytes = region.total_bytes() as u64;
        let mapped = Mapped::of_ours(region, &interface.control);
        let shared = Arc::new(Shared::new(vec![mapped]));
        let rings = (0..layout.queues).map(|queue| layout.rings(queue, &shared));
        let rings: Vec<_> = rings.collect::<io::Result<_>>()?;
        let options = &interface.options;
        let (version, id, mode, name) = (VERSION, options.id, MODE_ETHERNET, OUR_NAME.to_owned());
        let secret = options.secret_field();
        self.say(Message::Init(Init { version, id, mode, secret, name }), None);
        self.say(Message::AddRegion { index: 0, bytes }, file);
        for (direction, to_server) in [true, false].into_iter().enumerate() {
            for (queue, pair) in (0..layout.queues).zip(&rings) {
                let offset = layout.ring_at(direction, queue);
                let (index, region, log2) = (queue, 0, layout.log2);
                let event = pair[direction].event.as_fd().try_clone_to_owned()?;
                let ring = AddRing { to_server, index, region, offset, log2 };
                self.say(Message::AddRing(ring), Some(event));
            }
        }
        self.say(Message::Connect { name: options.name() }, None);
        self.made = Some(Made { shared, rings, server });
        Ok(())
    }

    fn say(&mut self, message: Message, fd: Option<OwnedFd>) {
        self.to_say.push_back((message, fd));
    }
}

impl Made {
    /// The server has emptied the rings and is there: from here on they are in use.
    fn joined(self, options: &Options, name: &str) -> Joined {
        let Self { shared, rings, server } = self;
        let queues = rings.len();
        let session = |[to_server, to_us]: [OwnRing; 2]| {
            let tx = Sender::new(to_server.emptied(), to_server.buffers(), to_server.event);
            let rx = Receiver::new(to_us.emptied(), to_us.buffers(), to_us.event);
            let (in_place, shared) = (options.zero_copy, Arc::clone(&shared));
            Session { rx: Some(rx), tx: Some(tx), in_place, shared }
        };
        let sessions = rings.into_iter().map(session).collect();
        let kind = if options.zero_copy { "without copies" } else { "copying" };
        let mebibytes = shared.total_bytes().div_ceil(1 << 20);
        let text = format!(
            "connected to server `{server}` ({name}), {queues} queue(s), {kind}, {mebibytes} MiB \
             shared"
        );
        Joined { sessions, shared, text }
    }
}

impl OwnRing {
    fn emptied(&self) -> Ring {
        self.ring.reset();
        self.ring
    }

    fn buffers(&self) -> Buffers {
        Buffers::Ours(self.buffers)
    }
}

impl Layout {
    /// The ring to the server and the one to us of a queue.
    fn rings(&self, queue: u16, shared: &Shared) -> io::Result<[OwnRing; 2]> {
        Ok([self.ring(0, queue, shared)?, self.ring(1, queue, shared)?])
    }

    fn ring(&self, direction: usize, queue: u16, shared: &Shared) -> io::Result<OwnRing> {
        let place = |offset, bytes| {
            let place = shared.find(0, offset, bytes);
            place.expect("the region was made for these rings and buffers")
        };
        let start = place(self.ring_at(direction, queue), ring_bytes(self.log2));
        // SAFETY: inside the region, at a multiple of 16; whoever has the ring keeps the region.
        let ring = unsafe { Ring::at(start, self.log2) };
        ring.begin();
        let offset = self.buffers_at(direction, queue);
        let buffers = Placed {
            start: place(offset, self.buffers_bytes()),
            region: 0,
            offset,
            stride: self.stride,
            capacity: self.capacity,
            count: 1 << self.log2,
        };
        Ok(OwnRing { ring, buffers, event: Event::new()? })
    }

    fn number(&self, direction: usize, queue: u16) -> u32 {
        direction as u32 * u32::from(self.queues) + u32::from(queue)
    }

    fn ring_at(&self, direction: usize, queue: u16) -> u32 {
        CONTENT_AT + self.number(direction, queue) * ring_bytes(self.log2)
    }

    fn buffers_at(&self, direction: usize, queue: u16) -> u32 {
        let rings_end = CONTENT_AT + 2 * u32::from(self.queues) * ring_bytes(self.log2);
        let first = rings_end.next_multiple_of(64);
        first + self.number(direction, queue) * self.buffers_bytes()
    }

    fn buffers_bytes(&self) -> u32 {
        self.stride << self.log2
    }
}

/// A region of ours begins with a page that says what it is.
const CONTENT_AT: u32 = SMALL_PAGE_BYTES as u32;
