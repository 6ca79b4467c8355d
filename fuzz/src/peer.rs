//! A peer that keeps to the rules, mostly: it answers what it gets, as an input says.

use crate::frames;
use crate::host::{Host, PEER_ISS, Sent};
use crate::lan::{BAIT, v4};
use crate::pattern;
use crore_wire::tcp;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One connection, seen from the bait.
#[derive(Clone, Copy)]
struct Side {
    /// The next sequence number of the bait.
    snd_nxt: u32,
    /// The next one it expects.
    rcv_nxt: u32,
    /// The end of the highest octet that came beyond it.
    highest: u32,
    ts_recent: u32,
}

/// All connections of the bait, by its port and ours.
#[derive(Default)]
pub(crate) struct Peer {
    sides: BTreeMap<(u16, u16), Side>,
    queue: Vec<Sent>,
}

impl Peer {
    /// What the engine sent waits for [`Peer::answer`].
    pub(crate) fn take(&mut self, sent: Vec<Sent>) {
        self.queue.extend(sent.into_iter().filter(|segment| !segment.is_v6));
        let excess = self.queue.len().saturating_sub(QUEUE_MAX);
        self.queue.drain(..excess);
    }

    /// Learns of the segment that has waited longest, and answers it.
    ///
    /// ```text
    ///   how & 3: 0 lost, 1 noted without an answer, 2 acknowledged, 3 with a small window
    ///   how & 4: octets with it        how & 8: a FIN with it       how & 16: twice
    ///   how & 32: beginning with the segment that came last
    /// ```
    pub(crate) fn answer(&mut self, host: &Host, how: u8) -> Vec<Vec<u8>> {
        if self.queue.is_empty() {
            return Vec::new();
        }
        let at = if how & 32 == 0 { 0 } else { self.queue.len() - 1 };
        let segment = self.queue.remove(at);
        if how & 3 == 0 {
            return Vec::new();
        }
        let key = (segment.ports.1, segment.ports.0);
        let flags = segment.header.flags;
        if flags.contains(tcp::Flags::RST) {
            self.sides.remove(&key);
            return Vec::new();
        }
        let is_syn = flags.contains(tcp::Flags::SYN);
        if is_syn {
            let first = segment.header.seq.wrapping_add(1);
            let snd_nxt = if flags.contains(tcp::Flags::ACK) { PEER_ISS + 1 } else { PEER_ISS };
            let side = Side { snd_nxt, rcv_nxt: first, highest: first, ts_recent: 0 };
            self.sides.entry(key).or_insert(side);
        }
        let Some(side) = self.sides.get_mut(&key) else { return Vec::new() };
        note(side, &segment);
        if how & 3 == 1 {
            return Vec::new();
        }
        let frame = reply(host, side, key, how, is_syn && !flags.contains(tcp::Flags::ACK));
        if how & 16 == 0 { vec![frame] } else { vec![frame.clone(), frame] }
    }
}

fn note(side: &mut Side, segment: &Sent) {
    if let Some(timestamps) = segment.header.options.timestamps {
        side.ts_recent = timestamps.value;
    }
    let fin = u32::from(segment.header.flags.contains(tcp::Flags::FIN));
    let (start, end) = (segment.header.seq, segment.header.seq.wrapping_add(segment.len + fin));
    let ahead = |a: u32, b: u32| (a.wrapping_sub(b) as i32) > 0;
    if ahead(end, side.highest) {
        side.highest = end;
    }
    if !ahead(start, side.rcv_nxt) && ahead(end, side.rcv_nxt) {
        side.rcv_nxt = end;
    }
}

fn reply(host: &Host, side: &mut Side, ports: (u16, u16), how: u8, to_syn: bool) -> Vec<u8> {
    let mut flags = tcp::Flags::ACK;
    let mut len = if how & 4 == 0 { 0 } else { 1 + usize::from(how) * 5 };
    if to_syn {
        flags = flags | tcp::Flags::SYN;
        len = 0;
    } else if how & 8 != 0 {
        flags = flags | tcp::Flags::FIN;
    }
    let mut header = frames::header(ports, side.snd_nxt, side.rcv_nxt, flags);
    header.window = if how & 3 == 3 { u16::from(how >> 4) << 6 } else { 8000 };
    header.options.timestamps = Some(host.peer_clock(side.ts_recent));
    if to_syn {
        header.options.mss = Some(536);
        header.options.sack_permitted = true;
    } else if side.highest != side.rcv_nxt {
        header.options.sack.push(side.highest.wrapping_sub(1), side.highest);
    }
    let text = pattern::from(side.snd_nxt, len);
    let fin = u32::from(flags.contains(tcp::Flags::FIN));
    side.snd_nxt = side.snd_nxt.wrapping_add(len as u32 + fin + u32::from(to_syn));
    frames::in_segment(IpAddr::V4(v4(BAIT)), None, &header, &text)
}

/// Segments that may wait; the oldest are lost beyond it.
const QUEUE_MAX: usize = 64;
