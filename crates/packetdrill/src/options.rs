//! Socket options: what they are set to, and what the stack must know of it.

use crate::errno::Errno;
use crate::flags::Profile;
use crate::host::Cause;
use crate::sockets::Role;
use crate::world::World;
use crore_stack::{Congestion, Flags, State};
use std::collections::BTreeMap;

/// The options of one socket, by number, each level apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    socket: BTreeMap<i32, i32>,
    tcp: BTreeMap<i32, i32>,
    /// `SO_LINGER`: on, and for how many seconds.
    linger: (i32, i32),
    /// `TCP_FASTOPEN_KEY`.
    fast_open_key: Option<[u8; 16]>,
}

impl Options {
    pub(crate) fn socket_on(&self, option: i32) -> bool {
        self.socket.get(&option).is_some_and(|value| *value != 0)
    }

    pub(crate) fn tcp_on(&self, option: i32) -> bool {
        self.tcp.get(&option).is_some_and(|value| *value != 0)
    }

    /// `TCP_NOTSENT_LOWAT`, when set.
    pub(crate) fn notsent_lowat(&self) -> Option<u32> {
        self.tcp.get(&libc::TCP_NOTSENT_LOWAT).map(|octets| *octets as u32).filter(|n| *n > 0)
    }

    /// Connections are shown to `accept` with their first octets (`TCP_DEFER_ACCEPT`).
    pub(crate) fn defers_accept(&self) -> bool {
        self.tcp_on(libc::TCP_DEFER_ACCEPT)
    }

    /// The key of a listener's own.
    pub(crate) fn fast_open_key(&self) -> Option<[u8; 16]> {
        self.fast_open_key
    }

    /// True when `close` is to reset.
    pub(crate) fn lingers_for_nothing(&self) -> bool {
        self.linger.0 != 0 && self.linger.1 == 0
    }
}

impl World {
    pub(crate) fn setsockopt(
        &mut self,
        fd: i32,
        level: i32,
        option: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        if (level, option) == (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT) {
            self.check_fast_open_connect()?;
        }
        let options = &mut self.sockets.socket_mut(fd)?.options;
        match (level, option) {
            (libc::SOL_SOCKET, libc::SO_LINGER) => {
                let (Some(on), Some(seconds)) = (int_at(value, 0), int_at(value, 4)) else {
                    return Err(libc::EINVAL);
                };
                options.linger = (on, seconds);
            }
            (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_KEY) => {
                let key = value.first_chunk::<16>().filter(|_| matches!(value.len(), 16 | 32));
                options.fast_open_key = Some(*key.ok_or(libc::EINVAL)?);
                return self.apply_fast_open_to(fd);
            }
            (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                let known = CONGESTION.iter().find(|(known, _)| *known == name);
                self.host.stack.settings_mut().congestion = known.ok_or(libc::ENOENT)?.1;
                return Ok(());
            }
            (libc::IPPROTO_IP | libc::IPPROTO_IPV6, _) => return Ok(()),
            (libc::SOL_SOCKET, _) if SOCKET_OPTIONS.contains(&option) => {
                options.socket.insert(option, int_at(value, 0).ok_or(libc::EINVAL)?);
            }
            (libc::IPPROTO_TCP, _) if TCP_OPTIONS.contains(&option) => {
                let number = int_at(value, 0).ok_or(libc::EINVAL)?;
                check_tcp(option, number)?;
                options.tcp.insert(option, number);
            }
            _ => return Err(libc::ENOPROTOOPT),
        }
        let touched = if level == libc::IPPROTO_TCP { option } else { 0 };
        if touched == libc::TCP_FASTOPEN {
            self.apply_fast_open_to(fd)?;
        }
        self.apply_options(fd, touched)?;
        self.send_now(Cause::Call);
        Ok(())
    }

