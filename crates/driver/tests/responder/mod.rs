//! The least that a kernel's TCP takes for a server: each SYN to our port gets a SYN and ACK.

use std::io::Read as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crore_driver::xdp::{self, LocalPorts, Mode, ModeChoice, Options, Queue};
use crore_mem::frames::{RxBurst, TxBurst};
use crore_mem::{HugePages, Memory};

/// Set in the server process: `native`, `generic` or `best`.
pub(crate) const MODE_VARIABLE: &str = "CRORE_DRIVER_TEST_MODE";

/// Serves until standard input closes. Says `READY ...` or `ERROR ...` on standard output.
pub(crate) fn serve(mode: &str) {
    let mut options = Options::new("srv0");
    options.frames = 256;
    options.mode = match mode {
        "native" => ModeChoice::Only(Mode::Native),
        "generic" => ModeChoice::Only(Mode::Generic),
        _ => ModeChoice::Best,
    };
    for address in ["10.66.0.1", "fd66::1"] {
        options.ours.push(LocalPorts::one(address.parse::<IpAddr>().unwrap(), 8080));
    }
    let mut memory = Memory::new(HugePages::None);
    let opened = match xdp::open(&options, &mut memory) {
        Ok(opened) => opened,
        Err(error) => {
            println!("ERROR {error}");
            return;
        }
    };
    println!(
        "READY {} leftover={} {:?} zero_copy={}",
        opened.attachment.mode().name(),
        opened.attachment.replaced_leftover(),
        opened.queues[0].capabilities().rx_checksum,
        opened.queues[0].path().path().zero_copy,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let wakers: Vec<_> = opened.queues.iter().map(Queue::waker).collect();
    let cores: Vec<_> = opened
        .queues
        .into_iter()
        .map(|queue| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || answer(queue, &stop))
        })
        .collect();
    let _ = std::io::stdin().read(&mut [0]);
    stop.store(true, Ordering::Release);
    wakers.iter().for_each(crore_driver::Waker::wake);
    for core in cores {
        core.join().unwrap();
    }
    opened.attachment.detach().unwrap();
}

fn answer(mut queue: Queue, stop: &AtomicBool) {
    let (mut rx, mut tx) = (RxBurst::new(), TxBurst::new());
    while !stop.load(Ordering::Acquire) {
        queue.tx_reserve(&mut tx, 64);
        if queue.rx_burst(&mut rx, 64) == 0 {
            queue.wait(Duration::from_mins(1));
        }
        for i in 0..rx.len() {
            let Some(room) = tx.frame() else { break };
            if let Some(len) = syn_ack(rx.frame(i), room) {
                tx.commit(len);
            }
        }
        queue.rx_release(&mut rx);
        queue.tx_burst(&mut tx);
    }
    queue.tx_cancel(&mut tx);
    let counters = queue.counters();
    assert_eq!((counters.rx_bad, counters.tx_bad, counters.tx_errors), (0, 0, 0));
}

/// Writes the answer to a SYN; `None` when the frame is none.
fn syn_ack(frame: &[u8], out: &mut [u8]) -> Option<usize> {
    let (addresses, ip_len) = match frame.get(12..14)? {
        [0x08, 0x00] => (26..34, 20),
        [0x86, 0xdd] => (22..54, 40),
        _ => return None,
    };
    let tcp_at = 14 + ip_len;
    let segment = frame.get(tcp_at..tcp_at + 20)?;
    if segment[13] != 0x02 {
        return None;
    }
    let len = tcp_at + 20;
    out[..tcp_at].copy_from_slice(&frame[..tcp_at]);
    out[..12].rotate_left(6);
    let half = addresses.len() / 2;
    out[addresses.clone()].rotate_left(half);
    if ip_len == 20 {
        out[14] = 0x45;
        out[16..18].copy_from_slice(&40u16.to_be_bytes());
        out[24..26].fill(0);
        let sum = !sum(&out[14..34], 0);
        out[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        out[18..20].copy_from_slice(&20u16.to_be_bytes());
    }
    let (pseudo, reply) = out[..len].split_at_mut(tcp_at);
    reply.fill(0);
    reply[0..2].copy_from_slice(&segment[2..4]);
    reply[2..4].copy_from_slice(&segment[0..2]);
    let seq = u32::from_be_bytes(segment[4..8].try_into().unwrap());
    reply[4..8].copy_from_slice(&0x1234_5678u32.to_be_bytes());
    reply[8..12].copy_from_slice(&seq.wrapping_add(1).to_be_bytes());
    (reply[12], reply[13]) = (5 << 4, 0x12);
    reply[14..16].copy_from_slice(&8192u16.to_be_bytes());
    let sum = !sum(reply, u64::from(sum(&pseudo[addresses], 0)) + 6 + 20);
    reply[16..18].copy_from_slice(&sum.to_be_bytes());
    Some(len)
}

/// The Internet checksum's sum of an even number of bytes, folded.
fn sum(bytes: &[u8], mut sum: u64) -> u16 {
    for word in bytes.chunks_exact(2) {
        sum += u64::from(u16::from_be_bytes([word[0], word[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
