//! What a link is, as its queues and the control thread both know it, and what there is to tell of
//! it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::control::Attendant;
use super::options::Options;
use super::region::Shared;
use super::seat::Seat;
use super::session::Session;
use crate::wakeup::Event;

/// A link.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) options: Options,
    pub(super) seats: Vec<Arc<Seat>>,
    pub(super) status: Status,
    /// Ends the control thread's sleep.
    pub(super) control: Arc<Event>,
    /// All its queues are gone.
    is_closed: AtomicBool,
}

/// What each queue of a link has, so that the link ends with the last of them.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) interface: Arc<Interface>,
    /// Whose last owner ends the thread.
    pub(super) attendant: Option<Arc<Attendant>>,
}

/// How a link is, for whoever wants to know; see [`Status::news`].
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_up: AtomicBool,
    ups: AtomicU64,
    news: Mutex<News>,
}

#[derive(Debug, Default)]
struct News {
    lines: VecDeque<String>,
    last: String,
}

impl Interface {
    pub(super) fn new(options: Options, control: Arc<Event>) -> std::io::Result<Self> {
        let seat = |_| {
            let event = Arc::new(Event::new()?);
            Ok(Arc::new(Seat::new(event, Arc::clone(&control))))
        };
        let seats = (0..options.queues).map(seat).collect::<std::io::Result<_>>()?;
        let (status, is_closed) = (Status::default(), AtomicBool::new(false));
        Ok(Self { options, seats, status, control, is_closed })
    }

    /// A peer is there: each queue that it has gets its session.
    pub(super) fn up(&self, sessions: Vec<Session>, text: &str) {
        let mut sessions = sessions.into_iter();
        for seat in &self.seats {
            seat.offer(sessions.next());
        }
        self.status.0.ups.fetch_add(1, Ordering::Relaxed);
        self.status.0.is_up.store(true, Ordering::Relaxed);
        self.tell(text);
    }

    /// The peer is gone.
    pub(super) fn down(&self, text: &str) {
        self.status.0.is_up.store(false, Ordering::Relaxed);
        for seat in &self.seats {
            seat.offer(None);
        }
        self.tell(text);
    }

    /// Something that the user should know.
    pub(super) fn tell(&self, text: &str) {
        self.status.tell(format!("{}: {text}", self.options.name()));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.interface.is_closed.store(true, Ordering::Release);
        self.interface.control.signal();
        // Only now, so that the thread knows which link has ended.
        drop(self.attendant.take());
    }
}

impl Status {
    /// True while a peer is connected.
    pub fn is_up(&self) -> bool {
        self.0.is_up.load(Ordering::Relaxed)
    }

    /// How often a peer has connected.
    pub fn ups(&self) -> u64 {
        self.0.ups.load(Ordering::Relaxed)
    }

    /// What happened since the last call, a line each: who came and went, who was refused and why.
    /// The same line is not said twice in a row, and old ones make room for new ones.
    pub fn news(&self) -> Vec<String> {
        self.lock().lines.drain(..).collect()
    }

    fn tell(&self, text: String) {
        let mut news = self.lock();
        if news.last != text {
            if news.lines.len() == NEWS_MAX {
                news.lines.pop_front();
            }
            news.last.clone_from(&text);
            news.lines.push_back(text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.0.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory of connections that have ended, until every queue has let go of it: then it is unmapped,
/// by this thread.
#[derive(Debug, Default)]
pub(super) struct Retired(Vec<Arc<Shared>>);

impl Retired {
    pub(super) fn add(&mut self, shared: Arc<Shared>) {
        self.0.push(shared);
    }

    /// Unmaps what nobody has any more. True when something is left.
    pub(super) fn sweep(&mut self) -> bool {
        self.0.retain(|shared| Arc::strong_count(shared) > 1);
        !self.0.is_empty()
    }
}

const NEWS_MAX: usize = 64;
