//! The server's side of a control socket, one client at a time: what it may say when, and what
//! comes of it.
//!
//! ```text
//!   accepted ── HELLO ──> INIT ──> ADD_REGION ... ADD_RING ... ──> CONNECT ──> up
//!                          which interface                          all is checked here
//! ```
//!
//! A refusal is a sentence for the client, which goes into DISCONNECT, and for our own log.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::interface::Interface;
use super::message::{AddRing, Hello, Init, Message, VERSION};
use super::region::{Mapped, REGIONS_MAX, Shared};
use super::ring::{LOG2_MAX, RING_ALIGN, Ring, ring_bytes};
use super::session::{Buffers, Receiver, Sender, Session};
use crate::wakeup::Event;

/// What one client has said so far.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    interface: Option<Arc<Interface>>,
    client: String,
    regions: Vec<Mapped>,
    to_server: Vec<Option<Given>>,
    to_client: Vec<Option<Given>>,
    is_over: bool,
}

/// A ring that the client named.
#[derive(Debug)]
struct Given {
    ring: AddRing,
    event: Event,
}

/// What is to be done about a message.
#[derive(Debug)]
pub(super) enum Answer {
    /// Say this.
    Say(Message),
    /// Say this, and the link is up.
    Up(Message, Joined),
}

/// A client that has connected.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) sessions: Vec<Session>,
    pub(super) shared: Arc<Shared>,
    pub(super) text: String,
}

/// What a server can do, whichever link the client will ask for.
pub(super) fn hello(queues: u16) -> Message {
    let ring_max = queues.max(1) - 1;
    Message::Hello(Hello {
        name: OUR_NAME.to_owned(),
        version_min: VERSION,
        version_max: VERSION,
        region_max: (REGIONS_MAX - 1) as u16,
        to_client_max: ring_max,
        to_server_max: ring_max,
        ring_log2_max: LOG2_MAX,
    })
}

