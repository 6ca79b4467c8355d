//! The link: what becomes of each frame between two hosts.
//!
//! ```text
//!   sent ─> blackout? lost? ─> queue (bandwidth) ─> delay, jitter ─┬─> corrupted? ─> arrives
//!                                                  held back? ─────┘   duplicated? split?
//! ```

use crate::luck::Luck;
use crate::mix::{LaneMix, Mix, Temper};
use crate::segment::Segment;
use crore_wire::tcp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Both directions, and the frames that are under way.
pub(crate) struct Wire {
    lanes: [Lane; 2],
    luck: Luck,
    faults_end_us: u64,
    /// Questions for neighbours and their answers meet no faults.
    spares_neighbours: bool,
    under_way: BinaryHeap<Reverse<Flight>>,
    number: u64,
}

struct Lane {
    mix: LaneMix,
    /// When the last frame has left the queue.
    free_at_us: u64,
    /// When the last frame that kept its place arrives.
    last_arrival_us: u64,
}

/// A frame that will arrive. Ordered by time, then by order of sending.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flight {
    at_us: u64,
    number: u64,
    pub(crate) to: usize,
    /// As it was sent.
    pub(crate) is_intact: bool,
    pub(crate) frame: Box<[u8]>,
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Arrives, then.
    Arrives(u64),
    /// Arrives twice.
    Twice(u64, u64),
    /// Arrives with a wrong octet.
    Corrupted(u64),
    /// Arrives as two segments that overlap, then.
    Split(u64),
    /// Lost.
    Lost,
    /// No room in the queue.
    NoRoom,
}

impl Wire {
    pub(crate) fn new(mix: &mut Mix, luck: Luck) -> Self {
        let lanes = std::mem::take(&mut mix.lanes);
        let lanes = lanes.map(|mix| Lane { mix, free_at_us: 0, last_arrival_us: 0 });
        Self {
            lanes,
            luck,
            faults_end_us: mix.faults_end_us,
            spares_neighbours: mix.temper != Temper::Harsh,
            under_way: BinaryHeap::new(),
            number: 0,
        }
    }

    /// Takes a frame from host `from` and decides its fate.
    pub(crate) fn send(&mut self, now_us: u64, from: usize, frame: &[u8]) -> Fate {
        // Without the next hop's link address nothing can be said of what a host should send.
        let spared = self.spares_neighbours && Segment::parse(frame).is_none();
        let faults = now_us < self.faults_end_us && !spared;
        let (lane, luck) = (&mut self.lanes[from], &mut self.luck);
        let mix = &lane.mix;
        let dark = mix.blackouts.iter().any(|&(start, end)| (start..end).contains(&now_us));
        if faults && (dark || luck.chance(mix.loss_per_mille)) {
            return Fate::Lost;
        }
        let mut leaves_us = now_us;
        if let Some(bytes_per_second) = mix.bytes_per_second {
            leaves_us = leaves_us.max(lane.free_at_us);
            if leaves_us - now_us > mix.queue_us {
                return Fate::NoRoom;
            }
            // The preamble, the check sequence and the gap between frames take part.
            leaves_us += (frame.len() as u64 + 24) * 1_000_000 / bytes_per_second;
            lane.free_at_us = leaves_us;
        }
        let mut at_us = leaves_us + mix.delay_us + luck.below(mix.jitter_us + 1);
        if faults && luck.chance(mix.reorder_per_mille) {
            at_us += luck.below(mix.reorder_us + 1);
        } else {
            at_us = at_us.max(lane.last_arrival_us);
            lane.last_arrival_us = at_us;
        }
        let twice = faults && luck.chance(mix.duplicate_per_mille);
        let again_us = at_us + luck.below(mix.reorder_us + 1);
        if faults && luck.chance(mix.corrupt_per_mille) {
            return match corrupted(luck, frame) {
                Some(frame) => {
                    self.fly(at_us, from, frame, false);
                    Fate::Corrupted(at_us)
                }
                None => Fate::Lost,
            };
        }
        if faults
            && luck.chance(mix.split_per_mille)
            && let Some(parts) = split(luck, frame)
        {
            for part in parts {
                self.fly(at_us, from, part, true);
            }
            return Fate::Split(at_us);
        }
        self.fly(at_us, from, frame.into(), true);
        if !twice {
            return Fate::Arrives(at_us);
        }
        self.fly(again_us, from, frame.into(), true);
        Fate::Twice(at_us, again_us)
    }

    fn fly(&mut self, at_us: u64, from: usize, frame: Box<[u8]>, is_intact: bool) {
        self.number += 1;
        let flight = Flight { at_us, number: self.number, to: 1 - from, is_intact, frame };
        self.under_way.push(Reverse(flight));
    }

    /// When the next frame arrives.
    pub(crate) fn next_at_us(&self) -> Option<u64> {
        self.under_way.peek().map(|Reverse(flight)| flight.at_us)
    }

    /// The next frame that arrives by `now_us`.
    pub(crate) fn arrival(&mut self, now_us: u64) -> Option<Flight> {
        if self.next_at_us()? > now_us {
            return None;
        }
        self.under_way.pop().map(|Reverse(flight)| flight)
    }
}

/// A copy with one octet changed where only the stack's checksums can tell; `None` when the link's
/// own check sequence would have told (ARP has no checksum).
///
/// One octet, because the Internet checksum finds every change within 15 bits (RFC 1071 1); and
/// not the length of an IPv6 packet, which it covers only by the bytes that it moves in and out.
fn corrupted(luck: &mut Luck, frame: &[u8]) -> Option<Box<[u8]>> {
    let tagged = frame.get(12..14)? == VLAN;
    let ip = if tagged { 18 } else { 14 };
    let length = match frame.get(ip - 2..ip)? {
        IPV4 => 0..0,
        IPV6 => ip + 4..ip + 6,
        _ => return None,
    };
    let mut frame: Box<[u8]> = frame.into();
    let at = luck.between(ip as u64, frame.len() as u64 - 1) as usize;
    if length.contains(&at) {
        return None;
    }
    frame[at] ^= luck.between(1, 255) as u8;
    Some(frame)
}

/// The same octets in two segments that overlap, as a peer may send them that cuts its segments
/// anew when it sends them again. `None` when there are too few octets.
fn split(luck: &mut Luck, frame: &[u8]) -> Option<[Box<[u8]>; 2]> {
    let len = Segment::parse(frame)?.payload.len() as u64;
    if len < 2 {
        return None;
    }
    let (end, start) = (luck.between(1, len - 1), luck.below(len));
    let start = start.min(end);
    let controls = tcp::Flags::FIN | tcp::Flags::PSH;
    let first = Segment::part(frame, 0..end as usize, controls)?;
    let second = Segment::part(frame, start as usize..len as usize, tcp::Flags(0))?;
    Some([first, second])
}

const VLAN: &[u8] = &[0x81, 0x00];
const IPV4: &[u8] = &[0x08, 0x00];
const IPV6: &[u8] = &[0x86, 0xdd];
