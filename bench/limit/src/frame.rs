//! Frames: Ethernet, IPv4 and TCP without options, 64 octets of payload.

use crate::Tuple;

/// Payload octets of a request and of its reply.
pub(crate) const PAYLOAD_OCTETS: usize = 64;

/// Octets from one frame to the next: 118 of them are used.
pub(crate) const FRAME_STRIDE: usize = 128;

const IP_AT: usize = 14;
const TCP_AT: usize = IP_AT + 20;
const PAYLOAD_AT: usize = TCP_AT + 20;
const FRAME_OCTETS: usize = PAYLOAD_AT + PAYLOAD_OCTETS;

/// What a request says.
pub(crate) struct Request {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
}

#[inline]
pub(crate) fn tuple(frame: &[u8]) -> Tuple {
    Tuple {
        remote: get32(frame, 26),
        local: get32(frame, 30),
        remote_port: get16(frame, TCP_AT),
        local_port: get16(frame, TCP_AT + 2),
    }
}

/// The numbers of a frame whose two checksums are right.
#[inline]
pub(crate) fn check(frame: &[u8]) -> Option<Request> {
    let t = tuple(frame);
    let ip = sum(&frame[IP_AT..TCP_AT]);
    let tcp = sum(&frame[TCP_AT..FRAME_OCTETS]) + pseudo(t);
    (fold(ip) == 0xffff && fold(tcp) == 0xffff).then(|| Request {
        seq: get32(frame, TCP_AT + 4),
        ack: get32(frame, TCP_AT + 8),
        window: get16(frame, TCP_AT + 14),
    })
}

/// Writes a frame from `tuple`'s remote end to its local end; payload from another frame, if any.
#[inline]
pub(crate) fn write(frame: &mut [u8], tuple: Tuple, seq: u32, ack: u32, payload: Option<&[u8]>) {
    let frame = &mut frame[..FRAME_OCTETS];
    match payload {
        Some(from) => frame[PAYLOAD_AT..].copy_from_slice(&from[PAYLOAD_AT..FRAME_OCTETS]),
        None => frame[PAYLOAD_AT..].fill(0x5a),
    }
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    put(frame, 12, 0x0800_4500u32.to_be_bytes());
    put(frame, 16, ((FRAME_OCTETS - IP_AT) as u16).to_be_bytes());
    put(frame, 18, 0x0000_4000_4006_0000u64.to_be_bytes());
    put(frame, 26, tuple.remote.to_be_bytes());
    put(frame, 30, tuple.local.to_be_bytes());
    put(frame, TCP_AT, tuple.remote_port.to_be_bytes());
    put(frame, TCP_AT + 2, tuple.local_port.to_be_bytes());
    put(frame, TCP_AT + 4, seq.to_be_bytes());
    put(frame, TCP_AT + 8, ack.to_be_bytes());
    put(frame, TCP_AT + 12, 0x5018_ffff_0000_0000u64.to_be_bytes());
    let ip = sum(&frame[IP_AT..TCP_AT]);
    put(frame, 24, (!fold(ip)).to_ne_bytes());
    let tcp = sum(&frame[TCP_AT..FRAME_OCTETS]) + pseudo(tuple);
    put(frame, TCP_AT + 16, (!fold(tcp)).to_ne_bytes());
}

/// The sum of 32-bit words in memory order (RFC 1071 2.B); a multiple of four octets.
#[inline]
fn sum(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum()
}

#[inline]
fn pseudo(tuple: Tuple) -> u64 {
    let tail = 6u16.to_be() as u64 + ((20 + PAYLOAD_OCTETS) as u16).to_be() as u64;
    u64::from(tuple.remote.to_be()) + u64::from(tuple.local.to_be()) + tail
}

#[inline]
fn fold(sum: u64) -> u16 {
    let mut sum = (sum >> 32) + (sum & 0xffff_ffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

#[inline]
fn get16(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

#[inline]
fn get32(frame: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}

#[inline]
fn put<const N: usize>(frame: &mut [u8], at: usize, bytes: [u8; N]) {
    frame[at..at + N].copy_from_slice(&bytes);
}
