//! Opening a link: frames from the driver, addresses and neighbours from the control plane.
//!
//! On `xdp` the kernel owns the interface: its addresses are ours too, it answers ARP and neighbour
//! discovery, and we learn from it who has which hardware address. On `tap` the kernel is the peer,
//! on `memif` another process: our stack answers for itself, with addresses of its own.

mod paths;

pub(crate) use paths::{PathFigures, Paths};

use crate::args::{AddressArg, LinkArg, ServedLink, XdpArg};
use crate::interrupt;
use crate::memory_plan::Plan;
use anyhow::{Context, Result, bail};
use core::net::{IpAddr, Ipv4Addr};
use crore::driver::xdp::{self, Attachment, LocalPorts};
use crore::driver::{Link, RxChecksum, memif, tap};
use crore::mem::{HugePages, Memory};
use crore::{AddressRange, Interface};
use crore_ctl::InterfaceInfo;
use std::thread;
use std::time::{Duration, Instant};

/// What is known of a link before it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) queues: u32,
    /// Our addresses on it.
    pub(crate) addresses: Vec<AddressRange>,
    /// What the kernel says about an interface that it owns.
    pub(crate) info: Option<InterfaceInfo>,
    /// The addresses are the interface's own: the kernel uses them as well.
    pub(crate) shares_addresses: bool,
    /// What the link is, on `memif`.
    pub(crate) memif: Option<Box<memif::Options>>,
}

/// A link that is open: one driver queue a core.
pub(crate) struct Opened {
    pub(crate) links: Vec<Link>,
    pub(crate) interface: Interface,
    /// The filter, which is taken away when this is dropped.
    pub(crate) attachment: Option<Attachment>,
    /// How the frames of each queue cross.
    pub(crate) paths: Paths,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
    /// Whether a peer is there, on a link that they come to and go from.
    pub(crate) peer: Option<memif::Status>,
}

impl Surroundings {
    /// Looks at the link, and settles which addresses are ours. On a link that two processes make
    /// we are in this role, unless the command line says another.
    pub(crate) fn of(
        link: &LinkArg,
        asked: &[AddressArg],
        role: memif::Role,
        pages: HugePages,
    ) -> Result<Self> {
        let asked: Vec<AddressRange> = asked.iter().map(|address| address.0).collect();
        match link {
            LinkArg::Tap { name } => {
                if asked.is_empty() {
                    bail!(
                        "on tap:{name} the kernel is the peer, and we need an address of our own: \
                         --address 10.9.0.2/24, when the kernel's side has 10.9.0.1/24"
                    );
                }
                Ok(Self::without_kernel(1, asked))
            }
            LinkArg::Memif(memif) => {
                if asked.is_empty() {
                    bail!(
                        "a memif link has no addresses but those that we give it: \
                         --address 10.9.0.1/24, and another of that network at the other end"
                    );
                }
                let memif = Some(Box::new(memif.options(role, pages)));
                let queues = memif.as_ref().map_or(1, |memif| u32::from(memif.queues));
                Ok(Self { memif, ..Self::without_kernel(queues, asked) })
            }
            LinkArg::Xdp(XdpArg { interface, queues, .. }) => {
                let info = crore_ctl::interface(interface)?;
                let existing = xdp::queue_count(interface)?;
                if let Some(asked) = queues.filter(|&asked| asked != existing) {
                    bail!(
                        "{interface} receives on {existing} queue(s) and {asked} were asked for; \
                         `ethtool -L {interface} combined {asked}` changes that (for veth: \
                         `rx {asked}`)"
                    );
                }
                let shares_addresses = asked.is_empty();
                let addresses = if shares_addresses { own(&info)? } else { asked };
                let (info, memif) = (Some(info), None);
                Ok(Self { queues: existing, addresses, info, shares_addresses, memif })
            }
        }
    }

    /// Looks at the link once more.
    pub(crate) fn again(&self, asked: &ServedLink) -> Result<Self> {
        let memif = self.memif.as_ref();
        let role = memif.map_or(memif::Role::Server, |memif| memif.role);
        Self::of(&asked.link, &asked.addresses, role, self.frame_pages())
    }

    /// What memory for frames is on. It is not from the pages reserved for the connections, unless
    /// it was counted with them.
    pub(crate) fn frame_pages(&self) -> HugePages {
        self.memif.as_ref().map_or(HugePages::Transparent, |memif| memif.huge_pages)
    }

    fn without_kernel(queues: u32, addresses: Vec<AddressRange>) -> Self {
        Self { queues, addresses, info: None, shares_addresses: false, memif: None }
    }

