//! The shortest way from a service to a running server: one core on one link.

use crate::core::{Core, CoreConfig, Stop};
use crate::engine::Engine;
use crate::service::Service;
use crore_driver::{Link, RxChecksum, tap};
use crore_mem::{HugePages, Memory};
use crore_stack::{AddressRange, Interface, StackConfig, StackError};
use std::net::IpAddr;

/// A server about to run. For several cores, or settings that are not here, put
/// [`Engine`] and [`Core`] together yourself; this is how.
#[derive(Debug)]
pub struct Server {
    link: Link,
    addresses: Vec<AddressRange>,
    ports: Vec<u16>,
    fast_open: Vec<u16>,
    config: StackConfig,
    huge_pages: HugePages,
}

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is not of the form `10.99.0.2/24`.
    #[error("`{0}` is not an address with its prefix length, as in 10.99.0.2/24")]
    Address(String),
    /// The TAP device cannot be used.
    #[error(transparent)]
    Tap(#[from] tap::TapError),
    /// The stack cannot be made.
    #[error(transparent)]
    Stack(#[from] StackError),
}

impl Server {
    /// A server on a TAP device of this name, which is made when it does not exist (root). The
    /// kernel is its peer: give the device an address of the same prefix on the kernel's side,
    /// `ip addr add 10.99.0.1/24 dev NAME`, and connect to `address`.
    pub fn on_tap(name: &str, address: &str) -> Result<Self, ServerError> {
        let range = parse(address).ok_or_else(|| ServerError::Address(address.into()))?;
        let mut memory = Memory::new(HugePages::None);
        let mut queues = tap::open(name, 1, &mut memory)?;
        Ok(Self::on_link(Link::Tap(queues.remove(0)), vec![range]))
    }

    /// A server on any link.
    pub fn on_link(link: Link, addresses: Vec<AddressRange>) -> Self {
        Self {
            link,
            addresses,
            ports: Vec::new(),
            fast_open: Vec::new(),
            config: StackConfig::for_connections(10_000),
            huge_pages: HugePages::Transparent,
        }
    }

    /// Accepts connections to this port; can be called for several.
    #[must_use]
    pub fn listen(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// The same with Fast Open; see [`Engine::listen_fast_open`] for what it asks of the service.
    #[must_use]
    pub fn listen_fast_open(mut self, port: u16) -> Self {
        self.fast_open.push(port);
        self
    }

    /// The most connections at a time (10,000 unless set). All memory follows from it.
    #[must_use]
    pub fn connections(mut self, max: u32) -> Self {
        self.config = StackConfig::for_connections(max);
        self
    }

    /// Changes settings of the stack.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut StackConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Runs until `stop` is set, or the service stops. Returns the service.
    pub fn run<S: Service>(mut self, service: S, stop: &Stop) -> Result<S, ServerError> {
        let link = self.link.capabilities();
        self.config.answers_for_link = !link.kernel_neighbours;
        let interface = Interface {
            mac: link.mac,
            mtu: link.mtu,
            vlan: None,
            addresses: self.addresses,
            gateway_v4: None,
            gateway_v6: None,
            verify_checksums: link.rx_checksum == RxChecksum::Verify,
        };
        let mut memory = Memory::new(self.huge_pages);
        let seed = crate::random_seed();
        let mut engine = Engine::new(self.config, &interface, service, &mut memory, seed)?;
        for port in self.ports {
            engine.listen(port);
        }
        for port in self.fast_open {
            engine.listen_fast_open(port);
        }
        let mut core = Core::new(engine, self.link, CoreConfig::default());
        core.run(stop, |_| {});
        Ok(core.into_service())
    }
}

/// `10.99.0.2/24` or `fd00::2/64`.
fn parse(text: &str) -> Option<AddressRange> {
    let (address, prefix_len) = text.split_once('/')?;
    Some(AddressRange::one(address.parse::<IpAddr>().ok()?, prefix_len.parse().ok()?))
}
