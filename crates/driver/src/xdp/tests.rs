//! What a user does wrong, and what is then said. Each test has a network namespace of its own.
//!
//! Needs root. Without it these tests say that they were skipped.

use std::os::fd::AsRawFd as _;
use std::process::Command;

use crore_mem::Memory;

use super::asm::{Assembler, Reg};
use super::filter::{Filter, LocalPorts};
use super::link::{Attachment, find};
use super::{Mode, ModeChoice, Options, XdpError, attached, bpf, detach, netlink, open, program};
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
        assert_eq!(opened.queues.iter().map(super::Queue::number).collect::<Vec<_>>(), [0, 1]);
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
