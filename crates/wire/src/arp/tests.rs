use proptest::prelude::*;

use super::*;
use crate::tests::{any_mac, any_v4, bytes};

const REQUEST: Packet = Packet {
    operation: Operation::Request,
    sender_mac: MacAddr([0x02, 0, 0, 0, 0, 0x02]),
    sender_ip: Ipv4Addr::new(10, 0, 0, 2),
    target_mac: MacAddr([0; 6]),
    target_ip: Ipv4Addr::new(10, 0, 0, 1),
};

const REQUEST_BYTES: [u8; LEN] =
    [0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0, 0, 0, 0, 0x02, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1];

#[test]
fn a_request_as_it_stands_on_the_wire() {
    let mut out = [0xff; LEN];
    assert_eq!(REQUEST.write(&mut out), LEN);
    assert_eq!(out, REQUEST_BYTES);
    assert_eq!(Packet::parse(&REQUEST_BYTES), Ok(REQUEST));
}

#[test]
fn padding_behind_a_packet_is_ignored() {
    let mut padded = [0; 46];
    padded[..LEN].copy_from_slice(&REQUEST_BYTES);
    assert_eq!(Packet::parse(&padded), Ok(REQUEST));
    assert_eq!(Packet::parse(&padded[..LEN - 1]), Err(Malformed::Truncated));
}

#[test]
fn other_address_formats_are_refused() {
    for place in 0..6 {
        let mut packet = REQUEST_BYTES;
        packet[place] ^= 0x10;
        assert_eq!(Packet::parse(&packet), Err(Malformed::AddressFormat), "byte {place}");
    }
}

#[test]
fn other_operations_are_refused() {
    for operation in [0, 3, 8, 0x0100, 0xffff_u16] {
        let mut packet = REQUEST_BYTES;
        packet[6..8].copy_from_slice(&operation.to_be_bytes());
        assert_eq!(Packet::parse(&packet), Err(Malformed::Operation), "operation {operation}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        reply: bool,
        sender_mac in any_mac(),
        sender_ip in any_v4(),
        target_mac in any_mac(),
        target_ip in any_v4(),
    ) {
        let operation = if reply { Operation::Reply } else { Operation::Request };
        let packet = Packet { operation, sender_mac, sender_ip, target_mac, target_ip };
        let mut out = [0; LEN];
        packet.write(&mut out);
        prop_assert_eq!(Packet::parse(&out), Ok(packet));
    }

    #[test]
    fn any_bytes_are_refused_or_written_back_as_they_were(data in bytes(0..64)) {
        let mut data = data;
        for (byte, format) in data.iter_mut().zip(FORMATS) {
            *byte = format;
        }
        if let Ok(packet) = Packet::parse(&data) {
            let mut out = [0; LEN];
            packet.write(&mut out);
            prop_assert_eq!(&out[..], &data[..LEN]);
        }
    }
}
