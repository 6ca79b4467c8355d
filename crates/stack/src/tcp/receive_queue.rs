//! The receive queue: octets the application has not consumed, and octets out of order.
//!
//! ```text
//!   rcv_queue ──> [unread ...] ──> [unread ...] ──> (hole) ──> [out of order] ──> [out of order]
//!                  │                    ^ RCV.NXT               │                     ^
//!                  └── last of its run ─┘                       └── last of its run ──┘
//! ```
//!
//! Sorted by sequence number, no overlaps. In-order octets of a connection whose queue is empty
//! never come here: the application reads them in the frame.
//!
//! Blocks without a hole between them are a run, and the first block of a run knows its last one.
//! All looking goes from run to run, so a window of thousands of segments behind one lost one is as
//! quick to add to as a short one, and the number of runs is what has a limit (CVE-2018-5390). Nor
//! must a peer that sends an octet at a time take a block for each: octets go into what is left of
//! their neighbours. The steps taken are counted.

use super::send_queue::{self, Marks, Segment};
use crate::seq::Seq;
use crate::tcb::Tcb;
use crore_mem::{BlockId, Pool};
use crore_wire::tcp::SACK_BLOCKS_MAX;

/// What became of an insertion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inserted {
    /// Kept.
    Yes,
    /// All of it was there already.
    Nothing,
    /// No block was free: dropped from some octet on.
    PoolEmpty,
}

/// Keeps `bytes`, whose first octet is `seq`, where nothing of them is there yet. `fin`: the
/// peer's FIN follows the last octet. Does not move RCV.NXT.
pub(crate) fn insert(
    tcb: &mut Tcb,
    pool: &mut Pool<Segment>,
    (seq, bytes): (Seq, &[u8]),
    fin: bool,
    steps: &mut u64,
) -> Inserted {
    let end = seq + bytes.len() as u32;
    let (before, mut run) = around(tcb, pool, seq, steps);
    let mut filling = Filling { seq, bytes, inserted: Inserted::Nothing };
    // In front of the run that they touch, or as one of their own.
    let touches = run != BlockId::NONE && pool.header(run).seq.le(end);
    let front = if touches { pool.header(run).seq } else { end };
    if seq.lt(front) && !(touches && filling.join_front(pool, run, front)) {
        let Some(head) = filling.new_run(tcb, pool, (before, run), front) else {
            return Inserted::PoolEmpty;
        };
        if touches && filling.inserted != Inserted::PoolEmpty {
            absorb(pool, head, pool.header(head).shared, run);
        }
        run = head;
    } else if !touches {
        // A FIN alone, beyond a hole.
        return if fin { keep_fin_alone(tcb, pool, (before, run), end) } else { Inserted::Nothing };
    }
    // Behind it, and over the holes between it and those that follow.
    while filling.inserted != Inserted::PoolEmpty {
        *steps += 1;
        let last = pool.header(run).shared;
        // Nothing comes after a FIN.
        if pool.header(last).marks & Marks::FIN != 0 {
            break;
        }
        let next = pool.header(last).next;
        let reaches = next != BlockId::NONE && pool.header(next).seq.le(end);
        let until = if reaches { pool.header(next).seq } else { end };
        filling.append(pool, run, until);
        if !reaches || filling.inserted == Inserted::PoolEmpty {
            break;
        }
        absorb(pool, run, pool.header(run).shared, next);
    }
    if fin && filling.inserted != Inserted::PoolEmpty {
        let last = pool.header(run).shared;
        if end_of(pool, last) == end {
            pool.header_mut(last).marks |= Marks::FIN;
            return Inserted::Yes;
        }
    }
    filling.inserted
}

/// The first run that ends at `seq` or behind it, and the block before it.
fn around(tcb: &Tcb, pool: &Pool<Segment>, seq: Seq, steps: &mut u64) -> (BlockId, BlockId) {
    let (mut before, mut run) = (BlockId::NONE, tcb.rcv_queue);
    while run != BlockId::NONE {
        *steps += 1;
        let last = pool.header(run).shared;
        if end_of(pool, last).ge(seq) {
            break;
        }
        (before, run) = (last, pool.header(last).next);
    }
    (before, run)
}

