//! A script, played: the clock, the numbers, calls that wait.

use super::Stage;
use super::calls::{self, Setting};
use super::library::Library;
use super::packet::{self, ACK, Ends, FIN, Inbound, Live, Opt, Outbound, PSH, SYN, Segment};
use super::script::{Call, Event, What, When};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub(crate) struct Play {
    library: Arc<Library>,
    start_us: u64,
    /// What `+` counts from.
    anchor_us: u64,
    setting: Setting,
    numbers: Numbers,
    /// The way of the peer's packets.
    ends: Ends,
    waiting: Option<Waiting>,
    sysctls: PathBuf,
    left: PathBuf,
}

/// A call on the second thread.
struct Waiting {
    thread: JoinHandle<(Result<Option<i32>, String>, u64)>,
    call: Arc<Call>,
    line: usize,
    until_us: u64,
}

/// From the script's numbers to the wire's.
struct Numbers {
    /// Ours on the wire less ours in the script; known from our SYN on.
    local: u32,
    /// Timestamps of ours: in the script, on the wire.
    timestamps: Vec<(u32, u32)>,
}

impl Play {
    pub(crate) fn new(stage: &Stage<'_>) -> Result<Self, String> {
        let at = |name: &str| stage.scratch.join(name);
        let (sysctls, left, states) = (at("sysctls"), at("left"), at("states"));
        let flags = format!(
            "profile={},local={},states={},left={},sysctls={}",
            stage.profile,
            stage.local,
            states.display(),
            left.display(),
            sysctls.display()
        );
        let library = Arc::new(Library::new(&flags));
        let local: IpAddr = stage.local.parse().map_err(|_| "no address".to_string())?;
        let remote: IpAddr = match local {
            IpAddr::V4(_) => [192, 0, 2, 1].into(),
            IpAddr::V6(_) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
        };
        let local = SocketAddr::new(local, SERVICE_PORT);
        let now_us = library.now_us();
        Ok(Self {
            library,
            start_us: now_us,
            anchor_us: now_us,
            setting: Setting {
                fds: BTreeMap::new(),
                local,
                remote: SocketAddr::new(remote, SERVICE_PORT),
            },
            numbers: Numbers { local: 0, timestamps: Vec::new() },
            ends: Ends { from: SocketAddr::new(remote, PEER_PORT), to: local },
            waiting: None,
            sysctls,
            left,
        })
    }

