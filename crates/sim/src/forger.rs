//! Somebody off the path who knows which connections there are, and no more: segments and ICMP
//! errors in the name of others, with numbers that are guesses (RFC 5961 1.1, RFC 5927 4).

use crate::addresses;
use crate::book::Book;
use crate::luck::{Luck, Purpose};
use crate::mix::{Middle, Mix};
use crate::network::frame::{Link, Says};
use crore_wire::tcp;
use std::net::SocketAddr;

/// The forger at work.
pub(crate) struct Forger {
    luck: Luck,
    /// To whom, how often, and when next.
    task: Option<(usize, u64, u64)>,
}

impl Forger {
    pub(crate) fn new(mix: &Mix) -> Self {
        Self { luck: Luck::new(mix.seed, Purpose::Forger), task: None }
    }

    /// It begins, or ends.
    pub(crate) fn set(&mut self, now_us: u64, task: Option<(usize, u64)>) {
        self.task = task.map(|(node, every_us)| (node, every_us, now_us));
    }

    /// When it next sends something.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.task.map(|(_, _, next_us)| next_us)
    }

    /// What it sends at `now_us`: frames for the link of a host.
    pub(crate) fn turn(
        &mut self,
        now_us: u64,
        mix: &Mix,
        book: &Book,
        send: impl FnOnce(usize, Box<[u8]>),
    ) {
        let Some((node, every_us, next_us)) = &mut self.task else { return };
        if *next_us > now_us {
            return;
        }
        *next_us = now_us + *every_us;
        let node = *node;
        if mix.is_liar(node) || book.sessions.is_empty() {
            return;
        }
        let session = self.luck.below(book.sessions.len() as u64) as u32;
        let Some((opener, acceptor)) = book.tuple_of(session) else { return };
        let is_here = |end: &SocketAddr| {
            addresses::place_of(end.ip()).is_some_and(|place| place.node == node)
        };
        let (victim, other) = if is_here(&opener) {
            (opener, acceptor)
        } else if is_here(&acceptor) {
            (acceptor, opener)
        } else {
            return;
        };
        let dst = addresses::mac(node, book.moved[node]);
        let src = match (mix.middle, addresses::place_of(other.ip())) {
            (Middle::Switch, Some(place)) if place.node < book.moved.len() => {
                addresses::mac(place.node, book.moved[place.node])
            }
            _ => addresses::ROUTER_MAC,
        };
        let link = Link { src, dst, vlan: mix.vlan };
        let frame = self.forgery(link, node, victim, other);
        send(node, frame);
    }

    fn forgery(
        &mut self,
        link: Link,
        node: usize,
        victim: SocketAddr,
        other: SocketAddr,
    ) -> Box<[u8]> {
        let mut guess = || self.luck.below(1 << 32) as u32;
        let mut header = tcp::Header {
            src_port: 0,
            dst_port: 0,
            seq: guess(),
            ack: guess(),
            flags: tcp::Flags::RST,
            window: guess() as u16,
            urgent: 0,
            options: tcp::Options::NONE,
        };
        let says = match self.luck.below(7) {
            0 => Some(Says::TooBig(self.luck.pick(&[68, 296, 576, 1280]))),
            1 => Some(Says::NoPort),
            2 => Some(Says::NoHost),
            3 => Some(Says::Expired),
            4 => None,
            5 => {
                header.flags = tcp::Flags::SYN;
                None
            }
            _ => {
                header.flags = tcp::Flags::ACK;
                None
            }
        };
        let Some(says) = says else { return link.segment(other, victim, &header, &[]) };
        // It quotes a segment that the victim may have sent.
        header.flags = tcp::Flags::ACK;
        let quoted = link.segment(victim, other, &header, &[]);
        let start = if link.vlan.is_some() { 18 } else { 14 };
        let from = addresses::gateway(node, victim.is_ipv6());
        link.error(from, victim.ip(), says, &quoted[start..])
    }
}
