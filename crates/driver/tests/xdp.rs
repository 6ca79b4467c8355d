//! XDP beside a living kernel: what is ours comes to us, the rest goes on, and a killed server's
//! peers are not reset.
//!
//! The server is a process of its own (this test binary, run again in the server's namespace), so
//! that it can be killed. It answers each SYN, which is enough for the kernel's TCP at the other
//! end to take the connection for established.
//!
//! Needs root. Without it the tests say that they were skipped.

mod namespaces;
mod responder;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crore_driver::Link;
use crore_driver::xdp::{self, LocalPorts, Mode, ModeChoice, Options};
use crore_mem::frames::{RxBurst, TxBurst};
use crore_mem::{HugePages, Memory};

use namespaces::{Namespaces, inside, root_or_skip, run};

/// Ours, over IPv4 and IPv6.
const OURS_V4: &str = "10.66.0.1:8080";
const OURS_V6: &str = "[fd66::1]:8080";
/// A service of the kernel on the same interface.
const KERNELS: &str = "10.66.0.1:2222";

/// The server process.
struct Server {
    child: Child,
    /// What it said when it was ready.
    greeting: String,
}

impl Server {
    fn start(namespaces: &Namespaces, mode: &str) -> Result<Self, String> {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new("ip")
            .args(["netns", "exec", &namespaces.server])
            .arg(program)
            .args(["--exact", "server_process", "--ignored", "--nocapture"])
            .env(responder::MODE_VARIABLE, mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.find_map(|line| {
            let line = line.unwrap();
            line.starts_with("READY")
                .then(|| Ok(line.clone()))
                .or_else(|| line.starts_with("ERROR").then(|| Err(line.clone())))
        });
        match said.expect("the server says how it went") {
            Ok(greeting) => {
                // The rest of its output is not looked at, and must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                Ok(Self { child, greeting })
            }
            Err(error) => {
                child.wait().unwrap();
                Err(error)
            }
        }
    }

    /// As `kill -9` does. `ip netns exec` became the server itself.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A graceful end: its standard input closes.
    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: the server process of the tests below.
#[test]
#[ignore = "run by the other tests"]
fn server_process() {
    if let Ok(mode) = std::env::var(responder::MODE_VARIABLE) {
        responder::serve(&mode);
    }
}

fn connect(namespaces: &Namespaces, to: &str) -> std::io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    namespaces.in_client(move || TcpStream::connect_timeout(&to, Duration::from_secs(3)))
}

/// The kernel's echo service, in the server's namespace, for as long as the namespace lives.
fn start_kernel_service(namespaces: &Namespaces) {
    let listener = namespaces.in_server(|| TcpListener::bind(KERNELS).unwrap());
    drop(inside(&namespaces.server, move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }
    }));
}

#[track_caller]
fn kernel_goes_on(namespaces: &Namespaces) {
    let mut stream = connect(namespaces, KERNELS).expect("the kernel's service answers");
    stream.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    for address in ["10.66.0.1", "fd66::1"] {
        run(&format!("ip netns exec {} ping -q -c 1 -W 3 {address}", namespaces.client));
    }
}

fn attached(namespaces: &Namespaces) -> Option<xdp::Attached> {
    namespaces.in_server(|| xdp::attached("srv0").unwrap())
}

/// The whole life of a server on an interface, in one mode.
fn live_and_die(mode: &str, queues: u32, expected: Mode) {
    let namespaces = Namespaces::new(queues);
    start_kernel_service(&namespaces);
    kernel_goes_on(&namespaces);

    let server = Server::start(&namespaces, mode).unwrap();
    assert!(server.greeting.contains(expected.name()), "{}", server.greeting);
    assert!(server.greeting.contains("leftover=false"), "{}", server.greeting);
    assert!(server.greeting.contains("TrustPartial"), "veth: {}", server.greeting);
    let ours = attached(&namespaces).unwrap();
    assert!(ours.ours && ours.mode == expected, "{ours:?}");

    // Many, so that every queue has some.
    let mut established = Vec::new();
    for _ in 0..20 {
        established.push(connect(&namespaces, OURS_V4).expect("our server answers over IPv4"));
    }
    established.push(connect(&namespaces, OURS_V6).expect("our server answers over IPv6"));
    kernel_goes_on(&namespaces);

    // A second server finds the queue busy, and does not disturb the first.
    let busy = Server::start(&namespaces, mode).err().expect("the interface is in use");
    assert!(busy.contains("in use by another AF_XDP socket"), "{busy}");
    connect(&namespaces, OURS_V4).expect("the first server still answers");

    server.kill();
    let left = attached(&namespaces).expect("the filter outlives the process");
    assert!(left.ours, "{left:?}");
    no_reset(&mut established);
    let error = connect(&namespaces, OURS_V4).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "not refused: the kernel does not see it");
    kernel_goes_on(&namespaces);

    let server = Server::start(&namespaces, mode).expect("the next start replaces what was left");
    assert!(server.greeting.contains("leftover=true"), "{}", server.greeting);
    connect(&namespaces, OURS_V4).expect("the new server answers");
    connect(&namespaces, OURS_V6).expect("the new server answers over IPv6");
    kernel_goes_on(&namespaces);

    server.stop();
    assert_eq!(attached(&namespaces), None, "a graceful end leaves nothing behind");
    let error = connect(&namespaces, OURS_V4).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "the port is the kernel's again");
    kernel_goes_on(&namespaces);
}

/// Data on connections whose server is dead: no answer at all, in particular no reset.
#[track_caller]
fn no_reset(established: &mut [TcpStream]) {
    for stream in &mut *established {
        stream.write_all(b"is anybody there?").unwrap();
    }
    std::thread::sleep(Duration::from_millis(700));
    for stream in established {
        stream.write_all(b"is anybody there?").expect("the connection was not reset");
        stream.set_nonblocking(true).unwrap();
        let error = stream.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "no reset, no data");
    }
}