    /// Plays all events; afterwards no packet may be left that nobody asked for.
    pub(crate) fn all(mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            self.event(event).map_err(|error| format!("line {}: {error}", event.line))?;
        }
        self.finish_waiting()?;
        let left = self.left.clone();
        drop(self);
        let left = fs::read_to_string(left).map_err(|error| format!("left: {error}"))?;
        let left: Vec<_> = left.lines().collect();
        if left.is_empty() { Ok(()) } else { Err(format!("nobody asked for packets: {left:?}")) }
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        let (from_us, to_us) = self.window(event.when);
        if let What::Out(wanted) = &event.what {
            let sent_us = self.outbound(wanted, from_us, to_us)?;
            self.set_anchor(event.when, from_us, sent_us);
            return Ok(());
        }
        if matches!(event.what, What::Call(_)) {
            self.finish_waiting()?;
        }
        let now_us = self.library.now_us();
        if now_us < from_us {
            self.library.sleep_us(from_us - now_us);
        }
        self.set_anchor(event.when, from_us, now_us.max(from_us));
        match &event.what {
            What::In(packet) => self.inbound(packet),
            What::Command(command) => return self.command(command),
            What::Call(call) => return self.call(event, call, to_us),
            What::Out(_) => {}
        }
        Ok(())
    }

    /// When the event may be, at the earliest and at the latest.
    fn window(&self, when: When) -> (u64, u64) {
        match when {
            When::At(us) => (self.start_us + us, self.start_us + us),
            When::After(us) => (self.anchor_us + us, self.anchor_us + us),
            When::Between { from_us, to_us, relative } => {
                let base = if relative { self.anchor_us } else { self.start_us };
                (base + from_us, base + to_us)
            }
            When::Lasts { from_us, to_us } => (self.anchor_us + from_us, self.anchor_us + to_us),
            When::Any => (0, u64::MAX / 2),
        }
    }

    fn set_anchor(&mut self, when: When, from_us: u64, happened_us: u64) {
        self.anchor_us = match when {
            When::Between { .. } | When::Any => happened_us,
            _ => from_us,
        };
    }

    /// `sysctl` is what the library reads from a file; nothing else is known.
    fn command(&self, command: &str) -> Result<(), String> {
        let file = fs::OpenOptions::new().create(true).append(true).open(&self.sysctls);
        let mut file = file.map_err(|error| error.to_string())?;
        for line in command.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            if words.next() != Some("sysctl") {
                return Err(format!("`{line}` is not known here"));
            }
            for setting in words.filter(|word| word.contains('=')) {
                writeln!(file, "{setting}").map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn call(&mut self, event: &Event, call: &Arc<Call>, to_us: u64) -> Result<(), String> {
        if matches!(event.when, When::Lasts { .. }) {
            self.waiting = Some(self.start_waiting(call.clone(), event.line, to_us));
            return Ok(());
        }
        let new = calls::make(&self.library, call, &self.setting)?;
        self.note_descriptor(call, new);
        Ok(())
    }

    fn note_descriptor(&mut self, call: &Call, new: Option<i32>) {
        if let Some(fd) = new {
            self.setting.fds.insert(call.result, fd);
        } else if call.name == "close"
            && let Some(closed) = call.arguments.first().and_then(super::names::number)
        {
            self.setting.fds.remove(&closed);
        }
    }

    /// Makes the call on a thread of its own, and waits until it waits there.
    fn start_waiting(&self, call: Arc<Call>, line: usize, until_us: u64) -> Waiting {
        let (library, setting, made) = (self.library.clone(), self.setting.clone(), call.clone());
        let thread = thread::spawn(move || {
            let result = calls::make(&library, &made, &setting);
            (result, library.now_us())
        });
        while !thread.is_finished() && !self.library.has_waiting_call() {
            thread::yield_now();
        }
        Waiting { thread, call, line, until_us }
    }

    /// Lets the clock go on until the call that waits has ended, and compares how.
    fn finish_waiting(&mut self) -> Result<(), String> {
        let Some(waiting) = self.waiting.take() else { return Ok(()) };
        let Waiting { thread, call, line, until_us } = waiting;
        while !thread.is_finished() {
            if !self.library.has_waiting_call() {
                // It is on its way out, and the clock has to stand still for it.
                thread::yield_now();
                continue;
            }
            let now_us = self.library.now_us();
            if now_us > until_us + PATIENCE_US {
                return Err(format!("line {line}: {} does not end", call.name));
            }
            self.library.sleep_us(TOLERANCE_US / 4);
        }
        let (result, ended_us) = thread.join().map_err(|_| "the second thread panicked")?;
        let new = result.map_err(|error| format!("line {line}: {error}"))?;
        if ended_us.abs_diff(until_us) > TOLERANCE_US {
            let (ended, until) = (self.seconds(ended_us), self.seconds(until_us));
            return Err(format!("line {line}: {} ended at {ended}, not {until}", call.name));
        }
        self.note_descriptor(&call, new);
        Ok(())
    }

    fn seconds(&self, us: u64) -> f64 {
        us.saturating_sub(self.start_us) as f64 / 1e6
    }

    fn inbound(&mut self, packet: &Inbound) {
        let bytes = match packet {
            Inbound::Tcp(segment) => packet::tcp(&self.ends, &self.numbers.on_wire(segment)),
            Inbound::Icmp(error) => {
                let ours = Ends { from: self.ends.to, to: self.ends.from };
                packet::icmp(&ours, error, error.seq.wrapping_add(self.numbers.local))
            }
        };
        self.library.inject(&bytes);
    }

    /// Takes packets until all of `wanted` came, in one piece or several; says when the first did.
    fn outbound(&mut self, wanted: &Outbound, from_us: u64, to_us: u64) -> Result<u64, String> {
        let mut first_us = None;
        let mut rest = wanted.segment.clone();
        loop {
            let next = self.library.next_packet();
            let (packet, sent_us) = next.ok_or_else(|| format!("{rest} does not come"))?;
            let live = packet::read(&packet)?;
            let is_late = sent_us > to_us.saturating_add(TOLERANCE_US);
            if is_late || sent_us + TOLERANCE_US < from_us {
                let (sent, from) = (self.seconds(sent_us), self.seconds(from_us));
                return Err(format!("{} comes at {sent}, not at {from}", live.segment));
            }
            first_us.get_or_insert(sent_us);
            let found = self.found(&live, &rest)?;
            if found.len >= rest.len || found.len == 0 {
                same(&found, &rest, wanted.any_options)?;
                return Ok(first_us.unwrap_or(sent_us));
            }
            let piece =
                Segment { len: found.len, flags: rest.flags & !(PSH | FIN), ..rest.clone() };
            let plain = Segment { flags: found.flags & !PSH, ..found };
            same(&plain, &piece, wanted.any_options)?;
            rest.seq = rest.seq.wrapping_add(piece.len);
            rest.len -= piece.len;
        }
    }

    /// The segment that came, in the script's numbers.
    fn found(&mut self, live: &Live, wanted: &Segment) -> Result<Segment, String> {
        if live.segment.flags & SYN != 0 {
            let local = live.segment.seq.wrapping_sub(wanted.seq);
            if local != self.numbers.local {
                // Another connection than before.
                self.numbers = Numbers { local, timestamps: Vec::new() };
            }
            self.ends = Ends { from: live.ends.to, to: live.ends.from };
        } else if (live.ends.to, live.ends.from) != (self.ends.from, self.ends.to) {
            return Err(format!("{} goes to {}", live.segment, live.ends.to));
        }
        let mut found = self.numbers.in_script(&live.segment, wanted)?;
        if wanted.window.is_none() {
            found.window = None;
        }
        if wanted.ecn.is_none() {
            found.ecn = None;
        }
        Ok(found)
    }
}

impl Numbers {
    fn on_wire(&self, segment: &Segment) -> Segment {
        let mut wire = segment.clone();
        wire.seq = segment.seq.wrapping_add(REMOTE);
        if segment.flags & ACK != 0 {
            wire.ack = segment.ack.wrapping_add(self.local);
        }
        for option in &mut wire.options {
            match option {
                Opt::Timestamps { echo, .. } => {
                    let known = self.timestamps.iter().rev().find(|(script, _)| script == echo);
                    *echo = known.map_or(*echo, |known| known.1);
                }
                Opt::Sack(blocks) => {
                    let shift = |n: u32| n.wrapping_add(self.local);
                    for block in blocks {
                        *block = (shift(block.0), shift(block.1));
                    }
                }
                _ => {}
            }
        }
        wire
    }

    /// The script's numbers for a segment of ours. Its timestamp is the script's when it differs
    /// from the first one by as much, about.
    fn in_script(&mut self, live: &Segment, wanted: &Segment) -> Result<Segment, String> {
        let mut script = live.clone();
        script.seq = live.seq.wrapping_sub(self.local);
        script.ack = if live.flags & ACK != 0 { live.ack.wrapping_sub(REMOTE) } else { 0 };
        for (at, option) in script.options.iter_mut().enumerate() {
            match option {
                Opt::Timestamps { value, .. } => {
                    let Some(Opt::Timestamps { value: named, .. }) = wanted.options.get(at) else {
                        continue;
                    };
                    let (script, wire) = *self.timestamps.first().unwrap_or(&(*named, *value));
                    let passed = value.wrapping_sub(wire);
                    if passed.abs_diff(named.wrapping_sub(script)) > TIMESTAMP_TOLERANCE {
                        return Err(format!("a timestamp {passed} after the first, not {named}"));
                    }
                    self.timestamps.push((*named, *value));
                    *value = *named;
                }
                Opt::Sack(blocks) => {
                    let shift = |n: u32| n.wrapping_sub(REMOTE);
                    for block in blocks {
                        *block = (shift(block.0), shift(block.1));
                    }
                }
                _ => {}
            }
        }
        Ok(script)
    }
}

fn same(found: &Segment, wanted: &Segment, any_options: bool) -> Result<(), String> {
    let options = if any_options { &wanted.options } else { &found.options };
    let found = Segment { options: options.clone(), ..found.clone() };
    if found == *wanted { Ok(()) } else { Err(format!("{found} comes, not {wanted}")) }
}

/// How far a packet or the end of a call may be from its time, as in packetdrill.
const TOLERANCE_US: u64 = 4000;
/// The same for timestamps, in milliseconds.
const TIMESTAMP_TOLERANCE: u32 = 5;
/// How much longer than the script says a call is waited for.
const PATIENCE_US: u64 = 1_000_000;
/// The peer's numbers on the wire less those in the script.
const REMOTE: u32 = 0xf000_0000;
/// The port that scripts listen on, or connect to.
const SERVICE_PORT: u16 = 8080;
const PEER_PORT: u16 = 41_537;
