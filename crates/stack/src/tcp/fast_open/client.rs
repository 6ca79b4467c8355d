//! The active side (RFC 7413 4.1.3, 4.2.1, 4.2.2): what goes on the first SYN, and what the answer
//! to it says of the server and the path.
//!
//! ```text
//!   no cookie known:   SYN, asks            all octets follow the handshake
//!   a cookie known:    SYN, cookie, octets  what the SYN-ACK does not acknowledge follows
//!   the path failed:   SYN                  as any other
//!   first SYN lost:    SYN                  without option and octets
//! ```
//!
//! Octets on a SYN are a copy: in the send queue they stay unsent until the SYN-ACK says that they
//! arrived. So a server that does not take them costs nothing, not even a retransmission.

use super::super::extension;
use super::super::send_queue;
use super::{Opening, cookies::Known};
use crate::arrival::Arrival;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{State, Tcb};
use crate::tcp::ConnectError;
use core::net::SocketAddr;
use crore_mem::BlockId;
use crore_wire::tcp::{self, FastOpen};

/// What Fast Open puts on a SYN.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct OnSyn {
    pub(in super::super) option: Option<FastOpen>,
    /// The first block of the send queue and how many of its octets.
    pub(in super::super) octets: Option<(BlockId, u16)>,
}

impl Stack {
    /// OPEN with Fast Open: as [`Stack::connect`], and the first octets go on the SYN when the
    /// server's cookie is known. Says how many octets that will be; they are queued, the caller
    /// sends the rest. They may come to the server's application twice (RFC 7413 6.1).
    pub fn connect_fast_open(
        &mut self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
        octets: &[u8],
    ) -> Result<(u32, usize), ConnectError> {
        let index = self.connect(remote, local)?;
        let Some(known) = self.known_of(index) else {
            self.counters.fast_open_rests += 1;
            return Ok((index, 0));
        };
        // What is on the SYN is remembered in the extension; without it there is no Fast Open.
        if !self.open_extension(index) {
            return Ok((index, 0));
        }
        self.opening_mut(index).stage = Opening::WANTED;
        let room = self.room_on_syn(index, &known);
        let tcb = &mut self.tcbs[index];
        // A block that fits the SYN, for these octets alone.
        let mss = core::mem::replace(&mut tcb.mss, room);
        let taken = send_queue::append(tcb, &mut self.pool, octets, usize::from(room));
        tcb.mss = mss;
        send_queue::mark_push(tcb, &mut self.pool);
        send_queue::mark_record(tcb, &mut self.pool);
        Ok((index, taken))
    }

    /// True when octets could go on a SYN to this server now.
    pub fn fast_open_is_known(&mut self, remote: SocketAddr, local: Option<SocketAddr>) -> bool {
        let to = crate::interface::mapped(remote.ip());
        let from = match local {
            Some(local) => Some(crate::interface::mapped(local.ip())),
            None => self.addresses.source_for(to),
        };
        let Some(local_id) = from.and_then(|from| self.addresses.id_of(from)) else { return false };
        let (now_s, retry_s) = (self.now_s(), self.config.fast_open.retry_ms / 1000);
        let known = self.fast_open.cookies.known((to, local_id), now_s, retry_s);
        let bare = self.config.fast_open.connect_without_cookie;
        known.is_some_and(|known| bare || !known.option.cookie.is_empty())
    }

    /// Forgets the cookies of all servers, and which paths failed.
    pub fn forget_fast_open(&mut self) {
        self.fast_open.cookies.forget_all();
    }

    fn known_of(&mut self, index: u32) -> Option<Known> {
        let (now_s, retry_s) = (self.now_s(), self.config.fast_open.retry_ms / 1000);
        let path = path_of(&self.tcbs[index]);
        self.fast_open.cookies.known(path, now_s, retry_s)
    }

    /// Octets that the SYN may have: none without a cookie, which the first SYN asks for
    /// (RFC 7413-4.2.1b, RFC 7413-4.2.2a); RFC 7413-4.1.3b: no
    /// more than the server said that it takes, or any host does. All of the options' forty octets
    /// are left free, for middleboxes that add some.
    fn room_on_syn(&self, index: u32, known: &Known) -> u16 {
        if known.option.cookie.is_empty() && !self.config.fast_open.connect_without_cookie {
            return 0;
        }
        let remote = self.tcbs[index].remote;
        let default = if remote >> 32 == 0xffff { DEFAULT_ROOM_V4 } else { DEFAULT_ROOM_V6 };
        let default = self.config.fast_open.unknown_mss.unwrap_or(default);
        known.mss.unwrap_or(default).min(self.mss_for(remote)).saturating_sub(OPTIONS_MAX)
    }

    /// What goes on the SYN of an active open that is about to be sent.
    pub(in super::super) fn on_syn(&mut self, index: u32) -> OnSyn {
        if self.opening(index).stage != Opening::WANTED {
            return OnSyn::default();
        }
        let Some(known) = self.known_of(index) else { return OnSyn::default() };
        let room = self.room_on_syn(index, &known);
        let head = self.tcbs[index].snd_head;
        let octets = (room > 0 && head != BlockId::NONE)
            .then(|| (head, self.pool.header(head).len.min(room)))
            .filter(|(_, len)| *len > 0);
        let bare = known.option.cookie.is_empty() && self.config.fast_open.connect_without_cookie;
        OnSyn { option: (!bare).then_some(known.option), octets }
    }

