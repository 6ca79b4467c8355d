//! A listening socket and the clients at it: several links share it, one client each.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::control::{End, JOIN_TIME_MAX, MESSAGES_A_STEP, SWEEP_EVERY, next_message, sleep};
use super::interface::{Interface, Retired};
use super::message::Message;
use super::region::Shared;
use super::server::{Answer, Handshake, hello};
use super::socket::{Listener, Socket};
use crate::wakeup::Event;

/// A listening socket.
#[derive(Debug)]
pub(super) struct ServerSocket {
    listener: Listener,
    event: Arc<Event>,
    interfaces: Vec<Arc<Interface>>,
    /// Links that were added by another thread.
    joining: Arc<Mutex<Vec<Arc<Interface>>>>,
    clients: Vec<Client>,
    retired: Retired,
    accept_at: Instant,
}

/// A client.
#[derive(Debug)]
struct Client {
    socket: Socket,
    since: Instant,
    handshake: Handshake,
    /// What it shares, once it is connected.
    shared: Option<Arc<Shared>>,
}

impl ServerSocket {
    /// `joining` has the links, now or later.
    pub(super) fn new(
        listener: Listener,
        event: Arc<Event>,
        joining: Arc<Mutex<Vec<Arc<Interface>>>>,
    ) -> Self {
        Self {
            listener,
            event,
            interfaces: Vec::new(),
            joining,
            clients: Vec::new(),
            retired: Retired::default(),
            accept_at: Instant::now(),
        }
    }

    /// As [`Control::step`](super::Control::step).
    pub(super) fn step(&mut self, patience: Duration) -> bool {
        self.take_joining();
        self.rest(patience);
        self.event.drain();
        self.take_joining();
        // Who is gone goes first: a client that was started again finds its link free.
        for number in 0..self.clients.len() {
            if let Err(end) = self.serve(number) {
                self.part(number, end);
            }
        }
        self.clients.retain(|client| !client.is_over());
        self.accept();
        self.interfaces.retain(|interface| !interface.is_closed());
        self.retired.sweep();
        !self.interfaces.is_empty()
    }

    fn take_joining(&mut self) {
        let mut joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        self.interfaces.append(&mut joining);
    }

    fn accepts(&self) -> bool {
        self.clients.len() < CLIENTS_MAX
    }

    fn rest(&mut self, patience: Duration) {
        let mut patience = patience;
        let mut fds = vec![self.event.as_fd()];
        fds.extend(self.clients.iter().map(|client| client.socket.as_fd()));
        if self.accepts() {
            match self.accept_at.checked_duration_since(Instant::now()) {
                Some(until) => patience = patience.min(until),
                None => fds.push(self.listener.as_fd()),
            }
        }
        for client in self.clients.iter().filter(|client| client.shared.is_none()) {
            patience = patience.min(JOIN_TIME_MAX.saturating_sub(client.since.elapsed()));
        }
        if self.retired.sweep() {
            patience = patience.min(SWEEP_EVERY);
        }
        sleep(&fds, patience);
    }

    /// One client at a time and at a pace: one that comes again and again costs little.
    fn accept(&mut self) {
        let now = Instant::now();
        if now < self.accept_at || !self.accepts() {
            return;
        }
        let accepted = self.listener.accept();
        // Without a descriptor for whoever waits this would else be tried over and over.
        if !accepted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.accept_at = now + ACCEPT_EVERY;
        }
        let Ok(socket) = accepted else { return };
        let queues = self.interfaces.iter().map(|interface| interface.options.queues).max();
        if socket.send(&hello(queues.unwrap_or(1)).encode(), None).is_ok() {
            let (since, handshake) = (now, Handshake::default());
            self.clients.push(Client { socket, since, handshake, shared: None });
        }
    }

    /// Answers what a client says, and looks whether its link can go on.
    fn serve(&mut self, number: usize) -> Result<(), End> {
        for _ in 0..MESSAGES_A_STEP {
            let client = &mut self.clients[number];
            let Some((message, fd)) = next_message(&client.socket)? else { break };
            if client.shared.is_some() {
                let name = message.name();
                return Err(End::Ours(format!("{name} after the link was up")));
            }
            let mut handshake = std::mem::take(&mut client.handshake);
            let answer = handshake.on_message(message, fd, |id| self.find(id));
            self.clients[number].handshake = handshake;
            self.answer(number, answer.map_err(End::Ours)?)?;
        }
        let client = &self.clients[number];
        if client.handshake.interface().is_some_and(|interface| interface.is_closed()) {
            return Err(End::Ours("the server has ended this link".to_owned()));
        }
        match &client.shared {
            Some(shared) => match shared.fault() {
                Some(fault) => Err(End::Ours(fault.text().to_owned())),
                None => Ok(()),
            },
            None if client.since.elapsed() > JOIN_TIME_MAX => {
                Err(End::Ours("it took too long to connect".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn answer(&mut self, number: usize, answer: Answer) -> Result<(), End> {
        let client = &mut self.clients[number];
        let say = |socket: &Socket, message: &Message| {
            let sent = socket.send(&message.encode(), None);
            sent.map_err(|error| End::Theirs(format!("gone: {error}")))
        };
        match answer {
            Answer::Say(message) => say(&client.socket, &message),
            Answer::Up(message, joined) => {
                client.shared = Some(joined.shared);
                if let Some(interface) = client.handshake.interface() {
                    interface.up(joined.sessions, &joined.text);
                }
                say(&client.socket, &message)
            }
        }
    }

    /// The link with this id, if a client can have it.
    fn find(&self, id: u32) -> Result<Arc<Interface>, String> {
        let is_it = |interface: &Arc<Interface>| interface.options.id == id;
        let found = self.interfaces.iter().find(|interface| is_it(interface));
        let found = found.ok_or_else(|| format!("there is no interface with id {id} here"))?;
        if self.clients.iter().filter_map(|client| client.handshake.interface()).any(is_it) {
            return Err(format!("interface id {id} has a client already"));
        }
        Ok(Arc::clone(found))
    }

    /// Ends a client.
    fn part(&mut self, number: usize, end: End) {
        let client = &mut self.clients[number];
        let text = format!("client {}", end.part(&client.socket));
        match (client.handshake.interface(), client.shared.take()) {
            (Some(interface), Some(shared)) => {
                interface.down(&text);
                self.retired.add(shared);
            }
            (Some(interface), None) => interface.tell(&text),
            // Nobody knows which link it would have asked for.
            (None, _) => self.interfaces.iter().for_each(|interface| interface.tell(&text)),
        }
        client.handshake = Handshake::over();
    }
}

impl Client {
    fn is_over(&self) -> bool {
        self.handshake.is_over()
    }
}

impl Drop for ServerSocket {
    fn drop(&mut self) {
        for number in 0..self.clients.len() {
            self.part(number, End::Ours("the server ends".to_owned()));
        }
    }
}

/// Clients at a time, those that are only connecting included: more wait to be accepted.
const CLIENTS_MAX: usize = 512;

/// So many are accepted in a second, at most: 500.
const ACCEPT_EVERY: Duration = Duration::from_millis(2);
