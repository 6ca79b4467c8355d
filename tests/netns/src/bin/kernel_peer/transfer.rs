//! One transfer, its SHA-256 and the time it took:
//!
//! ```text
//!   says    bytes 100000000 us 1234567 sum ba7816bf8f01cfea...
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use socket2::SockRef;

/// Asks for a path and adds up what comes.
pub(crate) fn fetch(server: SocketAddr, path: &str) -> Result<()> {
    let mut stream = connect(server)?;
    let started = Instant::now();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::with_capacity(BLOCK_BYTES, stream);
    let len = reply(&mut reader)?;
    let sum = SumWriter::of(&mut reader, len)?;
    report(len, started, &sum);
    Ok(())
}

/// Sends a file and asks for its sum.
pub(crate) fn push(server: SocketAddr, file: &str, congestion: &str) -> Result<()> {
    let mut stream = connect(server)?;
    SockRef::from(&stream)
        .set_tcp_congestion(congestion.as_bytes())
        .with_context(|| format!("congestion control {congestion}"))?;
    let mut file = File::open(file).with_context(|| format!("opening {file}"))?;
    let len = file.metadata()?.len();
    let started = Instant::now();
    let head = format!("POST /sha256 HTTP/1.1\r\nHost: {server}\r\nContent-Length: {len}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    io::copy(&mut file, &mut stream)?;
    let mut reader = BufReader::new(stream);
    let mut sum = String::new();
    let sum_bytes = reply(&mut reader)?;
    reader.take(sum_bytes).read_to_string(&mut sum)?;
    report(len, started, sum.trim_end());
    Ok(())
}

/// The length of the content that follows; the fields before it are read.
pub(crate) fn content_length(reader: &mut impl BufRead) -> Result<u64> {
    let mut len = 0;
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the connection ended in a head");
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(len);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            len = value.trim().parse().with_context(|| format!("what is {line}"))?;
        }
    }
}

fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).with_context(|| format!("connecting to {server}"))?;
    // A server that stands still is a failure, not a scenario without an end.
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    Ok(stream)
}

/// Reads the head of a reply; gives the length of the content that follows.
pub(crate) fn reply(reader: &mut impl BufRead) -> Result<u64> {
    let mut status = String::new();
    reader.read_line(&mut status)?;
    if !status.starts_with("HTTP/1.1 200 ") {
        bail!("the server said `{}`", status.trim_end());
    }
    content_length(reader)
}

fn report(bytes: u64, started: Instant, sum: &str) {
    println!("bytes {bytes} us {} sum {sum}", started.elapsed().as_micros());
}

/// Adds up what is written to it.
pub(crate) struct SumWriter(Sha256);

impl SumWriter {
    /// The sum of so many bytes, in hexadecimal.
    pub(crate) fn of(reader: &mut impl BufRead, len: u64) -> Result<String> {
        let mut sum = Self(Sha256::new());
        let came = io::copy(&mut reader.take(len), &mut sum)?;
        ensure!(came == len, "{came} bytes came of {len}");
        let mut text = String::new();
        for byte in sum.0.finalize() {
            write!(text, "{byte:02x}")?;
        }
        Ok(text)
    }
}

impl Write for SumWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One read.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// A watchdog: three retransmission timeouts in a row, and a busy machine.
const TIME_LIMIT: Duration = Duration::from_mins(2);
