//! What a user does wrong, and what is then said. Each test has a network namespace of its own.
//!
//! Needs root. Without it these tests say that they were skipped.

use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crore_mem::Memory;
use crore_mem::frames::{RxBurst, TxBurst};

use super::asm::{Assembler, Reg};
use super::filter::{Filter, LocalPorts};
use super::link::{Attachment, find};
use super::path::Path;
use super::socket::Bind;
use super::{
    Mode, ModeChoice, Options, Queue, XdpError, ZeroCopy, attached, bpf, detach, netlink, open,
    program,
};
use crate::{Link, RxChecksum};

/// Runs in a thread with an empty network namespace, gone when the thread is: there, `v0` and `v1`
/// are a veth pair with two queues, both up.
fn in_namespace(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no pointers; only this thread moves.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("SKIPPED: a network namespace needs root");
            return;
        }
        ip("link add v0 numrxqueues 2 numtxqueues 2 type veth peer name v1");
        ip("link set v0 up");
        ip("link set v1 up");
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

fn error_of(options: &Options) -> XdpError {
    let error = open(options, &mut Memory::heap()).expect_err("it cannot be opened");
    assert_eq!(attached(&options.interface).ok().flatten().filter(|found| found.ours), None);
    error
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let error = error_of(&Options::new("eth-none"));
    assert!(matches!(&error, XdpError::NoSuchInterface { name } if name == "eth-none"), "{error}");
    assert!(matches!(detach(""), Err(XdpError::NoSuchInterface { .. })));
}

#[test]
fn an_interface_that_is_down_is_said_to_be() {
    in_namespace(|| {
        ip("link set v0 down");
        let error = error_of(&Options::new("v0"));
        assert!(error.to_string().contains("ip link set v0 up"), "{error}");
    });
}

#[test]
fn an_mtu_that_is_too_large_is_said_with_the_limit() {
    in_namespace(|| {
        ip("link set v0 mtu 3499");
        let error = error_of(&Options::new("v0"));
        assert!(matches!(error, XdpError::MtuTooLarge { mtu: 3499, .. }), "{error}");
        assert!(error.to_string().contains("3498"), "{error}");
        ip("link set v0 mtu 3498");
        ip("link set v1 mtu 3498");
        let opened = open(&Options::new("v0"), &mut Memory::heap()).unwrap();
        assert_eq!(opened.attachment.mode(), Mode::Native, "the largest MTU works natively");
        assert_eq!(opened.queues[0].capabilities().mtu, 3498);
    });
}

#[test]
fn a_wrong_number_of_queues_is_said_with_the_right_one() {
    in_namespace(|| {
        for asked in [1, 3] {
            let options = Options { queues: Some(asked), ..Options::new("v0") };
            let error = error_of(&options);
            let XdpError::QueueCount { existing, .. } = error else { panic!("{error}") };
            assert_eq!(existing, 2);
        }
        let options = Options { queues: Some(2), ..Options::new("v0") };
        let opened = open(&options, &mut Memory::heap()).unwrap();
        assert_eq!(opened.queues.iter().map(Queue::number).collect::<Vec<_>>(), [0, 1]);
    });
}

#[test]
fn a_number_of_frames_that_no_ring_has_is_refused() {
    in_namespace(|| {
        for frames in [0, 63, 100, 1 << 17] {
            let options = Options { frames, ..Options::new("v0") };
            assert!(matches!(error_of(&options), XdpError::FrameCount { .. }), "{frames}");
        }
    });
}

#[test]
fn where_native_mode_is_not_to_be_had_the_best_is_generic_and_says_why() {
    in_namespace(|| {
        // The peer sends packets that native mode has no room for.
        ip("link set v1 mtu 9000");
        let only = Options { mode: ModeChoice::Only(Mode::Native), ..Options::new("v0") };
        let error = error_of(&only);
        let text = error.to_string();
        assert!(text.contains("native mode") && text.contains("Peer MTU is too large"), "{text}");
        let opened = open(&Options::new("v0"), &mut Memory::heap()).unwrap();
        assert_eq!(opened.attachment.mode(), Mode::Generic);
        let why = opened.attachment.native_refusal().unwrap();
        assert!(why.contains("Peer MTU is too large"), "{why}");
    });
}

