//! A peer that breaks the rules on purpose. It is no stack: it knows just enough of TCP to get a
//! connection and to do harm with it.
//!
//! Each of its connections has one trick; some also come from the hosts it lies to. What must hold
//! is on the other side: no panic, every invariant, bounded memory, an end to every connection,
//! and nothing for anybody else to notice.

mod tricks;

pub use self::tricks::Trick;

use crate::addresses;
use crate::luck::{Luck, Purpose};
use crate::mix::{LaneMix, Mix};
use crate::network::frame::{self, Link};
use crate::network::segment::Segment;
use crore_wire::ethernet::{self, MacAddr};
use crore_wire::tcp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A liar, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiarMix {
    /// To the middle.
    pub up: LaneMix,
    /// From the middle.
    pub down: LaneMix,
    /// What it does: each of its connections takes one of these.
    pub tricks: Vec<Trick>,
    /// When it opens a connection, and to which host.
    pub openings: Vec<(usize, u64)>,
    /// When a host opens a connection to it.
    pub visits: Vec<(usize, u64)>,
    /// Segments that it sends out of the blue on a connection, at most.
    pub acts: u32,
    /// Time between two of them.
    pub pace_us: u64,
    /// It offers timestamps.
    pub timestamps: bool,
    /// The last thing on a connection is a reset; else it falls silent.
    pub resets: bool,
}

/// A liar at work.
pub(crate) struct Liar {
    node: usize,
    mix: LiarMix,
    vlan: Option<u16>,
    luck: Luck,
    openings: Vec<(usize, u64)>,
    conns: BTreeMap<(SocketAddr, SocketAddr), Conn>,
    next_port: u16,
    /// The hardware address that frames come from, by host.
    macs: BTreeMap<usize, MacAddr>,
    routed: bool,
}

/// What it knows of one of its connections.
#[derive(Debug)]
struct Conn {
    trick: Trick,
    /// Its own next octet, as it would be were it honest.
    snd_nxt: u32,
    /// The peer's next octet.
    rcv_nxt: u32,
    /// What it acknowledged.
    acked: u32,
    /// The peer's window, not scaled.
    window: u32,
    /// The peer's last timestamp.
    ts_recent: u32,
    has_timestamps: bool,
    is_open: bool,
    has_closed: bool,
    acts_left: u32,
    answers_left: u32,
    next_us: u64,
}

impl Liar {
    pub(crate) fn new(mix: &Mix, node: usize) -> Self {
        let own = mix.liars[node - mix.hosts.len()].clone();
        let mut openings = own.openings.clone();
        openings.sort_by_key(|&(_, at_us)| std::cmp::Reverse(at_us));
        Self {
            node,
            vlan: mix.vlan,
            luck: Luck::new(mix.seed, Purpose::Liar(node)),
            openings,
            conns: BTreeMap::new(),
            next_port: 10_000,
            macs: (0..mix.hosts.len()).map(|n| (n, addresses::mac(n, 0))).collect(),
            routed: mix.middle == crate::mix::Middle::Router,
            mix: own,
        }
    }

    /// When it next does something by itself.
    pub(crate) fn next_us(&self) -> Option<u64> {
        let opening = self.openings.last().map(|&(_, at_us)| at_us);
        let acts = self.conns.values().filter(|conn| conn.acts_left > 0);
        acts.map(|conn| conn.next_us).chain(opening).min()
    }

    /// What it does by itself at `now_us`.
    pub(crate) fn turn(&mut self, now_us: u64, moved: &[u8], out: &mut Vec<Box<[u8]>>) {
        while let Some(&(host, at_us)) = self.openings.last()
            && at_us <= now_us
        {
            self.openings.pop();
            self.open(host, moved, now_us, out);
        }
        let due = self.conns.iter().filter(|(_, c)| c.acts_left > 0 && c.next_us <= now_us);
        let due: Vec<_> = due.map(|(&tuple, _)| tuple).collect();
        for tuple in due {
            self.act(tuple, now_us, out);
        }
    }

    fn open(&mut self, host: usize, moved: &[u8], now_us: u64, out: &mut Vec<Box<[u8]>>) {
        let is_v6 = self.luck.chance(400);
        let port = self.next_port;
        self.next_port += 1;
        let local = SocketAddr::new(addresses::address(self.node, 0, 0, is_v6), port);
        let remote = addresses::address(host, moved[host], 0, is_v6);
        let remote = SocketAddr::new(remote, crate::book::LISTENING_PORT);
        let iss = self.luck.below(1 << 32) as u32;
        let mut conn = self.conn(iss, now_us);
        conn.snd_nxt = iss.wrapping_add(1);
        let mut syn = bare(iss, 0, tcp::Flags::SYN);
        syn.options = self.syn_options(0);
        let tuple = (local, remote);
        self.emit(tuple, &syn, &[], out);
        self.conns.insert(tuple, conn);
    }

    fn conn(&mut self, iss: u32, now_us: u64) -> Conn {
        Conn {
            trick: self.luck.pick(&self.mix.tricks),
            snd_nxt: iss,
            rcv_nxt: 0,
            acked: 0,
            window: 0,
            ts_recent: 0,
            has_timestamps: false,
            is_open: false,
            has_closed: false,
            acts_left: self.mix.acts,
            answers_left: ANSWERS_MAX,
            next_us: now_us + self.mix.pace_us,
        }
    }

