//! Segments without payload (acknowledgments, probes, resets), and every segment's header: what it
//! says of our side (RFC 9293 3.8.6.2, RFC 2018, RFC 7323).

use super::receive_queue;
use super::tuning::Room;
use crate::habits::WindowSteps;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, State, Tcb};
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use crore_wire::tcp;

/// What an acknowledgment's SACK option says besides the octets that are out of order.
#[derive(Clone, Copy)]
pub(super) struct Report {
    /// An octet of the segment that is answered: its block comes first (RFC 2018 4).
    latest: Option<Seq>,
    /// Octets of it that had arrived before (RFC 2883).
    duplicate: Option<(Seq, Seq)>,
}

impl Report {
    pub(super) const NONE: Self = Self { latest: None, duplicate: None };

    /// Of a segment that came too early.
    pub(super) fn early(seq: Seq) -> Self {
        Self { latest: Some(seq), duplicate: None }
    }

    /// Of a segment that had arrived before.
    pub(super) fn duplicate(left: Seq, right: Seq) -> Self {
        Self { latest: Some(left), duplicate: Some((left, right)) }
    }
}

impl Stack {
    /// A pure acknowledgment at once. `report`: what it answers.
    /// False without a frame or a way: then it is owed instead.
    pub(super) fn send_ack(&mut self, index: u32, report: Report, tx: &mut TxBurst) -> bool {
        let sent = match self.path_of(index, tx) {
            Some(path) => {
                let seq = self.tcbs[index].acceptable_seq();
                let header = self.header_for(index, seq, tcp::Flags::ACK, report);
                self.write_segment(&path, &header, &[], tx)
            }
            None => false,
        };
        if !sent {
            self.tcbs[index].flags.set(Flags::ACK_NOW);
            self.queue_output(index);
        }
        sent
    }

    /// A segment before the window, without octets (RFC 9293 SHLD-12): whoever is there must answer
    /// (RFC 9293 3.8.4).
    pub(super) fn send_probe(&mut self, index: u32, tx: &mut TxBurst) {
        let Some(path) = self.path_of(index, tx) else { return };
        let before = self.tcbs[index].snd_una.back(1);
        let header = self.header_for(index, before, tcp::Flags::ACK, Report::NONE);
        self.write_segment(&path, &header, &[], tx);
    }

    /// RFC 9293 3.10.5: the connection is aborted; the peer is told if it knows of it.
    pub(super) fn send_reset(&mut self, index: u32, tx: &mut TxBurst) {
        if self.tcbs[index].state() == State::SynSent {
            return;
        }
        let Some(path) = self.path_of(index, tx) else { return };
        let flags = tcp::Flags::RST | tcp::Flags::ACK;
        let seq = self.tcbs[index].acceptable_seq();
        // A reset says nothing of congestion.
        let header = tcp::Header { flags, ..self.header_for(index, seq, flags, Report::NONE) };
        if self.write_segment(&path, &header, &[], tx) {
            self.counters.resets_out += 1;
        }
    }

    /// The header of a segment of this connection. It carries the acknowledgment and the window
    /// of the moment, so nothing is owed after it.
    #[inline]
    pub(super) fn header_for(
        &mut self,
        index: u32,
        seq: Seq,
        flags: tcp::Flags,
        report: Report,
    ) -> tcp::Header {
        let ts_now = self.ts_now();
        let (flags, urgent) = if self.tcbs[index].flags.any(Flags::RARE) {
            self.urgent_field(index, seq, flags)
        } else {
            (flags, 0)
        };
        let steps = self.config.habits.window_steps;
        let room = self.rcv_room(index);
        let tcb = &mut self.tcbs[index];
        let window = window_field(tcb, room, steps);
        tcb.last_ack_sent = tcb.rcv_nxt;
        tcb.flags.clear(Flags::ACK_NOW | Flags::ACK_OWED);
        let reports = tcb.rcv_queue != BlockId::NONE || report.duplicate.is_some();
        let sack = if reports && tcb.flags.any(Flags::SACK) {
            self.sack_of(index, report)
        } else {
            tcp::SackBlocks::EMPTY
        };
        let tcb = &self.tcbs[index];
        // RFC 7323-3.2a, RFC 7323-3.2c, RFC 7323-3.2d: timestamps on every segment, resets too.
        let timestamps = tcb
            .flags
            .any(Flags::TIMESTAMPS)
            .then_some(tcp::Timestamps { value: ts_now, echo: tcb.ts_recent });
        tcp::Header {
            src_port: tcb.local_port,
            dst_port: tcb.remote_port,
            seq: seq.0,
            ack: tcb.rcv_nxt.0,
            // RFC 3168-6.1.3b: until CWR comes.
            flags: flags | tcb.echo_flag(),
            window,
            urgent,
            // RFC 9293 MUST-65: no MSS here, nor anything else of a SYN.
            options: tcp::Options { timestamps, sack, ..tcp::Options::NONE },
        }
    }

