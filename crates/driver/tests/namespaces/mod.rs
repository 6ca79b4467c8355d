//! Two network namespaces joined by a veth pair, for one test, gone with it.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// True as root; else says that the test is skipped.
pub(crate) fn root_or_skip(test: &str) -> bool {
    // SAFETY: no arguments, no failure.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("SKIPPED: {test} needs root: it makes network namespaces");
    }
    root
}

/// Server side with `srv0`, client side with `cli0`; IPv4 `10.66.0.1` and `.2`, IPv6 `fd66::1` and
/// `::2`.
pub(crate) struct Namespaces {
    pub(crate) server: String,
    pub(crate) client: String,
}

impl Namespaces {
    /// `queues` receive and transmit queues on the server's side.
    pub(crate) fn new(queues: u32) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let pair = Self { server: format!("drv-srv-{id}"), client: format!("drv-cli-{id}") };
        let (server, client) = (&pair.server, &pair.client);
        ip(&format!("netns add {server}"));
        ip(&format!("netns add {client}"));
        ip(&format!(
            "-n {server} link add srv0 numrxqueues {queues} numtxqueues {queues} type veth \
             peer name cli0 numrxqueues {queues} numtxqueues {queues} netns {client}"
        ));
        for (namespace, link, host) in [(server, "srv0", 1), (client, "cli0", 2)] {
            ip(&format!("-n {namespace} addr add 10.66.0.{host}/24 dev {link}"));
            ip(&format!("-n {namespace} addr add fd66::{host}/64 dev {link} nodad"));
            ip(&format!("-n {namespace} link set {link} up"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        // In generic mode the large packets of segmentation offload would not fit into a frame.
        run(&format!("ip netns exec {client} ethtool -K cli0 tso off gso off"));
        pair
    }

    /// Runs in a thread of its own, which alone enters the client's namespace.
    pub(crate) fn in_client<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        inside(&self.client, work).join().unwrap()
    }

    /// As [`Namespaces::in_client`], in the server's namespace.
    pub(crate) fn in_server<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        inside(&self.server, work).join().unwrap()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// A thread inside a namespace.
pub(crate) fn inside<R: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> std::thread::JoinHandle<R> {
    use std::os::fd::AsRawFd as _;
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    std::thread::spawn(move || {
        // SAFETY: a descriptor of a network namespace; only this thread moves there.
        let answer = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
        work()
    })
}

pub(crate) fn ip(arguments: &str) {
    run(&format!("ip {arguments}"));
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &str) -> Output {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().expect(command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
