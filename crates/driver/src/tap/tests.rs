//! A TAP device in a network namespace of its own, with the kernel at the other end.
//!
//! Needs root. Without it these tests say that they were skipped.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use crore_mem::Memory;
use crore_mem::frames::{RxBurst, TxBurst};

use super::{Tap, TapError, open};
use crate::RxChecksum;

/// Runs in a thread with an empty network namespace, gone when the thread is.
fn in_namespace(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no pointers; only this thread moves.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("SKIPPED: a network namespace needs root");
            return;
        }
        work();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("`ip` is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The next frame with this type behind its addresses.
fn receive(tap: &mut Tap, ether_type: [u8; 2]) -> Vec<u8> {
    let mut rx = RxBurst::new();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        tap.rx_burst(&mut rx, 1);
        let frame = (!rx.is_empty()).then(|| rx.frame(0).to_vec());
        tap.rx_release(&mut rx);
        match frame {
            Some(frame) if frame[12..14] == ether_type => return frame,
            Some(_) => {}
            None => tap.wait(Duration::from_millis(200)),
        }
        assert!(Instant::now() < end, "no such frame came");
    }
}

fn send(tap: &mut Tap, frame: &[u8]) {
    let mut tx = TxBurst::new();
    tap.tx_reserve(&mut tx, 4);
    assert_eq!(tx.room(), 4);
    tx.frame().unwrap()[..frame.len()].copy_from_slice(frame);
    tx.commit(frame.len());
    assert_eq!(tap.tx_burst(&mut tx), 1);
    tap.tx_cancel(&mut tx);
}

/// ARP and a datagram each way: the kernel asks for 10.5.0.2, is answered, sends, and is answered.
#[test]
fn the_kernel_talks_to_us_over_a_new_device() {
    in_namespace(|| {
        let mut tap = open("tap7", 1, &mut Memory::heap()).unwrap().remove(0);
        ip("addr add 10.5.0.1/24 dev tap7");
        let capabilities = tap.capabilities();
        assert_eq!((capabilities.mtu, capabilities.name.as_str()), (1500, "tap7"));
        assert_eq!(capabilities.rx_checksum, RxChecksum::Verify);
        assert_eq!(capabilities.mac[0] & 3, 2, "locally administered, one station");

        let socket = UdpSocket::bind("10.5.0.1:5000").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.send_to(b"question", "10.5.0.2:7").unwrap();
        let request = receive(&mut tap, [0x08, 0x06]);
        assert_eq!(request[38..42], [10, 5, 0, 2], "who has our address?");
        let kernel_mac = &request[6..12];
        let mut reply = request.clone();
        reply[0..6].copy_from_slice(kernel_mac);
        reply[6..12].copy_from_slice(&capabilities.mac);
        reply[21] = 2;
        reply[22..28].copy_from_slice(&capabilities.mac);
        reply[28..32].copy_from_slice(&request[38..42]);
        reply[32..38].copy_from_slice(kernel_mac);
        reply[38..42].copy_from_slice(&request[28..32]);
        send(&mut tap, &reply);

        let mut datagram = receive(&mut tap, [0x08, 0x00]);
        assert_eq!(datagram[0..6], capabilities.mac);
        assert_eq!(datagram[42..], *b"question");
        // The same back: the sums stay right when both sides of each pair are swapped.
        datagram[..12].rotate_left(6);
        datagram[26..34].rotate_left(4);
        datagram[34..38].rotate_left(2);
        send(&mut tap, &datagram);
        let mut bytes = [0; 20];
        let (len, from) = socket.recv_from(&mut bytes).expect("the kernel takes the datagram");
        assert_eq!((&bytes[..len], from.to_string().as_str()), (&b"question"[..], "10.5.0.2:7"));
        assert_eq!(tap.counters().tx_frames, 2);
    });
}

#[test]
fn a_device_has_one_queue_a_core_and_one_owner() {
    in_namespace(|| {
        let mut memory = Memory::heap();
        let taps = open("tap8", 3, &mut memory).unwrap();
        assert_eq!(taps.len(), 3);
        drop(taps);
        let _owner = open("tap9", 1, &mut memory).unwrap();
        let error = open("tap9", 1, &mut memory).unwrap_err();
        assert!(matches!(error, TapError::Busy { .. }), "{error}");
        let error = open("tap9", 2, &mut memory).unwrap_err();
        assert!(matches!(error, TapError::OtherKind { queues: 2, .. }), "{error}");
    });
}

#[test]
fn names_that_cannot_be_a_device_are_refused() {
    let mut memory = Memory::heap();
    let error = open("name-with-20-letters", 1, &mut memory).unwrap_err();
    assert!(matches!(error, TapError::Name(_)), "{error}");
    in_namespace(|| {
        ip("link add taken type veth peer name other");
        let error = open("taken", 1, &mut Memory::heap()).unwrap_err();
        assert!(matches!(error, TapError::OtherKind { .. }), "{error}");
    });
}

#[test]
fn a_wait_sleeps_until_the_waker_is_used() {
    in_namespace(|| {
        let mut tap = open("tap10", 1, &mut Memory::heap()).unwrap().remove(0);
        // A new device says hello over IPv6; read that away first.
        ip("link set tap10 down");
        let mut rx = RxBurst::new();
        while tap.rx_burst(&mut rx, 64) > 0 {
            tap.rx_release(&mut rx);
        }
        let waker = tap.waker();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            waker.wake();
        });
        let start = Instant::now();
        tap.wait(Duration::from_secs(20));
        assert!(start.elapsed() < Duration::from_secs(10));
        thread.join().unwrap();
    });
}