    fn syn_options(&self, echo: u32) -> tcp::Options {
        tcp::Options {
            mss: Some(1200),
            window_scale: Some(4),
            sack_permitted: true,
            timestamps: self.mix.timestamps.then_some(tcp::Timestamps { value: 1, echo }),
            ..tcp::Options::NONE
        }
    }

    /// A frame reaches it.
    pub(crate) fn arrives(&mut self, now_us: u64, frame: &[u8], out: &mut Vec<Box<[u8]>>) {
        if let Some(question) = frame::question(frame) {
            let mine = addresses::place_of(question.target)
                .is_some_and(|place| place.node == self.node && place.low < 8);
            if mine {
                let src = addresses::mac(self.node, 0);
                let link = Link { src, dst: question.mac, vlan: self.vlan };
                out.push(link.neighbour(question.target, question.asker));
            }
            return;
        }
        let Some(segment) = Segment::parse(frame) else { return };
        let at_me = addresses::place_of(segment.to.ip());
        if at_me.is_none_or(|place| place.node != self.node) {
            return;
        }
        if let (Some(place), Ok((ethernet, _))) =
            (addresses::place_of(segment.from.ip()), ethernet::Header::parse(frame))
        {
            self.macs.insert(place.node, ethernet.src);
        }
        self.segment(now_us, &segment, out);
    }

    fn segment(&mut self, now_us: u64, segment: &Segment<'_>, out: &mut Vec<Box<[u8]>>) {
        let tuple = (segment.to, segment.from);
        let header = &segment.header;
        let (syn, ack) = (tcp::Flags::SYN, tcp::Flags::ACK);
        if header.flags.contains(tcp::Flags::RST) {
            self.conns.remove(&tuple);
            return;
        }
        if header.flags.contains(syn) && !header.flags.contains(ack) {
            return self.visited(now_us, tuple, header, out);
        }
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        conn.window = u32::from(header.window);
        if let Some(timestamps) = header.options.timestamps {
            conn.ts_recent = timestamps.value;
            conn.has_timestamps = true;
        }
        let mut fresh = false;
        if header.flags.contains(syn) {
            conn.rcv_nxt = header.seq.wrapping_add(1);
            conn.acked = conn.rcv_nxt;
            conn.is_open = true;
        } else if header.seq == conn.rcv_nxt {
            let fin = u32::from(header.flags.contains(tcp::Flags::FIN));
            let len = segment.payload.len() as u32 + fin;
            conn.rcv_nxt = conn.rcv_nxt.wrapping_add(len);
            conn.is_open = true;
            fresh = len > 0;
        }
        if (header.flags.contains(syn) || fresh) && conn.answers_left > 0 {
            conn.answers_left -= 1;
            self.answer(tuple, out);
        }
    }

    /// A host opens a connection to it: mostly it gets one.
    fn visited(
        &mut self,
        now_us: u64,
        tuple: (SocketAddr, SocketAddr),
        header: &tcp::Header,
        out: &mut Vec<Box<[u8]>>,
    ) {
        let iss = self.luck.below(1 << 32) as u32;
        let mut conn = self.conn(iss, now_us);
        conn.rcv_nxt = header.seq.wrapping_add(1);
        conn.acked = conn.rcv_nxt;
        conn.snd_nxt = iss.wrapping_add(1);
        conn.has_timestamps = header.options.timestamps.is_some() && self.mix.timestamps;
        conn.ts_recent = header.options.timestamps.map_or(0, |timestamps| timestamps.value);
        let mut answer = bare(iss, conn.rcv_nxt, tcp::Flags::SYN | tcp::Flags::ACK);
        answer.options = self.syn_options(conn.ts_recent);
        if conn.trick == Trick::Handshake {
            // Its own SYN in place of an answer, a wrong acknowledgment, a refusal, or nothing.
            match self.luck.below(5) {
                0 => answer.flags = tcp::Flags::SYN,
                1 => answer.ack = answer.ack.wrapping_add(self.luck.below(1 << 20) as u32),
                2 => answer.flags = tcp::Flags::RST | tcp::Flags::ACK,
                3 => answer.flags = tcp::Flags::ACK,
                _ => return,
            }
        }
        self.emit(tuple, &answer, &[], out);
        if answer.flags == tcp::Flags::SYN && self.luck.chance(500) {
            // RFC 9293 3.5.1: the simultaneous open that was begun is taken back.
            let reset = bare(answer.seq.wrapping_add(1), 0, tcp::Flags::RST);
            self.emit(tuple, &reset, &[], out);
        }
        self.conns.insert(tuple, conn);
    }

    /// Sends a segment of a connection, with the options that it would have.
    fn emit(
        &mut self,
        (local, remote): (SocketAddr, SocketAddr),
        header: &tcp::Header,
        payload: &[u8],
        out: &mut Vec<Box<[u8]>>,
    ) {
        let Some(place) = addresses::place_of(remote.ip()) else { return };
        let dst = if self.routed {
            addresses::ROUTER_MAC
        } else {
            self.macs.get(&place.node).copied().unwrap_or_default()
        };
        let link = Link { src: addresses::mac(self.node, 0), dst, vlan: self.vlan };
        out.push(link.segment(local, remote, header, payload));
    }
}

/// A header without options; ports are filled in where it is sent.
fn bare(seq: u32, ack: u32, flags: tcp::Flags) -> tcp::Header {
    tcp::Header {
        src_port: 0,
        dst_port: 0,
        seq,
        ack,
        flags,
        window: 8192,
        urgent: 0,
        options: tcp::Options::NONE,
    }
}

/// Segments that it answers: some hosts answer its answers.
const ANSWERS_MAX: u32 = 300;
