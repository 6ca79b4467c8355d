//! Two ends, with a clock that the test moves.

use super::*;
use crate::pipe::pair_stamped;
use crore_mem::Memory;
use std::cell::Cell;
use std::sync::mpsc::{Receiver, channel};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// A watched end, the other one, and what was told.
fn scene() -> (Watch, End, Receiver<u64>) {
    NOW.set(1000);
    let (near, far) = pair_stamped(&mut Memory::heap(), 64, 1500, || NOW.get()).unwrap();
    let (sender, receiver) = channel();
    (Watch::new(near, Box::new(move |ticks| sender.send(ticks).unwrap())), far, receiver)
}

/// An Ethernet frame with a TCP segment of so many octets from one of our ports, or to it.
fn frame(is_to_us: bool, our_port: u16, octets: usize) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_BYTES + 40 + octets];
    frame[12..14].copy_from_slice(&ETHER_TYPE_V4);
    let packet = &mut frame[ETHERNET_BYTES..];
    (packet[0], packet[9], packet[32]) = (0x45, TCP, 0x50);
    packet[2..4].copy_from_slice(&(40 + octets as u16).to_be_bytes());
    let (ours, theirs) = if is_to_us { (16, 12) } else { (12, 16) };
    packet[ours..ours + 4].copy_from_slice(&[10, 0, 0, 1]);
    packet[theirs..theirs + 4].copy_from_slice(&[10, 0, 0, 2]);
    let at = if is_to_us { 22 } else { 20 };
    packet[at..at + 2].copy_from_slice(&our_port.to_be_bytes());
    frame
}

fn write(burst: &mut TxBurst, frame: &[u8]) {
    burst.frame().unwrap()[..frame.len()].copy_from_slice(frame);
    burst.commit(frame.len());
}

#[test]
fn what_the_other_side_took_is_told_and_nothing_that_this_side_did_counts() {
    let (mut watch, mut far, told) = scene();
    let (mut tx, mut rx) = (TxBurst::new(), RxBurst::new());
    watch.tx_reserve(&mut tx, 2);
    write(&mut tx, &frame(false, 7, 64));
    write(&mut tx, &frame(false, 8, 64));
    assert_eq!(watch.tx_burst(&mut tx), 2);

    NOW.set(1300);
    assert_eq!(far.rx_burst(&mut rx, 64), 2);
    far.rx_release(&mut rx);
    let mut back = TxBurst::new();
    far.tx_reserve(&mut back, 3);
    write(&mut back, &frame(true, 7, 0));
    write(&mut back, &frame(true, 8, 64));
    far.tx_burst(&mut back);
    NOW.set(1500);
    write(&mut back, &frame(true, 7, 64));
    far.tx_burst(&mut back);

    // We look at it late: that is not the other side's.
    NOW.set(9000);
    assert_eq!(watch.rx_burst(&mut rx, 64), 3);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [300, 500], "an ACK alone is no answer");
    watch.rx_release(&mut rx);
}

#[test]
fn what_was_not_asked_for_and_what_is_no_tcp_is_let_through_without_a_word() {
    let (mut watch, mut far, told) = scene();
    let (mut back, mut rx) = (TxBurst::new(), RxBurst::new());
    far.tx_reserve(&mut back, 4);
    for one in [&frame(true, 7, 64)[..], b"short", &[0xff; 60], &frame(true, 7, 64)[..50]] {
        write(&mut back, one);
    }
    far.tx_burst(&mut back);
    assert_eq!(watch.rx_burst(&mut rx, 64), 4);
    assert_eq!(told.try_iter().count(), 0);
    watch.rx_release(&mut rx);
}
