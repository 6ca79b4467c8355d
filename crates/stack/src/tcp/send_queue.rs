//! The send queue: what was queued and is not acknowledged, as a chain of pool blocks.
//!
//! ```text
//!   snd_head ──> [seq,len] ──> [seq,len] ──> [seq,len] <── snd_tail
//!                 holds SND.UNA    ^ snd_unsent holds SND.NXT
//! ```
//!
//! A segment never spans two blocks, so a block is at most one segment long, unless the MSS became
//! smaller since; then it is cut when it must go again. Small sends are gathered in the last block
//! while none of it was sent. An idle connection has no block.

use crate::seq::Seq;
use crate::tcb::Tcb;
use crore_mem::{BlockId, Pool};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the pool keeps in front of a block's payload.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Segment {
    /// The next block of the chain.
    pub next: BlockId,
    /// With [`Marks::SHARED`]: the block that holds the payload for this one and others.
    pub shared: BlockId,
    /// Sequence number of the first octet still needed.
    pub seq: Seq,
    /// Low 32 bits of the time it was sent last, in microseconds. With [`Marks::SACKED`]: a later
    /// block of the run that it is in, or itself.
    pub sent_at_us: u32,
    /// Where the first octet still needed lies in the payload.
    pub offset: u16,
    /// Octets from there on.
    pub len: u16,
    /// See [`Marks`].
    pub marks: u8,
    _reserved: u8,
    /// Send queue: octets between the end of the last small segment and this block, and 1 more; 0:
    /// none is remembered.
    small_before: u16,
}

const _: () = assert!(size_of::<Segment>() == 24);

impl Segment {
    /// The sequence number behind its last octet.
    pub(crate) fn end(&self) -> Seq {
        self.seq + u32::from(self.len)
    }
}

/// Bits of [`Segment::marks`].
pub(crate) struct Marks;

impl Marks {
    /// Was sent (up to SND.NXT).
    pub(crate) const SENT: u8 = 1;
    /// Is taken to be lost and not sent again yet.
    pub(crate) const LOST: u8 = 1 << 1;
    /// The peer reported that it has it (RFC 2018).
    pub(crate) const SACKED: u8 = 1 << 2;
    /// Was sent more than once: no round-trip sample (Karn).
    pub(crate) const RESENT: u8 = 1 << 3;
    /// The payload is another block's.
    pub(crate) const SHARED: u8 = 1 << 5;
    /// Ends with the last octet of a SEND: carries PSH (RFC 9293 3.9.1.2).
    pub(crate) const PUSH: u8 = 1 << 6;
    /// Takes no octets of later SENDs.
    pub(crate) const RECORD: u8 = 1 << 7;
    /// Ends with the peer's FIN (receive queue).
    pub(crate) const FIN: u8 = 1 << 4;
    /// With `SHARED`: the payload's block is this one's alone (send queue).
    pub(crate) const GROWN: u8 = 1 << 4;
}

/// The first octets of an empty queue, into one block; false when there is none for all of them.
#[inline]
pub(crate) fn append_first(
    tcb: &mut Tcb,
    pool: &mut Pool<Segment>,
    bytes: &[u8],
    marks: u8,
) -> bool {
    let segment = Segment {
        next: BlockId::NONE,
        shared: BlockId::NONE,
        seq: tcb.snd_end,
        sent_at_us: 0,
        offset: 0,
        len: bytes.len() as u16,
        marks,
        _reserved: 0,
        small_before: 0,
    };
    let Some(id) = pool.alloc_filled(segment, bytes) else { return false };
    tcb.snd_end += bytes.len() as u32;
    (tcb.snd_head, tcb.snd_tail, tcb.snd_unsent) = (id, id, id);
    true
}

