//! The names that scripts use for C's numbers.

use super::script::Value;

/// The number of a value; `None`: it is no number, or has a name that nobody knows.
pub(crate) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Names(names) => names.iter().try_fold(0, |bits, name| Some(bits | number_of(name)?)),
        _ => None,
    }
}

/// The number behind a name.
pub(crate) fn number_of(name: &str) -> Option<i64> {
    let found = NAMES.iter().find(|(known, _)| *known == name)?;
    Some(found.1)
}

/// The name of an error.
pub(crate) fn errno_name(errno: i32) -> String {
    let found = NAMES.iter().find(|(name, number)| {
        name.starts_with('E') && !name.starts_with("EPOLL") && *number == i64::from(errno)
    });
    found.map_or_else(|| format!("error {errno}"), |(name, _)| (*name).to_string())
}

const NAMES: &[(&str, i64)] = &[
    ("AF_INET", libc::AF_INET as i64),
    ("AF_INET6", libc::AF_INET6 as i64),
    ("SOCK_STREAM", libc::SOCK_STREAM as i64),
    ("SOCK_NONBLOCK", libc::SOCK_NONBLOCK as i64),
    ("IPPROTO_TCP", libc::IPPROTO_TCP as i64),
    ("IPPROTO_IP", libc::IPPROTO_IP as i64),
    ("IPPROTO_IPV6", libc::IPPROTO_IPV6 as i64),
    ("SOL_SOCKET", libc::SOL_SOCKET as i64),
    ("SOL_TCP", libc::SOL_TCP as i64),
    ("SO_REUSEADDR", libc::SO_REUSEADDR as i64),
    ("SO_SNDBUF", libc::SO_SNDBUF as i64),
    ("SO_RCVBUF", libc::SO_RCVBUF as i64),
    ("SO_LINGER", libc::SO_LINGER as i64),
    ("SO_KEEPALIVE", libc::SO_KEEPALIVE as i64),
    ("SO_ERROR", libc::SO_ERROR as i64),
    ("TCP_NODELAY", libc::TCP_NODELAY as i64),
    ("TCP_MAXSEG", libc::TCP_MAXSEG as i64),
    ("TCP_CORK", libc::TCP_CORK as i64),
    ("TCP_KEEPIDLE", libc::TCP_KEEPIDLE as i64),
    ("TCP_KEEPINTVL", libc::TCP_KEEPINTVL as i64),
    ("TCP_KEEPCNT", libc::TCP_KEEPCNT as i64),
    ("TCP_SYNCNT", libc::TCP_SYNCNT as i64),
    ("TCP_DEFER_ACCEPT", libc::TCP_DEFER_ACCEPT as i64),
    ("TCP_WINDOW_CLAMP", libc::TCP_WINDOW_CLAMP as i64),
    ("TCP_QUICKACK", libc::TCP_QUICKACK as i64),
    ("TCP_CONGESTION", libc::TCP_CONGESTION as i64),
    ("TCP_USER_TIMEOUT", libc::TCP_USER_TIMEOUT as i64),
    ("TCP_FASTOPEN", libc::TCP_FASTOPEN as i64),
    ("TCP_FASTOPEN_CONNECT", libc::TCP_FASTOPEN_CONNECT as i64),
    ("TCP_NOTSENT_LOWAT", 25),
    ("TCP_INQ", 36),
    ("MSG_MORE", libc::MSG_MORE as i64),
    ("MSG_EOR", libc::MSG_EOR as i64),
    ("MSG_DONTWAIT", libc::MSG_DONTWAIT as i64),
    ("MSG_PEEK", libc::MSG_PEEK as i64),
    ("MSG_OOB", libc::MSG_OOB as i64),
    ("MSG_WAITALL", libc::MSG_WAITALL as i64),
    ("MSG_TRUNC", libc::MSG_TRUNC as i64),
    ("MSG_NOSIGNAL", libc::MSG_NOSIGNAL as i64),
    ("MSG_FASTOPEN", libc::MSG_FASTOPEN as i64),
    ("F_GETFL", libc::F_GETFL as i64),
    ("F_SETFL", libc::F_SETFL as i64),
    ("O_RDWR", libc::O_RDWR as i64),
    ("O_NONBLOCK", libc::O_NONBLOCK as i64),
    ("SIOCINQ", 0x541b),
    ("SIOCOUTQ", 0x5411),
    ("SHUT_RD", libc::SHUT_RD as i64),
    ("SHUT_WR", libc::SHUT_WR as i64),
    ("SHUT_RDWR", libc::SHUT_RDWR as i64),
    ("POLLIN", libc::POLLIN as i64),
    ("POLLOUT", libc::POLLOUT as i64),
    ("POLLPRI", libc::POLLPRI as i64),
    ("POLLERR", libc::POLLERR as i64),
    ("POLLHUP", libc::POLLHUP as i64),
    ("POLLRDHUP", libc::POLLRDHUP as i64),
    ("EPOLLIN", libc::EPOLLIN as i64),
    ("EPOLLOUT", libc::EPOLLOUT as i64),
    ("EPOLLPRI", libc::EPOLLPRI as i64),
    ("EPOLLERR", libc::EPOLLERR as i64),
    ("EPOLLHUP", libc::EPOLLHUP as i64),
    ("EPOLLRDHUP", libc::EPOLLRDHUP as i64),
    ("EPOLLET", 1 << 31),
    ("EPOLLONESHOT", 1 << 30),
    ("EPOLL_CTL_ADD", libc::EPOLL_CTL_ADD as i64),
    ("EPOLL_CTL_MOD", libc::EPOLL_CTL_MOD as i64),
    ("EPOLL_CTL_DEL", libc::EPOLL_CTL_DEL as i64),
    ("EAGAIN", libc::EAGAIN as i64),
    ("EALREADY", libc::EALREADY as i64),
    ("EBADF", libc::EBADF as i64),
    ("ECONNABORTED", libc::ECONNABORTED as i64),
    ("ECONNREFUSED", libc::ECONNREFUSED as i64),
    ("ECONNRESET", libc::ECONNRESET as i64),
    ("EFAULT", libc::EFAULT as i64),
    ("EHOSTUNREACH", libc::EHOSTUNREACH as i64),
    ("EINPROGRESS", libc::EINPROGRESS as i64),
    ("EINVAL", libc::EINVAL as i64),
    ("EISCONN", libc::EISCONN as i64),
    ("EMSGSIZE", libc::EMSGSIZE as i64),
    ("ENETUNREACH", libc::ENETUNREACH as i64),
    ("ENOPROTOOPT", libc::ENOPROTOOPT as i64),
    ("ENOTCONN", libc::ENOTCONN as i64),
    ("EOPNOTSUPP", libc::EOPNOTSUPP as i64),
    ("EPIPE", libc::EPIPE as i64),
    ("ETIMEDOUT", libc::ETIMEDOUT as i64),
];