    /// What the link itself takes of the pages that are reserved: the memory that it shares.
    pub(crate) fn plan(&self) -> Plan {
        let shared = self.memif.iter().map(|memif| ("shared memory", memif.shared_bytes()));
        Plan { regions: shared.filter(|(_, bytes)| *bytes > 0).collect() }
    }

    /// Narrows our addresses down to this one; an unspecified one stands for all.
    pub(crate) fn only(&mut self, address: IpAddr) -> Result<()> {
        if address.is_unspecified() {
            let family = |range: &AddressRange| range.first.is_ipv4() == address.is_ipv4();
            self.addresses.retain(family);
        } else if let Some(range) = self.addresses.iter().find(|range| has(range, address)) {
            self.addresses = vec![AddressRange::one(address, range.prefix_len)];
            return Ok(());
        } else {
            self.addresses.retain(|_| false);
        }
        if self.addresses.is_empty() {
            bail!("{address} is none of our addresses on this link; `ip address` lists them");
        }
        Ok(())
    }

    /// Every single one of our addresses.
    pub(crate) fn each_address(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().flat_map(|range| (0..range.count).map(|n| plus(range.first, n)))
    }

    /// Opens the link. `ours` is what the kernel is to leave to us, `peer` a host on it that is
    /// known to us.
    pub(crate) fn open(
        &self,
        link: &LinkArg,
        ours: Vec<LocalPorts>,
        peer: Option<IpAddr>,
        memory: &mut Memory,
    ) -> Result<Opened> {
        match link {
            LinkArg::Tap { name } => self.open_tap(name, memory),
            LinkArg::Memif(_) => self.open_memif(memory),
            LinkArg::Xdp(arg) => {
                let mut options = xdp::Options::new(&arg.interface);
                // As many as there are cores for: it may have got others since it was looked at.
                options.queues = Some(self.queues);
                options.zero_copy = arg.zero_copy;
                options.busy_poll = arg.busy_poll;
                options.frame_room = arg.frame_room;
                options.peers = self.peers(peer);
                options.ours = ours;
                self.open_xdp(&options, memory)
            }
        }
    }

    fn open_tap(&self, name: &str, memory: &mut Memory) -> Result<Opened> {
        let taps = tap::open(name, 1, memory)?;
        let links: Vec<_> = taps.into_iter().map(Link::Tap).collect();
        let interface = self.interface(&links);
        let range = self.addresses[0];
        let note = format!(
            "{name} is up, and our side has {}; the kernel's side needs an address there too, like \
             `ip address add PEER/{} dev {name}`",
            range.first, range.prefix_len
        );
        let (attachment, paths) = (None, Paths::default());
        Ok(Opened { links, interface, attachment, paths, notes: vec![note], peer: None })
    }

    fn open_memif(&self, memory: &mut Memory) -> Result<Opened> {
        let options = self.memif.as_ref().context("a memif link without options")?;
        let opened = memif::open(options, memory)?;
        let links: Vec<_> = opened.queues.into_iter().map(Link::Memif).collect();
        let interface = self.interface(&links);
        let note = match options.role {
            memif::Role::Server => format!("listening at {}", options.address),
            memif::Role::Client => format!("connecting to {}", options.address),
        };
        let (attachment, paths, peer) = (None, Paths::default(), Some(opened.status));
        Ok(Opened { links, interface, attachment, paths, notes: vec![note], peer })
    }

    fn open_xdp(&self, options: &xdp::Options, memory: &mut Memory) -> Result<Opened> {
        let opened = xdp::open(options, memory)?;
        let attachment = opened.attachment;
        let mut paths = Paths::of(&opened.queues);
        let mut notes = vec![format!(
            "{}: {} queue(s), XDP in {} mode",
            options.interface,
            opened.queues.len(),
            attachment.mode().name(),
        )];
        notes.extend(paths.news());
        if let Some(refusal) = attachment.native_refusal() {
            notes.push(format!("native mode is not to be had here: {refusal}"));
        }
        if attachment.replaced_leftover() {
            notes.push("replaced the filter of a process that was killed".to_owned());
        }
        let links: Vec<_> = opened.queues.into_iter().map(Link::Xdp).collect();
        let interface = self.interface(&links);
        let attachment = Some(attachment);
        Ok(Opened { links, interface, attachment, paths, notes, peer: None })
    }

