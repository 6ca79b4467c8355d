//! An observer at the link: what each host says on the wire, judged without asking its stack.
//!
//! Streams can be right in the end although a host broke the rules on the way. So every segment is
//! held against what its connection's segments said before:
//!
//! | rule | RFC |
//! |---|---|
//! | only what was sent is acknowledged, and no acknowledgment goes back | 9293 3.4 |
//! | no octets beyond the window that was offered, but one as a probe | 9293 3.8.6 |
//! | the window's right edge does not go back, but by what its scale cannot say | 9293 3.8.6.2.1 |
//! | payload and options fit the MSS that was offered | 9293 3.7.1, 6691 |
//! | SACK reports what was sent and not acknowledged | 2018 3 |
//! | what arrives in order is answered within half a second | 9293 3.8.6.3 |
//! | into silence, the same octets are sent less and less often | 6298 5.5 |
//! | who gets a FIN again says again that it has it | 9293 3.10.7.4, 3.6.1 |
//! | who refuses the answer to its SYN does not ask again | 9293 3.10.7.3 |
//! | only new octets say that they can take a mark, and only when both sides agreed | 3168 6.1 |
//! | a mark on octets that came for the first time is echoed when they are taken | 3168 6.1.3 |
//!
//! What liars do, and what is done to them, is not judged here: they break all of these rules.

use crate::addresses;
use crate::mix::Mix;
use crate::network::Flight;
use crate::network::segment::Segment;
use crore_wire::tcp;
use std::collections::HashMap;
use std::net::SocketAddr;

/// All connections seen.
pub(crate) struct Observer {
    /// The hosts that have room for all that arrives, a way back, and time.
    answers: Vec<bool>,
    /// No host loses sight of another, or of time: segments go out when they are due.
    has_ways: bool,
    /// Segments may come in fragments, which are not looked into.
    has_fragments: bool,
    /// Nodes from this number on are liars.
    liars_from: usize,
    flows: HashMap<(SocketAddr, SocketAddr), Flow>,
}

/// One connection: `ways[0]` leads from the lower endpoint to the higher one.
#[derive(Default)]
struct Flow {
    ways: [Way; 2],
    /// Openings of two connections mixed: nothing can be said for sure.
    is_mixed: bool,
    /// Somebody else took part in it, or one side forgot it and may meet what is left of it:
    /// nothing ever can.
    is_tainted: bool,
}

/// One direction: what its sender said.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was said so far, each independent")]
struct Way {
    /// The initial sequence number; `None` before its SYN.
    start: Option<u32>,
    /// Its SYN acknowledged nothing: an active open.
    is_active: bool,
    /// The sequence number after all that was sent.
    end: u32,
    has_fin: bool,
    /// The highest acknowledgment number, with the first.
    acked: Option<u32>,
    /// The highest right edge of the window, as far as the field says.
    edge: Option<u32>,
    scale: Option<u8>,
    mss: u16,
    /// When octets arrived in order that are not acknowledged yet.
    owed_us: Option<u64>,
    /// Its SYN asks for ECN, or agrees to it.
    ecn: bool,
    /// Its SYN had octets, and none went since.
    on_syn: bool,
    /// Its SYN went once more without asking for ECN.
    fell_back: bool,
    /// The end of the octets that came to it.
    came: Option<u32>,
    /// The end of marked ones whose acknowledgment must say so.
    marked: Option<u32>,
    /// A reset was sent.
    is_over: bool,
    /// When its sender last heard of the other one.
    heard_us: u64,
    /// Since when a FIN that had arrived before waits for an answer, and how often it came.
    fin_again: Option<(u64, u32)>,
    /// It refused the answer to its SYN.
    refused_answer: bool,
    resends: Resends,
}

/// The times at which the same octets were sent, one after the other.
#[derive(Clone, Default)]
struct Resends {
    seq: u32,
    at_us: Vec<u64>,
}

impl Observer {
    pub(crate) fn new(mix: &Mix, answers: Vec<bool>, has_ways: bool) -> Self {
        let mut lanes = mix.hosts.iter().flat_map(|host| [&host.up, &host.down]);
        let has_fragments = lanes.any(|lane| lane.fragment_per_mille > 0);
        let liars_from = mix.hosts.len();
        Self { answers, has_ways, has_fragments, liars_from, flows: HashMap::new() }
    }

