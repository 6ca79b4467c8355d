//! What the applications of one session will do: data, drawn beforehand by [`crate::mix`], played
//! by [`crate::player`].

use crate::luck::Luck;
use serde::{Deserialize, Serialize};

/// One session: what happens between one opening and the end of both its sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// What the opening will meet.
    pub kind: Kind,
    /// The hosts of both sides: side 0 opens, side 1 accepts.
    pub hosts: [usize; 2],
    /// When it opens.
    pub at_us: u64,
    /// IPv6, else IPv4.
    pub over_v6: bool,
    /// The port to open from; `None`: the stack picks.
    pub local_port: Option<u16>,
    /// Which of a host's addresses.
    pub address: [u8; 2],
    /// The opener's first octets go with its SYN, if they may.
    pub fast_open: bool,
    /// The opener closes after so long, when it is not open by then.
    pub gives_up_ms: Option<u64>,
    /// What each side does.
    pub sides: [Side; 2],
}

/// What the opening will meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A listener.
    Listener,
    /// The other side's own opening of the very same connection.
    BothOpen,
    /// A port nobody listens on.
    ClosedPort,
    /// An address nobody has.
    Nobody,
}

/// What one side of a session does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "traits that are drawn each by itself")]
pub struct Side {
    /// Octets it sends in all.
    pub send_bytes: u64,
    /// Octets it hands over in one call.
    pub chunk_bytes: usize,
    /// How often, in a thousand chunks, it pauses.
    pub pause_per_mille: u32,
    /// And how long at most.
    pub pause_ms: u64,
    /// Octets it consumes in one call.
    pub read_bytes: usize,
    /// How often, in a thousand calls, it consumes nothing for as long as a pause.
    pub stall_per_mille: u32,
    /// Sends as many octets as it consumes, and consumes what it could send.
    pub echoes: bool,
    /// Waits for the peer's first octet (or its end) before it sends.
    pub waits: bool,
    /// When it closes.
    pub closes: Closes,
    /// Aborts once it sent and received so many octets.
    pub aborts_at: Option<u64>,
    /// Queues chunks as shared payloads.
    pub shares: bool,
    /// Pauses by the connection's timer instead of by the service's turn.
    pub uses_timer: bool,
    /// Nagle's algorithm, where the application decides on it.
    pub nodelay: Option<bool>,
}

/// What a side closes after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Closes {
    /// As soon as it sent all; it goes on receiving.
    Sent,
    /// When it sent all and received all.
    Received,
    /// When it sent all and the peer closed.
    PeerClosed,
}

/// The bounds that a run sets to its scripts.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) send_bytes_max: u64,
    /// Openings happen in this time.
    pub(crate) spread_us: u64,
    pub(crate) aborts_per_mille: u32,
    pub(crate) gives_up_per_mille: u32,
    pub(crate) v6_per_mille: u32,
    /// Sessions that meet no listener: both open, a closed port, nobody.
    pub(crate) odd_kinds: bool,
    /// A few ports again and again.
    pub(crate) reuses_ports: bool,
    /// Hosts that may forget an opening (cookies): who opens to them must speak first.
    pub(crate) forgets: Vec<bool>,
}

impl Script {
    pub(crate) fn draw(luck: &mut Luck, bounds: &Bounds, number: usize) -> Self {
        let kind = match luck.below(if bounds.odd_kinds { 30 } else { 60 }) {
            0 if bounds.odd_kinds => Kind::ClosedPort,
            1 if bounds.odd_kinds => Kind::Nobody,
            2 | 3 if bounds.odd_kinds => Kind::BothOpen,
            _ => Kind::Listener,
        };
        let hosts = bounds.forgets.len() as u64;
        let opener = luck.below(hosts) as usize;
        let other = (opener + 1 + luck.below(hosts - 1) as usize) % bounds.forgets.len();
        let mut sides = [Side::draw(luck, bounds), Side::draw(luck, bounds)];
        make_terminating(luck, &mut sides);
        if bounds.forgets[other] {
            let side = &mut sides[0];
            side.waits = false;
            side.echoes = false;
            side.send_bytes = side.send_bytes.max(1);
        }
        if sides[0].echoes {
            sides[0].send_bytes = sides[1].send_bytes;
        } else if sides[1].echoes {
            sides[1].send_bytes = sides[0].send_bytes;
        }
        // A port of a small set, so that tuples come back while their last users linger. Not with
        // cookies: an old duplicate's valid cookie could not be told from the tuple's next user.
        let few_ports = (bounds.reuses_ports && luck.chance(600)).then(|| 2000 + luck.below(6));
        let few_ports = few_ports.filter(|_| !bounds.forgets[other]).map(|port| port as u16);
        let local_port = match kind {
            // A tuple of its own on both sides.
            Kind::BothOpen => Some(3000 + number as u16),
            _ => few_ports,
        };
        Self {
            kind,
            hosts: [opener, other],
            at_us: luck.below(bounds.spread_us + 1),
            over_v6: luck.chance(bounds.v6_per_mille),
            local_port,
            address: [luck.below(2) as u8, luck.below(2) as u8],
            fast_open: false,
            gives_up_ms: luck.chance(bounds.gives_up_per_mille).then(|| luck.scaled(1, 3000)),
            sides,
        }
    }

