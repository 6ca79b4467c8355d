//! One attempt to connect, and how it ended.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) fn run(server: SocketAddr) {
    match TcpStream::connect_timeout(&server, TIME_LIMIT) {
        Ok(_) => println!("connected"),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => println!("refused"),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => println!("timed out"),
            _ => println!("failed: {error}"),
        },
    }
}

/// Long enough for two repeated SYNs (after 1 s and 3 s).
const TIME_LIMIT: Duration = Duration::from_secs(4);
