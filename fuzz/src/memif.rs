//! A memif peer that says and writes what an input says, in both roles.
//!
//! ```text
//!   input:  flags u8 | act ...         flags: 1 the link is a client, 2 it lends its buffers,
//!                                             4 the handshake is honest before the acts begin
//!   act:    kind u8 | what it needs    see `Peer::act`
//! ```

use crate::cut::Cut;
use crate::memif_peer::{
    self as peer, ACK, ADD_REGION, ADD_RING, CONNECT, CONNECTED, Descriptor, Ear, HELLO, Memory,
    Ring, VERSION, Wire,
};
use crore::driver::memif::{Address, Control, Opened, Options, Queue, Role, Status, open_by_hand};
use crore::mem::Memory as OwnMemory;
use crore::mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Inputs to begin with: an honest peer of each kind that sends frames and scribbles a little.
pub fn memif_peer_seeds() -> Vec<Vec<u8>> {
    let acts = [
        vec![3, 0, 0, 1, 0, 100, 0, 0, 2, 0, 1, 7, 8],
        vec![3, 0, 0, 0, 9, 100, 0, 0, 2, 0, 1, 7, 5, 1, 0, 255, 7, 8],
        vec![2, 0, 255, 7, 8, 6, 7, 2, 1, 40, 7],
        vec![0, 3, 1, 0, 0, 2, 7, 0, 8, 5, 2, 7, 4, 0, 9, 7],
        vec![1, 1, 1, 1, 1, 7, 8, 9, 7, 1, 1, 1, 1, 1, 7],
    ];
    let flags = 0..8u8;
    flags
        .flat_map(|flags| acts.iter().map(move |acts| [&[flags], acts.as_slice()].concat()))
        .collect()
}

/// A peer of a link, which must not panic, must hand out no frame longer than its own may be, and
/// as server must serve the next client as if nothing had been.
pub fn memif_peer(input: &[u8]) {
    let mut cut = Cut::new(input);
    let flags = cut.u8().unwrap_or_default();
    let is_server = role_asked_for().unwrap_or(flags & 1 == 0);
    let role = if is_server { Role::Server } else { Role::Client };
    let mut victim = Victim::new(role, flags & 2 != 0);
    if let Some(mut peer) = Peer::meet(&mut victim) {
        if flags & 4 != 0 {
            (0..8).for_each(|_| peer.be_honest(&mut victim));
        }
        for _ in 0..ACTS_MAX {
            if peer.act(&mut cut, &mut victim).is_none() {
                break;
            }
        }
    }
    if role == Role::Server {
        victim.settle();
        let peer = Peer::next(&mut victim);
        let peer = peer.unwrap_or_else(|| panic!("nobody is served: {:?}", victim.status.news()));
        let frame = Descriptor { flags: 0, region: 0, len: 60, offset: BUFFERS_AT };
        peer.rings[0].set_descriptor(&peer.memory, 0, frame);
        peer.rings[0].set_head(&peer.memory, 1);
        assert_eq!(victim.turn(), 1, "a frame of the next client arrives");
    }
}

/// True or false when `CRORE_ROLE` keeps to one role of the link, whatever inputs say.
fn role_asked_for() -> Option<bool> {
    static IS_SERVER: OnceLock<Option<bool>> = OnceLock::new();
    *IS_SERVER.get_or_init(|| Some(std::env::var("CRORE_ROLE").ok()? == "server"))
}

/// The link.
struct Victim {
    name: String,
    role: Role,
    ear: Option<Ear>,
    control: Control,
    queue: Queue,
    status: Status,
    rx: RxBurst,
    tx: TxBurst,
}

impl Victim {
    fn new(role: Role, zero_copy: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("crore-fuzz-{}-{number}", std::process::id());
        let ear = (role == Role::Client).then(|| Ear::listen(&name).expect("a free name"));
        let mut options = Options::new(Address::Abstract(name.clone()), role);
        (options.ring_log2, options.zero_copy) = (RING_LOG2, zero_copy);
        let (control, opened) = open_by_hand(&options, &mut OwnMemory::heap()).expect("a link");
        let Opened { mut queues, status } = opened;
        let (queue, rx, tx) = (queues.remove(0), RxBurst::new(), TxBurst::new());
        Self { name, role, ear, control, queue, status, rx, tx }
    }

