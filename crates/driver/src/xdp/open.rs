//! An interface brought into use: a socket on each queue, the filter, and the proof that frames
//! cross.
//!
//! ```text
//!   find a peer ─> bind without copies ─> attach ─> prove ──────────────> in use
//!                      │ any refusal          │ generic mode   │ a fault
//!                      └─> bind with copies <─┴────────────────┘
//! ```

use std::os::fd::AsFd;
use std::sync::Arc;

use crore_mem::Memory;

use super::error::XdpError;
use super::filter::Filter;
use super::link::{self, Attachment, Mode, ModeChoice};
use super::path::Path;
use super::peer::Peer;
use super::probe::{self, Outcome, Secret};
use super::queue::{Place, Queue};
use super::socket::{Bind, Socket};
use super::{MTU_MAX, Opened, Options, ZeroCopy};
use crate::chunks::{Chunks, chunk_bytes};
use crate::interface::Interface;
use crate::{Capabilities, RxChecksum};

/// Opens an interface: a socket on each queue, then the filter, which takes effect at once.
///
/// Where the driver grants it, frames are not copied, once pings of full size have shown that they
/// cross whole; see [`Queue::path`] for what was settled on and why. This may take some seconds,
/// since many drivers restart the link.
///
/// A filter that a killed process left behind is replaced in one step. Another process that is
/// still alive is not disturbed: its queue is busy, and that is the error.
///
/// # Errors
/// See [`XdpError`]; nothing is left behind.
pub fn open(options: &Options, memory: &mut Memory) -> Result<Opened, XdpError> {
    let interface = link::find(&options.interface)?;
    check(&interface, options)?;
    let was_running = Interface::is_running(&interface.name).unwrap_or(false);
    let filter = filter(&interface, options)?;
    let place = |queue| Place {
        interface: interface.index,
        queue,
        queues: Arc::clone(filter.queues()),
        in_order: is_local(&interface) || interface.tx_queues == 1,
        busy_poll: options.busy_poll,
    };
    let places: Vec<_> = (0..interface.rx_queues.into()).map(place).collect();
    let wanted = if may_try(options) { Bind::ZeroCopy } else { Bind::Copy };
    let peer = (wanted == Bind::ZeroCopy && !is_local(&interface))
        .then(|| Peer::find(&interface, &options.peers))
        .flatten();
    let chunks = frames(&interface, options, wanted, memory)?;
    let (sockets, mut refusal) = bound(&interface, options, &places, &chunks, wanted)?;
    let attachment = Attachment::new(filter, &interface, options.mode)?;
    let capabilities = capabilities(&interface, attachment.mode());
    let parts = sockets.into_iter().zip(chunks).zip(places);
    let queues = parts.map(|((socket, chunks), place)| {
        Queue::new(socket, chunks, place, capabilities.clone())
            .map_err(|source| XdpError::from_kernel(&interface.name, "use its socket", source))
    });
    let mut opened = Opened { queues: queues.collect::<Result<_, _>>()?, attachment };
    if wanted == Bind::Copy {
        refusal = Some(why_not_tried(options).to_owned());
    } else if refusal.is_none() {
        refusal = opened.prove(&interface, peer.as_ref(), was_running)?;
        if let Some(fault) = refusal.as_ref().filter(|_| options.zero_copy == ZeroCopy::Only) {
            return Err(no_zero_copy(&interface, fault));
        }
        if refusal.is_some() {
            opened.rebind(&interface, Bind::Copy)?;
        }
    }
    if let Some(why) = refusal {
        opened.queues.iter_mut().for_each(|queue| queue.set_path(Path::copy(&why)));
    }
    probe::await_link(&interface, was_running);
    Ok(opened)
}

/// How many receive queues an interface uses: as many cores it feeds.
///
/// # Errors
/// When there is no such interface.
pub fn queue_count(interface: &str) -> Result<u32, XdpError> {
    link::find(interface).map(|interface| interface.rx_queues.into())
}