    /// A frame arrives at host `to`; an error says what that one should have done before.
    pub(crate) fn arrived(
        &mut self,
        now_us: u64,
        to: usize,
        flight: &Flight,
    ) -> Result<(), String> {
        let Some(segment) = Segment::parse(&flight.frame) else { return Ok(()) };
        let (tuple, sender) = ordered(&segment);
        let Some(flow) = self.flows.get_mut(&tuple) else { return Ok(()) };
        flow.ways[1 - sender].heard_us = now_us;
        if flow.is_mixed || flow.is_tainted || !self.answers[to] || !flight.is_intact {
            return Ok(());
        }
        let [low, high] = &mut flow.ways;
        let (sender, receiver) = if sender == 0 { (low, high) } else { (high, low) };
        if !self.has_fragments {
            receiver.arrived(&segment);
        }
        let owes = receiver.owes(now_us, &segment);
        let judged = owes.and_then(|()| receiver.owes_for_fin(now_us, sender, &segment));
        judged.map_err(|what| format!("{} to {}: {what}", segment.to, segment.from))
    }

    /// A host sent a frame; an error says which rule it breaks.
    pub(crate) fn sent(&mut self, now_us: u64, frame: &[u8]) -> Result<(), String> {
        let Some(segment) = Segment::parse(frame) else { return Ok(()) };
        let node = addresses::place_of(segment.to.ip()).map(|place| place.node);
        if node.is_none_or(|node| node >= self.liars_from) {
            return Ok(());
        }
        let (tuple, sender) = ordered(&segment);
        let flow = self.flows.entry(tuple).or_default();
        if segment.header.flags.contains(tcp::Flags::RST) {
            flow.reset(sender, &segment.header);
            return Ok(());
        }
        let told = |what| format!("{} -> {}: {what}", segment.from, segment.to);
        if segment.header.flags.contains(tcp::Flags::SYN) {
            flow.syn(sender, &segment).map_err(told)?;
        }
        flow.judge(now_us, sender, &segment, self.has_ways).map_err(told)
    }

    /// Somebody sends a segment in the name of another.
    pub(crate) fn forged(&mut self, frame: &[u8]) {
        if let Some(segment) = Segment::parse(frame)
            && segment.header.flags.contains(tcp::Flags::SYN)
        {
            self.flows.entry(ordered(&segment).0).or_default().is_tainted = true;
        }
    }

    /// A host forgot everything: what was said on its connections binds it no more.
    pub(crate) fn forgot(&mut self, host: usize) {
        let is_at = |end: &SocketAddr| {
            addresses::place_of(end.ip()).is_some_and(|place| place.node == host)
        };
        for (_, flow) in self.flows.iter_mut().filter(|((a, b), _)| is_at(a) || is_at(b)) {
            flow.is_tainted = true;
        }
    }
}

/// The connection's name, and which of its ways the segment is on.
fn ordered(segment: &Segment<'_>) -> ((SocketAddr, SocketAddr), usize) {
    let (from, to) = (segment.from, segment.to);
    if from < to { ((from, to), 0) } else { ((to, from), 1) }
}

impl Flow {
    /// Nothing is expected of a connection after a reset.
    fn reset(&mut self, sender: usize, header: &tcp::Header) {
        self.ways[0].is_over = true;
        self.ways[1].is_over = true;
        let way = &mut self.ways[sender];
        // RFC 9293 3.10.7.3: the reset has the number that the refused acknowledgment had. Here it
        // is the one that acknowledges the SYN.
        let bare = !header.flags.contains(tcp::Flags::ACK);
        way.refused_answer = bare
            && way.is_active
            && way.acked.is_none()
            && way.start.is_some_and(|start| header.seq == start.wrapping_add(1));
    }

