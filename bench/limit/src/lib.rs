//! The yardstick: the least work that any TCP data plane must do for a request and its reply.
//!
//! Read the request's headers, check both checksums, find the connection by its 4-tuple in a table
//! of N connections, read and update its control block (two cache lines, picked at random among N),
//! copy 64 octets into a reply, write its headers and both checksums. No timers, no options, no
//! loss, no application, no driver: a real stack is slower. Hold its figures against this one,
//! taken on the same machine in the same minute.
//!
//! `crore bench echo --against limit` measures it in turn with the whole stack, the program alone:
//!
//! ```text
//! cargo run --release -p crore-limit -- CONNECTIONS BURST      10000000 32
//! ```
#![forbid(unsafe_code)]

mod frame;
mod table;

use crore::tsc;
use crore_mem::{HugePages, Memory, MemoryError, Table};
use frame::{FRAME_STRIDE, PAYLOAD_OCTETS, Request};
use table::FlowTable;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The 4-tuple as the receiver sees it.
#[derive(Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Tuple {
    pub(crate) remote: u32,
    pub(crate) local: u32,
    pub(crate) remote_port: u16,
    pub(crate) local_port: u16,
}

/// A control block of two cache lines, both of which are touched.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Block {
    tuple: Tuple,
    snd_una: u32,
    snd_nxt: u32,
    rcv_nxt: u32,
    snd_wnd: u32,
    deadline: u32,
    _first: [u32; 8],
    requests: u64,
    _second: [u64; 7],
}

const _: () = assert!(size_of::<Block>() == 128);

/// The yardstick at work: N connections, and frames for them.
pub struct Limit {
    blocks: Table<Block>,
    flows: FlowTable,
    burst: usize,
    rx: Vec<u8>,
    tx: Vec<u8>,
    next_seq: Vec<u32>,
    luck: u64,
}

/// What a round cost. A request and its reply are two packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Cycles of the time-stamp counter.
    pub cycles: u64,
    /// Requests written.
    pub requests: u64,
    /// Requests answered; all of them, or something is wrong.
    pub answered: u64,
}

impl Limit {
    /// So many connections, taken in bursts of so many frames (1 to 256).
    pub fn new(conns: u32, burst: usize, pages: HugePages) -> Result<Self, MemoryError> {
        let conns = conns.max(1);
        let mut memory = Memory::new(pages);
        let mut blocks: Table<Block> = memory.table("control blocks", 1, conns)?;
        let mut flows = FlowTable::new(&mut memory, conns)?;
        for id in 0..conns {
            let tuple = Tuple {
                remote: 0x0a00_0000 + id / 60_000,
                local: 0x0aff_0001,
                remote_port: (1024 + id % 60_000) as u16,
                local_port: 80,
            };
            let block = &mut blocks[id];
            (block.tuple, block.snd_una, block.snd_nxt, block.rcv_nxt) = (tuple, 1, 1, 1);
            flows.insert(table::hash(tuple), id);
        }
        Ok(Self {
            blocks,
            flows,
            burst: burst.clamp(1, BURST_MAX),
            rx: vec![0; FRAMES * FRAME_STRIDE],
            tx: vec![0; FRAMES * FRAME_STRIDE],
            next_seq: vec![1; conns as usize],
            luck: 88_172_645_463_325_252,
        })
    }

    /// Bytes of the two regions that so many connections take.
    pub fn region_bytes(conns: u32) -> [usize; 2] {
        let conns = conns.max(1);
        [Table::<Block>::bytes_for(conns), FlowTable::bytes_for(conns)]
    }

    /// Writes 131,072 requests for connections picked at random, then answers them; only that is
    /// counted.
    pub fn round(&mut self) -> Round {
        for request in self.rx.chunks_exact_mut(FRAME_STRIDE) {
            self.luck ^= self.luck << 13;
            self.luck ^= self.luck >> 7;
            self.luck ^= self.luck << 17;
            let id = (self.luck % self.next_seq.len() as u64) as u32;
            let seq = &mut self.next_seq[id as usize];
            frame::write(request, self.blocks[id].tuple, *seq, *seq, None);
            *seq = seq.wrapping_add(PAYLOAD_OCTETS as u32);
        }
        let mut answered = 0;
        let start = tsc();
        let size = self.burst * FRAME_STRIDE;
        for (requests, replies) in self.rx.chunks(size).zip(self.tx.chunks_mut(size)) {
            answered += turn(requests, replies, &mut self.blocks, &self.flows);
        }
        let cycles = tsc() - start;
        Round { cycles, requests: FRAMES as u64, answered: answered as u64 }
    }
}