impl Opened {
    /// Settles on paths without copies for all queues, or returns what is wrong with them.
    fn prove(
        &mut self,
        interface: &Interface,
        peer: Option<&Peer>,
        was_running: bool,
    ) -> Result<Option<String>, XdpError> {
        if self.attachment.mode() == Mode::Generic {
            return Ok(Some("XDP runs in generic mode, which copies".to_owned()));
        }
        if !was_running {
            self.leave_unproven("the link is down; what arrives is watched");
            return Ok(None);
        }
        let secret = Secret::new();
        self.attachment.set_probe(secret.ident(), peer.is_some())?;
        let outcome = probe::prove(interface, &mut self.queues, peer, secret);
        self.attachment.set_probe(secret.ident(), false)?;
        match (outcome, peer) {
            (Outcome::Fault(fault), _) => {
                return Ok(Some(format!("zero-copy was granted and does not work: {fault}")));
            }
            (Outcome::Answered { queue, bytes }, Some(peer)) => {
                self.leave_unproven(&format!(
                    "frames of {bytes} bytes go out, and none came in here yet; what arrives is \
                     watched"
                ));
                let why = format!("{} answered a ping of {bytes} bytes, whole", peer.theirs);
                if let Some(one) = self.queues.iter_mut().find(|one| one.number() == queue) {
                    one.set_path(Path::proven(why));
                }
            }
            _ => self.leave_unproven(
                "frames of full size go out; no host on the link is known that answers pings, so \
                 what arrives is watched",
            ),
        }
        Ok(None)
    }

    fn leave_unproven(&mut self, why: &str) {
        self.queues.iter_mut().for_each(|queue| queue.set_path(Path::unproven(why)));
    }

    fn rebind(&mut self, interface: &Interface, bind: Bind) -> Result<(), XdpError> {
        let refused = |source| XdpError::from_kernel(&interface.name, "bind another way", source);
        self.queues.iter_mut().try_for_each(|queue| queue.rebind(bind).map_err(refused))
    }
}

fn check(interface: &Interface, options: &Options) -> Result<(), XdpError> {
    let name = interface.name.clone();
    if !interface.up {
        return Err(XdpError::Down { name });
    }
    if interface.mtu > MTU_MAX {
        return Err(XdpError::MtuTooLarge { name, mtu: interface.mtu });
    }
    let existing = u32::from(interface.rx_queues);
    if let Some(asked) = options.queues.filter(|asked| *asked != existing) {
        return Err(XdpError::QueueCount { name, asked, existing });
    }
    let frames = options.frames;
    if !frames.is_power_of_two() || !(FRAMES_MIN..=FRAMES_MAX).contains(&frames) {
        return Err(XdpError::FrameCount { frames, min: FRAMES_MIN, max: FRAMES_MAX });
    }
    let (min, max) = (chunk_bytes(interface.mtu), ZERO_COPY_CHUNK_BYTES);
    if let Some(bytes) = options.frame_room
        && !(bytes.is_power_of_two() && (min..=max).contains(&bytes))
    {
        return Err(XdpError::FrameRoom { bytes, min, max });
    }
    Ok(())
}

/// The filter, with what is ours, attached to nothing yet.
fn filter(interface: &Interface, options: &Options) -> Result<Filter, XdpError> {
    let name = &interface.name;
    let load = |source| filter_refused(name, source);
    let mut filter = Filter::load(interface.rx_queues.into()).map_err(load)?;
    let refused = |source| XdpError::from_kernel(name, "fill the filter's maps", source);
    for ours in &options.ours {
        filter.add(ours).map_err(refused)?;
    }
    Ok(filter)
}

/// The memory of each queue.
fn frames(
    interface: &Interface,
    options: &Options,
    wanted: Bind,
    memory: &mut Memory,
) -> Result<Vec<Chunks>, XdpError> {
    let room = options.frame_room.unwrap_or_else(|| match wanted {
        Bind::ZeroCopy => chunk_bytes(interface.mtu).max(ZERO_COPY_CHUNK_BYTES),
        Bind::Copy => chunk_bytes(interface.mtu),
    });
    let queues = 0..interface.rx_queues;
    let chunks = queues.map(|_| Chunks::with_chunks_of(memory, "xdp frames", options.frames, room));
    Ok(chunks.collect::<Result<_, _>>()?)
}