    fn step(&mut self) {
        self.control.step(Duration::ZERO);
    }

    /// Until the link has nobody, and is past the pause between two clients.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.step();
            self.turn();
            self.control.step(Duration::from_millis(3));
        }
    }

    /// Sends a little and takes what came: how many frames.
    fn turn(&mut self) -> usize {
        self.queue.tx_reserve(&mut self.tx, 8);
        for len in [60, 1514] {
            if let Some(place) = self.tx.frame() {
                place[..len].fill(0x5a);
                self.tx.commit(len);
            }
        }
        self.queue.tx_burst(&mut self.tx);
        let count = self.queue.rx_burst(&mut self.rx, RX_BURST_MAX);
        for i in 0..count {
            let frame = self.rx.frame(i);
            assert!((1..=FRAME_BYTES_MAX).contains(&frame.len()));
            std::hint::black_box(frame.iter().fold(0u8, |all, byte| all ^ byte));
        }
        self.queue.rx_release(&mut self.rx);
        count
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.queue.rx_release(&mut self.rx);
        self.queue.tx_cancel(&mut self.tx);
    }
}

/// The other end.
struct Peer {
    wire: Wire,
    memory: Memory,
    rings: [Ring; 2],
    /// Of the handshake, as client: how far it has come.
    said: usize,
}

impl Peer {
    /// The next client, once it is served. It comes again when it is sent away, as one is that
    /// takes five seconds to connect: whoever stops the fuzzer for as long makes it that.
    fn next(victim: &mut Victim) -> Option<Self> {
        for _ in 0..3 {
            let mut peer = Self::meet(victim)?;
            // Those that came and went before may have to be accepted first, each after a pause.
            for _ in 0..ACTS_MAX {
                if victim.status.is_up() {
                    return Some(peer);
                }
                peer.be_honest(victim);
                victim.control.step(Duration::from_millis(3));
            }
        }
        None
    }

    /// A peer that is connected and has said nothing.
    fn meet(victim: &mut Victim) -> Option<Self> {
        let wire = match &victim.ear {
            None => Some(Wire::connect(&victim.name).ok()?),
            Some(_) => None,
        };
        for _ in 0..3 {
            victim.step();
        }
        let wire = wire.or_else(|| victim.ear.as_ref()?.accept())?;
        let memory = Memory::new(REGION_BYTES, true);
        let rings = [Ring { at: 0 }, Ring { at: RING_BYTES }];
        rings.iter().for_each(|ring| ring.begin(&memory));
        Some(Self { wire, memory, rings, said: 0 })
    }

    /// The next message of a handshake that is as it should be.
    fn be_honest(&mut self, victim: &mut Victim) {
        match victim.role {
            Role::Server => self.say_next(),
            Role::Client => self.answer_next(),
        }
        victim.step();
    }

    fn say_next(&mut self) {
        let heard = self.wire.hear().map(|(bytes, _)| peer::kind(&bytes));
        if !matches!(heard, Some(HELLO | ACK | CONNECTED)) {
            return;
        }
        self.said += 1;
        let (event, file) = (peer::event(), self.memory.0.as_fd());
        let second = RING_BYTES as u32;
        let _ = match self.said {
            1 => self.wire.say(&peer::init(VERSION, 0, 0, ""), &[]),
            2 => self.wire.say(&peer::add_region(0, REGION_BYTES), &[file]),
            3 => self.wire.say(&peer::add_ring(1, 0, 0, 0, RING_LOG2), &[event.as_fd()]),
            4 => self.wire.say(&peer::add_ring(0, 0, 0, second, RING_LOG2), &[event.as_fd()]),
            5 => self.wire.say(&peer::connect(), &[]),
            _ => Ok(()),
        };
    }

