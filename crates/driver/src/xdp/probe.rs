//! Sends frames of full size through sockets that were just bound, and sees whether they go out and
//! whole answers come in.
//!
//! The frames are pings to a host that answers the kernel's own ([`Peer`]); the filter gives their
//! answers to the sockets. Where there is no such host they are frames for nobody, and only sending
//! is proven.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use crore_mem::frames::{RxBurst, TxBurst};
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::icmpv4::Message;
use crore_wire::{Protocol, ipv4};

use super::peer::Peer;
use super::queue::Queue;
use super::watch::said_bytes;
use crate::interface::Interface;

/// What was seen of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every queue sends, and a whole answer came in on this one.
    Answered {
        /// The queue's number.
        queue: u32,
        /// Bytes of the frame.
        bytes: usize,
    },
    /// Every queue sends, and there was nobody to ask.
    Sent,
    /// It does not work, for this reason.
    Fault(String),
}

/// What nobody else knows of the pings of one proof, so that nobody can answer in the peer's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret(u64);

impl Secret {
    /// Drawn anew.
    pub(super) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// The pings' identifier.
    pub(super) fn ident(self) -> u16 {
        self.0 as u16
    }

    /// What a ping carries: whatever a driver may leave in the place of cut or mixed-up bytes
    /// differs.
    fn pattern(self, mtu: usize) -> Vec<u8> {
        let len = mtu.saturating_sub(ipv4::HEADER_LEN + 8);
        let key = self.0.to_le_bytes();
        (0..len).map(|at| key[at % 8].wrapping_add((at / 8) as u8)).collect()
    }
}

/// Tries the queues of one interface, whose link may be about to restart.
pub(super) fn prove(
    interface: &Interface,
    queues: &mut [Queue],
    peer: Option<&Peer>,
    secret: Secret,
) -> Outcome {
    let probe = Probe { mac: interface.mac, mtu: interface.mtu as usize, peer, secret };
    let (mut rx, start) = (RxBurst::new(), Instant::now());
    let mut running_since = None;
    let mut asked: Option<Instant> = None;
    loop {
        let now = Instant::now();
        if !Interface::is_running(&interface.name).unwrap_or(false) {
            running_since = None;
        } else if running_since.is_none() {
            running_since = Some(now);
        }
        if running_since.is_some() && asked.is_none_or(|asked| now >= asked + ASK_INTERVAL) {
            asked = Some(now);
            for queue in &mut *queues {
                probe.send(queue);
            }
        }
        let mut answer = None;
        for queue in &mut *queues {
            answer = answer.or_else(|| probe.receive(queue, &mut rx));
        }
        let stuck = asked.and_then(|_| queues.iter_mut().find_map(stuck));
        match (answer, stuck) {
            (Some(Outcome::Fault(fault)), _) => return Outcome::Fault(fault),
            (Some(answer), None) => return answer,
            (None, None) if peer.is_none() && asked.is_some() => return Outcome::Sent,
            (answer, stuck) => {
                let over = running_since.is_some_and(|since| now >= since + PATIENCE);
                if over || now >= start + LINK_PATIENCE {
                    return probe.silence(answer.is_some(), stuck);
                }
            }
        }
        thread::sleep(STEP);
    }
}

/// Waits for a link that was up before its queues were restarted, at most for as long as a link may
/// take.
pub(super) fn await_link(interface: &Interface, was_running: bool) {
    let start = Instant::now();
    while was_running
        && !Interface::is_running(&interface.name).unwrap_or(true)
        && start.elapsed() < LINK_PATIENCE
    {
        thread::sleep(STEP);
    }
}

struct Probe<'a> {
    mac: [u8; 6],
    mtu: usize,
    peer: Option<&'a Peer>,
    secret: Secret,
}

