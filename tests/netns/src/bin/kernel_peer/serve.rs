//! The kernel's side of a comparison: a file for any GET, the SHA-256 of any POST's content.
//!
//! As much HTTP as `transfer` speaks, on a thread for each connection.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, bail};
use socket2::SockRef;

use crate::transfer::{self, SumWriter};

pub(crate) fn run(listen: SocketAddr, file: &str, congestion: &str) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
    // What the listener has, the connections inherit.
    SockRef::from(&listener)
        .set_tcp_congestion(congestion.as_bytes())
        .with_context(|| format!("congestion control {congestion}"))?;
    println!("listening");
    for stream in listener.incoming() {
        let (stream, file) = (stream?, file.to_owned());
        thread::spawn(move || {
            if let Err(error) = serve(stream, &file) {
                eprintln!("serving: {error:#}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream, file: &str) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(transfer::BLOCK_BYTES, stream.try_clone()?);
    let mut request = String::new();
    if reader.read_line(&mut request)? == 0 {
        return Ok(());
    }
    let content_bytes = transfer::content_length(&mut reader)?;
    match request.split(' ').next() {
        Some("GET") => {
            let mut file = File::open(file).with_context(|| format!("opening {file}"))?;
            let len = file.metadata()?.len();
            stream.write_all(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").as_bytes(),
            )?;
            io::copy(&mut file, &mut stream)?;
        }
        Some("POST") => {
            let sum = SumWriter::of(&mut reader, content_bytes)?;
            let len = sum.len() + 1;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{sum}\n");
            stream.write_all(head.as_bytes())?;
        }
        _ => bail!("what is {request}"),
    }
    // The client ends the connection, and TIME-WAIT is its own.
    io::copy(&mut reader, &mut io::sink())?;
    Ok(())
}