    fn answer_next(&mut self) {
        if self.said == 0 {
            self.said = 1;
            let _ = self.wire.say(&peer::hello(VERSION, 1), &[]);
            return;
        }
        let Some((bytes, mut fds)) = self.wire.hear() else { return };
        match peer::kind(&bytes) {
            ADD_REGION if !fds.is_empty() => self.memory = Memory(fds.remove(0).into()),
            ADD_RING => {
                let number = usize::from(bytes[2] & 1 == 0);
                let offset = bytes[8..12].try_into().expect("four bytes");
                self.rings[number] = Ring { at: u32::from_ne_bytes(offset).into() };
            }
            _ => {}
        }
        let is_last = peer::kind(&bytes) == CONNECT;
        let answer = if is_last { peer::connected() } else { peer::ack() };
        let _ = self.wire.say(&answer, &[]);
    }

    /// One act of the input; `None` at its end.
    fn act(&mut self, cut: &mut Cut<'_>, victim: &mut Victim) -> Option<()> {
        match cut.u8()? % 10 {
            0 => self.say_anything(cut)?,
            1 => self.be_honest(victim),
            2 => {
                let (ring, index) = (self.ring(cut)?, cut.u8()? as i8 as u16);
                ring.set_head(&self.memory, index);
            }
            3 => self.write_descriptor(cut)?,
            4 => {
                let (at, value) = (u64::from(cut.u8()?) * 8, cut.u8()?);
                self.memory.write(at, &[value; 8]);
            }
            5 => {
                let (ring, index) = (self.ring(cut)?, cut.u8()? as i8 as u16);
                ring.set_tail(&self.memory, index);
            }
            6 => victim.queue.wait(Duration::ZERO),
            7 => {
                victim.turn();
            }
            8 => victim.step(),
            // The peer is gone, and another one comes.
            _ => {
                victim.step();
                *self = Self::meet(victim)?;
            }
        }
        Some(())
    }

    fn ring(&self, cut: &mut Cut<'_>) -> Option<Ring> {
        Some(self.rings[usize::from(cut.u8()? & 1)])
    }

    /// A message of any kind with fields of the input's, and with a descriptor that may fit.
    fn say_anything(&mut self, cut: &mut Cut<'_>) -> Option<()> {
        let (kind, with, len) = (cut.u8()?, cut.u8()?, cut.u8()?);
        let fields = cut.bytes(usize::from(len % 64));
        let mut bytes = peer::message(u16::from(kind % 10), &[fields]);
        if with & 16 != 0 {
            bytes.truncate(usize::from(len % 128));
        }
        let event: OwnedFd = peer::event();
        let unsealed = Memory::new(REGION_BYTES, false);
        let fds = match with % 5 {
            0 => vec![],
            1 => vec![self.memory.0.as_fd()],
            2 => vec![event.as_fd()],
            3 => vec![unsealed.0.as_fd()],
            _ => vec![event.as_fd(), event.as_fd()],
        };
        // A link that does not listen any more is none of ours to judge.
        let _ = self.wire.say(&bytes, &fds);
        Some(())
    }

    fn write_descriptor(&mut self, cut: &mut Cut<'_>) -> Option<()> {
        let (ring, place) = (self.ring(cut)?, u64::from(cut.u8()?) % (1 << RING_LOG2));
        let (what, len, at) = (cut.u8()?, cut.u8()?, cut.u8()?);
        let len = match what & 6 {
            0 => u32::from(len),
            2 => u32::from(len) * 16,
            4 => u32::MAX - u32::from(len),
            _ => REGION_BYTES as u32 + u32::from(len) - 128,
        };
        let offset = if what & 8 == 0 { BUFFERS_AT + u32::from(at) * 16 } else { !u32::from(at) };
        let region = if what & 16 == 0 { 0 } else { u16::from(at) };
        let flags = u16::from(what & 1);
        ring.set_descriptor(&self.memory, place, Descriptor { flags, region, len, offset });
        Some(())
    }
}

const ACTS_MAX: usize = 256;
const RING_LOG2: u8 = 5;
const RING_BYTES: u64 = 128 + 16 * (1 << RING_LOG2);
const BUFFERS_AT: u32 = 4096;
const REGION_BYTES: u64 = 64 << 10;

/// What a link with an MTU of 1,500 has for a frame.
const FRAME_BYTES_MAX: usize = 1600;
