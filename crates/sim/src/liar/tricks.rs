//! The tricks: what a liar does on a connection, one kind each.

use super::{Conn, Liar, bare};
use crore_wire::tcp::{self, Flags};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a liar does on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Trick {
    /// Acknowledges octets before they arrive, to be sent to faster (Savage et al., 1999).
    OptimisticAck,
    /// Acknowledges each segment in many small parts.
    AckDivision,
    /// Takes its window back, to nothing and beyond.
    ShrinkingWindow,
    /// Reports octets that it does not have, or never could.
    SackLies,
    /// Reports octets and then denies to have them (RFC 2018 8).
    Reneging,
    /// Sends timestamps that leap, and echoes such as it never got.
    WrongTimestamps,
    /// Sends other octets for the same numbers.
    OtherOctets,
    /// Sends octets outside of the window, before and behind it.
    BeyondWindow,
    /// Sends what the state does not allow: SYN, FIN and SYN together, no flag at all, URG.
    WrongFlags,
    /// Resets near the mark, and SYNs within the connection.
    NearMisses,
    /// Opens, and never acknowledges anything.
    Silence,
    /// Makes holes in the sequence, as many as there is room for.
    Holes,
    /// Closes at once, and acknowledges nothing any more.
    EarlyFin,
    /// Plays with the handshake.
    Handshake,
}

impl Trick {
    /// All of them.
    pub const ALL: [Trick; 14] = [
        Trick::OptimisticAck,
        Trick::AckDivision,
        Trick::ShrinkingWindow,
        Trick::SackLies,
        Trick::Reneging,
        Trick::WrongTimestamps,
        Trick::OtherOctets,
        Trick::BeyondWindow,
        Trick::WrongFlags,
        Trick::NearMisses,
        Trick::Silence,
        Trick::Holes,
        Trick::EarlyFin,
        Trick::Handshake,
    ];
}

/// A connection's name: its own end, and the other.
type Tuple = (SocketAddr, SocketAddr);

impl Liar {
    /// Octets or a SYN came in order: an answer, more or less.
    pub(super) fn answer(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        let mut header = conn.ack();
        match conn.trick {
            Trick::OptimisticAck => {
                // Some segments ahead; beyond what was sent now and then.
                let ahead = self.luck.pick(&[0, 1200, 3600, 20_000]);
                header.ack = conn.rcv_nxt.wrapping_add(ahead);
            }
            Trick::AckDivision => return self.divide(tuple, out),
            Trick::ShrinkingWindow => {
                header.window = self.luck.pick(&[0, 1, 7, 100, 2000, 8192, 65_535]);
            }
            Trick::SackLies | Trick::Reneging => {
                header.options.sack = self.luck_blocks(tuple);
                let Some(conn) = self.conns.get(&tuple) else { return };
                // What is reported is not acknowledged: it is asked for again.
                header.ack = if self.luck.chance(700) { conn.acked } else { conn.rcv_nxt };
            }
            Trick::Silence => return,
            Trick::EarlyFin => return self.early_fin(tuple, out),
            Trick::Handshake if self.luck.chance(500) => {
                header = bare(conn.snd_nxt, conn.rcv_nxt, Flags::RST);
            }
            _ => {}
        }
        self.send(tuple, header, &[], out);
    }

    /// One acknowledgment for each few octets.
    fn divide(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get(&tuple) else { return };
        let (from, to) = (conn.acked, conn.rcv_nxt);
        let step = (to.wrapping_sub(from) / PARTS).max(1);
        let mut ack = from;
        while ack != to {
            ack = ack.wrapping_add(step.min(to.wrapping_sub(ack)));
            let Some(conn) = self.conns.get(&tuple) else { return };
            let header = tcp::Header { ack, ..conn.ack() };
            self.send(tuple, header, &[], out);
        }
    }

    /// Reports of octets around those that came: what has not come, what is acknowledged, runs
    /// that are empty or turned around.
    fn luck_blocks(&mut self, tuple: Tuple) -> tcp::SackBlocks {
        let Some(conn) = self.conns.get(&tuple) else { return tcp::SackBlocks::EMPTY };
        let (base, honest) = (conn.acked, conn.rcv_nxt);
        let mut blocks = tcp::SackBlocks::EMPTY;
        for _ in 0..self.luck.between(1, 3) {
            let left = base.wrapping_add(self.luck.pick(&[0, 1, 600, 1200, 2400, 60_000]));
            let right = match self.luck.below(4) {
                0 => left.wrapping_sub(1),
                1 => honest.wrapping_add(1 << 20),
                2 => honest,
                _ => left.wrapping_add(self.luck.pick(&[1, 600, 1200, 4800])),
            };
            blocks.push(left, right);
        }
        blocks
    }

    /// Something out of the blue.
    pub(super) fn act(&mut self, tuple: Tuple, now_us: u64, out: &mut Vec<Box<[u8]>>) {
        let pace_us = self.mix.pace_us;
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        conn.acts_left -= 1;
        conn.next_us = now_us + pace_us;
        if !conn.is_open {
            // SYNs are lost as all else; that much it repeats.
            return;
        }
        if conn.acts_left == 0 {
            if self.mix.resets {
                let reset = bare(conn.snd_nxt, conn.rcv_nxt, Flags::RST | Flags::ACK);
                self.send(tuple, reset, &[], out);
            }
            self.conns.remove(&tuple);
            return;
        }
        let trick = conn.trick;
        let header = conn.ack();
        match trick {
            Trick::Silence | Trick::EarlyFin => {}
            Trick::OtherOctets => self.other_octets(tuple, out),
            Trick::BeyondWindow => self.beyond_window(tuple, out),
            Trick::WrongFlags => self.wrong_flags(tuple, out),
            Trick::NearMisses => self.near_misses(tuple, out),
            Trick::Holes => self.holes(tuple, out),
            Trick::Reneging | Trick::SackLies | Trick::ShrinkingWindow => self.answer(tuple, out),
            Trick::OptimisticAck => {
                let ahead = self.luck.below(100_000) as u32;
                let header = tcp::Header { ack: header.ack.wrapping_add(ahead), ..header };
                self.send(tuple, header, &[], out);
            }
            Trick::AckDivision | Trick::WrongTimestamps | Trick::Handshake => {
                self.octets(tuple, 100, out);
            }
        }
    }

