//! The yardstick: the least work that any TCP data plane must do for a request and its reply.
//!
//! Read the request's headers, check both checksums, find the connection by its 4-tuple in a table
//! of N connections, read and update its control block (two cache lines, picked at random among N),
//! copy 64 octets into a reply, write its headers and both checksums. No timers, no options, no
//! loss, no application, no driver: a real stack is slower. Hold its figures against this one,
//! taken on the same machine in the same minute.
//!
//! ```text
//! cargo run --release -p crore-limit -- CONNECTIONS BURST      10000000 32
//! ```

mod frame;
mod table;

use crore::tsc;
use crore_mem::{HugePages, Memory, Table};
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

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u32>());
    let (Ok(conns), Ok(burst)) = (number(10_000_000), number(32)) else {
        eprintln!("usage: crore-limit [CONNECTIONS] [BURST]");
        std::process::exit(2);
    };
    let burst = (burst as usize).clamp(1, BURST_MAX);
    match measure(conns.max(1), burst) {
        Ok((cycles, requests, bad)) => {
            let each = cycles as f64 / requests as f64;
            println!(
                "connections={conns} burst={burst} cycles_per_request_and_reply={each:.1} \
                 cycles_per_packet={:.1} requests={requests} bad={bad}",
                each / 2.0
            );
        }
        Err(error) => {
            eprintln!("crore-limit: {error}");
            std::process::exit(2);
        }
    }
}

fn measure(conns: u32, burst: usize) -> Result<(u64, usize, usize), crore_mem::MemoryError> {
    let mut memory = Memory::new(HugePages::Transparent);
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
    let mut rx = vec![0u8; FRAMES * FRAME_STRIDE];
    let mut tx = vec![0u8; FRAMES * FRAME_STRIDE];
    let mut next_seq = vec![1u32; conns as usize];
    let mut luck = 88_172_645_463_325_252u64;
    let (mut cycles, mut answered) = (0, 0);
    for _ in 0..ROUNDS {
        for request in rx.chunks_exact_mut(FRAME_STRIDE) {
            luck ^= luck << 13;
            luck ^= luck >> 7;
            luck ^= luck << 17;
            let id = (luck % u64::from(conns)) as u32;
            let seq = &mut next_seq[id as usize];
            frame::write(request, blocks[id].tuple, *seq, *seq, None);
            *seq = seq.wrapping_add(PAYLOAD_OCTETS as u32);
        }
        let start = tsc();
        let size = burst * FRAME_STRIDE;
        for (requests, replies) in rx.chunks(size).zip(tx.chunks_mut(size)) {
            answered += turn(requests, replies, &mut blocks, &flows);
        }
        cycles += tsc() - start;
    }
    let requests = ROUNDS * FRAMES;
    Ok((cycles, requests, requests - answered))
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

/// Frames written before a measured round, and rounds.
const FRAMES: usize = 1 << 17;
const ROUNDS: usize = 32;

/// The largest burst.
const BURST_MAX: usize = 256;
