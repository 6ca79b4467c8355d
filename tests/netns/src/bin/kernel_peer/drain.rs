//! Fetches without end, and says how much came so far.
//!
//! ```text
//!   says    flowing            the first bytes of content are there
//!   asked   status     says   bytes 1234567 bad 0 resets 0 ends 0 failures 0
//! ```

use std::io::{self, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::traffic::Tally;
use crate::transfer;

pub(crate) fn run(server: SocketAddr, path: &str) -> Result<()> {
    let mut stream =
        TcpStream::connect(server).with_context(|| format!("connecting to {server}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::with_capacity(transfer::BLOCK_BYTES, stream);
    transfer::reply(&mut reader)?;
    println!("flowing");
    let tally = Arc::new(Tally::default());
    let told = Arc::clone(&tally);
    thread::spawn(move || {
        let mut bytes = vec![0; transfer::BLOCK_BYTES];
        let end = loop {
            match reader.read(&mut bytes) {
                Ok(0) => break &told.ends,
                Ok(count) => told.bytes.fetch_add(count as u64, Ordering::Relaxed),
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break &told.resets,
                Err(_) => break &told.failures,
            };
        };
        end.fetch_add(1, Ordering::Relaxed);
    });
    for line in io::stdin().lines() {
        match line?.as_str() {
            "status" => println!("{}", tally.line()),
            other => bail!("no such request: {other}"),
        }
    }
    Ok(())
}
