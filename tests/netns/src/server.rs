//! `crore serve` in the server's namespace.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::binary;
use crate::network::Network;
use crate::peer::{self, Peer};
use crate::program::{Program, until};
use crate::scene::Scene;

/// A server that answers.
#[derive(Debug)]
pub struct Server {
    program: Program,
    address: SocketAddr,
    /// Huge pages that the system had reserved before.
    pages_before: u64,
}

impl Server {
    /// Starts `crore serve WORDS` on the server's interface and waits until it accepts.
    pub fn start(
        scene: &Scene,
        network: &Network,
        words: &[&str],
        listen: (IpAddr, u16),
    ) -> Result<Self> {
        Self::start_on(scene, network, "xdp:eth0", words, listen)
    }

    /// As [`Server::start`], with more to say about the link.
    pub fn start_on(
        scene: &Scene,
        network: &Network,
        link: &str,
        words: &[&str],
        (address, port): (IpAddr, u16),
    ) -> Result<Self> {
        let address = SocketAddr::new(address, port);
        let pages_before = huge_pages()?;
        let listen = address.to_string();
        let mut all = vec!["serve"];
        all.extend(words);
        all.extend(["--link", link, "--listen", &listen]);
        let mut command = network.server.command(binary::crore()?, &all);
        let name = format!("crore {}", all.join(" "));
        let mut program = Program::start(&name, &mut command, &scene.log("server"))?;
        until(&format!("{name} to accept"), START_LIMIT, || {
            if let Some(status) = program.ended()? {
                bail!("{name} ended: {status}\n{}", program.said());
            }
            Ok((peer::probe(scene, network, address)? == "connected").then_some(()))
        })?;
        Ok(Self { program, address, pages_before })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kilobytes of memory that its process has, reserved huge pages not counted.
    pub fn resident_kb(&self) -> Result<u64> {
        self.program.resident_kb()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.program.said()
    }

    /// Its process ends without a word, as by `kill -9`. The huge pages that it had reserved are
    /// given back in its stead.
    pub fn kill(mut self) -> Result<()> {
        self.program.kill()?;
        if huge_pages()? > self.pages_before {
            fs::write(HUGE_PAGES, self.pages_before.to_string()).context(HUGE_PAGES)?;
        }
        Ok(())
    }

    /// The same under this traffic. The client's kernel asks again and again, and nobody may tell
    /// it that the port is closed.
    pub fn kill_unheard(
        self,
        scene: &Scene,
        network: &Network,
        traffic: &mut Peer,
        repeats: u64,
    ) -> Result<()> {
        let (address, resets_before) = (self.address, network.server.tcp_counter("OutRsts")?);
        self.kill()?;
        ensure!(network.server.has_xdp("eth0")?, "the kernel's TCP has the port now");
        if network.is_real() {
            // A driver that lets go of a queue may restart the link.
            network.await_pings()?;
        }
        let repeated_before = network.client.tcp_counter("RetransSegs")?;
        until("the client to repeat itself", REPEAT_LIMIT, || {
            let silence = traffic.status()?;
            ensure!(silence.over() == 0, "the client heard something: {silence:?}");
            let repeated = network.client.tcp_counter("RetransSegs")?;
            Ok((repeated >= repeated_before + repeats).then_some(()))
        })?;
        let probe = peer::probe(scene, network, address)?;
        ensure!(probe == "timed out", "a new connection to the dead server: {probe}");
        let resets = network.server.tcp_counter("OutRsts")? - resets_before;
        ensure!(resets == 0, "the server's kernel sent {resets} resets");
        Ok(())
    }

    /// Stops it as Ctrl-C does. It must end without an error and leave nothing on the interface.
    pub fn stop(mut self, network: &Network) -> Result<()> {
        let status = self.program.interrupt(STOP_LIMIT).context("after Ctrl-C")?;
        ensure!(status.success(), "the server ended with {status}\n{}", self.program.said());
        ensure!(!network.server.has_xdp("eth0")?, "an XDP program is left on the interface");
        Ok(())
    }
}

const START_LIMIT: Duration = Duration::from_mins(3);
/// Retransmission timers back off.
const REPEAT_LIMIT: Duration = Duration::from_mins(4);
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// How many huge pages the system has reserved.
fn huge_pages() -> Result<u64> {
    let text = fs::read_to_string(HUGE_PAGES).context(HUGE_PAGES)?;
    text.trim().parse().context(HUGE_PAGES)
}

const HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";
