//! A lane: one direction between a node and the middle, and what becomes of each frame on it.
//!
//! ```text
//!   frame ─> lost? ─> queue (bandwidth) ─> delay, jitter ─┬─> corrupted? ─> arrives
//!                                         held back? ─────┘   cut short? in two? again? later?
//! ```

use super::frame;
use super::segment::Segment;
use crate::luck::Luck;
use crate::mix::LaneMix;
use crore_wire::tcp;

/// A lane and what is on it.
pub(super) struct Lane {
    mix: LaneMix,
    plain: bool,
    /// The rate that a fault set, in place of the mix's.
    pub(super) rate: Option<u64>,
    /// When the last frame has left the queue.
    free_at_us: u64,
    /// When the last frame that kept its place arrives.
    last_arrival_us: u64,
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Arrives, then.
    Arrives(u64),
    /// Arrives twice.
    Twice(u64, u64),
    /// Arrives with a wrong octet, or cut short.
    Corrupted(u64),
    /// Arrives as two segments that overlap, or as two fragments, then.
    Split(u64),
    /// Lost.
    Lost,
    /// No room in the queue.
    NoRoom,
    /// A fault by schedule keeps it from going on.
    Cut,
    /// It is larger than what the next link takes.
    TooBig,
    /// The middle knows nobody with that address.
    Nobody,
}

/// A copy of a frame that comes out of a lane.
pub(super) struct Arrival {
    pub(super) at_us: u64,
    /// As it was sent.
    pub(super) is_intact: bool,
    pub(super) frame: Box<[u8]>,
}

impl Lane {
    pub(super) fn new(mix: &LaneMix) -> Self {
        let plain = mix.is_plain();
        Self { mix: mix.clone(), plain, rate: None, free_at_us: 0, last_arrival_us: 0 }
    }

    /// Takes a frame; what comes out is handed to `out`.
    pub(super) fn pass(
        &mut self,
        now_us: u64,
        frame: Box<[u8]>,
        was_intact: bool,
        has_faults: bool,
        luck: &mut Luck,
        mut out: impl FnMut(Arrival),
    ) -> Fate {
        let mut intact = |at_us, frame| out(Arrival { at_us, is_intact: true, frame });
        if self.plain && self.rate.is_none() && self.last_arrival_us <= now_us {
            intact(now_us, frame);
            return Fate::Arrives(now_us);
        }
        if has_faults && luck.chance(self.mix.loss_per_mille) {
            return Fate::Lost;
        }
        let Some(leaves_us) = self.queue(now_us, frame.len()) else { return Fate::NoRoom };
        let mix = &self.mix;
        let mut at_us = leaves_us + mix.delay_us + luck.below(mix.jitter_us + 1);
        if has_faults && luck.chance(mix.reorder_per_mille) {
            at_us += luck.below(mix.reorder_us + 1);
        } else {
            at_us = at_us.max(self.last_arrival_us);
            self.last_arrival_us = at_us;
        }
        if !has_faults {
            intact(at_us, frame);
            return Fate::Arrives(at_us);
        }
        let mut frame = frame;
        if luck.chance(mix.mark_per_mille) {
            frame::mark_congestion(&mut frame);
        }
        if luck.chance(mix.ancient_per_mille) {
            let again_us = at_us + luck.below(mix.ancient_us + 1);
            intact(again_us, frame.clone());
        }
        let twice = luck.chance(mix.duplicate_per_mille);
        let again_us = at_us + luck.below(mix.reorder_us + 1);
        let spoilt = if luck.chance(mix.corrupt_per_mille) {
            Some(corrupted(luck, &frame))
        } else if luck.chance(mix.truncate_per_mille) {
            Some(cut_short(luck, &frame))
        } else {
            None
        };
        if let Some(spoilt) = spoilt {
            let Some(frame) = spoilt else { return Fate::Lost };
            out(Arrival { at_us, is_intact: false, frame });
            return Fate::Corrupted(at_us);
        }
        if let Some(parts) = in_two(luck, mix, &frame, was_intact) {
            for part in parts {
                intact(at_us, part);
            }
            return Fate::Split(at_us);
        }
        if !twice {
            intact(at_us, frame);
            return Fate::Arrives(at_us);
        }
        intact(at_us, frame.clone());
        intact(again_us, frame);
        Fate::Twice(at_us, again_us)
    }

    /// When the frame has left the queue; `None`: there is no room for it.
    fn queue(&mut self, now_us: u64, len: usize) -> Option<u64> {
        let Some(bytes_per_second) = self.rate.or(self.mix.bytes_per_second) else {
            return Some(now_us);
        };
        let begins_us = now_us.max(self.free_at_us);
        if begins_us - now_us > self.mix.queue_us {
            return None;
        }
        // The preamble, the check sequence and the gap between frames take part.
        let leaves_us = begins_us + (len as u64 + 24) * 1_000_000 / bytes_per_second.max(1);
        self.free_at_us = leaves_us;
        Some(leaves_us)
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
    // Another lane may have left the Ethernet header only.
    let last = frame.len().checked_sub(1).filter(|&last| last >= ip)?;
    let at = luck.between(ip as u64, last as u64) as usize;
    if length.contains(&at) {
        return None;
    }
    frame[at] ^= luck.between(1, 255) as u8;
    Some(frame)
}

/// A copy without its end, as a bridge with a fault of its own may make it.
fn cut_short(luck: &mut Luck, frame: &[u8]) -> Option<Box<[u8]>> {
    let len = luck.between(1, frame.len() as u64 - 1) as usize;
    // Padding may be missed by nobody.
    Segment::parse(frame)?;
    Some(frame[..len].into())
}

/// A frame may become two: segments or fragments.
fn in_two(
    luck: &mut Luck,
    mix: &LaneMix,
    frame: &[u8],
    was_intact: bool,
) -> Option<[Box<[u8]>; 2]> {
    // Who cuts a segment anew has seen that its checksum is right.
    if was_intact
        && luck.chance(mix.split_per_mille)
        && let Some(parts) = split(luck, frame)
    {
        return Some(parts);
    }
    luck.chance(mix.fragment_per_mille).then(|| frame::fragments(luck, frame))?
}

/// The same octets in two segments that overlap, as a peer may send them that cuts its segments
/// anew when it sends them again. `None` when there are too few octets.
fn split(luck: &mut Luck, frame: &[u8]) -> Option<[Box<[u8]>; 2]> {
    let whole = Segment::parse(frame)?;
    let len = whole.payload.len() as u64;
    // Nobody cuts a SYN in two: its second half would begin another stream.
    if len < 2 || whole.header.flags.contains(tcp::Flags::SYN) {
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
