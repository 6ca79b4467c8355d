//! Whether the interface under a link is there, as the kernel tells.

use crate::args::{LinkArg, XdpArg};
use anyhow::Result;
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

/// An interface of the kernel's, watched.
pub(super) struct Presence {
    name: String,
    index: u32,
    watch: Watch,
    state: LinkState,
}

impl Presence {
    /// Begins to watch what is under a link that is open.
    pub(super) fn of(link: &LinkArg) -> Result<Self> {
        let name = match link {
            LinkArg::Xdp(XdpArg { interface: name, .. }) | LinkArg::Tap { name } => name.clone(),
        };
        // Before asking, so that nothing falls between the two.
        let watch = Watch::open()?;
        let index = crore_ctl::interface(&name)?.index;
        let mut presence = Self { name, index, watch, state: LinkState::Gone };
        presence.state = presence.ask()?;
        Ok(presence)
    }

    /// How it is now; costs nothing where nothing has changed.
    pub(super) fn look(&mut self) -> Result<LinkState> {
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