impl Handshake {
    /// Of a client that is not there any more.
    pub(super) fn over() -> Self {
        Self { is_over: true, ..Self::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The link that the client has asked for and may have.
    pub(super) fn interface(&self) -> Option<&Arc<Interface>> {
        self.interface.as_ref()
    }

    /// Takes a message. `find` knows the links of this socket, or why a client cannot have one.
    pub(super) fn on_message(
        &mut self,
        message: Message,
        fd: Option<OwnedFd>,
        find: impl FnOnce(u32) -> Result<Arc<Interface>, String>,
    ) -> Result<Answer, String> {
        let Some(interface) = self.interface.clone() else {
            let Message::Init(init) = message else {
                return Err(format!("the first message must be INIT, not {}", message.name()));
            };
            return self.on_init(init, find);
        };
        match message {
            Message::AddRegion { index, bytes } => self.on_region(&interface, index, bytes, fd),
            Message::AddRing(ring) => self.on_ring(&interface, ring, fd),
            Message::Connect { name } => self.on_connect(&interface, &name),
            other => Err(format!("{} is not expected here", other.name())),
        }
    }

    fn on_init(
        &mut self,
        init: Init,
        find: impl FnOnce(u32) -> Result<Arc<Interface>, String>,
    ) -> Result<Answer, String> {
        if init.version != VERSION {
            return Err(format!("version {:#06x} is not {VERSION:#06x}", init.version));
        }
        let interface = find(init.id)?;
        if init.mode != MODE_ETHERNET {
            return Err(format!("mode {} is not ethernet (0)", init.mode));
        }
        let (ours, theirs) = (interface.options.secret_field(), init.secret);
        if ours != theirs {
            let (none, why) = ([0; 24], "the secret is wrong");
            return Err(if theirs == none { "a secret is required" } else { why }.to_owned());
        }
        let queues = usize::from(interface.options.queues);
        self.to_server.resize_with(queues, || None);
        self.to_client.resize_with(queues, || None);
        self.interface = Some(interface);
        self.client = init.name;
        Ok(Answer::Say(Message::Ack))
    }

    fn on_region(
        &mut self,
        interface: &Interface,
        index: u16,
        bytes: u64,
        fd: Option<OwnedFd>,
    ) -> Result<Answer, String> {
        let fd = fd.ok_or("ADD_REGION without a file")?;
        if usize::from(index) != self.regions.len() || self.regions.len() == REGIONS_MAX {
            let next = self.regions.len();
            return Err(format!("region {index} where region {next} of {REGIONS_MAX} comes next"));
        }
        let mapped: u64 = self.regions.iter().map(Mapped::bytes).sum();
        if mapped.checked_add(bytes).is_none_or(|all| all > MAPPED_BYTES_MAX) {
            return Err(format!("regions of more than {} GiB", MAPPED_BYTES_MAX >> 30));
        }
        self.regions.push(Mapped::of_peer(fd, bytes, &interface.control)?);
        Ok(Answer::Say(Message::Ack))
    }

    fn on_ring(
        &mut self,
        interface: &Interface,
        ring: AddRing,
        fd: Option<OwnedFd>,
    ) -> Result<Answer, String> {
        let fd = fd.ok_or("ADD_RING without an eventfd")?;
        let event = Event::of_peer(fd).ok_or("ADD_RING with a descriptor that is no eventfd")?;
        let queues = interface.options.queues;
        let rings = if ring.to_server { &mut self.to_server } else { &mut self.to_client };
        let Some(place) = rings.get_mut(usize::from(ring.index)) else {
            return Err(format!("ring {} where there are {queues} queue(s)", ring.index));
        };
        if place.is_some() {
            return Err(format!("ring {} a second time", ring.index));
        }
        if !(1..=LOG2_MAX).contains(&ring.log2) {
            return Err(format!("a ring of 2^{} places is not from 2 to 2^{LOG2_MAX}", ring.log2));
        }
        *place = Some(Given { ring, event });
        Ok(Answer::Say(Message::Ack))
    }

    fn on_connect(&mut self, interface: &Interface, name: &str) -> Result<Answer, String> {
        let shared = Arc::new(Shared::new(std::mem::take(&mut self.regions)));
        let directions = self.to_server.drain(..).zip(self.to_client.drain(..));
        let session = |(to_server, to_client): (Option<Given>, Option<Given>)| {
            let rx = to_server.map(|given| given.ring(&shared)).transpose()?;
            let tx = to_client.map(|given| given.ring(&shared)).transpose()?;
            let buffers = || Buffers::Peers(Arc::clone(&shared));
            Ok(Session {
                rx: rx.map(|(ring, event)| Receiver::new(ring, buffers(), event)),
                tx: tx.map(|(ring, event)| Sender::new(ring, buffers(), event)),
                in_place: false,
                shared: Arc::clone(&shared),
            })
        };
        let sessions: Vec<_> = directions.map(session).collect::<Result<_, String>>()?;
        let receiving = sessions.iter().filter(|session| session.rx.is_some()).count();
        let sending = sessions.iter().filter(|session| session.tx.is_some()).count();
        if receiving + sending == 0 {
            return Err("CONNECT without any ring".to_owned());
        }
        let mebibytes = shared.total_bytes().div_ceil(1 << 20);
        let text = format!(
            "client `{}` ({name}) is connected: {receiving} ring(s) to us, {sending} from us, \
             {mebibytes} MiB shared",
            self.client
        );
        let answer = Message::Connected { name: interface.options.name() };
        Ok(Answer::Up(answer, Joined { sessions, shared, text }))
    }
}

impl Given {
    /// The ring, whole inside its region, emptied.
    fn ring(self, shared: &Shared) -> Result<(Ring, Event), String> {
        let AddRing { region, offset, log2, index, .. } = self.ring;
        let start = shared.find(region, offset, ring_bytes(log2));
        let start = start.map_err(|_| {
            let bytes = ring_bytes(log2);
            format!("ring {index}: {bytes} bytes at {offset} are not inside region {region}")
        })?;
        if !start.addr().is_multiple_of(RING_ALIGN) {
            return Err(format!("ring {index}: {offset} is not a multiple of {RING_ALIGN}"));
        }
        // SAFETY: inside the region and aligned; sessions keep the region as long as the ring.
        let ring = unsafe { Ring::at(start, log2) };
        if !ring.has_cookie() {
            return Err(format!("ring {index} has a wrong cookie"));
        }
        ring.reset();
        Ok((ring, self.event))
    }
}

/// Who we are.
pub(super) const OUR_NAME: &str = "crore";

/// Frames from their Ethernet header on.
pub(super) const MODE_ETHERNET: u8 = 0;

/// All regions of a client: a bound on what it can make us map.
const MAPPED_BYTES_MAX: u64 = 256 << 30;
