//! The hosts and the links between them.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::impairment::{BothCounts, Impairment};
use crate::link::{FAR_DEVICE, Link, NEAR_DEVICE};
use crate::namespace::{Namespace, join};
use crate::nic::{self, Nic};
use crate::program::until;
use crate::scene::Scene;

/// A client and a server, and what lies between them.
///
/// Checksum offload of the links is left on: a frame from a local peer arrives with an unfinished
/// checksum, as it does from a container.
#[derive(Debug)]
pub struct Network {
    /// Real interfaces that are lent to the two; they go home before the namespaces do.
    nics: Vec<Nic>,
    /// Where the kernel's programs run.
    pub client: Namespace,
    /// Where `crore` runs.
    pub server: Namespace,
    /// Between them, in a routed network.
    pub router: Option<Namespace>,
    /// Between them, in an impaired network. Its devices go before the namespaces do.
    link: Option<Link>,
    middle: Option<Namespace>,
    server_v4: IpAddr,
    server_v6: IpAddr,
}

/// Packets that the router threw away.
#[derive(Clone, Copy, Debug)]
pub struct Dropped {
    /// On their way to the server.
    pub to_server: u64,
    /// On their way to the client.
    pub to_client: u64,
}

impl Network {
    /// Client and server on one link: 10.77.0.1 and 10.77.0.2, `fd77::1` and `fd77::2`.
    pub fn direct() -> Result<Self> {
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        join((&client, "eth0"), (&server, "eth0"))?;
        Self::address(&client, &server)?;
        Self::with_server(client, None, server, "10.77.0.2", "fd77::2")
    }

    /// As a direct network, on this machine's real interfaces if it was told of two.
    pub fn on_nics() -> Result<Self> {
        let Some([near, far]) = nic::named()? else { return Self::direct() };
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        let nics = vec![Nic::lend(&near, &server)?, Nic::lend(&far, &client)?];
        Self::address(&client, &server)?;
        let network = Self::with_server(client, None, server, "10.77.0.2", "fd77::2")?;
        network.await_pings()?;
        Ok(Self { nics, ..network })
    }

    /// Waits until the two hear each other: a link takes seconds to come up.
    pub fn await_pings(&self) -> Result<()> {
        let server = self.server_v4.to_string();
        until("the hosts to hear each other", LINK_LIMIT, || {
            let words = ["-q", "-c", "1", "-W", "2", &server];
            let mut ping = self.client.command("ping", &words);
            let heard = ping.stdout(Stdio::null()).status().context("cannot run ping")?.success();
            Ok(heard.then_some(()))
        })
    }

    /// The server's interface is a real one.
    pub(crate) fn is_real(&self) -> bool {
        !self.nics.is_empty()
    }

    /// Client and server on one link that harms what it carries; the addresses of a direct network.
    ///
    /// The client's interface is one end of the link itself, the server's is half of a veth pair,
    /// as an XDP socket wants it, whose other half is bridged to the link's other end.
    pub fn impaired(
        scene: &Scene,
        impairment: &Impairment,
        capture: Option<&Path>,
    ) -> Result<Self> {
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        let middle = Namespace::new("middle")?;
        // Nobody but the two hosts may say anything on the link.
        middle.set("ipv6/conf/all/disable_ipv6", "1")?;
        middle.set("ipv6/conf/default/disable_ipv6", "1")?;
        join((&middle, "veth0"), (&server, "eth0"))?;
        let link = Link::start(scene, &middle, impairment, capture)?;
        for device in [NEAR_DEVICE, FAR_DEVICE] {
            middle.ip(&format!("link set {device} txqueuelen {DEVICE_QUEUE}"))?;
        }
        middle.ip(&format!("link set {NEAR_DEVICE} netns {}", client.name()))?;
        client.ip(&format!("link set {NEAR_DEVICE} name eth0"))?;
        client.ip("link set eth0 up")?;
        middle.ip("link add br0 type bridge mcast_snooping 0")?;
        for device in [FAR_DEVICE, "veth0"] {
            middle.ip(&format!("link set {device} master br0"))?;
        }
        middle.ip("link set br0 up")?;
        Self::address(&client, &server)?;
        let mut network = Self::with_server(client, None, server, "10.77.0.2", "fd77::2")?;
        (network.link, network.middle) = (Some(link), Some(middle));
        Ok(network)
    }

    fn address(client: &Namespace, server: &Namespace) -> Result<()> {
        for (host, number) in [(client, 1), (server, 2)] {
            host.ip(&format!("address add 10.77.0.{number}/16 dev eth0"))?;
            host.ip(&format!("address add fd77::{number}/64 dev eth0 nodad"))?;
            // What one transfer found out about the path is not for the next one to know.
            host.set("ipv4/tcp_no_metrics_save", "1")?;
        }
        Ok(())
    }

