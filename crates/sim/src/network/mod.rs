//! The network: a star of lanes around a switch or a router, and the faults that are its own.
//!
//! ```text
//!   node 0 ── up ──>┐           ┌── down ──> node 0
//!   node 1 ── up ──>┤  middle   ├── down ──> node 1
//!   node 2 ── up ──>┘           └── down ──> node 2
//! ```
//!
//! `lane` decides the fate of a frame in one direction, `middle` where it goes on; `frame` and
//! `segment` read and write frames. Nothing here knows of connections.

pub(crate) mod frame;
mod lane;
mod middle;
pub(crate) mod segment;

pub(crate) use self::lane::Fate;

use self::lane::Lane;
use self::middle::{Hop, Table};
use crate::fault::{Fault, What};
use crate::luck::Luck;
use crate::mix::Mix;
use crate::network::segment::Segment;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// All lanes, the middle, and the frames that are under way.
pub(crate) struct Network {
    up: Vec<Lane>,
    down: Vec<Lane>,
    table: Table,
    cuts: Cuts,
    luck: Luck,
    faults_us: u64,
    spares_neighbours: bool,
    under_way: BinaryHeap<Reverse<Flight>>,
    number: u64,
    /// Whoever watches wants to know what became of frames.
    pub(crate) traced: Option<Vec<Traced>>,
}

/// A frame and what became of it.
pub(crate) struct Traced {
    /// The node that sent it, or `None` for the middle's own and forged ones.
    pub(crate) from: Option<usize>,
    /// The node that the middle sends it on to.
    pub(crate) to: Option<usize>,
    pub(crate) frame: Box<[u8]>,
    pub(crate) fate: Fate,
}

/// A frame that will arrive. Ordered by time, then by order of sending.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flight {
    at_us: u64,
    number: u64,
    place: Place,
    /// As it was sent.
    pub(crate) is_intact: bool,
    pub(crate) frame: Box<[u8]>,
}

/// Where a frame arrives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In the middle, from this node.
    Middle(usize),
    /// At this node.
    Node(usize),
}

/// What is cut off by schedule. Cuts overlap, so they are counted.
struct Cuts {
    up: Vec<u8>,
    down: Vec<u8>,
    /// From a node (row) to a node (column).
    pairs: Vec<Vec<u8>>,
}

impl Network {
    pub(crate) fn new(mix: &Mix, luck: Luck, traces: bool) -> Self {
        let nodes = mix.nodes();
        Self {
            up: (0..nodes).map(|n| Lane::new(mix.lanes(n).0)).collect(),
            down: (0..nodes).map(|n| Lane::new(mix.lanes(n).1)).collect(),
            table: Table::new(mix),
            cuts: Cuts {
                up: vec![0; nodes],
                down: vec![0; nodes],
                pairs: vec![vec![0; nodes]; nodes],
            },
            luck,
            faults_us: mix.faults_us,
            spares_neighbours: mix.spares_neighbours,
            under_way: BinaryHeap::new(),
            number: 0,
            traced: traces.then(Vec::new),
        }
    }

    /// Takes a frame from a node.
    pub(crate) fn send(&mut self, now_us: u64, from: usize, frame: &[u8]) {
        let copy = self.traced.is_some().then(|| Box::from(frame));
        let fate = if self.cuts.up[from] > 0 {
            Fate::Cut
        } else {
            self.pass(now_us, Way::Up(from), frame.into(), true)
        };
        self.trace(Some(from), None, copy, fate);
        self.forward_due(now_us);
    }

    /// Hands a frame of nobody to a node's lane, as who sits in the middle can.
    pub(crate) fn inject(&mut self, now_us: u64, to: usize, frame: Box<[u8]>) {
        self.deliver(now_us, None, to, frame);
    }

    fn pass(&mut self, now_us: u64, way: Way, frame: Box<[u8]>, was_intact: bool) -> Fate {
        // Without the next hop's link address nothing can be said of what a host should send.
        let in_time = now_us < self.faults_us;
        let spared = in_time && self.spares_neighbours && Segment::parse(&frame).is_none();
        let (lane, place) = match way {
            Way::Up(n) => (&mut self.up[n], Place::Middle(n)),
            Way::Down(n) => (&mut self.down[n], Place::Node(n)),
        };
        let (under_way, number) = (&mut self.under_way, &mut self.number);
        lane.pass(now_us, frame, was_intact, in_time && !spared, &mut self.luck, |arrival| {
            *number += 1;
            let (at_us, frame) = (arrival.at_us, arrival.frame);
            let is_intact = arrival.is_intact && was_intact;
            under_way.push(Reverse(Flight { at_us, number: *number, place, is_intact, frame }));
        })
    }