#[test]
fn a_server_lives_dies_and_returns_in_native_mode() {
    if root_or_skip("the native mode test") {
        live_and_die("native", 1, Mode::Native);
    }
}

#[test]
fn a_server_lives_dies_and_returns_in_generic_mode() {
    if root_or_skip("the generic mode test") {
        live_and_die("generic", 1, Mode::Generic);
    }
}

#[test]
fn the_best_mode_on_veth_with_several_queues_is_native() {
    if root_or_skip("the multi-queue test") {
        live_and_die("best", 2, Mode::Native);
    }
}

#[test]
fn a_leftover_filter_is_taken_away_by_hand_or_replaced_in_another_mode() {
    if !root_or_skip("the leftover test") {
        return;
    }
    let namespaces = Namespaces::new(1);
    Server::start(&namespaces, "generic").unwrap().kill();
    let server = Server::start(&namespaces, "native").unwrap();
    assert!(server.greeting.contains("native leftover=true"), "{}", server.greeting);
    connect(&namespaces, OURS_V4).unwrap();
    server.kill();
    assert!(namespaces.in_server(|| xdp::detach("srv0").unwrap()), "there was one");
    assert!(!namespaces.in_server(|| xdp::detach("srv0").unwrap()), "there is none any more");
    let error = connect(&namespaces, OURS_V4).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// The interface with a filter for TCP port 9000, whatever the address, as one link.
fn open_link(interface: &str, mode: Mode) -> (Link, xdp::Attachment) {
    let mut options = Options::new(interface);
    options.mode = ModeChoice::Only(mode);
    options.frames = 512;
    options.ours = vec![LocalPorts::one("0.0.0.0".parse().unwrap(), 9000)];
    let mut opened = xdp::open(&options, &mut Memory::new(HugePages::None)).unwrap();
    (Link::Xdp(opened.queues.remove(0)), opened.attachment)
}

/// A frame that the filter takes, with a number and as many bytes as the number tells.
fn write_numbered(frame: &mut [u8], number: u64) -> usize {
    let len = 62 + (number % 1400) as usize;
    frame[..len].fill(number as u8);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..16].copy_from_slice(&[0x45, 0]);
    frame[20..24].copy_from_slice(&[0, 0, 64, 6]);
    frame[36..38].copy_from_slice(&9000u16.to_be_bytes());
    frame[54..62].copy_from_slice(&number.to_be_bytes());
    len
}

/// Sends whole bursts, more than the kernel sends in one call, and gets every frame back in order.
fn ping_pong(mode: Mode) {
    const FRAMES: u64 = 20_000;
    const IN_FLIGHT_MAX: u64 = 200;
    let namespaces = Namespaces::new(1);
    let (done, done_seen) = std::sync::mpsc::channel::<()>();
    let (ready, ready_seen) = std::sync::mpsc::channel();
    let echo = inside(&namespaces.server, move || {
        let (mut link, attachment) = open_link("srv0", mode);
        ready.send(link.waker()).unwrap();
        let (mut rx, mut tx) = (RxBurst::new(), TxBurst::new());
        while done_seen.try_recv().is_err() {
            link.tx_reserve(&mut tx, 64);
            // Only what can be answered is taken.
            if link.rx_burst(&mut rx, tx.room().min(64)) == 0 {
                link.wait(Duration::from_millis(100));
            }
            for i in 0..rx.len() {
                let frame = rx.frame(i);
                tx.frame().unwrap()[..frame.len()].copy_from_slice(frame);
                tx.commit(frame.len());
            }
            link.rx_release(&mut rx);
            link.tx_burst(&mut tx);
        }
        link.tx_cancel(&mut tx);
        drop(attachment);
        link.counters()
    });
    let waker = ready_seen.recv().unwrap();
    let counters = namespaces.in_client(move || {
        let (mut link, _attachment) = open_link("cli0", mode);
        let (mut rx, mut tx) = (RxBurst::new(), TxBurst::new());
        let (mut sent, mut back) = (0u64, 0u64);
        let end = std::time::Instant::now() + Duration::from_mins(1);
        while back < FRAMES {
            assert!(std::time::Instant::now() < end, "{sent} sent, {back} came back");
            link.tx_reserve(&mut tx, 128);
            while sent < FRAMES.min(back + IN_FLIGHT_MAX) {
                let Some(frame) = tx.frame() else { break };
                let len = write_numbered(frame, sent);
                tx.commit(len);
                sent += 1;
            }
            link.tx_burst(&mut tx);
            if link.rx_burst(&mut rx, 64) == 0 {
                link.wait(Duration::from_millis(100));
            }
            for i in 0..rx.len() {
                let mut expected = [0; 2048];
                let len = write_numbered(&mut expected, back);
                assert_eq!(rx.frame(i), &expected[..len], "frame {back}");
                back += 1;
            }
            link.rx_release(&mut rx);
        }
        link.tx_cancel(&mut tx);
        link.counters()
    });
    done.send(()).unwrap();
    waker.wake();
    let echoed = echo.join().unwrap();
    for counters in [counters, echoed] {
        assert_eq!((counters.rx_frames, counters.tx_frames), (FRAMES, FRAMES));
        assert_eq!((counters.rx_bad, counters.tx_bad, counters.tx_errors), (0, 0, 0));
    }
}

#[test]
fn bursts_cross_in_both_directions_whole_and_in_order() {
    if root_or_skip("the burst test") {
        ping_pong(Mode::Native);
        ping_pong(Mode::Generic);
    }
}
