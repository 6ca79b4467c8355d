//! Small runs over the paths that this machine lets us make.

use super::*;
use std::time::Duration;

fn setup(server: Server, path: Path, connections: u32) -> Setup {
    let cpus = crore::pin::allowed_cpus();
    Setup {
        server,
        path,
        connections,
        in_flight: 16,
        cpus: [cpus[0], cpus[cpus.len() - 1]],
        memory_max: 1 << 30,
        opening_max: Duration::from_secs(20),
    }
}

/// Opens, asks, opens and closes; every byte is right, and all threads end.
fn play(server: Server, path: Path) -> Result<(), KernelError> {
    let kernel = Kernel::open(&setup(server, path, 300))?;
    assert_eq!(kernel.connections(), 300, "{:?}", kernel.notes());
    let asked = kernel.requests(Duration::from_millis(200))?;
    assert!(asked.count > 100 && asked.per_second() > 0.0, "{asked:?}");
    assert_eq!((asked.bad_bytes, asked.lost), (0, 0));
    let churned = kernel.churn(Duration::from_millis(200))?;
    assert!(churned.count > 10, "{churned:?}");
    assert_eq!((churned.bad_bytes, churned.lost), (0, 0));
    // Both again: the connections that were open still are.
    assert!(kernel.requests(Duration::from_millis(100))?.count > 100);
    kernel.close()
}

#[test]
fn epoll_over_loopback() {
    play(Server::Epoll, Path::Loopback).unwrap();
}

#[test]
fn io_uring_over_loopback() {
    match play(Server::Uring, Path::Loopback) {
        // Switched off on some machines, and in most containers.
        Err(KernelError::Ended(why)) if why.contains("io_uring:") => eprintln!("SKIPPED: {why}"),
        other => other.unwrap(),
    }
}

#[test]
fn epoll_over_veth() {
    match play(Server::Epoll, Path::Veth) {
        Err(error @ (KernelError::NotRoot | KernelError::Command { .. })) => {
            eprintln!("SKIPPED: {error}");
        }
        other => other.unwrap(),
    }
}

/// More than one table of open files holds, where the limit is 20,000 and cannot be raised.
#[test]
#[ignore = "takes a gibibyte of kernel memory"]
fn a_hundred_thousand_connections_are_held_and_measured() {
    let kernel = Kernel::open(&setup(Server::Epoll, Path::Loopback, 100_000)).unwrap();
    assert_eq!(kernel.connections(), 100_000, "{:?}", kernel.notes());
    let bytes = kernel.bytes_per_connection();
    assert!((4_000.0..20_000.0).contains(&bytes), "{bytes} bytes");
    let asked = kernel.requests(Duration::from_millis(500)).unwrap();
    assert!(asked.count > 100 && asked.bad_bytes + asked.lost == 0, "{asked:?}");
    let churned = kernel.churn(Duration::from_millis(500)).unwrap();
    assert!(churned.count > 10 && churned.bad_bytes + churned.lost == 0, "{churned:?}");
    let (threads, opening) = (kernel.threads(), kernel.opening_time());
    eprintln!("{threads} threads, {opening:?}, {bytes} bytes, {asked:?}, {churned:?}");
    kernel.close().unwrap();
}

/// As many as there is memory for, and the reason.
#[test]
fn a_run_that_would_take_too_much_stops_and_says_why() {
    let mut setup = setup(Server::Epoll, Path::Loopback, 15_000);
    setup.memory_max = 1 << 20;
    let kernel = Kernel::open(&setup).unwrap();
    assert!(kernel.connections() < 15_000);
    let why = kernel.notes().iter().find(|note| note.contains("stopped at"));
    assert!(why.is_some_and(|why| why.contains("allowed")), "{:?}", kernel.notes());
    kernel.close().unwrap();
}

/// What is set for the whole machine is as it was, and no interface is left.
#[test]
fn nothing_is_left_behind() {
    let read = || {
        // Another test may be at it just now.
        let _alone = place::MAKING.lock();
        let hash = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_child_ehash_entries");
        let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
        (hash.unwrap_or_default(), devices.lines().count())
    };
    let before = read();
    let kernel = Kernel::open(&setup(Server::Epoll, Path::Loopback, 50)).unwrap();
    kernel.close().unwrap();
    assert_eq!(read(), before);
}