/// Queues as much of `bytes` as `room` octets and the pool allow; says how much.
pub(crate) fn append(tcb: &mut Tcb, pool: &mut Pool<Segment>, bytes: &[u8], room: usize) -> usize {
    let wanted = bytes.len().min(room);
    let mut taken = append_to_tail(tcb, pool, &bytes[..wanted]);
    while taken < wanted && grow_tail(tcb, pool, wanted - taken) {
        taken += append_to_tail(tcb, pool, &bytes[taken..wanted]);
    }
    let mss = usize::from(tcb.mss).min(pool.payload_max());
    while taken < wanted {
        let Some(id) = alloc_any((wanted - taken).min(mss), pool) else { break };
        let (segment, payload) = pool.parts_mut(id);
        let len = (wanted - taken).min(mss).min(payload.len());
        payload[..len].copy_from_slice(&bytes[taken..taken + len]);
        segment.len = len as u16;
        link(tcb, pool, id);
        taken += len;
    }
    taken
}

/// A block for `len` octets, or a smaller one when none of that size is free.
pub(crate) fn alloc_any(len: usize, pool: &mut Pool<Segment>) -> Option<BlockId> {
    pool.alloc(len).or_else(|| pool.alloc(len / 4)).or_else(|| pool.alloc(1))
}

/// A SEND ends with the last octet queued: its segment will carry PSH (RFC 9293 MUST-61).
pub(crate) fn mark_push(tcb: &Tcb, pool: &mut Pool<Segment>) {
    if tcb.snd_unsent != BlockId::NONE {
        pool.header_mut(tcb.snd_tail).marks |= Marks::PUSH;
    }
}

/// A record ends with the last octet queued: its block takes no more.
pub(crate) fn mark_record(tcb: &Tcb, pool: &mut Pool<Segment>) {
    if tcb.snd_unsent != BlockId::NONE {
        pool.header_mut(tcb.snd_tail).marks |= Marks::RECORD;
    }
}

/// Queues a payload that other queues hold too, without copying it; false when no block is free.
pub(crate) fn append_shared(tcb: &mut Tcb, pool: &mut Pool<Segment>, payload: BlockId) -> bool {
    let total = pool.header(payload).len;
    let (mut offset, mss) = (0, tcb.mss.max(1));
    let blocks_needed = u32::from(total.div_ceil(mss));
    if pool.free_blocks() < blocks_needed {
        return false;
    }
    while offset < total {
        let Some(id) = pool.alloc(0) else { return false };
        pool.share(payload);
        let segment = pool.header_mut(id);
        segment.shared = payload;
        segment.marks = Marks::SHARED | Marks::PUSH;
        segment.offset = offset;
        segment.len = mss.min(total - offset);
        offset += segment.len;
        link(tcb, pool, id);
    }
    true
}

/// Fills up the last block when none of it was sent (RFC 9293 MAY-16), the PSH of its octets moving
/// on with the end (RFC 9293 SHLD-27); says how many octets that took.
fn append_to_tail(tcb: &mut Tcb, pool: &mut Pool<Segment>, bytes: &[u8]) -> usize {
    if tcb.snd_unsent == BlockId::NONE || bytes.is_empty() {
        return 0;
    }
    let segment = *pool.header(tcb.snd_tail);
    if !may_grow(&segment) {
        return 0;
    }
    let holder = if segment.marks & Marks::GROWN != 0 { segment.shared } else { tcb.snd_tail };
    let payload = pool.payload_mut(holder);
    let end = usize::from(segment.offset + segment.len);
    let limit = payload.len().min(usize::from(segment.offset) + usize::from(tcb.mss));
    let len = limit.saturating_sub(end).min(bytes.len());
    payload[end..end + len].copy_from_slice(&bytes[..len]);
    let segment = pool.header_mut(tcb.snd_tail);
    segment.len += len as u16;
    segment.marks &= !Marks::PUSH;
    tcb.snd_end += len as u32;
    len
}

