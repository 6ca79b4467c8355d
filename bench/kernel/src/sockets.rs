//! Sockets, tuned the same way for all.

use crate::{KernelError, tried};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

/// A listener beside others on the same port: the kernel spreads connections over them.
pub(crate) fn listener(address: SocketAddrV4) -> Result<Socket, KernelError> {
    let socket = tcp()?;
    tried("SO_REUSEADDR", socket.set_reuse_address(true))?;
    tried("SO_REUSEPORT", socket.set_reuse_port(true))?;
    tried("bind", socket.bind(&SockAddr::from(address)))?;
    tried("listen", socket.listen(BACKLOG))?;
    tried("O_NONBLOCK", socket.set_nonblocking(true))?;
    Ok(socket)
}

/// A connection that stands, from this address and any port. On the paths here the handshake is
/// over when `connect` returns, so it need not wait for it.
pub(crate) fn connect(from: Ipv4Addr, to: SocketAddrV4) -> Result<Socket, KernelError> {
    let socket = tcp()?;
    bind_address_no_port(&socket)?;
    tried("bind", socket.bind(&SockAddr::from(SocketAddrV4::new(from, 0))))?;
    tried("connect", socket.connect(&SockAddr::from(to)))?;
    tried("O_NONBLOCK", socket.set_nonblocking(true))?;
    Ok(socket)
}

/// Options that accepted connections inherit.
fn tcp() -> Result<Socket, KernelError> {
    let socket = tried("socket", Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)))?;
    tried("TCP_NODELAY", socket.set_tcp_nodelay(true))?;
    // Others may pace with timers, which costs. Where it is not to be had, the default serves.
    let _ = socket.set_tcp_congestion(b"cubic");
    Ok(socket)
}

/// The port is chosen when the remote is known: else each address has only as many as there are.
fn bind_address_no_port(socket: &Socket) -> Result<(), KernelError> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int, which lives over the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    let result = if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    tried("IP_BIND_ADDRESS_NO_PORT", result)
}

/// As much as the system allows.
const BACKLOG: i32 = 1 << 20;
