//! The receive queue: octets the application has not consumed, and octets out of order.
//!
//! ```text
//!   rcv_queue ──> [unread ...] ──> [unread ...] ──> (hole) ──> [out of order] ──> [out of order]
//!                                        RCV.NXT ^
//! ```
//!
//! Sorted by sequence number, no overlaps. In-order octets of a connection whose queue is empty
//! never come here: the application reads them in the frame.
//!
//! A peer that sends an octet at a time must not take a block for each, so octets go into what is
//! left of the block before them. Nor must its segments make us walk: the first block knows the
//! last one that is in order, where every walk for something new begins, and of what lies behind
//! only so much is kept (CVE-2018-5390). The steps taken are counted.

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
    let (mut at, mut inserted) = (seq, Inserted::Nothing);
    let mut before = last_in_order(tcb, pool, seq);
    let mut after = if before == BlockId::NONE { tcb.rcv_queue } else { pool.header(before).next };
    if before != BlockId::NONE {
        at = at.later(end_of(pool, before));
    }
    loop {
        *steps += 1;
        let (hole_end, next_end) = match after {
            BlockId::NONE => (end, end),
            id => {
                let segment = pool.header(id);
                (segment.seq.earlier(end), segment.seq + u32::from(segment.len))
            }
        };
        while at.lt(hole_end) {
            let rest = &bytes[at.since(seq) as usize..hole_end.since(seq) as usize];
            let joined = join(pool, before, at, rest);
            if joined > 0 {
                at += joined;
                inserted = Inserted::Yes;
                continue;
            }
            let Some(id) = new_block(pool, at, rest) else { return Inserted::PoolEmpty };
            at += u32::from(pool.header(id).len);
            link(tcb, pool, before, id, after);
            before = id;
            inserted = Inserted::Yes;
        }
        if after == BlockId::NONE || (at.ge(end) && pool.header(after).seq.ge(end)) {
            break;
        }
        at = at.later(next_end);
        before = after;
        after = pool.header(after).next;
    }
    if fin { keep_fin(tcb, pool, before, end) } else { inserted }
}

/// The last block that is known to be in order, if nothing before it is asked for by who begins
/// at `seq`; none: begin at the first.
fn last_in_order(tcb: &Tcb, pool: &Pool<Segment>, seq: Seq) -> BlockId {
    if tcb.rcv_queue == BlockId::NONE {
        return BlockId::NONE;
    }
    let last = pool.header(tcb.rcv_queue).shared;
    if last != BlockId::NONE && pool.header(last).seq.le(seq) { last } else { BlockId::NONE }
}