    /// Whom the path through an interface may be proven with: whom we know, gateways, and whom the
    /// kernel has talked to.
    fn peers(&self, peer: Option<IpAddr>) -> Vec<Ipv4Addr> {
        let Some(info) = &self.info else { return Vec::new() };
        let neighbours = crore_ctl::neighbours(info.index).unwrap_or_default();
        let known = neighbours.into_iter().filter(|one| one.mac.is_some()).map(|one| one.address);
        hosts_to_ask(peer.into_iter().chain(info.gateways.iter().copied()).chain(known))
    }

    /// The stack's view of the link.
    fn interface(&self, links: &[Link]) -> Interface {
        let link = links[0].capabilities();
        self.interface_with(link.mac, link.mtu, link.rx_checksum == RxChecksum::Verify)
    }

    fn interface_with(&self, mac: [u8; 6], mtu: u16, verify_checksums: bool) -> Interface {
        let gateways = self.info.iter().flat_map(|info| info.gateways.iter().copied());
        let (mut gateway_v4, mut gateway_v6) = (None, None);
        for gateway in gateways {
            match gateway {
                IpAddr::V4(v4) => gateway_v4 = gateway_v4.or(Some(v4)),
                IpAddr::V6(v6) => gateway_v6 = gateway_v6.or(Some(v6)),
            }
        }
        let addresses = self.addresses.clone();
        Interface { mac, mtu, vlan: None, addresses, gateway_v4, gateway_v6, verify_checksums }
    }

    /// As good as the real one for planning memory.
    pub(crate) fn interface_for_planning(&self) -> Interface {
        self.interface_with([2; 6], 1500, true)
    }

    /// Where packets for `remote` go first: to itself on the link, else to a gateway.
    pub(crate) fn next_hop(&self, remote: IpAddr) -> Result<IpAddr> {
        let on_link = |range: &AddressRange| {
            crore_ctl::Prefix { address: range.first, len: range.prefix_len }.covers(remote)
        };
        if self.addresses.iter().any(on_link) {
            return Ok(remote);
        }
        let gateway = self.info.as_ref().and_then(|info| info.gateway_for(remote));
        gateway.with_context(|| {
            format!("no way to {remote}: it is on no network of this link, and there is no gateway")
        })
    }
}

impl Opened {
    /// What happened on the link since the last call, a line each.
    pub(crate) fn news(&self) -> Vec<String> {
        self.peer.as_ref().map(memif::Status::news).unwrap_or_default()
    }

    /// Waits until a peer is there, on a link that has none at first.
    pub(crate) fn wait_for_peer(&self) -> Result<()> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let begun = Instant::now();
        while !peer.is_up() {
            for line in self.news() {
                println!("{line}");
            }
            if begun.elapsed() > PEER_PATIENCE || interrupt::came() {
                bail!("nobody is at the other end of the link");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The first of these that may answer a ping over IPv4, each once: the kernel's table of neighbours
/// has groups as well.
fn hosts_to_ask(candidates: impl Iterator<Item = IpAddr>) -> Vec<Ipv4Addr> {
    let mut hosts = Vec::new();
    for candidate in candidates {
        if let IpAddr::V4(v4) = candidate
            && !(v4.is_multicast() || v4.is_broadcast() || hosts.contains(&v4))
            && hosts.len() < PEERS_MAX
        {
            hosts.push(v4);
        }
    }
    hosts
}

/// The interface's own addresses.
fn own(info: &InterfaceInfo) -> Result<Vec<AddressRange>> {
    if info.addresses.is_empty() {
        bail!(
            "{} has no address; give it one with `ip address add ADDRESS/BITS dev {}`",
            info.name,
            info.name
        );
    }
    let range = |prefix: &crore_ctl::Prefix| AddressRange::one(prefix.address, prefix.len);
    Ok(info.addresses.iter().map(range).collect())
}

fn has(range: &AddressRange, address: IpAddr) -> bool {
    match (range.first, address) {
        (IpAddr::V4(first), IpAddr::V4(address)) => {
            address.to_bits().wrapping_sub(first.to_bits()) < range.count
        }
        (IpAddr::V6(first), IpAddr::V6(address)) => {
            address.to_bits().wrapping_sub(first.to_bits()) < u128::from(range.count)
        }
        _ => false,
    }
}

fn plus(first: IpAddr, offset: u32) -> IpAddr {
    match first {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().wrapping_add(offset).into()),
        IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().wrapping_add(u128::from(offset)).into()),
    }
}

/// How many hosts are asked at most.
const PEERS_MAX: usize = 4;

/// How long to wait for the other end of a link: both may be started by one script.
const PEER_PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests;