    /// That SYN was sent. The next one will be as any other: RFC 7413-4.2.1a, RFC 7413-4.2.2d.
    pub(in super::super) fn note_on_syn(&mut self, index: u32, sent: &OnSyn) {
        let octets = sent.octets.map_or(0, |(_, len)| len);
        let opening = self.opening_mut(index);
        if opening.stage != Opening::WANTED {
            return;
        }
        opening.stage = match sent.option {
            Some(option) if option.cookie.is_empty() => Opening::ASKED,
            Some(_) => Opening::SHOWN,
            None if octets > 0 => Opening::BARE,
            None => Opening::NONE,
        };
        opening.octets = octets;
        self.counters.fast_open_out += u64::from(octets > 0);
    }

    /// Octets on our SYN that a SYN-ACK may acknowledge.
    pub(in super::super) fn octets_on_syn(&self, index: u32) -> u32 {
        u32::from(self.opening(index).octets)
    }

    /// Our SYN is acknowledged, up to `ack`: SND.UNA is the first octet that did not arrive with
    /// it. RFC 7413-4.2.2f: that and what follows goes with the acknowledgment.
    pub(in super::super) fn take_ack_of_syn(&mut self, index: u32, ack: Seq) {
        let tcb = &mut self.tcbs[index];
        tcb.snd_una += 1;
        if ack.gt(tcb.snd_una) {
            self.counters.octets_out += u64::from(ack.since(tcb.snd_una));
            send_queue::acknowledge(tcb, &mut self.pool, ack);
            tcb.snd_una = ack;
        }
        tcb.snd_nxt = tcb.snd_una;
    }

    /// What the SYN-ACK says of the server (RFC 7413-4.2.2e) and of the path (RFC 7413 4.2.2, the
    /// last of "Client: Receiving SYN-ACK"). `mss`: what it says that it takes.
    pub(in super::super) fn learn_from_syn_ack(
        &mut self,
        index: u32,
        arrival: &Arrival,
        offered: &tcp::Options,
        mss: u16,
    ) {
        let opening = self.opening(index);
        if opening.stage <= Opening::WANTED {
            return;
        }
        let tcb = &self.tcbs[index];
        let (path, now_s) = (path_of(tcb), self.now_s());
        let timed_out = tcb.backoff > 0;
        let acked = Seq(arrival.ack).since(tcb.snd_una + 1);
        let cookie = offered.fast_open.filter(|option| !option.cookie.is_empty());
        // RFC 7413 4.1.3: one that was not asked for is none.
        let cookie = cookie.filter(|_| opening.stage != Opening::BARE);
        let sent = u32::from(opening.octets);
        self.counters.fast_open_acked += u64::from(sent > 0 && acked == sent);
        self.counters.fast_open_fallbacks += u64::from(acked < sent);
        let cookies = &mut self.fast_open.cookies;
        cookies.learn(path, mss, cookie, now_s);
        if cookie.is_some() || acked > 0 {
            cookies.worked(path, now_s);
        } else if timed_out || sent > 0 {
            // RFC 7413-4.1.3.1a, RFC 7413-4.2.1c: the server took none of it, or it answers the SYN
            // that had none.
            cookies.failed(path, false, now_s);
        } else if opening.stage == Opening::ASKED {
            cookies.was_refused(path, now_s);
        }
    }

    /// RFC 7413-4.1.3.1a: an opening ends, or is in trouble, without an answer to its SYN.
    pub(in super::super) fn note_unanswered_syn(&mut self, index: u32, worse: bool) {
        let opening = self.opening(index);
        if self.tcbs[index].state() != State::SynSent || opening.stage <= Opening::WANTED {
            return;
        }
        let (path, now_s) = (path_of(&self.tcbs[index]), self.now_s());
        self.fast_open.cookies.failed(path, worse, now_s);
    }

    /// A router cannot pass our SYN on, for its octets: at once again without them (RFC 7413
    /// 4.1.3.1). One without any is never too long.
    pub(crate) fn syn_is_too_big(&mut self, index: u32) {
        if self.octets_on_syn(index) == 0 {
            return;
        }
        self.note_unanswered_syn(index, false);
        let tcb = &mut self.tcbs[index];
        tcb.snd_nxt = tcb.snd_una;
        // No sample any more (Karn).
        tcb.srtt_us8 = 0;
        self.counters.retransmits += 1;
        self.queue_output(index);
    }

    fn opening(&self, index: u32) -> Opening {
        match self.tcbs[index].extension {
            BlockId::NONE => Opening { octets: 0, stage: Opening::NONE, _reserved: 0 },
            id => extension::of(&self.pool, id).opening,
        }
    }

    /// The opening of a connection that has an extension.
    fn opening_mut(&mut self, index: u32) -> &mut Opening {
        &mut extension::of_mut(&mut self.pool, self.tcbs[index].extension).opening
    }

    fn now_s(&self) -> u32 {
        (self.now.us / 1_000_000) as u32
    }
}

fn path_of(tcb: &Tcb) -> (u128, u16) {
    (tcb.remote, tcb.local_id)
}

/// RFC 7413 4.1.3: what a server takes that never said.
const DEFAULT_ROOM_V4: u16 = 536;
const DEFAULT_ROOM_V6: u16 = 1220;

/// Octets of options that a TCP header can have.
const OPTIONS_MAX: u16 = 40;