impl Round {
    /// What a packet cost.
    pub fn cycles_per_packet(&self) -> f64 {
        self.cycles as f64 / (2 * self.requests.max(1)) as f64
    }
}

impl std::iter::Sum for Round {
    fn sum<I: Iterator<Item = Self>>(rounds: I) -> Self {
        rounds.fold(Self::default(), |sum, round| Self {
            cycles: sum.cycles + round.cycles,
            requests: sum.requests + round.requests,
            answered: sum.answered + round.answered,
        })
    }
}

/// One burst, stage by stage: each stage asks for what the next one reads.
fn turn(
    requests: &[u8],
    replies: &mut [u8],
    blocks: &mut Table<Block>,
    flows: &FlowTable,
) -> usize {
    let mut hashes = [0u64; BURST_MAX];
    let mut ids = [u32::MAX; BURST_MAX];
    let requests = requests.chunks_exact(FRAME_STRIDE);
    for (request, hash) in requests.clone().zip(&mut hashes) {
        *hash = table::hash(frame::tuple(request));
        flows.prefetch(*hash);
    }
    for (hash, id) in hashes.iter().zip(&mut ids).take(requests.len()) {
        if let Some(found) = flows.find(*hash, |_| true) {
            *id = found;
            blocks.prefetch_line(found, 0);
            blocks.prefetch_line(found, 1);
        }
    }
    let mut answered = 0;
    let replies = replies.chunks_exact_mut(FRAME_STRIDE);
    for (i, (request, reply)) in requests.zip(replies).enumerate() {
        let tuple = frame::tuple(request);
        let mut id = ids[i];
        if id == u32::MAX {
            continue;
        }
        if blocks[id].tuple != tuple {
            // Another connection has the same tag: look again, comparing tuples.
            let Some(found) = flows.find(hashes[i], |id| blocks[id].tuple == tuple) else {
                continue;
            };
            id = found;
        }
        answered += usize::from(answer(request, reply, &mut blocks[id]));
    }
    answered
}

/// Checks the request against its connection, updates it and writes the reply.
#[inline]
fn answer(request: &[u8], reply: &mut [u8], block: &mut Block) -> bool {
    let Some(Request { seq, ack, window }) = frame::check(request) else { return false };
    let in_flight = block.snd_nxt.wrapping_sub(block.snd_una);
    if seq != block.rcv_nxt || ack.wrapping_sub(block.snd_una) > in_flight {
        return false;
    }
    block.rcv_nxt = seq.wrapping_add(PAYLOAD_OCTETS as u32);
    block.snd_una = ack;
    block.snd_wnd = u32::from(window);
    block.deadline = block.deadline.wrapping_add(1);
    block.requests += 1;
    let back = Tuple {
        remote: block.tuple.local,
        local: block.tuple.remote,
        remote_port: block.tuple.local_port,
        local_port: block.tuple.remote_port,
    };
    frame::write(reply, back, block.snd_nxt, block.rcv_nxt, Some(request));
    block.snd_nxt = block.snd_nxt.wrapping_add(PAYLOAD_OCTETS as u32);
    true
}

/// Frames written before they are taken.
const FRAMES: usize = 1 << 17;

/// The largest burst.
const BURST_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered_whatever_the_burst() {
        for burst in [1, 7, 32] {
            let mut limit = Limit::new(1_000, burst, HugePages::None).unwrap();
            let rounds: Round = (0..2).map(|_| limit.round()).sum();
            assert_eq!((rounds.requests, rounds.answered), (1 << 18, 1 << 18));
            assert!(rounds.cycles_per_packet() > 0.0);
        }
    }
}