impl Probe<'_> {
    fn send(&self, queue: &mut Queue) {
        let mut tx = TxBurst::new();
        queue.tx_reserve(&mut tx, 1);
        if let Some(frame) = tx.frame() {
            let len = self.write(frame, queue.number() as u16);
            tx.commit(len);
            queue.tx_burst(&mut tx);
        }
        queue.tx_cancel(&mut tx);
    }

    fn write(&self, frame: &mut [u8], seq: u16) -> usize {
        let Some(peer) = self.peer else {
            let (dst, ether_type) = (MacAddr(NEAREST_BRIDGE), EtherType(ETHER_TYPE_LOCAL));
            let header = ethernet::Header { dst, src: MacAddr(self.mac), vlan: None, ether_type };
            let len = header.write(frame);
            frame[len..len + self.mtu].fill(0);
            return len + self.mtu;
        };
        let (dst, ether_type) = (MacAddr(peer.mac), EtherType::IPV4);
        let header = ethernet::Header { dst, src: MacAddr(self.mac), vlan: None, ether_type };
        let data = self.secret.pattern(self.mtu);
        let message = Message::EchoRequest { ident: self.secret.ident(), seq, data: &data };
        let (from, to, len) = (peer.ours, peer.theirs, message.len() as u16);
        let mut at = header.write(frame);
        at += ipv4::Header::atomic(from, to, Protocol::ICMP, len).write(&mut frame[at..]);
        at + message.write(&mut frame[at..])
    }

    /// Looks at what arrived on a queue. What is not an answer counts as early: it is lost, like on
    /// a link that is just coming up.
    fn receive(&self, queue: &mut Queue, rx: &mut RxBurst) -> Option<Outcome> {
        let mut answer = None;
        queue.rx_burst(rx, usize::MAX);
        for i in 0..rx.len() {
            match self.look(rx.frame(i)) {
                Some(Ok(bytes)) => {
                    answer = Some(Outcome::Answered { queue: queue.number(), bytes });
                }
                Some(Err(fault)) => answer = Some(Outcome::Fault(fault)),
                None => queue.count_early(),
            }
        }
        queue.rx_release(rx);
        answer
    }

    /// The bytes of a frame that is the whole answer, or what is wrong with it.
    fn look(&self, frame: &[u8]) -> Option<Result<usize, String>> {
        let peer = self.peer?;
        let (header, packet) = ethernet::Header::parse(frame).ok()?;
        let (ip, _) = ipv4::Header::parse_quoted(packet).ok()?;
        if header.ether_type != EtherType::IPV4 || (ip.src, ip.dst) != (peer.theirs, peer.ours) {
            return None;
        }
        let fault = |what: String| Some(Err(format!("the answer of {} {what}", peer.theirs)));
        let said = said_bytes(frame)?;
        if frame.len() < said {
            return (ip.protocol == Protocol::ICMP)
                .then(|| fault(format!("came cut: {} of {said} bytes", frame.len())))?;
        }
        let (_, payload) = ipv4::Header::parse(packet).ok()?;
        match Message::parse(payload) {
            Ok(Message::EchoReply { ident, data, .. }) if ident == self.secret.ident() => {
                if data == self.secret.pattern(self.mtu) {
                    Some(Ok(said))
                } else {
                    fault(format!("came damaged: {} bytes, not those that were sent", data.len()))
                }
            }
            Err(_) if ip.protocol == Protocol::ICMP => fault("came damaged".to_owned()),
            _ => None,
        }
    }

    /// What it means that time is over.
    fn silence(&self, answered: bool, stuck: Option<u32>) -> Outcome {
        Outcome::Fault(match (stuck, self.peer) {
            (Some(queue), _) => format!("frames given to queue {queue} do not go out"),
            (None, Some(peer)) if !answered => format!(
                "{} answers pings of the kernel, and none that was sent this way",
                peer.theirs
            ),
            _ => "the link did not come back".to_owned(),
        })
    }
}

/// The number of a queue that has not sent what it was given.
fn stuck(queue: &mut Queue) -> Option<u32> {
    (queue.unsent() > 0).then(|| queue.number())
}

/// IEEE 802.1Q 8.6.3: no bridge forwards what is sent there.
const NEAREST_BRIDGE: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];

/// IEEE 802: for experiments on one's own link.
const ETHER_TYPE_LOCAL: u16 = 0x88b5;

/// How often the peer is asked, and how long the answer may take on a link that runs.
const ASK_INTERVAL: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a link may take to run again after its queues were restarted.
const LINK_PATIENCE: Duration = Duration::from_secs(40);

const STEP: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests;
