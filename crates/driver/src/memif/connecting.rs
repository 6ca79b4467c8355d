//! A client's connection: made, and made again when the server has gone.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crore_mem::{Memory, MemoryError, Region};

use super::client::Joining;
use super::control::{End, JOIN_TIME_MAX, MESSAGES_A_STEP, SWEEP_EVERY, next_message, sleep};
use super::interface::{Interface, Retired};
use super::options::Options;
use super::region::Shared;
use super::socket::Socket;
use crate::wakeup::Event;

/// A client's link.
#[derive(Debug)]
pub(super) struct ClientLink {
    interface: Arc<Interface>,
    event: Arc<Event>,
    /// For the first connection; each later one gets its own.
    region: Option<Region>,
    state: State,
    retired: Retired,
    /// How long to wait before the next try but one.
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Apart { until: Instant },
    Joining { socket: Socket, since: Instant, joining: Joining },
    Up { socket: Socket, since: Instant, shared: Arc<Shared> },
}

impl ClientLink {
    /// A link that connects at its first step. `region` is for its first connection.
    pub(super) fn new(interface: Arc<Interface>, event: Arc<Event>, region: Region) -> Self {
        let state = State::Apart { until: Instant::now() };
        let (retired, pause) = (Retired::default(), PAUSE_MIN);
        Self { interface, event, region: Some(region), state, retired, pause }
    }

    /// As [`Control::step`](super::Control::step).
    pub(super) fn step(&mut self, patience: Duration) -> bool {
        self.rest(patience);
        self.event.drain();
        self.retired.sweep();
        if let State::Apart { until } = self.state {
            if Instant::now() >= until {
                self.connect();
            }
        } else if let Err(end) = self.go_on() {
            self.part(end);
        }
        !self.interface.is_closed()
    }

    fn rest(&mut self, patience: Duration) {
        let mut patience = patience;
        let mut fds = vec![self.event.as_fd()];
        match &self.state {
            State::Apart { until } => {
                patience = patience.min(until.saturating_duration_since(Instant::now()));
            }
            State::Joining { socket, since, .. } => {
                fds.push(socket.as_fd());
                patience = patience.min(JOIN_TIME_MAX.saturating_sub(since.elapsed()));
            }
            State::Up { socket, .. } => fds.push(socket.as_fd()),
        }
        if self.retired.sweep() {
            patience = patience.min(SWEEP_EVERY);
        }
        sleep(&fds, patience);
    }

    fn connect(&mut self) {
        // The last connection's memory first: there are never more than two.
        if self.retired.sweep() {
            self.state = State::Apart { until: Instant::now() + SWEEP_EVERY };
            return;
        }
        match Socket::connect(&self.interface.options.address) {
            Ok(socket) => {
                let joining = Joining::new(Arc::clone(&self.interface));
                self.state = State::Joining { socket, since: Instant::now(), joining };
            }
            Err(error) => self.come_again(&no_server(&error)),
        }
    }

    fn go_on(&mut self) -> Result<(), End> {
        if self.interface.is_closed() {
            return Err(End::Ours("the client has ended this link".to_owned()));
        }
        for _ in 0..MESSAGES_A_STEP {
            match &mut self.state {
                State::Apart { .. } => return Ok(()),
                State::Up { socket, shared, .. } => {
                    if let Some(fault) = shared.fault() {
                        return Err(End::Ours(fault.text().to_owned()));
                    }
                    let Some((message, _)) = next_message(socket)? else { return Ok(()) };
                    let name = message.name();
                    return Err(End::Ours(format!("{name} after the link was up")));
                }
                State::Joining { socket, since, joining } => {
                    let Some((message, _)) = next_message(socket)? else {
                        let is_late = since.elapsed() > JOIN_TIME_MAX;
                        let late = || End::Ours("it took too long to connect".to_owned());
                        return if is_late { Err(late()) } else { Ok(()) };
                    };
                    // Who goes before this costs no memory, and leaves none.
                    let options = &self.interface.options;
                    let memory = || match self.region.take() {
                        Some(region) => Ok(region),
                        None => new_region(options, &mut Memory::new(options.huge_pages)),
                    };
                    let joined = joining.on_message(message, socket, memory);
                    if let Some(joined) = joined.map_err(End::Ours)? {
                        self.up(joined);
                    }
                }
            }
        }
        Ok(())
    }

    fn up(&mut self, joined: super::server::Joined) {
        let apart = State::Apart { until: Instant::now() };
        if let State::Joining { socket, .. } = std::mem::replace(&mut self.state, apart) {
            let shared = joined.shared;
            self.state = State::Up { socket, since: Instant::now(), shared };
            self.interface.up(joined.sessions, &joined.text);
        }
    }

    /// Ends the connection, and comes again after a while.
    fn part(&mut self, end: End) {
        let apart = State::Apart { until: Instant::now() };
        match std::mem::replace(&mut self.state, apart) {
            State::Up { socket, since, shared } => {
                let text = format!("server {}", end.part(&socket));
                self.interface.down(&text);
                self.retired.add(shared);
                if since.elapsed() > UP_FOR_LONG {
                    self.pause = PAUSE_MIN;
                }
                self.come_again(&text);
            }
            State::Joining { socket, .. } => {
                let text = format!("server {}", end.part(&socket));
                self.come_again(&text);
            }
            State::Apart { .. } => {}
        }
    }

    fn come_again(&mut self, text: &str) {
        self.interface.tell(text);
        self.state = State::Apart { until: Instant::now() + self.pause };
        self.pause = (2 * self.pause).min(PAUSE_MAX);
    }
}

impl Drop for ClientLink {
    fn drop(&mut self) {
        self.part(End::Ours("the client ends".to_owned()));
    }
}

/// Memory that a connection shares.
pub(super) fn new_region(options: &Options, memory: &mut Memory) -> Result<Region, MemoryError> {
    memory.shareable("memif rings and buffers", options.content_bytes() as usize)
}

fn no_server(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "no server listens there yet; trying again".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted to connect: the socket must be ours to write to; trying again".to_owned()
        }
        _ => format!("could not connect: {error}; trying again"),
    }
}

/// Between tries to connect: doubled each time, unless a link was up for long.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
const UP_FOR_LONG: Duration = Duration::from_secs(1);