    /// What reached the middle by `now_us` goes on.
    fn forward_due(&mut self, now_us: u64) {
        while let Some(Reverse(next)) = self.under_way.peek()
            && next.at_us <= now_us
            && let Place::Middle(from) = next.place
        {
            let Some(Reverse(flight)) = self.under_way.pop() else { return };
            self.forward(flight.at_us, from, flight.frame, flight.is_intact);
        }
    }

    fn forward(&mut self, now_us: u64, from: usize, frame: Box<[u8]>, is_intact: bool) {
        match self.table.next(from, frame) {
            Hop::To(to, frame) => self.deliver_as(now_us, Some(from), to, frame, is_intact),
            Hop::All(frame) => {
                for to in (0..self.down.len()).filter(|&to| to != from) {
                    self.deliver_as(now_us, Some(from), to, frame.clone(), is_intact);
                }
            }
            Hop::Answer(frame) => self.deliver(now_us, None, from, frame),
            Hop::Refused { frame, answer, fate } => {
                self.trace(Some(from), None, self.traced.is_some().then_some(frame), fate);
                if let Some(answer) = answer {
                    self.deliver(now_us, None, from, answer);
                }
            }
        }
    }

    fn deliver(&mut self, now_us: u64, from: Option<usize>, to: usize, frame: Box<[u8]>) {
        self.deliver_as(now_us, from, to, frame, true);
    }

    fn deliver_as(
        &mut self,
        now_us: u64,
        from: Option<usize>,
        to: usize,
        frame: Box<[u8]>,
        is_intact: bool,
    ) {
        let copy = self.traced.is_some().then(|| frame.clone());
        let cut = self.cuts.down[to] > 0 || from.is_some_and(|from| self.cuts.pairs[from][to] > 0);
        let fate = if cut { Fate::Cut } else { self.pass(now_us, Way::Down(to), frame, is_intact) };
        self.trace(from, Some(to), copy, fate);
    }

    fn trace(
        &mut self,
        from: Option<usize>,
        to: Option<usize>,
        frame: Option<Box<[u8]>>,
        fate: Fate,
    ) {
        if let (Some(list), Some(frame)) = (&mut self.traced, frame) {
            list.push(Traced { from, to, frame, fate });
        }
    }

    /// When the next frame arrives somewhere.
    pub(crate) fn next_at_us(&self) -> Option<u64> {
        self.under_way.peek().map(|Reverse(flight)| flight.at_us)
    }

    /// The next frame that arrives at a node by `now_us`, and the node.
    pub(crate) fn arrival(&mut self, now_us: u64) -> Option<(usize, Flight)> {
        loop {
            self.forward_due(now_us);
            if self.next_at_us()? > now_us {
                return None;
            }
            let Reverse(flight) = self.under_way.pop()?;
            if let Place::Node(to) = flight.place {
                return Some((to, flight));
            }
        }
    }

    /// A fault by schedule begins or ends.
    pub(crate) fn turn_fault(&mut self, fault: &Fault, begins: bool) {
        let count = |n: &mut u8| if begins { *n += 1 } else { *n -= 1 };
        match fault.what {
            What::Cut { node, up, down } => {
                if up {
                    count(&mut self.cuts.up[node]);
                }
                if down {
                    count(&mut self.cuts.down[node]);
                }
            }
            What::Partition { from, to } => count(&mut self.cuts.pairs[from][to]),
            What::PathMtu { node, mtu, is_silent } => {
                self.table.set_mtu(node, begins.then_some((mtu, is_silent)));
            }
            What::Rate { node, bytes_per_second } => {
                self.down[node].rate = begins.then_some(bytes_per_second);
            }
            What::AddressGone { node, number } => self.table.set_gone(node, number, begins),
            _ => {}
        }
    }

    /// A node is at other addresses from now on.
    pub(crate) fn moved(&mut self, node: usize) {
        self.table.moved(node);
    }
}

/// A lane.
#[derive(Clone, Copy)]
enum Way {
    Up(usize),
    Down(usize),
}