/// True for a block to which octets may be added: not sent yet, the end of no record, and its
/// payload nobody else's.
fn may_grow(segment: &Segment) -> bool {
    let own = segment.marks & Marks::SHARED == 0 || segment.marks & Marks::GROWN != 0;
    own && segment.marks & (Marks::SENT | Marks::RECORD) == 0
}

/// Gives a last block that is full, but no full segment, a larger payload for `more` octets; false
/// when that cannot be. RFC 9293 MUST-38, SHLD-28: else many small SENDs would go out as many small
/// segments, each as long as the smallest block.
fn grow_tail(tcb: &Tcb, pool: &mut Pool<Segment>, more: usize) -> bool {
    if tcb.snd_unsent == BlockId::NONE {
        return false;
    }
    let tail = tcb.snd_tail;
    let segment = *pool.header(tail);
    let (len, mss) = (usize::from(segment.len), usize::from(tcb.mss));
    if !may_grow(&segment) || len >= mss {
        return false;
    }
    let Some(larger) = pool.alloc((len + more).min(mss).min(pool.payload_max())) else {
        return false;
    };
    if pool.payload(larger).len() <= usize::from(segment.offset) + len {
        pool.free(larger);
        return false;
    }
    let mut done = 0;
    while done < len {
        let mut piece = [0; 256];
        let piece = &mut piece[..(len - done).min(256)];
        piece.copy_from_slice(octets(pool, tail, done, piece.len()));
        pool.payload_mut(larger)[done..done + piece.len()].copy_from_slice(piece);
        done += piece.len();
    }
    if segment.marks & Marks::GROWN != 0 {
        pool.free(segment.shared);
    }
    let segment = pool.header_mut(tail);
    segment.shared = larger;
    segment.offset = 0;
    segment.marks |= Marks::SHARED | Marks::GROWN;
    true
}

/// Makes the first unsent block one of `size` octets: it takes in the octets of those behind it.
/// False when it cannot: part of it was sent, there are too many small ones, a record ends between
/// them, or no block is free.
pub(crate) fn widen(tcb: &mut Tcb, pool: &mut Pool<Segment>, size: u16) -> bool {
    let first = tcb.snd_unsent;
    let whole = usize::from(size);
    if first == BlockId::NONE || pool.header(first).seq != tcb.snd_nxt || whole > pool.payload_max()
    {
        return false;
    }
    if pool.header(first).len >= size {
        let fits = pool.header(first).len == size || split(tcb, pool, first, size);
        tcb.snd_unsent = first;
        return fits;
    }
    let Some(payload) = pool.alloc(whole) else { return false };
    // One more than those whose octets are all taken in.
    let (mut id, mut done, mut blocks) = (first, 0, 0);
    while done < whole && id != BlockId::NONE && blocks < WIDEN_BLOCKS_MAX {
        let segment = *pool.header(id);
        let len = usize::from(segment.len).min(whole - done);
        copy_octets(pool, id, payload, done, len);
        done += len;
        if segment.marks & Marks::RECORD != 0 || len < usize::from(segment.len) {
            break;
        }
        (id, blocks) = (segment.next, blocks + 1);
    }
    if done < whole || pool.payload(payload).len() < whole {
        pool.free(payload);
        return false;
    }
    take_in(tcb, pool, first, payload, size);
    true
}

/// The first `size` octets of the queue from block `first` on are in `payload` now.
fn take_in(tcb: &mut Tcb, pool: &mut Pool<Segment>, first: BlockId, payload: BlockId, size: u16) {
    let segment = *pool.header(first);
    let (mut left, mut next, mut last) = (size - segment.len.min(size), segment.next, segment);
    while left > 0 && next != BlockId::NONE {
        let id = next;
        let block = pool.header_mut(id);
        if block.len > left {
            block.seq += u32::from(left);
            block.offset += left;
            block.len -= left;
            last.marks &= !(Marks::PUSH | Marks::RECORD);
            break;
        }
        left -= block.len;
        (next, last) = (block.next, *block);
        if tcb.snd_tail == id {
            tcb.snd_tail = first;
        }
        release(pool, id);
    }
    if segment.marks & Marks::SHARED != 0 {
        pool.free(segment.shared);
    }
    let ends = last.marks & (Marks::PUSH | Marks::RECORD);
    let block = pool.header_mut(first);
    block.marks = Marks::SHARED | Marks::GROWN | ends;
    (block.shared, block.offset, block.len, block.next) = (payload, 0, size, next);
    block.small_before = 0;
}

