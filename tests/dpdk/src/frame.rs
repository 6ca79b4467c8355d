//! What frames hold: a UDP datagram that follows from its number, or a ping.

use core::net::Ipv4Addr;

use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, icmpv4, ipv4, udp};

/// Frames of one length, by their numbers.
#[derive(Clone, Debug)]
pub struct Numbered {
    headers: [u8; PAYLOAD_AT],
    len: usize,
    /// Others are compared with it.
    frame: Vec<u8>,
}

impl Numbered {
    /// Frames of `len` bytes, at least [`LEN_MIN`].
    pub fn new(len: usize) -> Self {
        assert!((LEN_MIN..=LEN_MAX).contains(&len), "frames of {len} bytes");
        let mut headers = [0; PAYLOAD_AT];
        let ip_len = len - ethernet::HEADER_LEN;
        let payload_len = ip_len - ipv4::HEADER_LEN;
        let at = write_headers(&mut headers, Protocol::UDP, payload_len as u16);
        let payload_len = (payload_len - udp::HEADER_LEN) as u16;
        // Without a checksum: the payload is compared byte by byte.
        udp::Header { src_port: PORTS.0, dst_port: PORTS.1, payload_len }
            .write(&mut headers[at..], 0);
        Self { headers, len, frame: vec![0; len] }
    }

    /// Bytes of each.
    pub fn frame_len(&self) -> usize {
        self.len
    }

    /// Writes the frame of this number to where `place` begins, and nothing twice: whoever reads it
    /// next in wider words than it was written in waits for them.
    #[inline]
    pub fn write(&self, number: u64, place: &mut [u8]) {
        let (headers, payload) = place[..self.len].split_at_mut(PAYLOAD_AT);
        headers.copy_from_slice(&self.headers);
        let mut word = number;
        let mut chunks = payload.chunks_exact_mut(8);
        for chunk in &mut chunks {
            chunk.copy_from_slice(&word.to_le_bytes());
            // SplitMix64's step and part of its mix: no two numbers have the same bytes.
            word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        for (byte, of_word) in chunks.into_remainder().iter_mut().zip(word.to_le_bytes()) {
            *byte = of_word;
        }
    }

    /// The frame of this number.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        let mut frame = std::mem::take(&mut self.frame);
        self.write(number, &mut frame);
        self.frame = frame;
        &self.frame
    }

    /// True when `frame` is the one of this number, as it was sent or with both ends swapped.
    pub fn is(&mut self, number: u64, is_swapped: bool, frame: &[u8]) -> bool {
        let expected = self.numbered(number);
        if !is_swapped {
            return frame == expected;
        }
        let swapped_ends = frame.len() == expected.len()
            && ENDS.iter().all(|&(a, b, len)| {
                frame[a..a + len] == expected[b..b + len]
                    && frame[b..b + len] == expected[a..a + len]
            });
        // No checksum changes by a swap.
        swapped_ends
            && frame[12..26] == expected[12..26]
            && frame[38..PAYLOAD_AT] == expected[38..PAYLOAD_AT]
            && frame[PAYLOAD_AT..] == expected[PAYLOAD_AT..]
    }
}

/// Writes an echo request from us to the peer; returns its length.
pub fn write_ping(seq: u16, frame: &mut [u8]) -> usize {
    let data = [seq as u8; PING_DATA_LEN];
    let message = icmpv4::Message::EchoRequest { ident: IDENT, seq, data: &data };
    let at = write_headers(frame, Protocol::ICMP, (8 + PING_DATA_LEN) as u16);
    at + message.write(&mut frame[at..])
}

/// True when `frame` is the reply to that request, from the peer to us, and undamaged.
pub fn is_pong(seq: u16, frame: &[u8]) -> bool {
    let data = [seq as u8; PING_DATA_LEN];
    let expected = icmpv4::Message::EchoReply { ident: IDENT, seq, data: &data };
    let read = || {
        let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
        let (ip, message) = ipv4::Header::parse(packet).ok()?;
        let is_to_us = ethernet.dst == OUR_MAC && ip.src == THEIRS && ip.dst == OURS;
        Some(is_to_us && icmpv4::Message::parse(message).ok()? == expected)
    };
    read().unwrap_or(false)
}

/// True for what testpmd's `txonly` makes: an undamaged header of a UDP datagram.
pub fn is_of_txonly(frame: &[u8]) -> bool {
    let read = || {
        let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
        let (ip, _) = ipv4::Header::parse(packet).ok()?;
        let right = ethernet.ether_type == EtherType::IPV4 && ip.protocol == Protocol::UDP;
        Some(right && frame.len() == TXONLY_LEN)
    };
    read().unwrap_or(false)
}

/// Ethernet and IPv4, from us to the peer. Returns their length.
fn write_headers(frame: &mut [u8], protocol: Protocol, payload_len: u16) -> usize {
    let (dst, src) = (THEIR_MAC, OUR_MAC);
    let ether_type = EtherType::IPV4;
    let at = ethernet::Header { dst, src, vlan: None, ether_type }.write(frame);
    at + ipv4::Header::atomic(OURS, THEIRS, protocol, payload_len).write(&mut frame[at..])
}

/// The shortest frame that holds a number.
pub const LEN_MIN: usize = PAYLOAD_AT + 8;

/// The longest without a VLAN tag.
pub const LEN_MAX: usize = 1514;

const OUR_MAC: MacAddr = MacAddr([2, 0xc0, 0, 0, 0, 1]);
const THEIR_MAC: MacAddr = MacAddr([2, 0xc0, 0, 0, 0, 2]);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const PORTS: (u16, u16) = (4_097, 4_098);
const IDENT: u16 = 0xc0e;
const PING_DATA_LEN: usize = 32;

/// Where both ends of a frame are, and how long: hardware addresses, addresses, ports.
const ENDS: [(usize, usize, usize); 3] = [(0, 6, 6), (26, 30, 4), (34, 36, 2)];

/// Ethernet, IPv4 and UDP.
const PAYLOAD_AT: usize = 14 + 20 + 8;

/// What testpmd sends unless told otherwise.
const TXONLY_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_known_by_its_number_and_by_every_byte() {
        for len in [LEN_MIN, 64, 1514] {
            let mut frames = Numbered::new(len);
            let frame = frames.numbered(7).to_vec();
            assert!(frames.is(7, false, &frame) && !frames.is(8, false, &frame));
            for at in 0..len {
                let mut wrong = frame.clone();
                wrong[at] ^= 1;
                assert!(!frames.is(7, false, &wrong), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn swapped_ends_are_known_and_nothing_else_may_change() {
        let mut frames = Numbered::new(64);
        let mut frame = frames.numbered(9).to_vec();
        for (a, b, len) in ENDS {
            for i in 0..len {
                frame.swap(a + i, b + i);
            }
        }
        assert!(frames.is(9, true, &frame) && !frames.is(9, false, &frame));
        for at in 0..frame.len() {
            let mut wrong = frame.clone();
            wrong[at] ^= 1;
            assert!(!frames.is(9, true, &wrong), "byte {at}");
        }
    }

    #[test]
    fn a_request_is_no_reply() {
        let mut frame = [0; 128];
        let len = write_ping(3, &mut frame);
        assert!(!is_pong(3, &frame[..len]));
    }
}
