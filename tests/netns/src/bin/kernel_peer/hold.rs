//! Opens connections from one address and keeps them.
//!
//! ```text
//!   says    open 10000
//!   asked   check      says   checked 10000 bad 0     each echoed a message of its own
//!   asked   close      says   closed 10000 bad 0      each answered FIN with FIN
//! ```

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Socket, Type};

use crate::pattern;

pub(crate) fn run(server: SocketAddr, source: IpAddr, count: u64) -> Result<()> {
    let mut held = open(server, source, count)?;
    println!("open {}", held.len());
    for (round, line) in (0..).zip(io::stdin().lines()) {
        match line?.as_str() {
            "check" => println!("checked {} bad {}", held.len(), check(&mut held, round)),
            "close" => {
                println!("closed {} bad {}", held.len(), close(&mut held));
                return Ok(());
            }
            other => bail!("no such request: {other}"),
        }
    }
    Ok(())
}

/// One connection and its number, which makes its messages its own.
struct Held {
    number: u64,
    stream: TcpStream,
}

fn open(server: SocketAddr, source: IpAddr, count: u64) -> Result<Vec<Held>> {
    let numbers: Vec<u64> = (0..count).collect();
    let share = numbers.len().div_ceil(THREADS).max(1);
    thread::scope(|scope| {
        let openers: Vec<_> = numbers
            .chunks(share)
            .map(|some| scope.spawn(|| some.iter().map(|n| connect(server, source, *n)).collect()))
            .collect();
        let mut held = Vec::with_capacity(numbers.len());
        for opener in openers {
            let part: Result<Vec<Held>> = opener.join().expect("the thread does not panic");
            held.extend(part?);
        }
        Ok(held)
    })
}

fn connect(server: SocketAddr, source: IpAddr, number: u64) -> Result<Held> {
    let context = || format!("connection {number} from {source} to {server}");
    let socket =
        Socket::new(Domain::for_address(server), Type::STREAM, None).with_context(context)?;
    socket.bind(&SocketAddr::new(source, 0).into()).with_context(context)?;
    socket.connect(&server.into()).with_context(context)?;
    socket.set_tcp_nodelay(true).with_context(context)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIME_LIMIT)).with_context(context)?;
    stream.set_write_timeout(Some(TIME_LIMIT)).with_context(context)?;
    Ok(Held { number, stream })
}

/// Sends a message on each connection and reads it back. Returns how many failures were seen.
fn check(held: &mut [Held], round: u64) -> u64 {
    let offset = round * MESSAGE_BYTES as u64;
    in_bursts(held, |burst| {
        let mut message = [0; MESSAGE_BYTES];
        for one in burst.iter_mut() {
            pattern::fill(one.number, offset, &mut message);
            one.stream.write_all(&message).with_context(|| one.name())?;
        }
        for one in burst.iter_mut() {
            one.stream.read_exact(&mut message).with_context(|| one.name())?;
            let differences = pattern::differences(one.number, offset, &message);
            ensure!(differences == 0, "{}: {differences} wrong bytes", one.name());
        }
        Ok(())
    })
}

/// Ends each connection in order and waits for the other side's end. Returns how many failures
/// were seen.
fn close(held: &mut [Held]) -> u64 {
    in_bursts(held, |burst| {
        for one in burst.iter() {
            one.stream.shutdown(Shutdown::Write).with_context(|| one.name())?;
        }
        for one in burst.iter_mut() {
            let more = one.stream.read(&mut [0; 1]).with_context(|| one.name())?;
            ensure!(more == 0, "{}: bytes where the end should be", one.name());
        }
        Ok(())
    })
}

/// Does something to all connections on several threads, some connections at a time.
///
/// A thread ends with its first failure: a thousand dead connections are not waited for in turn.
fn in_bursts(held: &mut [Held], act: impl Fn(&mut [Held]) -> Result<()> + Sync) -> u64 {
    let failures = AtomicU64::new(0);
    let share = held.len().div_ceil(THREADS).max(1);
    thread::scope(|scope| {
        for part in held.chunks_mut(share) {
            scope.spawn(|| {
                if let Err(error) = part.chunks_mut(BURST).try_for_each(&act) {
                    eprintln!("{error:#}");
                    failures.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    failures.into_inner()
}

impl Held {
    fn name(&self) -> String {
        format!("connection {} from {:?}", self.number, self.stream.local_addr())
    }
}

const THREADS: usize = 4;
const BURST: usize = 64;
const MESSAGE_BYTES: usize = 48;

/// A watchdog, not an expectation: one answer on a machine that does much else.
const TIME_LIMIT: Duration = Duration::from_mins(1);
