//! What the applications of one session will do: drawn beforehand, played by [`crate::player`].

use crate::luck::Luck;

/// One session: what happens between one opening and the end of both its sides.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) kind: Kind,
    /// The host that opens; the other one accepts.
    pub(crate) opener: usize,
    /// When it opens.
    pub(crate) at_us: u64,
    pub(crate) over_v6: bool,
    /// The port to open from; `None`: the stack picks.
    pub(crate) local_port: Option<u16>,
    /// Which of a host's addresses.
    pub(crate) address: [u8; 2],
    /// What each side does.
    pub(crate) sides: [Side; 2],
}

/// What the opening will meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
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
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "traits that are drawn each by itself")]
pub(crate) struct Side {
    /// Octets it sends in all.
    pub(crate) send_bytes: u64,
    /// Octets it hands over in one call.
    pub(crate) chunk_bytes: usize,
    /// How often, in a thousand chunks, it pauses, and how long at most.
    pub(crate) pause_per_mille: u32,
    pub(crate) pause_ms: u64,
    /// Octets it consumes in one call.
    pub(crate) read_bytes: usize,
    /// How often, in a thousand calls, it consumes nothing for as long as a pause.
    pub(crate) stall_per_mille: u32,
    /// Sends as many octets as it consumes, and consumes what it could send.
    pub(crate) echoes: bool,
    /// Waits for the peer's first octet (or its end) before it sends.
    pub(crate) waits: bool,
    pub(crate) closes: Closes,
    /// Aborts once it sent and received so many octets.
    pub(crate) aborts_at: Option<u64>,
    /// Queues chunks as shared payloads.
    pub(crate) shares: bool,
    /// Pauses by the connection's timer instead of by the service's turn.
    pub(crate) uses_timer: bool,
    pub(crate) nodelay: Option<bool>,
}

/// What a side closes after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closes {
    /// As soon as it sent all; it goes on receiving.
    Sent,
    /// When it sent all and received all.
    Received,
    /// When it sent all and the peer closed.
    PeerClosed,
}

/// The bounds that a run sets to its scripts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) send_bytes_max: u64,
    /// Openings happen in this time.
    pub(crate) spread_us: u64,
    pub(crate) aborts_per_mille: u32,
    /// The accepting host may forget the opening (cookies): the opener must speak first.
    pub(crate) opener_speaks: [bool; 2],
}

impl Script {
    pub(crate) fn draw(luck: &mut Luck, bounds: &Bounds, number: usize) -> Self {
        let kind = match luck.below(40) {
            0 => Kind::ClosedPort,
            1 => Kind::Nobody,
            2 | 3 => Kind::BothOpen,
            _ => Kind::Listener,
        };
        let opener = luck.below(2) as usize;
        let mut sides = [Side::draw(luck, bounds), Side::draw(luck, bounds)];
        make_terminating(luck, &mut sides, opener);
        if bounds.opener_speaks[1 - opener] {
            let side = &mut sides[opener];
            side.waits = false;
            side.echoes = false;
            side.send_bytes = side.send_bytes.max(1);
        }
        if sides[opener].echoes {
            sides[opener].send_bytes = sides[1 - opener].send_bytes;
        } else if sides[1 - opener].echoes {
            sides[1 - opener].send_bytes = sides[opener].send_bytes;
        }
        // A port of a small set, so that tuples come back while their last users linger. Not with
        // cookies: an old duplicate's valid cookie could not be told from the tuple's next user.
        let few_ports = luck.chance(300).then(|| 2000 + luck.below(6) as u16);
        let few_ports = few_ports.filter(|_| !bounds.opener_speaks[1 - opener]);
        let local_port = match kind {
            // A tuple of its own on both sides.
            Kind::BothOpen => Some(3000 + number as u16),
            _ => few_ports,
        };
        Self {
            kind,
            opener,
            at_us: luck.below(bounds.spread_us + 1),
            over_v6: luck.chance(400),
            local_port,
            address: [luck.below(2) as u8, luck.below(2) as u8],
            sides,
        }
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

/// Takes away what would let both sides wait for each other for ever.
fn make_terminating(luck: &mut Luck, sides: &mut [Side; 2], opener: usize) {
    if sides[0].echoes && sides[1].echoes {
        sides[opener].echoes = false;
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