    /// RFC 2018-4a, RFC 2018-4b: blocks whenever there is a gap, to a peer that permitted it.
    fn sack_of(&mut self, index: u32, report: Report) -> tcp::SackBlocks {
        let tcb = &mut self.tcbs[index];
        let (mut blocks, mut first) = ([(0, 0); tcp::SACK_BLOCKS_MAX], 0);
        // RFC 2018-4d: as many as fit; the timestamps take the room of one.
        let fit = tcp::SACK_BLOCKS_MAX - usize::from(tcb.flags.any(Flags::TIMESTAMPS));
        if let Some((left, right)) = report.duplicate {
            // RFC 2883-4a, RFC 2883-4b: the duplicate's report comes first.
            blocks[0] = (left.0, right.0);
            first = 1;
        }
        let rest = &mut blocks[first..fit];
        let latest = (report.latest, self.counters.segments_in as u32);
        let (pool, steps) = (&mut self.pool, &mut self.counters.walked);
        let count = first + receive_queue::sack_blocks(tcb, pool, latest, rest, steps);
        let mut sack = tcp::SackBlocks::EMPTY;
        for &(left, right) in &blocks[..count] {
            sack.push(left, right);
        }
        sack
    }

    /// The size of a connection's receive buffer, in octets.
    #[inline]
    pub fn rcv_buf_of(&self, index: u32) -> u32 {
        let buffer = self.config.rcv_buf_bytes;
        let tcb = &self.tcbs[index];
        if self.config.habits.rcv_buf_whole_segments && tcb.state() > State::SynSent {
            return buffer.next_multiple_of(u32::from(tcb.mss.max(1)));
        }
        buffer
    }

    /// Our clock for the timestamps option, in milliseconds from a secret start (RFC 7323-4.1,
    /// RFC 7323-5.4a, RFC 7323-5.4b).
    #[inline]
    pub(crate) fn ts_now(&self) -> u32 {
        self.now.tick.wrapping_add(self.ts_offset)
    }
}

impl Tcb {
    /// SND.NXT, or the right edge of the peer's window when a probe or a FIN went beyond it: the
    /// peer would not look at the acknowledgment in a segment outside its window (RFC 9293 3.4).
    #[inline]
    pub(super) fn acceptable_seq(&self) -> Seq {
        self.snd_nxt.earlier(self.snd_una + self.snd_wnd)
    }
}

/// A window that would invite small segments.
fn is_silly(window: u32, buffer: u32, mss: u16) -> bool {
    window < buffer / 4 && window < u32::from(mss)
}

/// The window to advertise, in the header's form (RFC 7323-2.3e). The right edge never moves back
/// (RFC 9293 SHLD-14), and forward only by a worthwhile step (RFC 9293 MUST-39); it may stay where
/// it is for ever (RFC 9293 MAY-8). Notes the edge.
#[inline(always)]
#[expect(clippy::inline_always, reason = "on the way of every segment")]
pub(super) fn window_field(tcb: &mut Tcb, space: Room, steps: WindowSteps) -> u16 {
    let offer = space.offer(tcb);
    let step = match steps {
        WindowSteps::Segments => space.step(tcb, 1),
        WindowSteps::Octets if is_silly(offer, space.buffer, tcb.mss) => u32::MAX >> 1,
        WindowSteps::Octets => 0,
    };
    let (field, reach) = window_for(tcb, offer, step);
    announce(
        tcb,
        match steps {
            // What the field cannot say is not promised.
            WindowSteps::Segments => reach,
            WindowSteps::Octets => offer,
        },
    );
    field
}

/// The field that says how far ahead of RCV.NXT the right edge may be, where `offer` is what we
/// would like and the edge moves by `step` at least; and how far that is.
#[inline(always)]
#[expect(clippy::inline_always, reason = "on the way of every segment")]
pub(super) fn window_for(tcb: &Tcb, offer: u32, step: u32) -> (u16, u32) {
    let promised = promised(tcb);
    let wanted = if offer >= promised + step { offer } else { promised };
    let scale = tcb.rcv_scale();
    // RFC 7323 2.4: rounded up where there is room, so that a first window that was not scaled
    // does not shrink.
    let below_unit = (1 << scale) - 1;
    let up = (wanted + below_unit) & !below_unit;
    let has_room = up <= offer.max(promised);
    let reach = if has_room { up } else { wanted & !below_unit }.min(0xffff << scale);
    ((reach >> scale) as u16, reach)
}

/// Notes the right edge, so far ahead of RCV.NXT; it never moves back.
#[inline(always)]
#[expect(clippy::inline_always, reason = "on the way of every segment")]
pub(super) fn announce(tcb: &mut Tcb, reach: u32) {
    tcb.rcv_adv = tcb.rcv_nxt + promised(tcb).max(reach);
}

/// How far ahead of RCV.NXT the right edge is that we advertised last.
#[inline(always)]
#[expect(clippy::inline_always, reason = "on the way of every segment")]
fn promised(tcb: &Tcb) -> u32 {
    (tcb.rcv_adv.since(tcb.rcv_nxt) as i32).max(0) as u32
}