    /// The option's octets.
    pub(crate) fn getsockopt(
        &mut self,
        fd: i32,
        level: i32,
        option: i32,
    ) -> Result<Vec<u8>, Errno> {
        if level == libc::SOL_SOCKET {
            return self.get_socket_option(fd, option);
        }
        if level != libc::IPPROTO_TCP {
            return Err(libc::ENOPROTOOPT);
        }
        if option == libc::TCP_CONGESTION {
            let set = self.host.stack.config().congestion;
            let known = CONGESTION.iter().find(|(_, known)| *known == set);
            let mut name = known.map_or(Vec::new(), |(name, _)| name.to_vec());
            name.resize(CONGESTION_NAME_BYTES, 0);
            return Ok(name);
        }
        if !TCP_OPTIONS.contains(&option) {
            return Err(libc::ENOPROTOOPT);
        }
        let socket = self.sockets.socket(fd)?;
        let set = socket.options.tcp.get(&option).copied();
        let value = match (option, &socket.role) {
            (libc::TCP_MAXSEG, Role::Stream(conn)) => i32::from(self.host.stack.tcb(conn.0).mss),
            (libc::TCP_MAXSEG, _) => set.unwrap_or(536),
            (libc::TCP_KEEPIDLE, _) => set.unwrap_or_else(|| {
                self.host.stack.config().keepalive_idle_ms.map_or(7200, |ms| ms as i32 / 1000)
            }),
            (libc::TCP_KEEPINTVL, _) => {
                set.unwrap_or_else(|| self.host.stack.config().keepalive_interval_ms as i32 / 1000)
            }
            (libc::TCP_KEEPCNT, _) => {
                set.unwrap_or_else(|| i32::from(self.host.stack.config().keepalive_probes))
            }
            (libc::TCP_QUICKACK, _) => set.unwrap_or(1),
            (libc::TCP_SYNCNT, _) => {
                set.unwrap_or_else(|| i32::from(self.host.stack.config().syn_retries))
            }
            _ => set.unwrap_or(0),
        };
        Ok(value.to_ne_bytes().to_vec())
    }

    fn get_socket_option(&mut self, fd: i32, option: i32) -> Result<Vec<u8>, Errno> {
        let profile = self.flags.profile;
        let socket = self.sockets.socket_mut(fd)?;
        let set = socket.options.socket.get(&option).copied();
        let value = match option {
            libc::SO_LINGER => {
                let (on, seconds) = socket.options.linger;
                return Ok([on.to_ne_bytes(), seconds.to_ne_bytes()].concat());
            }
            libc::SO_ERROR => socket.error.take().unwrap_or(0),
            libc::SO_TYPE => libc::SOCK_STREAM,
            libc::SO_PROTOCOL => libc::IPPROTO_TCP,
            libc::SO_DOMAIN => socket.family,
            libc::SO_ACCEPTCONN => i32::from(matches!(socket.role, Role::Listener(_))),
            // Linux counts its own overhead in: twice what was asked for.
            libc::SO_SNDBUF if profile == Profile::Linux => {
                set.map_or(self.host.stack.config().snd_buf_bytes as i32, |value| 2 * value)
            }
            libc::SO_RCVBUF if profile == Profile::Linux => {
                set.map_or(self.host.stack.config().rcv_buf_bytes as i32, |value| 2 * value)
            }
            libc::SO_SNDBUF => set.unwrap_or(self.host.stack.config().snd_buf_bytes as i32),
            libc::SO_RCVBUF => self.rcv_buf_of_freebsd(fd, set)?,
            _ if SOCKET_OPTIONS.contains(&option) => set.unwrap_or(0),
            _ => return Err(libc::ENOPROTOOPT),
        };
        Ok(value.to_ne_bytes().to_vec())
    }

    /// FreeBSD rounds the buffer up to whole segments when the connection stands.
    fn rcv_buf_of_freebsd(&self, fd: i32, set: Option<i32>) -> Result<i32, Errno> {
        let octets = set.unwrap_or(self.host.stack.config().rcv_buf_bytes as i32);
        let Role::Stream(conn) = self.sockets.socket(fd)?.role else { return Ok(octets) };
        let knows_mss = self.host.stack.tcb(conn.0).state() > State::SynSent;
        Ok(if knows_mss { self.host.stack.rcv_buf_of(conn.0) as i32 } else { octets })
    }