    /// A FIN in order, with what acknowledges the handshake and nothing after it.
    fn early_fin(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        if conn.has_closed {
            return;
        }
        conn.has_closed = true;
        let header = tcp::Header { flags: Flags::ACK | Flags::FIN, ..conn.ack() };
        conn.snd_nxt = conn.snd_nxt.wrapping_add(1);
        self.send(tuple, header, &[], out);
    }

    /// Octets as an honest peer would send them.
    fn octets(&mut self, tuple: Tuple, len: usize, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        let header = conn.ack();
        conn.snd_nxt = conn.snd_nxt.wrapping_add(len as u32);
        self.send(tuple, header, &FILLED[..len], out);
    }

    /// New octets, and others over the same numbers, in front of a hole and behind it.
    fn other_octets(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        let header = conn.ack();
        let at = |offset: u32| tcp::Header { seq: header.seq.wrapping_add(offset), ..header };
        let (later, over) = (self.luck.below(400) as u32, self.luck.below(300) as u32);
        self.send(tuple, at(later), &FILLED[..300], out);
        self.send(tuple, at(over), &OTHERS[..400], out);
        self.send(tuple, at(over.wrapping_sub(100)), &FILLED[..200], out);
        if self.luck.chance(500) {
            self.octets(tuple, 500, out);
        }
    }

    fn beyond_window(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        let (header, window) = (conn.ack(), conn.window);
        let offset = match self.luck.below(4) {
            0 => window.wrapping_sub(50),
            1 => window,
            2 => window << 4,
            _ => (self.luck.below(1 << 32)) as u32,
        };
        let seq = header.seq.wrapping_add(offset);
        let flags = self.luck.pick(&[Flags::ACK, Flags::ACK | Flags::FIN]);
        self.send(tuple, tcp::Header { seq, flags, ..header }, &FILLED[..100], out);
        if self.luck.chance(300) {
            self.octets(tuple, 1000, out);
        }
    }

    fn wrong_flags(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        let mut header = conn.ack();
        header.flags = self.luck.pick(&[
            Flags(0),
            Flags::SYN,
            Flags::SYN | Flags::FIN,
            Flags::SYN | Flags::ACK,
            Flags::FIN,
            Flags::ACK | Flags::URG,
            Flags(0xff),
        ]);
        header.urgent = self.luck.below(1 << 16) as u16;
        if self.luck.chance(300) {
            header.ack = header.ack.wrapping_sub(1 << 31);
        }
        let len = self.luck.pick(&[0, 1, 200]);
        self.send(tuple, header, &FILLED[..len], out);
    }

    fn near_misses(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        let mut header = conn.ack();
        let off = self.luck.pick(&[1, 2, 1000, 0xffff_ffff, 0x8000_0000]);
        header.seq = header.seq.wrapping_add(off);
        header.flags = self.luck.pick(&[Flags::RST, Flags::RST | Flags::ACK, Flags::SYN]);
        self.send(tuple, header, &[], out);
    }

    /// Every other octet, or nearly: what a receiver has to keep with much overhead.
    fn holes(&mut self, tuple: Tuple, out: &mut Vec<Box<[u8]>>) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        let header = conn.ack();
        let step = self.luck.pick(&[2, 3, 50]);
        for n in 1..=HOLES {
            let seq = header.seq.wrapping_add(n * step);
            self.send(tuple, tcp::Header { seq, ..header }, &FILLED[..1], out);
        }
    }

    fn send(
        &mut self,
        tuple: Tuple,
        mut header: tcp::Header,
        payload: &[u8],
        out: &mut Vec<Box<[u8]>>,
    ) {
        let Some(conn) = self.conns.get_mut(&tuple) else { return };
        if conn.has_timestamps && self.mix.timestamps {
            let honest = tcp::Timestamps { value: 1, echo: conn.ts_recent };
            let wild = conn.trick == Trick::WrongTimestamps;
            header.options.timestamps = Some(if wild {
                let value = self.luck.pick(&[0, 1, 2, 1 << 30, (1 << 31) + 5, u32::MAX]);
                let off = self.luck.below(1 << 32) as u32;
                tcp::Timestamps { value, echo: honest.echo.wrapping_add(off) }
            } else {
                honest
            });
        }
        if header.options.sack.is_empty() && header.flags.contains(Flags::ACK) {
            conn.acked = conn.rcv_nxt;
        }
        self.emit(tuple, &header, payload, out);
    }
}

impl Conn {
    /// The acknowledgment that an honest peer would send.
    fn ack(&self) -> tcp::Header {
        bare(self.snd_nxt, self.rcv_nxt, Flags::ACK)
    }
}

const FILLED: [u8; 1000] = [0xa5; 1000];
const OTHERS: [u8; 1000] = [0x3c; 1000];

/// Acknowledgments for one segment.
const PARTS: u32 = 20;

/// Single octets sent at once.
const HOLES: u32 = 20;
