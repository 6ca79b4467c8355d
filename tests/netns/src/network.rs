//! The hosts and the links between them.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::namespace::{Namespace, join};

/// A client and a server, and what lies between them.
///
/// Checksum offload of the links is left on: a frame from a local peer arrives with an unfinished
/// checksum, as it does from a container.
#[derive(Debug)]
pub struct Network {
    /// Where the kernel's programs run.
    pub client: Namespace,
    /// Where `crore` runs.
    pub server: Namespace,
    /// Between them, in a routed network.
    pub router: Option<Namespace>,
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
        client.ip("address add 10.77.0.1/16 dev eth0")?;
        client.ip("address add fd77::1/64 dev eth0 nodad")?;
        server.ip("address add 10.77.0.2/16 dev eth0")?;
        server.ip("address add fd77::2/64 dev eth0 nodad")?;
        Self::with_server(client, None, server, "10.77.0.2", "fd77::2")
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
        Ok(Self { client, server, router, server_v4: v4.parse()?, server_v6: v6.parse()? })
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
