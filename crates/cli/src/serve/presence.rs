//! Whether the interface under a link is there, as the kernel tells, or the peer at its other end.

use crate::args::{LinkArg, XdpArg};
use anyhow::{Context, Result};
use crore::driver::memif;
use crore_ctl::{CtlError, Event, Watch};
use serde::Serialize;

/// What a link is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LinkState {
    /// Frames can pass.
    Up,
    /// It is there, and nothing passes: it was set down, or nobody is at the other end.
    Down,
    /// There is no such interface any more.
    Gone,
}

impl LinkState {
    /// In a word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Gone => "gone",
        }
    }
}

/// What a link needs to be up, watched.
pub(super) enum Presence {
    Interface(Interface),
    Peer(memif::Status),
}

/// An interface of the kernel's.
pub(super) struct Interface {
    name: String,
    index: u32,
    watch: Watch,
    state: LinkState,
}

impl Presence {
    /// Begins to watch what is under a link that is open, or who is at its other end.
    pub(super) fn of(link: &LinkArg, peer: Option<memif::Status>) -> Result<Self> {
        match (link, peer) {
            (LinkArg::Xdp(XdpArg { interface: name, .. }) | LinkArg::Tap { name }, _) => {
                Ok(Self::Interface(Interface::watch(name)?))
            }
            (LinkArg::Memif(_), peer) => {
                Ok(Self::Peer(peer.context("a memif link without a peer's state")?))
            }
        }
    }

    /// How it was when it was last looked at.
    pub(super) fn state(&self) -> LinkState {
        match self {
            Self::Interface(interface) => interface.state,
            Self::Peer(peer) if peer.is_up() => LinkState::Up,
            Self::Peer(_) => LinkState::Down,
        }
    }

    /// How it is now; costs nothing where nothing has changed.
    pub(super) fn look(&mut self) -> Result<LinkState> {
        match self {
            Self::Interface(interface) => interface.look(),
            Self::Peer(_) => Ok(self.state()),
        }
    }

    /// What it is that happened is told by [`Presence::news`].
    pub(super) fn has_own_words(&self) -> bool {
        matches!(self, Self::Peer(_))
    }

    /// What a link has to tell in words of its own: which peer came, and why one went.
    pub(super) fn news(&self) -> Vec<String> {
        match self {
            Self::Interface(_) => Vec::new(),
            Self::Peer(peer) => peer.news(),
        }
    }
}

impl Interface {
    fn watch(name: &str) -> Result<Self> {
        let name = name.to_owned();
        // Before asking, so that nothing falls between the two.
        let watch = Watch::open()?;
        let index = crore_ctl::interface(&name)?.index;
        let mut interface = Self { name, index, watch, state: LinkState::Gone };
        interface.state = interface.ask()?;
        Ok(interface)
    }

    fn look(&mut self) -> Result<LinkState> {
        let (index, mut is_news) = (self.index, false);
        self.watch.poll(|event| match event {
            Event::Link { interface, .. } => is_news |= interface == index,
            Event::Missed => is_news = true,
            Event::Neighbour(_) | Event::Address { .. } => {}
        })?;
        if is_news {
            self.state = self.ask()?;
        }
        Ok(self.state)
    }

    /// Another interface may have the name meanwhile: it is not the one that we have opened.
    fn ask(&self) -> Result<LinkState> {
        match crore_ctl::interface(&self.name) {
            Ok(info) if info.index != self.index => Ok(LinkState::Gone),
            Ok(info) if info.up && info.carrier => Ok(LinkState::Up),
            Ok(_) => Ok(LinkState::Down),
            Err(CtlError::NoSuchInterface { .. } | CtlError::Gone { .. }) => Ok(LinkState::Gone),
            Err(error) => Err(error.into()),
        }
    }
}
