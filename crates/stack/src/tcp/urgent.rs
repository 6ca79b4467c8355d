//! Urgent data (RFC 9293 3.8.5, RFC 6093): a pointer ahead in the stream, both ways. The octets
//! themselves are octets like all others.
//!
//! Hardly any connection has any, so the pointers are in a block of the pool (`tcp::rare`), which
//! stays for as long as one of them says something. Segments with the URG bit take the way through
//! the receive queue: how far the urgent data goes can then be told from what the application has
//! not consumed.

use super::arrives::Step;
use super::rare::{self, Rare};
use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::{Event, What};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, State, Tcb};
use crore_mem::frames::TxBurst;
use crore_wire::tcp;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The urgent pointers of a connection.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Urgent {
    /// SND.UP: the octet behind our urgent data (RFC 9293 MUST-62).
    snd_up: Seq,
    /// RCV.UP: the octet behind the peer's.
    rcv_up: Seq,
    /// 1 while `snd_up` lies beyond what the peer has acknowledged.
    sends: u16,
    /// 1 while `rcv_up` lies beyond what the application has consumed.
    receives: u16,
}

impl Stack {
    /// SEND of urgent data (RFC 9293 MUST-30), of any length (RFC 9293 MUST-31). Takes nothing when
    /// there is no room to remember the pointer.
    pub fn send_urgent(&mut self, index: u32, bytes: &[u8]) -> usize {
        if self.open_rare(index).is_none() {
            self.want_writable(index);
            return 0;
        }
        let taken = self.send(index, bytes);
        let tcb = &mut self.tcbs[index];
        if let Some(rare) = rare::of_mut(&mut self.pool, tcb)
            && taken > 0
        {
            tcb.flags.set(Flags::RARE);
            rare.urgent.snd_up = tcb.snd_end;
            rare.urgent.sends = 1;
        }
        taken
    }

    /// Octets from the first one not consumed to the end of the peer's urgent data.
    pub fn urgent_ahead(&self, index: u32) -> usize {
        let tcb = &self.tcbs[index];
        let Some(Rare { urgent, .. }) = rare::of(&self.pool, tcb) else { return 0 };
        let read = first_unread(tcb);
        let ahead = urgent.receives != 0 && urgent.rcv_up.gt(read);
        if ahead { urgent.rcv_up.since(read) as usize } else { 0 }
    }

    /// The URG bit and the pointer of a segment that begins at `seq`: on all segments before the
    /// end of the urgent data, those without octets too. One that lies further ahead than the field
    /// can say is moved on by later segments.
    #[cold]
    pub(super) fn urgent_field(
        &mut self,
        index: u32,
        seq: Seq,
        flags: tcp::Flags,
    ) -> (tcp::Flags, u16) {
        self.settle_urgent(index);
        let tcb = &self.tcbs[index];
        let Some(Rare { urgent, .. }) = rare::of(&self.pool, tcb) else { return (flags, 0) };
        if flags.contains(tcp::Flags::RST) || urgent.sends == 0 || seq.ge(urgent.snd_up) {
            return (flags, 0);
        }
        (flags | tcp::Flags::URG, urgent.snd_up.since(seq).min(u32::from(u16::MAX)) as u16)
    }

    /// Sixth step of SEGMENT ARRIVES: the URG bit; and then those that follow.
    #[cold]
    pub(super) fn urgent_segment(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
        tx: &mut TxBurst,
    ) -> Step {
        if !self.note_urgent(index, arrival, frame, event) {
            return Step::Stop(Drop::PoolEmpty);
        }
        let step = self.text_and_fin(index, arrival, frame, event, tx);
        self.keep_in_queue(event, frame);
        step
    }

    /// RCV.UP moves on, and the application is told when it does (RFC 9293 MUST-32). False when it
    /// cannot be remembered: the peer has to send the segment again.
    fn note_urgent(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
    ) -> bool {
        self.settle_urgent(index);
        let tcb = &self.tcbs[index];
        let takes = matches!(tcb.state(), State::Established | State::FinWait1 | State::FinWait2);
        let segment = &frame[usize::from(arrival.start)..];
        let Ok((header, _)) = tcp::Header::parse(segment) else { return true };
        let pointer = Seq(arrival.seq) + u32::from(header.urgent);
        let read = first_unread(tcb);
        if !takes || pointer.le(read) {
            return true;
        }
        if self.open_rare(index).is_none() {
            return false;
        }
        let tcb = &mut self.tcbs[index];
        let Some(Rare { urgent, .. }) = rare::of_mut(&mut self.pool, tcb) else { return false };
        if urgent.receives == 0 || pointer.gt(urgent.rcv_up) {
            urgent.rcv_up = pointer;
            urgent.receives = 1;
            tcb.flags.set(Flags::RARE);
            event.what.set(What::URGENT);
            self.counters.urgent_in += 1;
        }
        true
    }

    /// Octets that an event would show in the frame go into the receive queue instead.
    pub(crate) fn keep_in_queue(&mut self, event: &mut Event, frame: &[u8]) {
        if event.what.any(What::DATA) {
            let start = usize::from(event.start);
            self.keep(event, &frame[start..start + usize::from(event.len)], 0);
            event.what.clear(What::DATA);
            event.what.set(What::QUEUED);
        }
    }

    /// Forgets pointers that were reached, and with the last of them that there were any, unless
    /// the search for the path's segment size needs the extension too.
    #[cold]
    pub(super) fn settle_urgent(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        let Some(Rare { urgent, search }) = rare::of_mut(&mut self.pool, tcb) else {
            return tcb.flags.clear(Flags::RARE);
        };
        if tcb.snd_una.ge(urgent.snd_up) {
            urgent.sends = 0;
        }
        if urgent.rcv_up.le(first_unread(tcb)) {
            urgent.receives = 0;
        }
        if urgent.sends != 0 || urgent.receives != 0 || search.goes_on() {
            return;
        }
        tcb.flags.clear(Flags::RARE);
        let idle = tcb.in_flight() == 0 && !tcb.flags.any(Flags::TIMED);
        if idle && tcb.state() != State::Closed {
            self.close_extension(index);
        }
    }
}

/// The first octet that the application has not consumed.
fn first_unread(tcb: &Tcb) -> Seq {
    let fin = u32::from(tcb.flags.any(Flags::PEER_FIN));
    tcb.rcv_nxt.back(tcb.rcv_unread + fin)
}