    /// Tells the stack what the socket's options mean for it. Most are settings of the whole
    /// stack: the socket that was touched last has them.
    pub(crate) fn apply_options(&mut self, fd: i32, touched: i32) -> Result<(), Errno> {
        let socket = self.sockets.socket(fd)?;
        let options = socket.options.clone();
        let is_linux = self.flags.profile == Profile::Linux;
        let config = self.host.stack.settings_mut();
        let tcp = |option| options.tcp.get(&option).copied();
        if let Some(octets) = options.socket.get(&libc::SO_SNDBUF) {
            let octets = (*octets).clamp(SND_BUF_MIN, 1 << 29) as u32;
            // Linux doubles the number, and its descriptors take four tenths of that.
            config.snd_buf_bytes = if is_linux { octets / 5 * 6 } else { octets };
            config.snd_buf_bytes = config.snd_buf_bytes.max(4096);
            config.snd_buf_max_bytes = config.snd_buf_bytes;
        }
        if let Some(octets) = options.socket.get(&libc::SO_RCVBUF) {
            config.rcv_buf_bytes = (*octets).clamp(RCV_BUF_MIN, 1 << 30) as u32;
            config.rcv_buf_max_bytes = config.rcv_buf_bytes;
        }
        if tcp(libc::TCP_KEEPIDLE).is_some() || options.socket_on(libc::SO_KEEPALIVE) {
            config.keepalive_idle_ms = Some(tcp(libc::TCP_KEEPIDLE).unwrap_or(7200) as u32 * 1000);
            config.keepalive_interval_ms = tcp(libc::TCP_KEEPINTVL).unwrap_or(75) as u32 * 1000;
            let probes = if is_linux { 9 } else { 8 };
            config.keepalive_probes = tcp(libc::TCP_KEEPCNT).unwrap_or(probes) as u8;
        }
        config.user_timeout_ms =
            tcp(libc::TCP_USER_TIMEOUT).map(|ms| ms as u32).filter(|ms| *ms > 0);
        config.mss_max = tcp(libc::TCP_MAXSEG).map(|mss| mss as u16).filter(|mss| *mss > 0);
        if let Some(count) = tcp(libc::TCP_SYNCNT) {
            config.syn_retries = count as u8;
        }
        if let Role::Stream(conn) = socket.role {
            let stack = &mut self.host.stack;
            let nodelay = options.tcp_on(libc::TCP_NODELAY);
            stack.set_flag(conn.0, Flags::NODELAY, nodelay);
            stack.set_keepalive(conn.0, options.socket_on(libc::SO_KEEPALIVE));
            if nodelay && touched == libc::TCP_NODELAY || touched == libc::TCP_CORK {
                stack.push(conn.0);
            }
        }
        Ok(())
    }
}

/// The number at an offset of an option's octets.
fn int_at(value: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(value.get(at..at + 4)?.try_into().ok()?))
}

/// What Linux refuses.
fn check_tcp(option: i32, number: i32) -> Result<(), Errno> {
    let good = match option {
        libc::TCP_MAXSEG => number == 0 || (88..=32_767).contains(&number),
        libc::TCP_KEEPIDLE | libc::TCP_KEEPINTVL => (1..=32_767).contains(&number),
        libc::TCP_KEEPCNT | libc::TCP_SYNCNT => (1..=127).contains(&number),
        libc::TCP_USER_TIMEOUT => number >= 0,
        _ => true,
    };
    if good { Ok(()) } else { Err(libc::EINVAL) }
}

const SOCKET_OPTIONS: [i32; 8] = [
    libc::SO_REUSEADDR,
    libc::SO_REUSEPORT,
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
    libc::SO_KEEPALIVE,
    libc::SO_PRIORITY,
    libc::SO_MARK,
    libc::SO_RCVLOWAT,
];

const TCP_OPTIONS: [i32; 15] = [
    libc::TCP_NODELAY,
    libc::TCP_MAXSEG,
    libc::TCP_CORK,
    libc::TCP_KEEPIDLE,
    libc::TCP_KEEPINTVL,
    libc::TCP_KEEPCNT,
    libc::TCP_SYNCNT,
    libc::TCP_LINGER2,
    libc::TCP_DEFER_ACCEPT,
    libc::TCP_QUICKACK,
    libc::TCP_USER_TIMEOUT,
    libc::TCP_FASTOPEN,
    libc::TCP_FASTOPEN_CONNECT,
    libc::TCP_NOTSENT_LOWAT,
    libc::TCP_INQ,
];

const CONGESTION: [(&[u8], Congestion); 2] =
    [(b"reno", Congestion::NewReno), (b"cubic", Congestion::Cubic)];
const CONGESTION_NAME_BYTES: usize = 16;

/// Linux takes no less, before it doubles it.
const SND_BUF_MIN: i32 = 2304;
const RCV_BUF_MIN: i32 = 4096;