/// Octets on their way into the queue.
struct Filling<'a> {
    seq: Seq,
    bytes: &'a [u8],
    inserted: Inserted,
}

impl Filling<'_> {
    /// The octets from `at` on, up to `until`.
    fn part(&self, at: Seq, until: Seq) -> &[u8] {
        &self.bytes[at.since(self.seq) as usize..until.since(self.seq) as usize]
    }

    /// All that lies before a run goes into what is left of its first block, if it fits.
    fn join_front(&mut self, pool: &mut Pool<Segment>, run: BlockId, front: Seq) -> bool {
        let more = front.since(self.seq) as usize;
        let (segment, payload) = pool.parts_mut(run);
        let (start, len) = (usize::from(segment.offset), usize::from(segment.len));
        if more + len > payload.len() {
            return false;
        }
        payload.copy_within(start..start + len, more);
        payload[..more].copy_from_slice(self.part(self.seq, front));
        segment.seq = self.seq;
        segment.offset = 0;
        segment.len = (more + len) as u16;
        self.inserted = Inserted::Yes;
        true
    }

    /// A run of its own between a block and a run; `None`: not even its first block was free.
    fn new_run(
        &mut self,
        tcb: &mut Tcb,
        pool: &mut Pool<Segment>,
        (before, after): (BlockId, BlockId),
        until: Seq,
    ) -> Option<BlockId> {
        let head = new_block(pool, self.seq, self.part(self.seq, until))?;
        pool.header_mut(head).shared = head;
        link(tcb, pool, before, head, after);
        self.inserted = Inserted::Yes;
        self.append(pool, head, until);
        Some(head)
    }

    /// What of the octets lies between a run's end and `until`.
    fn append(&mut self, pool: &mut Pool<Segment>, run: BlockId, until: Seq) {
        let mut last = pool.header(run).shared;
        let mut at = end_of(pool, last);
        while at.lt(until) {
            let joined = join(pool, last, at, self.part(at, until));
            if joined == 0 {
                let Some(id) = new_block(pool, at, self.part(at, until)) else {
                    self.inserted = Inserted::PoolEmpty;
                    return;
                };
                let after = pool.header(last).next;
                pool.header_mut(id).next = after;
                pool.header_mut(last).next = id;
                pool.header_mut(run).shared = id;
                last = id;
            }
            at = end_of(pool, last);
            self.inserted = Inserted::Yes;
        }
    }
}

/// The run that follows without a hole becomes part of this one, its first block part of the last
/// one when there is room: else who fills holes of an octet would have a block for each.
fn absorb(pool: &mut Pool<Segment>, run: BlockId, last: BlockId, next: BlockId) {
    let (len, after, end) = {
        let head = pool.header(next);
        (usize::from(head.len), head.next, head.shared)
    };
    let used = usize::from(pool.header(last).offset) + usize::from(pool.header(last).len);
    let is_last = end == next;
    let fits = len <= COPIED_MAX && used + len <= pool.payload(last).len();
    if !fits {
        pool.header_mut(run).shared = end;
        return;
    }
    let mut copy = [0; COPIED_MAX];
    let start = usize::from(pool.header(next).offset);
    copy[..len].copy_from_slice(&pool.payload(next)[start..start + len]);
    let marks = pool.header(next).marks & Marks::FIN;
    let (segment, payload) = pool.parts_mut(last);
    payload[used..used + len].copy_from_slice(&copy[..len]);
    segment.len += len as u16;
    segment.marks |= marks;
    segment.next = after;
    pool.header_mut(run).shared = if is_last { last } else { end };
    pool.free(next);
}

/// The number after the last octet of a block.
fn end_of(pool: &Pool<Segment>, id: BlockId) -> Seq {
    pool.header(id).seq + u32::from(pool.header(id).len)
}

/// Puts as much of `bytes`, which begin at `at`, as fits into what is left of block `id`, if it
/// ends there; says how much.
fn join(pool: &mut Pool<Segment>, id: BlockId, at: Seq, bytes: &[u8]) -> u32 {
    if id == BlockId::NONE {
        return 0;
    }
    let (segment, payload) = pool.parts_mut(id);
    if segment.seq + u32::from(segment.len) != at || segment.marks & Marks::FIN != 0 {
        return 0;
    }
    let start = usize::from(segment.offset) + usize::from(segment.len);
    let len = bytes.len().min(payload.len() - start);
    payload[start..start + len].copy_from_slice(&bytes[..len]);
    segment.len += len as u16;
    len as u32
}