/// Where to begin to look for octets out of order.
fn out_of_order_from(tcb: &Tcb, pool: &Pool<Segment>) -> BlockId {
    match last_in_order(tcb, pool, tcb.rcv_nxt) {
        BlockId::NONE => tcb.rcv_queue,
        last => last,
    }
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

/// Marks the block that ends at `end` as the last one; an empty block when there is none.
fn keep_fin(tcb: &mut Tcb, pool: &mut Pool<Segment>, before: BlockId, end: Seq) -> Inserted {
    let mut last = before;
    if last == BlockId::NONE || pool.header(last).seq + u32::from(pool.header(last).len) != end {
        let Some(id) = new_block(pool, end, &[]) else { return Inserted::PoolEmpty };
        let after = match before {
            BlockId::NONE => tcb.rcv_queue,
            id => pool.header(id).next,
        };
        link(tcb, pool, before, id, after);
        last = id;
    }
    pool.header_mut(last).marks |= Marks::FIN;
    Inserted::Yes
}

fn link(tcb: &mut Tcb, pool: &mut Pool<Segment>, before: BlockId, id: BlockId, after: BlockId) {
    pool.header_mut(id).next = after;
    if before == BlockId::NONE {
        if tcb.rcv_queue != BlockId::NONE {
            let last = pool.header(tcb.rcv_queue).shared;
            pool.header_mut(id).shared = last;
        }
        tcb.rcv_queue = id;
    } else {
        pool.header_mut(before).next = id;
    }
}

/// Moves RCV.NXT over all blocks that are now in order. Returns whether the peer's FIN is among
/// them; RCV.NXT does not count it yet.
pub(crate) fn advance(tcb: &mut Tcb, pool: &mut Pool<Segment>, steps: &mut u64) -> bool {
    let mut last = last_in_order(tcb, pool, tcb.rcv_nxt);
    let mut id = if last == BlockId::NONE { tcb.rcv_queue } else { last };
    let mut fin = false;
    while id != BlockId::NONE {
        *steps += 1;
        let segment = pool.header(id);
        if segment.seq.gt(tcb.rcv_nxt) {
            break;
        }
        last = id;
        let end = segment.seq + u32::from(segment.len);
        if end.gt(tcb.rcv_nxt) {
            tcb.rcv_unread += end.since(tcb.rcv_nxt);
            tcb.rcv_nxt = end;
        }
        fin |= segment.marks & Marks::FIN != 0 && end == tcb.rcv_nxt;
        id = segment.next;
    }
    if tcb.rcv_queue != BlockId::NONE {
        pool.header_mut(tcb.rcv_queue).shared = last;
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
        if next != BlockId::NONE {
            pool.header_mut(next).shared = if last == id { BlockId::NONE } else { last };
        }
        pool.free(id);
    }
    debug_assert!(left == 0, "no more is consumed than was there");
    tcb.rcv_unread -= octets as u32;
}

/// Blocks with octets beyond RCV.NXT; not more than `limit` are counted.
pub(crate) fn out_of_order_blocks(
    tcb: &Tcb,
    pool: &Pool<Segment>,
    limit: u32,
    steps: &mut u64,
) -> u32 {
    let last = last_in_order(tcb, pool, tcb.rcv_nxt);
    let mut id = if last == BlockId::NONE { tcb.rcv_queue } else { last };
    let mut count = 0;
    while id != BlockId::NONE && count < limit {
        *steps += 1;
        let segment = pool.header(id);
        count += u32::from(segment.seq.gt(tcb.rcv_nxt));
        id = segment.next;
    }
    count
}

/// Gives back all that is not in order yet; says how many blocks.
pub(crate) fn forget_out_of_order(tcb: &mut Tcb, pool: &mut Pool<Segment>) -> u32 {
    let (mut id, mut last) = (tcb.rcv_queue, BlockId::NONE);
    while id != BlockId::NONE && pool.header(id).seq.lt(tcb.rcv_nxt) {
        last = id;
        id = pool.header(id).next;
    }
    match last {
        BlockId::NONE => tcb.rcv_queue = BlockId::NONE,
        last => {
            pool.header_mut(last).next = BlockId::NONE;
            pool.header_mut(tcb.rcv_queue).shared = last;
        }
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
    let mut found: Option<(Seq, Seq)> = None;
    let mut id = out_of_order_from(tcb, pool);
    while id != BlockId::NONE {
        *steps += 1;
        let segment = pool.header(id);
        let (left, right) = (segment.seq, segment.seq + u32::from(segment.len));
        if left.ge(end) || found.is_some_and(|(_, so_far)| so_far != left) {
            break;
        }
        if right.gt(seq) && segment.len > 0 {
            let start = found.map_or(left.later(seq), |(start, _)| start);
            found = Some((start, right.earlier(end)));
        }
        id = segment.next;
    }
    found
}

/// Up to `blocks` runs of out-of-order octets for the SACK option (RFC 2018-4d): the one that holds
/// `latest` first (RFC 2018-4c), then those reported first in the answers before it (RFC 2018-4e).
/// They are what the queue holds, so nothing that was thrown away is among them (RFC 2018-8b).
///
/// `clock` counts segments: a run keeps when it was reported first in the `sent_at_us` of a block.
pub(crate) fn sack_blocks(
    tcb: &Tcb,
    pool: &mut Pool<Segment>,
    (latest, clock): (Option<Seq>, u32),
    blocks: &mut [(u32, u32)],
    steps: &mut u64,
) -> usize {
    let mut ages = [u32::MAX; SACK_BLOCKS_MAX];
    let (mut count, mut id) = (0, out_of_order_from(tcb, pool));
    while id != BlockId::NONE {
        *steps += 1;
        let segment = pool.header(id);
        if segment.seq.le(tcb.rcv_nxt) || segment.len == 0 {
            id = segment.next;
            continue;
        }
        let (first, left) = (id, segment.seq);
        let (right, mut age, next) = run_from(pool, id, clock, steps);
        if latest.is_some_and(|seq| left.le(seq) && seq.lt(right)) {
            pool.header_mut(first).sent_at_us = clock;
            age = 0;
        }
        id = next;
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

/// The run of octets without a hole that begins with block `id`: its end, how long ago it was
/// reported first, and the block after it.
fn run_from(
    pool: &Pool<Segment>,
    mut id: BlockId,
    clock: u32,
    steps: &mut u64,
) -> (Seq, u32, BlockId) {
    let (mut right, mut age) = (pool.header(id).seq, u32::MAX);
    while id != BlockId::NONE && pool.header(id).seq == right {
        *steps += 1;
        let segment = pool.header(id);
        right += u32::from(segment.len);
        age = age.min(clock.wrapping_sub(segment.sent_at_us));
        id = segment.next;
    }
    (right, age, id)
}
