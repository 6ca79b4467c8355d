//! What the kernel says about one network interface, asked by ioctl: it answers for the network
//! namespace of the caller, wherever `/sys` was mounted.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As `ip link` shows it.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Name of its driver (`veth`, `virtio_net`, ...), empty when it has none to tell.
    pub driver: String,
    /// Receive queues in use, at least 1.
    pub rx_queues: u16,
    /// Transmit queues in use, at least 1.
    pub tx_queues: u16,
    /// Set up by `ip link set up`.
    pub up: bool,
    /// The loopback interface.
    pub loopback: bool,
}

impl Interface {
    /// Asks the kernel about the interface with this name.
    ///
    /// # Errors
    /// `ENODEV` when there is none; `InvalidInput` when no interface can have this name.
    pub fn named(name: &str) -> io::Result<Self> {
        let control = Control::open()?;
        let index = control.index(name)?;
        let flags = control.flags(name)?;
        let channels = control.channels(name).unwrap_or_default();
        let queues = |own: u32| (own + channels.combined).clamp(1, u16::MAX.into()) as u16;
        Ok(Self {
            name: name.to_owned(),
            index,
            mtu: control.mtu(name)?,
            mac: control.mac(name)?,
            driver: control.driver(name).unwrap_or_default(),
            rx_queues: queues(channels.rx),
            tx_queues: queues(channels.tx),
            up: flags & libc::IFF_UP != 0,
            loopback: flags & libc::IFF_LOOPBACK != 0,
        })
    }

    /// Something is at the other end of the wire, and both are ready (`IFF_RUNNING`).
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn is_running(name: &str) -> io::Result<bool> {
        Ok(Control::open()?.flags(name)? & libc::IFF_RUNNING != 0)
    }

    /// Sets the interface up, as `ip link set up` does.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_ADMIN`.
    pub fn set_up(name: &str) -> io::Result<()> {
        let control = Control::open()?;
        let flags = control.flags(name)?;
        let mut request = request_for(name)?;
        request.ifr_ifru.ifru_flags = (flags | libc::IFF_UP) as libc::c_short;
        control.ask(libc::SIOCSIFFLAGS, &mut request)
    }
}

/// A request about the interface with this name.
pub(crate) fn request_for(name: &str) -> io::Result<libc::ifreq> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['\0', '/', ' ']) {
        let text = format!("no interface can have the name `{name}`: it takes 1 to 15 characters");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // SAFETY: a plain C structure of numbers and a pointer, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// Any socket will do to send interface requests to the kernel.
struct Control(OwnedFd);

impl Control {
    fn open() -> io::Result<Self> {
        // SAFETY: no pointers; a descriptor returned is new and ours.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// One request of the kind that fits into `ifreq` itself, or whose `ifru_data` points to a
    /// structure of the right size (the callers here see to that).
    fn ask(&self, code: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: `request` is a whole ifreq; the codes used here read and write nothing else than
        // it and what its `ifru_data` points to.
        let answer = unsafe { libc::ioctl(self.0.as_raw_fd(), code as _, &raw mut *request) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        let mut request = request_for(name)?;
        self.ask(libc::SIOCGIFINDEX, &mut request)?;
        // SAFETY: this request's answer is the index.
        Ok(unsafe { request.ifr_ifru.ifru_ifindex } as u32)
    }

    fn flags(&self, name: &str) -> io::Result<libc::c_int> {
        let mut request = request_for(name)?;
        self.ask(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: this request's answer is the flags.
        Ok(libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags }))
    }

    fn mtu(&self, name: &str) -> io::Result<u32> {
        let mut request = request_for(name)?;
        self.ask(libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: this request's answer is the MTU.
        Ok(unsafe { request.ifr_ifru.ifru_mtu } as u32)
    }

    fn mac(&self, name: &str) -> io::Result<[u8; 6]> {
        let mut request = request_for(name)?;
        self.ask(libc::SIOCGIFHWADDR, &mut request)?;
        // SAFETY: this request's answer is the hardware address.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        Ok(std::array::from_fn(|i| address.sa_data[i] as u8))
    }

    fn driver(&self, name: &str) -> io::Result<String> {
        let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
        self.ethtool(name, &mut info)?;
        let text = CStr::from_bytes_until_nul(&info.driver).map_err(io::Error::other)?;
        Ok(text.to_string_lossy().into_owned())
    }

    fn channels(&self, name: &str) -> io::Result<Channels> {
        let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
        self.ethtool(name, &mut channels)?;
        Ok(channels)
    }

    /// `T` is the structure that ethtool's command (its first word) fills.
    fn ethtool<T>(&self, name: &str, command: &mut T) -> io::Result<()> {
        let mut request = request_for(name)?;
        request.ifr_ifru.ifru_data = (&raw mut *command).cast();
        self.ask(libc::SIOCETHTOOL, &mut request)
    }
}

/// `struct ethtool_drvinfo` of `linux/ethtool.h`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_channels` of `linux/ethtool.h`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

const _: () = assert!(size_of::<DriverInfo>() == 196 && size_of::<Channels>() == 36);

#[cfg(test)]
mod tests;
