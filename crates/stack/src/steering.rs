//! Several cores behind one set of addresses: which of them a connection is on, and what arrived
//! here that is another one's business.
//!
//! ```text
//!   a segment of ours          the interface steers it here: nothing to do
//!   a connection that we open  gets a port whose segments are steered here
//!   an ICMP error              is steered by its sender: passed on by the tuple that it quotes
//!   a datagram in pieces       is steered by its addresses: passed on when it is whole
//!   ARP, neighbour discovery   all cores must learn it: passed on to all
//! ```
//!
//! Where nobody knows how the interface steers, what nobody here knows is passed on to all as well.
//!
//! The stack says what is to be passed on, and to whom ([`Stack::take_astray`]); the core copies
//! it. What was passed on goes no further, so nothing can go in circles.

use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::stack::Stack;
use crate::wire_key::Endpoints;
use alloc::boxed::Box;
use alloc::vec;
use core::mem;
use crore_mem::frames::{RX_BURST_MAX, RxBurst};
use crore_wire::tcp;

/// Who is to get a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PassTo {
    /// The core with this queue.
    One(u16),
    /// All but us.
    All,
}

/// What of this burst is to be passed on.
#[derive(Debug)]
pub(crate) struct Astray {
    frames: [(u16, PassTo); RX_BURST_MAX],
    count: usize,
    /// The frame that takes effect now.
    frame_number: u16,
    /// A datagram that was put together here, its octets, and who gets it; one in a burst.
    whole: Box<[u8]>,
    whole_len: usize,
    whole_to: Option<PassTo>,
    /// What takes effect now is a datagram that was put together here.
    is_whole: bool,
    /// The burst comes from another core of ours.
    was_passed_on: bool,
}

impl Astray {
    /// `whole_max`: octets of the largest frame of a datagram that is put together.
    pub(crate) fn new(whole_max: usize) -> Self {
        Self {
            frames: [(0, PassTo::All); RX_BURST_MAX],
            count: 0,
            frame_number: 0,
            whole: vec![0; whole_max].into_boxed_slice(),
            whole_len: 0,
            whole_to: None,
            is_whole: false,
            was_passed_on: false,
        }
    }
}

impl Stack {
    /// Says whether the next burst comes from another core of ours: then ARP is not answered again,
    /// and nothing is passed on.
    pub fn set_passed_on(&mut self, was_passed_on: bool) {
        self.astray.was_passed_on = was_passed_on;
    }

    /// True when there is something to pass on.
    #[inline]
    pub fn has_astray(&self) -> bool {
        self.astray.count > 0 || self.astray.whole_to.is_some()
    }

    /// What of the burst is to be passed on, and to whom. What `pass` says false to, for want of
    /// room, is lost, and counted.
    pub fn take_astray(&mut self, rx: &RxBurst, mut pass: impl FnMut(&[u8], PassTo) -> bool) {
        let count = mem::take(&mut self.astray.count);
        for &(number, to) in &self.astray.frames[..count] {
            if !pass(rx.frame(usize::from(number)), to) {
                self.counters.drop(Drop::NotPassedOn);
            }
        }
        if let Some(to) = self.astray.whole_to.take()
            && !pass(&self.astray.whole[..self.astray.whole_len], to)
        {
            self.counters.drop(Drop::NotPassedOn);
        }
    }

    /// True for endpoints whose segments are steered to another core. That core has the connection,
    /// if there is any.
    #[inline]
    pub(crate) fn is_of_sibling(&self, endpoints: &Endpoints) -> bool {
        self.sibling_of(endpoints).is_some()
    }

    /// True for what arrived about endpoints that nobody knows here and that another core may know,
    /// unless it was passed on to us already.
    #[inline]
    pub(crate) fn is_astray(&self, endpoints: &Endpoints) -> bool {
        !self.astray.was_passed_on && (self.is_of_sibling(endpoints) || self.is_blind())
    }

    /// True when there are other cores, and nobody knows what is steered to which.
    #[inline]
    fn is_blind(&self) -> bool {
        self.config.cores > 1 && self.config.steering.is_none()
    }

    /// The same for a segment. The interface steered it here itself, but for one that was put
    /// together from pieces; a SYN among those begins a connection here, for want of a better
    /// place.
    #[inline]
    pub(crate) fn is_stray_segment(&self, arrival: &Arrival) -> bool {
        let may_be_elsewhere =
            self.astray.is_whole && !arrival.flags.contains(tcp::Flags::SYN) || !self.is_blind();
        may_be_elsewhere && self.is_astray(&arrival.endpoints())
    }

    fn sibling_of(&self, endpoints: &Endpoints) -> Option<u16> {
        let steering = self.config.steering.as_deref()?;
        let local = self.addresses.address(endpoints.local_id);
        let ports = steering.ports(endpoints.remote, local, endpoints.remote_port);
        let queue = ports.queue_of(endpoints.local_port);
        (queue != steering.queue).then_some(queue)
    }

    /// A segment about a connection of another core.
    #[cold]
    pub(crate) fn pass_on_segment(&mut self, arrival: &Arrival, frame_number: u16) {
        if !self.astray.is_whole {
            self.astray.frame_number = frame_number;
        }
        self.pass_on_to_owner(&arrival.endpoints());
    }

    /// The frame that takes effect now is about these endpoints, which another core has.
    #[cold]
    pub(crate) fn pass_on_to_owner(&mut self, endpoints: &Endpoints) {
        self.counters.strays += 1;
        self.pass_on(self.sibling_of(endpoints).map_or(PassTo::All, PassTo::One));
    }

    /// What the frame that takes effect now says is for all cores.
    pub(crate) fn pass_on_to_all(&mut self) {
        if self.config.cores > 1 && !self.astray.was_passed_on {
            self.pass_on(PassTo::All);
        }
    }

    /// True while what came from another core of ours takes effect.
    #[inline]
    pub(crate) fn was_passed_on(&self) -> bool {
        self.astray.was_passed_on
    }

    fn pass_on(&mut self, to: PassTo) {
        let astray = &mut self.astray;
        if astray.is_whole {
            if astray.whole_to.is_some() {
                return self.counters.drop(Drop::NotPassedOn);
            }
            astray.whole_len = 0;
            astray.whole_to = Some(to);
        } else if astray.count < RX_BURST_MAX {
            astray.frames[astray.count] = (astray.frame_number, to);
            astray.count += 1;
        }
    }

    /// What takes effect from here on is this frame of the burst.
    #[inline]
    pub(crate) fn note_frame(&mut self, frame_number: u16) {
        self.astray.frame_number = frame_number;
    }

    /// What takes effect from here on is a datagram that was put together here.
    pub(crate) fn begin_whole(&mut self) {
        self.astray.is_whole = true;
    }

    /// That is over. It is kept when it has to be passed on: the place where it was put together is
    /// needed again.
    pub(crate) fn end_whole(&mut self, frame: &[u8]) {
        let astray = &mut self.astray;
        astray.is_whole = false;
        if astray.whole_to.is_some() && astray.whole_len == 0 {
            astray.whole[..frame.len()].copy_from_slice(frame);
            astray.whole_len = frame.len();
        }
    }

    /// Forgets what nobody passed on.
    #[inline]
    pub(crate) fn forget_astray(&mut self) {
        self.astray.count = 0;
        self.astray.whole_to = None;
    }
}