/// A socket on each queue, and why they copy when they were to do without.
fn bound(
    interface: &Interface,
    options: &Options,
    places: &[Place],
    chunks: &[Chunks],
    wanted: Bind,
) -> Result<(Vec<Socket>, Option<String>), XdpError> {
    let each = |bind| -> Result<Vec<_>, _> {
        let pairs = places.iter().zip(chunks);
        pairs.map(|(place, chunks)| socket(interface, place, chunks, bind)).collect()
    };
    match (wanted, each(wanted)) {
        (_, Ok(sockets)) => Ok((sockets, None)),
        // It is the same with copies.
        (_, Err(error @ (XdpError::Busy { .. } | XdpError::NotPermitted { .. })))
        | (Bind::Copy, Err(error)) => Err(error),
        (Bind::ZeroCopy, Err(refused)) => {
            // Drivers refuse in many words; which ones they choose says nothing about copies.
            let why = match refused {
                XdpError::System { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            let why = format!("zero-copy is refused: {why}");
            if options.zero_copy == ZeroCopy::Only {
                return Err(no_zero_copy(interface, &why));
            }
            Ok((each(Bind::Copy)?, Some(why)))
        }
    }
}

fn socket(
    interface: &Interface,
    place: &Place,
    chunks: &Chunks,
    bind: Bind,
) -> Result<Socket, XdpError> {
    let name = &interface.name;
    // SAFETY: the caller's sockets are dropped before its chunks, or both become a `Queue`, which
    // drops its socket first.
    let socket = unsafe { place.socket(chunks) };
    let socket = socket.map_err(|source| match source.raw_os_error() {
        Some(libc::ENOBUFS) => XdpError::LockedMemory { bytes: chunks.bytes() },
        _ => XdpError::from_kernel(name, "open an AF_XDP socket", source),
    })?;
    let bound = socket.bind(place.interface, place.queue, bind);
    bound.map_err(|source| match source.raw_os_error() {
        Some(libc::EBUSY) => XdpError::Busy { name: name.clone(), queue: place.queue },
        _ => XdpError::from_kernel(name, "bind an AF_XDP socket", source),
    })?;
    let refused = |source| XdpError::from_kernel(name, "fill the filter's maps", source);
    place.queues.set_socket(place.queue, socket.as_fd()).map_err(refused)?;
    Ok(socket)
}

/// Zero-copy is the driver's affair, so it needs native mode.
fn may_try(options: &Options) -> bool {
    options.zero_copy != ZeroCopy::Never && options.mode != ModeChoice::Only(Mode::Generic)
}

fn why_not_tried(options: &Options) -> &'static str {
    if options.zero_copy == ZeroCopy::Never {
        "it was asked for"
    } else {
        "XDP runs in generic mode, as was asked for, and that copies"
    }
}

fn no_zero_copy(interface: &Interface, why: &str) -> XdpError {
    XdpError::NoZeroCopy { name: interface.name.clone(), why: why.to_owned() }
}

/// The verifier's text is for us; a lack of rights is for the user.
fn filter_refused(name: &str, source: std::io::Error) -> XdpError {
    match source.raw_os_error() {
        Some(_) => XdpError::from_kernel(name, "load the filter", source),
        None => XdpError::FilterRefused { log: source.to_string() },
    }
}

fn capabilities(interface: &Interface, mode: Mode) -> Capabilities {
    // Native mode makes a virtual machine's interface ask its host for finished checksums.
    let generic_guest = mode == Mode::Generic && interface.driver == "virtio_net";
    let local = interface.loopback || is_local(interface) || generic_guest;
    Capabilities {
        // At most MTU_MAX, which was checked.
        mtu: interface.mtu as u16,
        mac: interface.mac,
        rx_checksum: if local { RxChecksum::TrustPartial } else { RxChecksum::Verify },
        kernel_neighbours: true,
        name: interface.name.clone(),
    }
}

fn is_local(interface: &Interface) -> bool {
    LOCAL_DRIVERS.contains(&interface.driver.as_str())
}

/// Fewest and most frames of a queue and direction.
const FRAMES_MIN: u32 = 64;
const FRAMES_MAX: u32 = 65_536;

/// Some drivers receive without copies into whole KiB of what a chunk has left: of 2,048 bytes less
/// the kernel's 256 `igb` takes 1,024, and hands over longer frames cut as if they were whole.
const ZERO_COPY_CHUNK_BYTES: u32 = 4096;

/// Drivers whose frames may come from this machine, without ever having been on a wire.
const LOCAL_DRIVERS: [&str; 6] = ["veth", "tun", "bridge", "dummy", "macvlan", "ipvlan"];