    /// A SYN begins a connection, unless it is the one that was sent before.
    fn syn(&mut self, sender: usize, segment: &Segment<'_>) -> Result<(), String> {
        let header = &segment.header;
        let answers = header.flags.contains(tcp::Flags::ACK);
        if self.ways[sender].start == Some(header.seq) {
            self.ways[sender].fell_back |= !header.flags.contains(tcp::Flags::ECE);
            if self.ways[sender].refused_answer && !self.is_mixed && !self.is_tainted {
                return Err("asks once more, after it refused the answer to its SYN".into());
            }
            return Ok(());
        }
        let peer_opens_too =
            self.ways[1 - sender].is_active && self.ways[1 - sender].acked.is_none();
        if answers {
            self.is_mixed |= self.ways[sender].start.is_some();
        } else if self.ways[sender].start.is_some() || !peer_opens_too {
            *self = Self { is_tainted: self.is_tainted, ..Self::default() };
        }
        let way = &mut self.ways[sender];
        way.start = Some(header.seq);
        way.is_active = !answers;
        // Fast Open: octets may go with it (RFC 7413).
        way.end = header.seq.wrapping_add(1 + segment.payload.len() as u32);
        way.on_syn = !segment.payload.is_empty();
        let echo = header.flags.contains(tcp::Flags::ECE);
        way.ecn = echo && header.flags.contains(tcp::Flags::CWR) != answers;
        way.scale = header.options.window_scale;
        way.mss = header.options.mss.unwrap_or(536);
        Ok(())
    }

    fn judge(
        &mut self,
        now_us: u64,
        sender: usize,
        segment: &Segment<'_>,
        has_ways: bool,
    ) -> Result<(), String> {
        let known = self.ways.iter().all(|way| way.start.is_some() && !way.is_over);
        if self.is_mixed || self.is_tainted || !known {
            return Ok(());
        }
        let [low, high] = &mut self.ways;
        let (way, back) = if sender == 0 { (low, high) } else { (high, low) };
        way.marks(back, segment)?;
        way.octets(back, segment)?;
        if has_ways {
            way.silence(now_us, segment)?;
        }
        let repeats = segment.header.flags.contains(tcp::Flags::SYN) && way.acked.is_some();
        if segment.header.flags.contains(tcp::Flags::ACK) && !repeats {
            way.acknowledgment(back, &segment.header)?;
            way.window(back, &segment.header)?;
        }
        Ok(())
    }
}

impl Way {
    /// Octets arrive: a mark on new ones must be echoed when they are acknowledged. A repeat, or
    /// CWR, may come to the host before the acknowledgment goes.
    fn arrived(&mut self, segment: &Segment<'_>) {
        let (seq, len) = (segment.header.seq, segment.payload.len() as u32);
        if len == 0 || segment.header.flags.contains(tcp::Flags::SYN) {
            return;
        }
        let end = seq.wrapping_add(len);
        let is_new = self.came.is_none_or(|came| !is_after(came, seq));
        let reduced = segment.header.flags.contains(tcp::Flags::CWR);
        if reduced || self.marked.is_some_and(|marked| is_after(marked, seq)) {
            self.marked = None;
        }
        if is_new && !reduced && segment.ecn == CONGESTION && self.marked.is_none() {
            self.marked = Some(end);
        }
        if self.came.is_none_or(|came| is_after(end, came)) {
            self.came = Some(end);
        }
    }

    /// What a segment says of congestion, and what it may be told.
    fn marks(&mut self, back: &Way, segment: &Segment<'_>) -> Result<(), String> {
        let header = &segment.header;
        if self.is_active && back.is_active {
            // Who agrees to what depends on whose SYN meets whose.
            return Ok(());
        }
        let agreed = self.ecn && back.ecn;
        let end = header.seq.wrapping_add(segment.payload.len() as u32);
        // What was on the SYN and was refused goes as if for the first time.
        let refused = self.on_syn && self.start == Some(header.seq.wrapping_sub(1));
        let has_new = !segment.payload.is_empty() && (is_after(end, self.end) || refused);
        self.on_syn &= segment.payload.is_empty();
        let is_syn = header.flags.contains(tcp::Flags::SYN);
        if segment.ecn != 0 && (!agreed || !has_new || is_syn) {
            return Err("says that it can take a mark (ECT), and may not".into());
        }
        let acknowledged = |marked: u32| !is_after(marked, header.ack);
        // RFC 3168 6.1.1 asks for the echo also of who fell back, for its first SYN may be the one
        // that came: not done yet.
        if agreed && !is_syn && !self.fell_back && self.marked.is_some_and(acknowledged) {
            self.marked = None;
            if !header.flags.contains(tcp::Flags::ECE) {
                return Err("acknowledges marked octets without an echo (ECE)".into());
            }
        }
        Ok(())
    }