    /// Which side of the session is played on `host`; the session is between two hosts.
    pub(crate) fn side_on(&self, host: usize) -> usize {
        usize::from(self.hosts[0] != host)
    }
}

impl Side {
    fn draw(luck: &mut Luck, bounds: &Bounds) -> Self {
        let send_bytes = match luck.below(10) {
            0 => 0,
            1 => luck.scaled(1, 16),
            _ => luck.scaled(1, bounds.send_bytes_max),
        };
        // Bounded numbers of calls, whatever the length.
        let least = (bounds.send_bytes_max / 400).max(1);
        let abort_span = bounds.send_bytes_max * 2;
        Self {
            send_bytes,
            chunk_bytes: luck.scaled(least, 16_384.max(least)) as usize,
            pause_per_mille: luck.pick(&[0, 0, 10, 100]),
            pause_ms: luck.scaled(1, 400),
            read_bytes: match luck.below(3) {
                0 => luck.scaled(least, 8192.max(least)) as usize,
                _ => usize::MAX,
            },
            stall_per_mille: luck.pick(&[0, 0, 20, 200]),
            echoes: luck.chance(150),
            waits: luck.chance(300),
            closes: luck.pick(&[Closes::Sent, Closes::Received, Closes::PeerClosed]),
            aborts_at: luck.chance(bounds.aborts_per_mille).then(|| luck.below(abort_span + 1)),
            shares: luck.chance(100),
            uses_timer: luck.chance(500),
            nodelay: luck.pick(&[None, None, Some(true), Some(false)]),
        }
    }
}

/// An error when the two sides would wait for each other for ever: what [`make_terminating`] sees
/// to when a script is drawn must hold when one was made smaller, too.
pub(crate) fn check_terminates(sides: &[Side; 2]) -> Result<(), String> {
    for (side, other) in [(&sides[0], &sides[1]), (&sides[1], &sides[0])] {
        if side.echoes && (other.echoes || side.send_bytes != other.send_bytes) {
            return Err("a side that echoes sends what the other one sends".to_string());
        }
        let both_wait = side.closes == Closes::PeerClosed && other.closes == Closes::PeerClosed
            || side.waits && other.waits;
        let gets_nothing = other.send_bytes == 0 && other.closes != Closes::Sent;
        if both_wait || side.waits && gets_nothing {
            return Err("each side waits for the other one".to_string());
        }
    }
    Ok(())
}

/// Takes away what would let both sides wait for each other for ever.
pub(crate) fn make_terminating(luck: &mut Luck, sides: &mut [Side; 2]) {
    if sides[0].echoes && sides[1].echoes {
        sides[0].echoes = false;
    }
    for side in sides.iter_mut().filter(|side| side.echoes) {
        side.waits = true;
        side.closes = Closes::PeerClosed;
        side.shares = false;
    }
    let first = usize::from(sides[0].echoes);
    if sides[first].closes == Closes::PeerClosed && sides[1 - first].closes == Closes::PeerClosed {
        sides[first].closes = luck.pick(&[Closes::Sent, Closes::Received]);
    }
    if sides[first].waits && sides[1 - first].waits {
        sides[first].waits = false;
    }
    // Whoever waits for octets must get some, or at least the peer's end.
    for side in 0..2 {
        let other = 1 - side;
        let gets_nothing = sides[other].send_bytes == 0 && !sides[other].echoes;
        if sides[side].waits && gets_nothing && sides[other].closes != Closes::Sent {
            sides[side].waits = false;
            sides[side].echoes = false;
        }
    }
}
