//! A SYN, and the next one.

use std::net::{Ipv4Addr, SocketAddrV4};

use crore_wire::Protocol;
use crore_wire::checksum::Sum;
use crore_wire::ethernet::{HEADER_LEN, MacAddr};

/// A frame with a SYN, each time from another source.
pub(crate) struct Syn {
    frame: [u8; FRAME_LEN],
    server: Ipv4Addr,
    state: u64,
}

impl Syn {
    pub(crate) fn to(server: SocketAddrV4, mac: MacAddr) -> Self {
        let mut frame = [0; FRAME_LEN];
        frame[..6].copy_from_slice(&mac.0);
        frame[6..12].copy_from_slice(&SENDER.0);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        let packet = &mut frame[HEADER_LEN..];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(PACKET_LEN as u16).to_be_bytes());
        packet[8] = 64;
        packet[9] = TCP;
        packet[16..20].copy_from_slice(&server.ip().octets());
        let segment = &mut packet[20..];
        segment[2..4].copy_from_slice(&server.port().to_be_bytes());
        segment[12] = ((SEGMENT_LEN / 4) as u8) << 4;
        segment[13] = SYN;
        segment[14..16].copy_from_slice(&64_240_u16.to_be_bytes());
        segment[20..].copy_from_slice(&OPTIONS);
        Self { frame, server: *server.ip(), state: 0x2545_F491_4F6C_DD1D }
    }

    /// The next frame: another source address, port and sequence number.
    pub(crate) fn next(&mut self) -> &[u8] {
        // Xorshift (Marsaglia 2003).
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let luck = self.state.to_le_bytes();
        let source = Ipv4Addr::new(198, 18 + (luck[0] & 1), luck[1], luck[2]);
        let packet = &mut self.frame[HEADER_LEN..];
        packet[12..16].copy_from_slice(&source.octets());
        packet[10..12].fill(0);
        let sum = Sum::ZERO.add_bytes(&packet[..20]).finish();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        let segment = &mut packet[20..];
        segment[0] = luck[3] | 0x80;
        segment[1] = luck[4];
        segment[4..8].copy_from_slice(&luck[4..8]);
        segment[16..18].fill(0);
        let pseudo = Sum::pseudo_v4(source, self.server, Protocol(TCP), SEGMENT_LEN as u16);
        let sum = pseudo.add_bytes(segment).finish();
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        &self.frame
    }
}

/// The hardware address that the frames come from.
const SENDER: MacAddr = MacAddr([0x02, 0xf1, 0x00, 0x0d, 0x00, 0x01]);

/// MSS 1460, SACK permitted, timestamps, window scale 7.
const OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];

const TCP: u8 = 6;
const SYN: u8 = 2;
const SEGMENT_LEN: usize = 20 + OPTIONS.len();
const PACKET_LEN: usize = 20 + SEGMENT_LEN;
const FRAME_LEN: usize = HEADER_LEN + PACKET_LEN;