#[test]
fn the_program_of_somebody_else_is_left_alone() {
    in_namespace(|| {
        let mut asm = Assembler::default();
        asm.mov_imm(Reg::R0, program::XDP_PASS);
        asm.exit();
        let other = bpf::program_load("firewall", &asm.finish()).unwrap();
        let v0 = find("v0").unwrap();
        netlink::set(v0.index, Some(other.as_raw_fd()), 1 << 2, None).unwrap();
        for error in [error_of(&Options::new("v0")), detach("v0").unwrap_err()] {
            let XdpError::OtherProgram { program, .. } = &error else { panic!("{error}") };
            assert_eq!(program, "firewall");
        }
        let there = attached("v0").unwrap().unwrap();
        assert_eq!(
            (there.program.as_str(), there.ours, there.mode),
            ("firewall", false, Mode::Native)
        );

        // One that replaces ours while we run is not taken away at our end.
        netlink::set(v0.index, None, 1 << 2, None).unwrap();
        let ours = Attachment::new(Filter::load(2).unwrap(), &v0, ModeChoice::Best).unwrap();
        netlink::set(v0.index, Some(other.as_raw_fd()), 1 << 2, None).unwrap();
        ours.detach().unwrap();
        assert_eq!(attached("v0").unwrap().unwrap().program, "firewall");
    });
}

#[test]
fn what_is_dropped_is_taken_away_and_the_queue_can_be_had_again_at_once() {
    in_namespace(|| {
        let options = Options {
            ours: vec![LocalPorts::one("10.0.0.1".parse().unwrap(), 80)],
            ..Options::new("v0")
        };
        for _ in 0..3 {
            let mut opened = open(&options, &mut Memory::heap()).unwrap();
            assert!(attached("v0").unwrap().unwrap().ours);
            assert!(!opened.attachment.replaced_leftover());
            let link = Link::Xdp(opened.queues.remove(0));
            let capabilities = link.capabilities();
            assert_eq!((capabilities.name.as_str(), capabilities.mtu), ("v0", 1500));
            assert_eq!(capabilities.rx_checksum, RxChecksum::TrustPartial);
            assert!(capabilities.kernel_neighbours);
            drop(opened);
            assert_eq!(attached("v0").unwrap(), None);
        }
    });
}

#[test]
fn where_zero_copy_is_refused_the_kernel_copies_and_it_is_said_why() {
    in_namespace(|| {
        let path_of = |options: &Options| {
            let opened = open(options, &mut Memory::heap()).unwrap();
            opened.queues[0].path().path()
        };
        let path = path_of(&Options::new("v0"));
        assert!(!path.zero_copy && path.why.contains("refused: Operation not supp"), "{path:?}");
        let asked = Options { zero_copy: ZeroCopy::Never, ..Options::new("v0") };
        assert_eq!(path_of(&asked).why, "it was asked for");
        let only = Options { zero_copy: ZeroCopy::Only, ..Options::new("v0") };
        let error = error_of(&only);
        assert!(matches!(error, XdpError::NoZeroCopy { .. }), "{error}");
        assert!(error.to_string().contains("Operation not supported"), "{error}");
    });
}

#[test]
fn room_for_a_frame_that_the_mtu_or_a_ring_does_not_allow_is_refused() {
    in_namespace(|| {
        for bytes in [0, 1024, 3000, 8192] {
            let options = Options { frame_room: Some(bytes), ..Options::new("v0") };
            assert!(matches!(error_of(&options), XdpError::FrameRoom { .. }), "{bytes}");
        }
    });
}

#[test]
fn where_nobody_answers_pings_no_peer_is_found() {
    in_namespace(|| {
        ip("address add 10.0.0.1/24 dev v0");
        let v0 = crate::Interface::named("v0").unwrap();
        assert_eq!(super::peer::Peer::find(&v0, &[]), None);
        assert_eq!(super::peer::Peer::find(&v0, &["10.0.0.77".parse().unwrap()]), None);
    });
}

