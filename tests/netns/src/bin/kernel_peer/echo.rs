//! The kernel's own echo service: the stranger on the interface whose traffic must go on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

pub(crate) fn run(listen: SocketAddr) -> Result<()> {
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening");
    for stream in listener.incoming() {
        let stream = stream.context("accept")?;
        thread::spawn(move || answer(stream));
    }
    Ok(())
}

/// Until the peer ends, or its connection fails; the peer's side tells which.
fn answer(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count) = stream.read(&mut bytes) {
        if count == 0 || stream.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
}
