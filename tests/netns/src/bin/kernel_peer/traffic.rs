//! Streams through an echo service without end, and says what became of the connections.
//!
//! ```text
//!   says    open 16
//!   asked   status     says   bytes 1234567 bad 0 resets 0 ends 0 failures 0
//! ```
//!
//! Sending and receiving go on apart from each other, so there is always something in flight:
//! when the server vanishes, the kernel keeps asking for an answer.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::pattern;

pub(crate) fn run(server: SocketAddr, count: u64) -> Result<()> {
    let tally = Arc::new(Tally::default());
    for number in 0..count {
        let stream = TcpStream::connect(server)
            .with_context(|| format!("connection {number} to {server}"))?;
        let sending = stream.try_clone()?;
        thread::spawn(move || send(sending, number));
        let tally = Arc::clone(&tally);
        thread::spawn(move || receive(stream, number, &tally));
    }
    println!("open {count}");
    for line in io::stdin().lines() {
        match line?.as_str() {
            "status" => println!("{}", tally.line()),
            other => bail!("no such request: {other}"),
        }
    }
    Ok(())
}

/// What all connections saw. `resets`, `ends` and `failures` count connections.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) bytes: AtomicU64,
    bad: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) ends: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Tally {
    /// The answer to `status`.
    pub(crate) fn line(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "bytes {} bad {} resets {} ends {} failures {}",
            of(&self.bytes),
            of(&self.bad),
            of(&self.resets),
            of(&self.ends),
            of(&self.failures)
        )
    }
}

/// The receiving side reports how the connection ended; this side only stops.
fn send(mut stream: TcpStream, number: u64) {
    let mut block = [0; BLOCK_BYTES];
    let mut offset = 0;
    loop {
        pattern::fill(number, offset, &mut block);
        if stream.write_all(&block).is_err() {
            return;
        }
        offset += BLOCK_BYTES as u64;
    }
}

fn receive(mut stream: TcpStream, number: u64, tally: &Tally) {
    let mut bytes = vec![0; BLOCK_BYTES];
    let mut offset = 0;
    let end = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break &tally.ends,
            Ok(count) => {
                let bad = pattern::differences(number, offset, &bytes[..count]);
                tally.bad.fetch_add(bad, Ordering::Relaxed);
                tally.bytes.fetch_add(count as u64, Ordering::Relaxed);
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break &tally.resets,
            Err(error) => {
                eprintln!("connection {number}: {error}");
                break &tally.failures;
            }
        }
    };
    end.fetch_add(1, Ordering::Relaxed);
}

const BLOCK_BYTES: usize = 8192;