/// Copies the first `len` octets of a block's payload to place `at` of another's.
fn copy_octets(pool: &mut Pool<Segment>, from: BlockId, to: BlockId, at: usize, len: usize) {
    let mut done = 0;
    while done < len {
        let mut piece = [0; 256];
        let piece = &mut piece[..(len - done).min(256)];
        piece.copy_from_slice(octets(pool, from, done, piece.len()));
        let room = pool.payload_mut(to);
        let end = (at + done + piece.len()).min(room.len());
        let start = (at + done).min(end);
        room[start..end].copy_from_slice(&piece[..end - start]);
        done += piece.len();
    }
}

/// Puts a filled block at the end of the chain.
fn link(tcb: &mut Tcb, pool: &mut Pool<Segment>, id: BlockId) {
    let small_before = small_before(tcb, pool);
    let segment = pool.header_mut(id);
    segment.next = BlockId::NONE;
    segment.small_before = small_before;
    segment.seq = tcb.snd_end;
    tcb.snd_end += u32::from(segment.len);
    if tcb.snd_head == BlockId::NONE {
        tcb.snd_head = id;
    } else {
        pool.header_mut(tcb.snd_tail).next = id;
    }
    tcb.snd_tail = id;
    if tcb.snd_unsent == BlockId::NONE {
        tcb.snd_unsent = id;
    }
}

/// For a block that comes behind the last one: how far back the last small segment ends. A last
/// block that still takes octets would have got them.
fn small_before(tcb: &Tcb, pool: &Pool<Segment>) -> u16 {
    if tcb.snd_head == BlockId::NONE {
        return 0;
    }
    let tail = pool.header(tcb.snd_tail);
    match tail.small_before {
        _ if tail.len < tcb.mss => 1,
        0 => 0,
        before => before.checked_add(tail.len).unwrap_or(0),
    }
}

/// True when a segment that was not full is in flight before the last block (Minshall's variant of
/// Nagle's algorithm).
pub(crate) fn is_small_in_flight(tcb: &Tcb, pool: &Pool<Segment>) -> bool {
    let tail = pool.header(tcb.snd_tail);
    tail.small_before > 0 && tcb.snd_una.lt(tail.seq.back(u32::from(tail.small_before - 1)))
}

/// Cuts a block in two after `at` octets; the second one holds the same payload. False when no
/// block is free for it.
pub(crate) fn split(tcb: &mut Tcb, pool: &mut Pool<Segment>, id: BlockId, at: u16) -> bool {
    let Some(rest) = pool.alloc(0) else { return false };
    let segment = *pool.header(id);
    let holder = if segment.marks & Marks::SHARED == 0 { id } else { segment.shared };
    pool.share(holder);
    *pool.header_mut(rest) = Segment {
        shared: holder,
        seq: segment.seq + u32::from(at),
        offset: segment.offset + at,
        len: segment.len - at,
        marks: (segment.marks | Marks::SHARED) & !Marks::GROWN,
        small_before: 0,
        ..segment
    };
    let first = pool.header_mut(id);
    first.next = rest;
    first.len = at;
    first.marks &= !(Marks::GROWN | Marks::PUSH | Marks::RECORD);
    if tcb.snd_tail == id {
        tcb.snd_tail = rest;
    }
    if tcb.snd_unsent == id {
        tcb.snd_unsent = rest;
    }
    true
}