    /// What is sent fits the MSS and the window, and continues what was sent before.
    fn octets(&mut self, back: &Way, segment: &Segment<'_>) -> Result<(), String> {
        let (header, len) = (&segment.header, segment.payload.len());
        if header.flags.contains(tcp::Flags::SYN) {
            return Ok(());
        }
        let size = len + header.header_len() - tcp::MIN_HEADER_LEN;
        if len > 0 && size > usize::from(back.mss) {
            return Err(format!("{size} octets of options and payload, MSS {}", back.mss));
        }
        let end = header.seq.wrapping_add(len as u32);
        if let Some(edge) = back.edge
            && len > 0
            && is_after(end, edge.wrapping_add(1))
        {
            let beyond = end.wrapping_sub(edge);
            return Err(format!("octets {beyond} beyond the window that was offered"));
        }
        if is_after(header.seq, self.end) && len > 0 {
            return Err("octets sent with a hole before them".into());
        }
        let has_fin = header.flags.contains(tcp::Flags::FIN);
        let end = end.wrapping_add(u32::from(has_fin));
        if self.has_fin && is_after(end, self.end) && (len > 0 || has_fin) {
            return Err("octets after the FIN".into());
        }
        self.has_fin |= has_fin;
        if is_after(end, self.end) && (len > 0 || has_fin) {
            self.end = end;
        }
        Ok(())
    }

    /// Only what was sent is acknowledged and reported, and nothing is taken back.
    fn acknowledgment(&mut self, back: &Way, header: &tcp::Header) -> Result<(), String> {
        if is_after(header.ack, back.end) {
            let beyond = header.ack.wrapping_sub(back.end);
            return Err(format!("acknowledges {beyond} octets that were not sent"));
        }
        if let Some(acked) = self.acked
            && is_after(acked, header.ack)
        {
            let taken_back = acked.wrapping_sub(header.ack);
            return Err(format!("takes an acknowledgment of {taken_back} octets back"));
        }
        self.owed_us = None;
        self.fin_again = None;
        self.acked = Some(header.ack);
        let blocks = header.options.sack.as_slice();
        for (n, &(left, right)) in blocks.iter().enumerate() {
            let is_run = is_after(right, left) && is_after(left, header.ack);
            // RFC 2883 4: the first block may tell of octets that had arrived before.
            let is_duplicate = n == 0 && is_after(right, left) && !is_after(right, header.ack);
            if !(is_run || is_duplicate) || is_after(right, back.end) {
                return Err(format!("reports {left} to {right}, which cannot be"));
            }
        }
        Ok(())
    }

    /// Octets in order arrive: some acknowledgment must follow in time. Not of them for sure: an
    /// older timestamp than the last is reason enough to refuse them (RFC 7323 5.3).
    fn owes(&mut self, now_us: u64, segment: &Segment<'_>) -> Result<(), String> {
        let (Some(acked), Some(edge)) = (self.acked, self.edge) else { return Ok(()) };
        if self.has_fin || self.is_over || segment.payload.is_empty() {
            return Ok(());
        }
        let seq = segment.header.seq;
        let end = seq.wrapping_add(segment.payload.len() as u32);
        if is_after(seq, acked) || !is_after(end, acked) || is_after(end, edge) {
            return Ok(());
        }
        let owed_us = *self.owed_us.get_or_insert(now_us);
        let late_us = now_us - owed_us;
        if late_us > ACK_WITHIN_US {
            return Err(format!("octets in order had no answer for {late_us} us"));
        }
        Ok(())
    }