/// A block with as much of `bytes` as it holds.
fn new_block(pool: &mut Pool<Segment>, seq: Seq, bytes: &[u8]) -> Option<BlockId> {
    let id = send_queue::alloc_any(bytes.len().min(pool.payload_max()), pool)?;
    let (segment, payload) = pool.parts_mut(id);
    let len = bytes.len().min(payload.len());
    payload[..len].copy_from_slice(&bytes[..len]);
    segment.seq = seq;
    segment.len = len as u16;
    segment.shared = BlockId::NONE;
    segment.sent_at_us = 0;
    Some(id)
}

/// A FIN beyond a hole, with no octet before it: an empty block.
fn keep_fin_alone(
    tcb: &mut Tcb,
    pool: &mut Pool<Segment>,
    (before, after): (BlockId, BlockId),
    end: Seq,
) -> Inserted {
    let Some(id) = new_block(pool, end, &[]) else { return Inserted::PoolEmpty };
    pool.header_mut(id).shared = id;
    pool.header_mut(id).marks |= Marks::FIN;
    link(tcb, pool, before, id, after);
    Inserted::Yes
}

fn link(tcb: &mut Tcb, pool: &mut Pool<Segment>, before: BlockId, id: BlockId, after: BlockId) {
    pool.header_mut(id).next = after;
    if before == BlockId::NONE {
        tcb.rcv_queue = id;
    } else {
        pool.header_mut(before).next = id;
    }
}

/// Moves RCV.NXT over all runs that are now in order. Returns whether the peer's FIN is among
/// them; RCV.NXT does not count it yet.
pub(crate) fn advance(tcb: &mut Tcb, pool: &Pool<Segment>, steps: &mut u64) -> bool {
    let mut run = tcb.rcv_queue;
    let mut fin = false;
    while run != BlockId::NONE && pool.header(run).seq.le(tcb.rcv_nxt) {
        *steps += 1;
        let last = pool.header(run).shared;
        let end = end_of(pool, last);
        if end.gt(tcb.rcv_nxt) {
            tcb.rcv_unread += end.since(tcb.rcv_nxt);
            tcb.rcv_nxt = end;
        }
        let segment = pool.header(last);
        fin |= segment.marks & Marks::FIN != 0 && end == tcb.rcv_nxt;
        run = segment.next;
    }
    fin
}

/// Copies unread octets, from the oldest on and without a hole, into `out`; says how many.
pub(crate) fn gather(tcb: &Tcb, pool: &Pool<Segment>, out: &mut [u8]) -> usize {
    let mut id = tcb.rcv_queue;
    let mut copied = 0;
    let mut expected = None;
    while id != BlockId::NONE && copied < out.len() {
        let segment = pool.header(id);
        if segment.seq.ge(tcb.rcv_nxt) || expected.is_some_and(|seq| seq != segment.seq) {
            break;
        }
        let len = usize::from(segment.len).min(out.len() - copied);
        let start = usize::from(segment.offset);
        out[copied..copied + len].copy_from_slice(&pool.payload(id)[start..start + len]);
        copied += len;
        expected = Some(segment.seq + u32::from(segment.len));
        id = segment.next;
    }
    copied
}

/// The application consumed the first `octets` of what `gather` gave it.
pub(crate) fn consume(tcb: &mut Tcb, pool: &mut Pool<Segment>, octets: usize) {
    let mut left = octets;
    while tcb.rcv_queue != BlockId::NONE {
        let id = tcb.rcv_queue;
        let segment = pool.header_mut(id);
        let len = usize::from(segment.len);
        if len > left || segment.seq.ge(tcb.rcv_nxt) {
            segment.seq += left as u32;
            segment.offset += left as u16;
            segment.len -= left as u16;
            left = 0;
            break;
        }
        left -= len;
        let (next, last) = (segment.next, segment.shared);
        tcb.rcv_queue = next;
        if last != id {
            // The run goes on.
            pool.header_mut(next).shared = last;
        }
        pool.free(id);
    }
    debug_assert!(left == 0, "no more is consumed than was there");
    tcb.rcv_unread -= octets as u32;
}