/// Gives back what lies before `ack`, and nothing that was only reported (RFC 2018-8c). Returns the
/// send time of the last block that was acknowledged whole, for a round-trip sample of each
/// acknowledgment (RFC 6298-3b); RFC 6298-3a, Karn: none when a block among them was sent
/// again: those above it have waited for it at the peer.
#[inline]
pub(crate) fn acknowledge(tcb: &mut Tcb, pool: &mut Pool<Segment>, ack: Seq) -> Option<u32> {
    let id = tcb.snd_head;
    if id == BlockId::NONE {
        return None;
    }
    let segment = pool.header(id);
    let is_all = segment.seq + u32::from(segment.len) == ack && segment.next == BlockId::NONE;
    if !is_all || segment.marks & (Marks::RESENT | Marks::SHARED) != 0 {
        return acknowledge_any(tcb, pool, ack);
    }
    let sample = segment.sent_at_us;
    tcb.snd_head = BlockId::NONE;
    if tcb.snd_unsent == id {
        tcb.snd_unsent = BlockId::NONE;
    }
    pool.free(id);
    Some(sample)
}

#[inline(never)]
fn acknowledge_any(tcb: &mut Tcb, pool: &mut Pool<Segment>, ack: Seq) -> Option<u32> {
    let (mut sample, mut resent) = (None, false);
    while tcb.snd_head != BlockId::NONE {
        let id = tcb.snd_head;
        let segment = pool.header_mut(id);
        let end = segment.seq + u32::from(segment.len);
        if end.gt(ack) {
            if segment.seq.lt(ack) {
                cut_front(segment, ack, tcb.snd_nxt);
            }
            break;
        }
        resent |= segment.marks & Marks::RESENT != 0;
        sample = Some(segment.sent_at_us);
        let next = segment.next;
        if tcb.snd_unsent == id {
            tcb.snd_unsent = next;
        }
        tcb.snd_head = next;
        release(pool, id);
    }
    sample.filter(|_| !resent)
}

/// Takes what lies before `ack` off a block. A block that went in part is one that did not go when
/// that part is acknowledged: what was noted of the part says nothing of the rest.
pub(super) fn cut_front(segment: &mut Segment, ack: Seq, snd_nxt: Seq) {
    let octets = ack.since(segment.seq) as u16;
    segment.offset += octets;
    segment.len -= octets;
    segment.seq = ack;
    if ack == snd_nxt {
        segment.marks &= !(Marks::SENT | Marks::SACKED | Marks::LOST | Marks::RESENT);
    }
}

/// Gives a block back, and its share of a payload.
pub(crate) fn release(pool: &mut Pool<Segment>, id: BlockId) {
    let segment = pool.header(id);
    if segment.marks & Marks::SHARED != 0 {
        let shared = segment.shared;
        pool.free(shared);
    }
    pool.free(id);
}

/// Gives the whole queue back.
pub(crate) fn clear(tcb: &mut Tcb, pool: &mut Pool<Segment>) {
    while tcb.snd_head != BlockId::NONE {
        let id = tcb.snd_head;
        tcb.snd_head = pool.header(id).next;
        release(pool, id);
    }
    tcb.snd_unsent = BlockId::NONE;
    tcb.snd_end = tcb.snd_end.earlier(tcb.snd_nxt);
}

/// The octets of a block, `len` from `skip` on.
#[inline]
pub(crate) fn octets(pool: &Pool<Segment>, id: BlockId, skip: usize, len: usize) -> &[u8] {
    let segment = pool.header(id);
    let start = usize::from(segment.offset) + skip;
    let holder = if segment.marks & Marks::SHARED == 0 { id } else { segment.shared };
    &pool.payload(holder)[start..start + len]
}

/// Blocks that a probe of the path is made of, at most.
const WIDEN_BLOCKS_MAX: usize = 64;
