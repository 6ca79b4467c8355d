//! What joins the hosts: where each frame goes on.
//!
//! A switch looks at hardware addresses and passes on what it got. A router looks at IP addresses:
//! it answers who asks for it, counts hops, and says by ICMP when it cannot pass a packet on
//! (RFC 1812 4.3, RFC 1191 4, RFC 8201 3). It never fragments: all that TCP sends says so.

use super::frame::{self, Link, Says};
use super::lane::Fate;
use crate::addresses::{self, NodeAddress};
use crate::mix::{Middle, Mix};
use crore_wire::checksum;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::ipv4;
use std::net::IpAddr;

/// Who is where, and what fits through.
pub(super) struct Table {
    middle: Middle,
    vlan: Option<u16>,
    ports: Vec<Port>,
}

/// Where a node is attached.
#[derive(Clone, Default)]
struct Port {
    /// How often the node moved to other addresses.
    moved: u8,
    /// The largest packet towards it, and whether nobody says so.
    mtu: Option<(u16, bool)>,
    /// Addresses of it that nothing reaches any more, by number.
    gone: [bool; addresses::PER_NODE as usize],
}

/// What becomes of a frame in the middle.
pub(super) enum Hop {
    /// It goes to this node.
    To(usize, Box<[u8]>),
    /// It goes to all but the one it came from.
    All(Box<[u8]>),
    /// It was for the middle, which says this.
    Answer(Box<[u8]>),
    /// It goes nowhere; the sender may be told.
    Refused {
        /// The frame.
        frame: Box<[u8]>,
        /// What the sender is told.
        answer: Option<Box<[u8]>>,
        /// For the trace.
        fate: Fate,
    },
}

impl Table {
    pub(super) fn new(mix: &Mix) -> Self {
        let ports = vec![Port::default(); mix.nodes()];
        Self { middle: mix.middle, vlan: mix.vlan, ports }
    }

    pub(super) fn set_mtu(&mut self, node: usize, mtu: Option<(u16, bool)>) {
        self.ports[node].mtu = mtu;
    }

    pub(super) fn set_gone(&mut self, node: usize, number: u8, is_gone: bool) {
        self.ports[node].gone[usize::from(number)] = is_gone;
    }

    pub(super) fn moved(&mut self, node: usize) {
        self.ports[node].moved += 1;
    }

    /// Where a frame from node `from` goes.
    pub(super) fn next(&self, from: usize, frame: Box<[u8]>) -> Hop {
        let refused = |frame, fate| Hop::Refused { frame, answer: None, fate };
        let Ok((header, _)) = ethernet::Header::parse(&frame) else {
            return refused(frame, Fate::Nobody);
        };
        let question = frame::question(&frame);
        if self.middle == Middle::Router {
            return match question {
                Some(question) if question.target == gateway_of(from, question.target) => {
                    let vlan = self.vlan;
                    let link = Link { src: addresses::ROUTER_MAC, dst: question.mac, vlan };
                    Hop::Answer(link.neighbour(question.target, question.asker))
                }
                None if header.dst == addresses::ROUTER_MAC => self.route(from, frame),
                _ => refused(frame, Fate::Nobody),
            };
        }
        if question.is_some_and(|question| self.is_gone(question.target)) {
            return refused(frame, Fate::Nobody);
        }
        if header.dst.is_multicast() {
            return Hop::All(frame);
        }
        match self.port_of(header.dst) {
            Some(to) if to != from => self.through(from, to, frame, None),
            _ => refused(frame, Fate::Nobody),
        }
    }

    fn port_of(&self, mac: MacAddr) -> Option<usize> {
        (0..self.ports.len()).find(|&n| addresses::mac(n, self.ports[n].moved) == mac)
    }

    fn is_gone(&self, address: IpAddr) -> bool {
        let Some(NodeAddress { node, low }) = addresses::place_of(address) else { return false };
        let Some(port) = self.ports.get(node) else { return false };
        addresses::number_of(low, port.moved).is_some_and(|k| port.gone[usize::from(k)])
    }

    /// By IP address.
    fn route(&self, from: usize, mut frame: Box<[u8]>) -> Hop {
        let Some((src, dst, start)) = frame::addresses(&frame) else {
            return Hop::Refused { frame, answer: None, fate: Fate::Nobody };
        };
        match count_hop(&mut frame, start) {
            Some(true) => {}
            Some(false) => {
                let answer = Some(self.tell(from, src, Says::Expired, &frame[start..]));
                return Hop::Refused { frame, answer, fate: Fate::Nobody };
            }
            // A header that its checksum does not fit goes no further.
            None => return Hop::Refused { frame, answer: None, fate: Fate::Nobody },
        }
        let place = addresses::place_of(dst).filter(|place| place.node < self.ports.len());
        let there = place.filter(|place| {
            addresses::number_of(place.low, self.ports[place.node].moved).is_some()
        });
        match there {
            Some(place) if !self.is_gone(dst) && !self.is_gone(src) => {
                let to = place.node;
                let mac = addresses::mac(to, self.ports[to].moved).0;
                frame[..6].copy_from_slice(&mac);
                frame[6..12].copy_from_slice(&addresses::ROUTER_MAC.0);
                self.through(from, to, frame, Some((src, start)))
            }
            _ => {
                let answer = Some(self.tell(from, src, Says::NoHost, &frame[start..]));
                Hop::Refused { frame, answer, fate: Fate::Nobody }
            }
        }
    }

    /// On to node `to`, if it fits. `routed`: who is told otherwise, and where the packet begins.
    fn through(
        &self,
        from: usize,
        to: usize,
        frame: Box<[u8]>,
        routed: Option<(IpAddr, usize)>,
    ) -> Hop {
        let Some((mtu, is_silent)) = self.ports[to].mtu else { return Hop::To(to, frame) };
        let tag = if self.vlan.is_some() { ethernet::TAG_LEN } else { 0 };
        if frame.len() <= ethernet::HEADER_LEN + tag + usize::from(mtu) {
            return Hop::To(to, frame);
        }
        let told = routed.filter(|_| !is_silent);
        let answer =
            told.map(|(src, start)| self.tell(from, src, Says::TooBig(mtu), &frame[start..]));
        Hop::Refused { frame, answer, fate: Fate::TooBig }
    }

    /// The router's word to node `n` about a packet of it.
    fn tell(&self, n: usize, src: IpAddr, says: Says, packet: &[u8]) -> Box<[u8]> {
        let dst = addresses::mac(n, self.ports[n].moved);
        let link = Link { src: addresses::ROUTER_MAC, dst, vlan: self.vlan };
        link.error(gateway_of(n, src), src, says, packet)
    }
}

/// The router's address towards a node, of the family of another address.
fn gateway_of(n: usize, like: IpAddr) -> IpAddr {
    addresses::gateway(n, like.is_ipv6())
}

/// Takes one from the hops that the packet may still take. `None`: the header is broken; `false`:
/// there is none left.
fn count_hop(frame: &mut [u8], start: usize) -> Option<bool> {
    let (header, _) = ethernet::Header::parse(frame).ok()?;
    if header.ether_type == EtherType::IPV6 {
        let hops = frame.get_mut(start + 7)?;
        *hops = hops.checked_sub(1)?;
        return Some(*hops > 0);
    }
    ipv4::Header::parse(&frame[start..]).ok()?;
    let word = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let before = word(frame, start + 8);
    let after = before.checked_sub(0x100)?;
    let sum = checksum::update(word(frame, start + 10), before, after);
    frame[start + 8..start + 10].copy_from_slice(&after.to_be_bytes());
    frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
    Some(after >= 0x100)
}