    /// What the link of an impaired network did so far.
    pub fn counts(&mut self) -> Result<BothCounts> {
        self.link.as_mut().context("there is no impaired link here")?.counts()
    }

    /// The luck of an impaired network's link begins anew: transfers after the same seed lose the
    /// same segments.
    pub fn draw_anew(&mut self, seed: u64) -> Result<()> {
        self.link.as_mut().context("there is no impaired link here")?.draw_anew(seed)
    }

    /// Cuts the link of an impaired network, once its records are complete.
    pub fn cut(&mut self) -> Result<()> {
        self.link.take().context("there is no impaired link here")?.end()
    }

    /// The namespace in the middle of an impaired network, where the server's side of the link is
    /// the device [`FAR_DEVICE`].
    pub fn middle(&self) -> Result<&Namespace> {
        self.middle.as_ref().context("there is no impaired link here")
    }

    /// Client and server in two subnets, and a router that drops `percent` of the packets each way.
    pub fn routed(percent: u32) -> Result<Self> {
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        let router = Namespace::new("router")?;
        join((&client, "eth0"), (&router, "eth0"))?;
        join((&router, "eth1"), (&server, "eth0"))?;
        client.ip("address add 10.77.1.2/24 dev eth0")?;
        router.ip("address add 10.77.1.1/24 dev eth0")?;
        router.ip("address add 10.77.2.1/24 dev eth1")?;
        server.ip("address add 10.77.2.2/24 dev eth0")?;
        client.ip("route add default via 10.77.1.1")?;
        server.ip("route add default via 10.77.2.1")?;
        router.set("ipv4/ip_forward", "1")?;
        drop_at(&router, percent)?;
        Self::with_server(client, Some(router), server, "10.77.2.2", "fd77:2::2")
    }

    fn with_server(
        client: Namespace,
        router: Option<Namespace>,
        server: Namespace,
        v4: &str,
        v6: &str,
    ) -> Result<Self> {
        let (server_v4, server_v6) = (v4.parse()?, v6.parse()?);
        let (nics, link, middle) = (Vec::new(), None, None);
        Ok(Self { nics, client, server, router, link, middle, server_v4, server_v6 })
    }

    /// The server's IPv4 address.
    pub fn server_v4(&self) -> IpAddr {
        self.server_v4
    }

    /// The server's IPv6 address, in a direct network.
    pub fn server_v6(&self) -> IpAddr {
        self.server_v6
    }

    /// One more address of the client, in a direct network: 28,000 more ports to connect from.
    pub fn add_client_address(&self, number: u8) -> Result<IpAddr> {
        let address = Ipv4Addr::new(10, 77, 1, number);
        self.client.ip(&format!("address add {address}/16 dev eth0"))?;
        Ok(address.into())
    }

    /// What the router has dropped so far.
    pub fn dropped(&self) -> Result<Dropped> {
        let router = self.router.as_ref().context("a direct network drops nothing")?;
        let rules = router.run("nft", &["list", "chain", "inet", "loss", "forward"])?;
        let count = |interface: &str| {
            let rule = rules.lines().find(|line| line.contains(interface))?;
            let mut words = rule.split_whitespace().skip_while(|word| *word != "packets");
            words.nth(1)?.parse().ok()
        };
        let (to_server, to_client) = (count("\"eth0\""), count("\"eth1\""));
        let unread = || format!("cannot read the counters in {rules}");
        Ok(Dropped {
            to_server: to_server.with_context(unread)?,
            to_client: to_client.with_context(unread)?,
        })
    }
}

/// The forward chain is the one place where both ways pass, and neither end's own stack sees it:
/// XDP runs before the server's filters, and a filter at the client's output is a send error.
fn drop_at(router: &Namespace, percent: u32) -> Result<()> {
    let rule = format!("numgen random mod 100 < {percent} counter drop");
    let rules = format!(
        "table inet loss {{
           chain forward {{
             type filter hook forward priority 0; policy accept;
             iifname \"eth0\" {rule}
             iifname \"eth1\" {rule}
           }}
         }}"
    );
    let mut command = router.command("nft", &["-f", "-"]);
    let mut nft = command.stdin(Stdio::piped()).spawn().context("cannot run nft")?;
    nft.stdin.take().context("nft takes no rules")?.write_all(rules.as_bytes())?;
    let status = nft.wait()?;
    ensure!(status.success(), "nft: {status}");
    Ok(())
}

/// A watchdog: an emulated link on a machine that does much else.
const LINK_LIMIT: Duration = Duration::from_mins(2);

/// Frames that a device of the link holds until they are read: a burst of a large window is no loss
/// that the link did not count.
const DEVICE_QUEUE: u32 = 8_192;