/// Runs beyond RCV.NXT; not more than `limit` are counted.
pub(crate) fn out_of_order_runs(
    tcb: &Tcb,
    pool: &Pool<Segment>,
    limit: u32,
    steps: &mut u64,
) -> u32 {
    let (mut run, mut count) = (tcb.rcv_queue, 0);
    while run != BlockId::NONE && count < limit {
        *steps += 1;
        count += u32::from(pool.header(run).seq.gt(tcb.rcv_nxt));
        run = pool.header(pool.header(run).shared).next;
    }
    count
}

/// Gives back all that is not in order yet; says how many blocks.
pub(crate) fn forget_out_of_order(tcb: &mut Tcb, pool: &mut Pool<Segment>) -> u32 {
    let (mut last, mut id) = (BlockId::NONE, tcb.rcv_queue);
    while id != BlockId::NONE && pool.header(id).seq.lt(tcb.rcv_nxt) {
        last = pool.header(id).shared;
        id = pool.header(last).next;
    }
    match last {
        BlockId::NONE => tcb.rcv_queue = BlockId::NONE,
        last => pool.header_mut(last).next = BlockId::NONE,
    }
    let mut count = 0;
    while id != BlockId::NONE {
        let next = pool.header(id).next;
        pool.free(id);
        id = next;
        count += 1;
    }
    count
}

/// Gives everything back.
pub(crate) fn clear(tcb: &mut Tcb, pool: &mut Pool<Segment>) {
    while tcb.rcv_queue != BlockId::NONE {
        let id = tcb.rcv_queue;
        tcb.rcv_queue = pool.header(id).next;
        pool.free(id);
    }
    tcb.rcv_unread = 0;
}

/// The first octets without a hole, of `len` from `seq` on, that are in the queue already.
pub(crate) fn first_overlap(
    tcb: &Tcb,
    pool: &Pool<Segment>,
    seq: Seq,
    len: usize,
    steps: &mut u64,
) -> Option<(Seq, Seq)> {
    let end = seq + len as u32;
    let (_, run) = around(tcb, pool, seq + 1, steps);
    if run == BlockId::NONE {
        return None;
    }
    let (left, right) = (pool.header(run).seq, end_of(pool, pool.header(run).shared));
    (left.lt(end) && left.lt(right)).then(|| (left.later(seq), right.earlier(end)))
}

/// Up to `blocks` runs of out-of-order octets for the SACK option (RFC 2018-4d): the one that holds
/// `latest` first (RFC 2018-4c), then those reported first in the answers before it (RFC 2018-4e).
/// They are what the queue holds, so nothing that was thrown away is among them (RFC 2018-8b).
///
/// `clock` counts segments: a run keeps when it was reported first in the `sent_at_us` of its head.
pub(crate) fn sack_blocks(
    tcb: &Tcb,
    pool: &mut Pool<Segment>,
    (latest, clock): (Option<Seq>, u32),
    blocks: &mut [(u32, u32)],
    steps: &mut u64,
) -> usize {
    let mut ages = [u32::MAX; SACK_BLOCKS_MAX];
    let (mut count, mut next) = (0, tcb.rcv_queue);
    while next != BlockId::NONE {
        *steps += 1;
        let run = next;
        let (left, last) = (pool.header(run).seq, pool.header(run).shared);
        let right = end_of(pool, last);
        next = pool.header(last).next;
        if left.le(tcb.rcv_nxt) || left == right {
            continue;
        }
        let mut age = clock.wrapping_sub(pool.header(run).sent_at_us);
        if latest.is_some_and(|seq| left.le(seq) && seq.lt(right)) {
            pool.header_mut(run).sent_at_us = clock;
            age = 0;
        }
        let at = ages[..count].iter().position(|&other| age < other).unwrap_or(count);
        if at < blocks.len() {
            count = (count + 1).min(blocks.len());
            blocks[at..count].rotate_right(1);
            ages[at..count].rotate_right(1);
            (blocks[at], ages[at]) = ((left.0, right.0), age);
        }
    }
    count
}

/// The longest block that is copied into the one before it.
const COPIED_MAX: usize = 256;