    /// A FIN that is acknowledged arrives again: its sender did not hear of it. It must be told,
    /// also from TIME-WAIT; of segments without octets two a second are answered.
    fn owes_for_fin(
        &mut self,
        now_us: u64,
        sender: &Way,
        segment: &Segment<'_>,
    ) -> Result<(), String> {
        let header = &segment.header;
        let end = header.seq.wrapping_add(segment.payload.len() as u32).wrapping_add(1);
        let knows = self.acked.is_some_and(|acked| acked == end) && sender.end == end;
        if !header.flags.contains(tcp::Flags::FIN) || !knows || self.is_over {
            return Ok(());
        }
        let (since_us, times) = self.fin_again.get_or_insert((now_us, 0));
        *times += 1;
        let waited_us = now_us - *since_us;
        // A link that is busy may have no room for one answer, or for two.
        if waited_us > FIN_ANSWER_WITHIN_US && *times > FIN_ANSWERS_MISSED_MAX {
            return Err(format!("a FIN that came again has no answer after {waited_us} us"));
        }
        Ok(())
    }

    /// What was offered stays offered.
    fn window(&mut self, back: &Way, header: &tcp::Header) -> Result<(), String> {
        let is_scaled = !header.flags.contains(tcp::Flags::SYN) && back.scale.is_some();
        let scale = if is_scaled { self.scale.unwrap_or(0) } else { 0 };
        let edge = header.ack.wrapping_add(u32::from(header.window) << scale);
        // After both FINs there is no window any more.
        let over = self.has_fin && back.has_fin && header.ack == back.end;
        if let Some(before) = self.edge {
            if !over && is_after(before, edge.wrapping_add(1 << scale)) {
                let octets = before.wrapping_sub(edge);
                return Err(format!("takes {octets} octets of its window back"));
            }
            self.edge = Some(if is_after(edge, before) { edge } else { before });
        } else {
            self.edge = Some(edge);
        }
        Ok(())
    }

    /// The same octets again and again into silence: the third pause is at least twice the
    /// shorter of those before it.
    fn silence(&mut self, now_us: u64, segment: &Segment<'_>) -> Result<(), String> {
        let header = &segment.header;
        let says_something = !segment.payload.is_empty()
            || header.flags.contains(tcp::Flags::SYN)
            || header.flags.contains(tcp::Flags::FIN);
        if !says_something {
            return Ok(());
        }
        let resends = &mut self.resends;
        let heard = resends.at_us.first().is_none_or(|&first_us| self.heard_us >= first_us);
        if heard || is_after(resends.seq, header.seq) {
            resends.seq = header.seq;
            resends.at_us.clear();
        }
        if resends.seq != header.seq {
            return Ok(());
        }
        resends.at_us.push(now_us);
        if let [.., a, b, c, d] = resends.at_us[..] {
            // A tail loss probe, or a next hop that must be asked for, draws the first pause out; a
            // probe in the timeout's place makes the first two alike.
            let (first_us, third_us) = ((b - a).min(c - b), d - c);
            let least_us = 2 * first_us.saturating_sub(LATE_US);
            if third_us + LATE_US < least_us && third_us < LONG_PAUSE_US {
                return Err(format!(
                    "the same octets into silence after {first_us} us, later after {third_us} us"
                ));
            }
        }
        Ok(())
    }
}

/// `a` comes after `b` on the circle of sequence numbers.
fn is_after(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) < 0
}

/// The mark of congestion (RFC 3168 5).
const CONGESTION: u8 = 0b11;

/// RFC 9293 3.8.6.3, and time for a host whose link is busy.
const ACK_WITHIN_US: u64 = 700_000;

/// A turn serves a timer some time after it ran out: so much longer is the pause before it, which
/// is doubled, and so much shorter the next one.
const LATE_US: u64 = 2_000;

/// More than a second, in which two answers are allowed, and half of one.
const FIN_ANSWER_WITHIN_US: u64 = 1_600_000;

/// Answers from TIME-WAIT that find no room on the link are not sent later: the FIN comes again.
const FIN_ANSWERS_MISSED_MAX: u32 = 3;

/// Pauses this long are long enough (the shortest `rto_max_ms` of a run, and some).
const LONG_PAUSE_US: u64 = 9_000_000;