/// One frame for TCP port 80 of any address.
fn write_ours(frame: &mut [u8]) -> usize {
    frame[..60].fill(0);
    frame[..6].fill(0xff);
    frame[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
    frame[16..18].copy_from_slice(&46u16.to_be_bytes());
    frame[23] = 6;
    frame[36..38].copy_from_slice(&80u16.to_be_bytes());
    60
}

/// Sends one frame for our port, and keeps room for more.
fn send_ours(queue: &mut Queue, tx: &mut TxBurst) {
    queue.tx_reserve(tx, 4);
    let len = write_ours(tx.frame().expect("room to send"));
    tx.commit(len);
    queue.tx_burst(tx);
}

/// Waits until frames arrive, at most `max`.
fn await_frames(queue: &mut Queue, rx: &mut RxBurst, max: usize) {
    let end = Instant::now() + Duration::from_mins(1);
    while queue.rx_burst(rx, max) == 0 {
        assert!(Instant::now() < end, "a frame did not arrive");
        std::thread::yield_now();
    }
}

#[test]
fn a_queue_whose_socket_is_changed_under_way_goes_on_and_keeps_what_is_lent() {
    in_namespace(|| {
        let ours = vec![LocalPorts::one("0.0.0.0".parse().unwrap(), 80)];
        let options = |name| Options { ours: ours.clone(), frames: 64, ..Options::new(name) };
        let mut near = open(&options("v0"), &mut Memory::heap()).unwrap();
        let mut far = open(&options("v1"), &mut Memory::heap()).unwrap();
        let (mut tx, mut rx) = (TxBurst::new(), RxBurst::new());
        let mut held = RxBurst::new();
        for round in 0..3 {
            for _ in 0..200 {
                send_ours(&mut near.queues[0], &mut tx);
                await_frames(&mut far.queues[0], &mut rx, 64);
                assert_eq!(rx.frame(0).len(), 60);
                far.queues[0].rx_release(&mut rx);
            }
            // One frame is lent while the sockets change; so is room to send.
            send_ours(&mut near.queues[0], &mut tx);
            await_frames(&mut far.queues[0], &mut held, 1);
            near.queues[0].rebind(Bind::Copy).unwrap();
            far.queues[0].rebind(Bind::Copy).unwrap();
            assert_eq!(held.frame(0)[12..16], [0x08, 0x00, 0x45, 0], "round {round}");
            far.queues[0].rx_release(&mut held);
        }
        near.queues[0].tx_cancel(&mut tx);
        assert_eq!(near.queues[0].unsent(), 0, "each chunk is free again");
        assert_eq!(far.queues[0].ours().unwrap(), 3 * 201);
        assert_eq!(far.queues[0].counters().rx_frames, 3 * 201);
    });
}

/// A veth pair in use at both ends, with port 80 ours; the far queue's path counts as granted and
/// not proven.
fn unproven_pair() -> (super::Opened, super::Opened) {
    let ours = vec![LocalPorts::one("0.0.0.0".parse().unwrap(), 80)];
    let options = |name| Options { ours: ours.clone(), frames: 64, ..Options::new(name) };
    let near = open(&options("v0"), &mut Memory::heap()).unwrap();
    let mut far = open(&options("v1"), &mut Memory::heap()).unwrap();
    far.queues[0].set_path(Path::unproven("a test"));
    (near, far)
}

/// Sends a frame of `bytes` bytes whose IP header says `said`, for our port.
fn send(near: &mut super::Opened, bytes: usize, said: usize) {
    let mut tx = TxBurst::new();
    near.queues[0].tx_reserve(&mut tx, 1);
    let frame = tx.frame().expect("room to send");
    write_ours(frame);
    frame[60..bytes].fill(0);
    frame[16..18].copy_from_slice(&(said as u16 - 14).to_be_bytes());
    tx.commit(bytes);
    near.queues[0].tx_burst(&mut tx);
    near.queues[0].tx_cancel(&mut tx);
}

fn receive(far: &mut super::Opened) {
    let mut rx = RxBurst::new();
    await_frames(&mut far.queues[0], &mut rx, 64);
    far.queues[0].rx_release(&mut rx);
}

#[test]
fn a_frame_of_full_size_proves_a_path_in_use() {
    in_namespace(|| {
        let (mut near, mut far) = unproven_pair();
        let view = far.queues[0].path();
        send(&mut near, 60, 60);
        receive(&mut far);
        assert!(!view.path().proven);
        send(&mut near, 1514, 1514);
        receive(&mut far);
        assert_eq!(view.path(), Path::proven("a frame of 1514 bytes arrived whole"));
    });
}

#[test]
fn a_path_in_use_that_cuts_frames_is_replaced_by_copies() {
    in_namespace(|| {
        let (mut near, mut far) = unproven_pair();
        let view = far.queues[0].path();
        for _ in 0..4 {
            assert!(view.path().zero_copy);
            send(&mut near, 1024, 1514);
            receive(&mut far);
        }
        let path = view.path();
        assert!(!path.zero_copy && path.why.contains("cut: 1024 of 1514 bytes"), "{path:?}");
        send(&mut near, 60, 60);
        receive(&mut far);
    });
}

#[test]
fn a_path_in_use_on_which_nothing_arrives_is_replaced_by_copies() {
    in_namespace(|| {
        let (mut near, mut far) = unproven_pair();
        let view = far.queues[0].path();
        // The far end's filter sends to a socket that is not of its interface, so in vain.
        far.queues[0].misdirect(&near.queues[0]);
        for _ in 0..6 {
            send(&mut near, 60, 60);
        }
        let end = Instant::now() + Duration::from_mins(1);
        while view.path().zero_copy {
            assert!(Instant::now() < end, "nobody noticed");
            far.queues[0].wait(Duration::from_millis(50));
        }
        let path = view.path();
        assert!(path.why.contains("none of 6 frames arrived"), "{path:?}");
        send(&mut near, 60, 60);
        receive(&mut far);
    });
}

/// A socket of the kernel's that sees what arrives at this interface.
fn tap_on(interface: &str) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd as _;
    let all = libc::c_int::from((libc::ETH_P_ALL as u16).to_be());
    // SAFETY: no pointers but a whole address with its size; the descriptor is new and ours.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, all);
        assert!(fd >= 0, "a packet socket needs root");
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all as u16;
        address.sll_ifindex = find(interface).unwrap().index as libc::c_int;
        let size = size_of_val(&address) as libc::socklen_t;
        assert_eq!(libc::bind(fd, (&raw const address).cast(), size), 0);
        std::os::fd::OwnedFd::from_raw_fd(fd)
    }
}

