//! What can go wrong with an interface, said so that the reader knows what to do.

use std::io;

use crore_mem::MemoryError;

use super::MTU_MAX;

/// Why XDP could not be used on an interface.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// The name is wrong, or the interface is in another network namespace.
    #[error(
        "there is no interface `{name}` in this network namespace; `ip link` lists those there are"
    )]
    NoSuchInterface {
        /// The name asked for.
        name: String,
    },
    /// The process may not do this.
    #[error(
        "not permitted to {doing}: run as root, or give the program its rights with \
         `setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep FILE`"
    )]
    NotPermitted {
        /// What was tried.
        doing: &'static str,
    },
    /// Interfaces that are down receive nothing.
    #[error("interface `{name}` is down; set it up with `ip link set {name} up`")]
    Down {
        /// The interface.
        name: String,
    },
    /// A frame must fit into one place of a socket's memory.
    #[error(
        "the MTU of `{name}` is {mtu}, and XDP works up to {max} here; lower it with \
         `ip link set {name} mtu {max}`", max = MTU_MAX
    )]
    MtuTooLarge {
        /// The interface.
        name: String,
        /// Its MTU, in bytes.
        mtu: u32,
    },
    /// A queue without a socket would lose what arrives on it; a socket without a queue is useless.
    #[error(
        "`{name}` receives on {existing} queue(s) and {asked} were asked for: each needs one core; \
         ask for {existing}, or set `ethtool -L {name} combined {asked}` (for veth: `rx {asked}`)"
    )]
    QueueCount {
        /// The interface.
        name: String,
        /// How many sockets were asked for.
        asked: u32,
        /// How many receive queues the interface uses.
        existing: u32,
    },
    /// Another program has a socket on this queue.
    #[error(
        "queue {queue} of `{name}` is in use by another AF_XDP socket; is another server running \
         on this interface? (`ss --xdp -p` shows which)"
    )]
    Busy {
        /// The interface.
        name: String,
        /// The queue.
        queue: u32,
    },
    /// The interface has an XDP program of somebody else.
    #[error(
        "`{name}` already has the XDP program `{program}` (id {id}), which is not ours; take it \
         away with `ip link set {name} xdp off` if nobody needs it"
    )]
    OtherProgram {
        /// The interface.
        name: String,
        /// The program's name.
        program: String,
        /// The program's number in the kernel.
        id: u32,
    },
    /// The kernel or the interface's driver refuses the program in this mode.
    #[error("`{name}` does not take an XDP program in {mode} mode: {reason}")]
    NotAttached {
        /// The interface.
        name: String,
        /// `native` or `generic`.
        mode: &'static str,
        /// The kernel's words.
        reason: String,
    },
    /// A setting that no interface can fulfil.
    #[error("{frames} frames a queue is not a power of two from {min} to {max}")]
    FrameCount {
        /// The frames asked for.
        frames: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// A setting that no interface can fulfil.
    #[error("{bytes} bytes for a frame is not a power of two from {min} to {max}")]
    FrameRoom {
        /// The bytes asked for.
        bytes: u32,
        /// The least, for the interface's MTU.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Copies were not to be made, and without them it does not work.
    #[error("`{name}` does not work without copies: {why}; leave `zero-copy=yes` out to have them")]
    NoZeroCopy {
        /// The interface.
        name: String,
        /// What was refused, or what was seen.
        why: String,
    },
    /// The socket's memory may not be locked, or not that much of it.
    #[error(
        "the kernel would not lock {bytes} bytes of frames into memory: raise `ulimit -l` above \
         {kibibytes}, or run as root", kibibytes = .bytes / 1024
    )]
    LockedMemory {
        /// Bytes of one queue's frames.
        bytes: usize,
    },
    /// There is no memory for the frames.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// This kernel has no XDP sockets.
    #[error(
        "this kernel has no AF_XDP sockets; Linux 5.9 or newer with CONFIG_XDP_SOCKETS has them"
    )]
    NotSupported,
    /// The kernel's verifier refused the filter: a fault of this program.
    #[error("the kernel refused the filter program; please report this with the text: {log}")]
    FilterRefused {
        /// What the verifier said.
        log: String,
    },
    /// Anything else that the kernel refused.
    #[error("`{name}`: could not {doing}: {source}")]
    System {
        /// The interface.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl XdpError {
    /// Sorts a refusal of the kernel by whose fault it is.
    pub(super) fn from_kernel(name: &str, doing: &'static str, source: io::Error) -> Self {
        match super::netlink::error_number(&source) {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { doing },
            Some(libc::ENODEV | libc::ENXIO) => Self::NoSuchInterface { name: name.to_owned() },
            Some(libc::EAFNOSUPPORT | libc::ENOSYS) => Self::NotSupported,
            Some(libc::ENETDOWN) => Self::Down { name: name.to_owned() },
            _ => Self::System { name: name.to_owned(), doing, source },
        }
    }
}