/// The next packet of TCP that it sees.
fn next_on(tap: &std::os::fd::OwnedFd) -> Vec<u8> {
    let end = Instant::now() + Duration::from_mins(1);
    let mut bytes = vec![0; 70_000];
    loop {
        // SAFETY: the buffer is writable over its length.
        let len = unsafe {
            let start = bytes.as_mut_ptr().cast();
            libc::recv(tap.as_raw_fd(), start, bytes.len(), libc::MSG_DONTWAIT)
        };
        if len > 54 && bytes[12..14] == [8, 0] && bytes[23] == 6 {
            bytes.truncate(len as usize);
            return bytes;
        }
        assert!(Instant::now() < end, "a packet did not arrive");
    }
}

/// Writes a segment for our port with 1,000 octets of `number` behind those of the numbers before
/// it.
fn write_segment(frame: &mut [u8], number: u8) -> usize {
    write_ours(frame);
    frame[16..18].copy_from_slice(&1040u16.to_be_bytes());
    frame[38..42].copy_from_slice(&(u32::from(number) * 1000).to_be_bytes());
    frame[46..54].copy_from_slice(&[0x50, 0x10, 0, 1, 0, 0, 0, 0]);
    frame[24..26].fill(0);
    let sum = crore_wire::checksum::Sum::ZERO.add_bytes(&frame[14..34]).finish();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame[54..1054].fill(number);
    1054
}

fn send_segments(queue: &mut Queue, tx: &mut TxBurst, numbers: std::ops::Range<u8>) {
    queue.tx_reserve(tx, numbers.len());
    for number in numbers {
        let len = write_segment(tx.frame().expect("room to send"), number);
        tx.commit(len);
    }
    queue.tx_burst(tx);
}

#[test]
fn a_run_of_segments_crosses_as_one_packet_where_the_kernel_copies() {
    in_namespace(|| {
        let mut near = open(&Options::new("v0"), &mut Memory::heap()).unwrap();
        let (tap, queue) = (tap_on("v1"), &mut near.queues[0]);
        let mut tx = TxBurst::new();
        let calls = queue.counters().system_calls;
        send_segments(queue, &mut tx, 0..5);
        assert_eq!(queue.counters().system_calls - calls, 1);
        let packet = next_on(&tap);
        assert_eq!((packet.len(), &packet[16..18]), (5054, &5040u16.to_be_bytes()[..]));
        let numbers: Vec<u8> = packet[54..].iter().step_by(1000).copied().collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        // Before, between and behind runs all keep their order.
        for part in [5..6, 7..9, 10..13, 14..15] {
            send_segments(queue, &mut tx, part.clone());
            let packet = next_on(&tap);
            assert_eq!(packet.len(), 54 + 1000 * part.len());
            assert_eq!(packet[54], part.start);
        }
        queue.tx_cancel(&mut tx);
        assert_eq!(queue.unsent(), 0, "each chunk is free again");
        assert_eq!((queue.counters().tx_frames, queue.counters().tx_busy), (12, 0));
    });
}

#[test]
fn what_the_interface_does_not_take_as_one_goes_frame_by_frame() {
    in_namespace(|| {
        let mut near = open(&Options::new("v0"), &mut Memory::heap()).unwrap();
        ip("link set v0 gso_max_size 2048");
        let (tap, queue) = (tap_on("v1"), &mut near.queues[0]);
        let mut tx = TxBurst::new();
        for number in (0..120).step_by(3) {
            send_segments(queue, &mut tx, number..number + 3);
            for number in number..number + 3 {
                let packet = next_on(&tap);
                assert_eq!((packet.len(), packet[54]), (1054, number));
            }
        }
        let refused = queue.counters().tx_busy;
        assert!((3..10).contains(&refused), "it is asked more and more seldom: {refused}");
        queue.tx_cancel(&mut tx);
        assert_eq!(queue.unsent(), 0);
    });
}
