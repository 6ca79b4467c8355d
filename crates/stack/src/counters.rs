//! What one core counted: frames and segments by fate, each dropped one under its reason.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Why a frame or segment was not processed further, or what we would have sent was not. Each has
/// a counter. A received frame that is dropped counts under exactly one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Drop {
    /// Shorter than its headers say, or a length field that cannot be.
    Malformed,
    /// The IP header's checksum is wrong.
    IpChecksum,
    /// The TCP or ICMP checksum is wrong.
    Checksum,
    /// Not our hardware address.
    NotOurMac,
    /// Not our VLAN.
    NotOurVlan,
    /// Not one of our addresses.
    NotOurAddress,
    /// A source address that no host may have.
    BadSource,
    /// Neither IP nor ARP.
    UnknownEtherType,
    /// Neither TCP nor ICMP.
    UnknownProtocol,
    /// A fragment that fits no datagram: it overlaps another one, lies beyond the end, is too small
    /// for the headers it should have, or one too many; or fragments are not put together.
    Fragment,
    /// A TCP option with an impossible length.
    BadOption,
    /// No connection and no listener: answered with a reset.
    NoConnection,
    /// A reset for a connection that is not.
    ResetForNobody,
    /// A SYN-ACK or ACK outside the handshake: answered with a reset.
    BadHandshake,
    /// The acknowledgment carries no valid cookie and matches no half-open connection.
    BadCookie,
    /// No control block free.
    ConnTableFull,
    /// As many connections as peers may open are open.
    Backlog,
    /// More connections were opened in this second than the settings allow.
    AcceptRate,
    /// The source has as many connections open as one source may.
    SourceFull,
    /// The source opened more connections in this second than one source may.
    SourceRate,
    /// Control bits that no honest segment has together.
    BadFlags,
    /// Octets of a connection that a cookie will open, before the segment that opens it.
    BeforeCookie,
    /// No room in the flow table.
    FlowTableFull,
    /// The sender's next hop is not known, and there is no room to learn it.
    NeighbourUnknown,
    /// Outside the receive window: answered with an acknowledgment (RFC 9293 3.10.7.4).
    OutsideWindow,
    /// An older timestamp (PAWS, RFC 7323 5).
    OldTimestamp,
    /// Acknowledges what was never sent (RFC 5961 5).
    AckOutsideWindow,
    /// No ACK bit where one must be.
    NoAck,
    /// A reset that does not hit RCV.NXT: challenged (RFC 5961 3).
    ResetChallenged,
    /// A SYN within a connection: challenged (RFC 5961 4).
    SynChallenged,
    /// No pool block for out-of-order or unread octets.
    PoolEmpty,
    /// Out-of-order octets beyond what one connection may hold.
    OutOfOrderFull,
    /// Not sent: no room in the transmit ring.
    TxFull,
    /// A resend of a SYN, or the like, for a half-open connection: answered from its record.
    HalfOpenRepeat,
    /// A segment for a connection in TIME-WAIT.
    TimeWait,
    /// Not sent: replies to strangers, and to segments that say nothing new, are limited in rate.
    RateLimited,
    /// Data after the peer's FIN: answered with an acknowledgment (RFC 9293 3.10.7.4).
    DataAfterClose,
    /// A neighbour message of no use to us.
    NeighbourIgnored,
    /// An ICMP message about no flow of ours, or of a kind we do not act on.
    IcmpIgnored,
    /// Not sent: no next hop known, and no room to learn one.
    NoNextHop,
    /// A fragment that was here already.
    FragmentRepeat,
    /// IPv6 extension headers that cannot be accepted.
    BadExtension,
    /// An IPv4 packet that was to take a way of its sender's choice.
    SourceRoute,
    /// Not passed on to another core: its ring is full, or nobody passes on.
    NotPassedOn,
}

impl Drop {
    /// Losses of what we would have sent. The frames that gave rise to it are counted apart.
    pub const OF_OUTPUT: [Self; 4] =
        [Self::TxFull, Self::RateLimited, Self::NoNextHop, Self::NotPassedOn];
}

/// Number of reasons in [`Drop`].
pub const DROP_REASONS: usize = Drop::NotPassedOn as usize + 1;

/// The names of the reasons, as a reader sees them, in the order of [`Drop`].
pub const DROP_NAMES: [&str; DROP_REASONS] = [
    "malformed",
    "ip_checksum",
    "checksum",
    "not_our_mac",
    "not_our_vlan",
    "not_our_address",
    "bad_source",
    "unknown_ether_type",
    "unknown_protocol",
    "fragment",
    "bad_option",
    "no_connection",
    "reset_for_nobody",
    "bad_handshake",
    "bad_cookie",
    "conn_table_full",
    "backlog",
    "accept_rate",
    "source_full",
    "source_rate",
    "bad_flags",
    "before_cookie",
    "flow_table_full",
    "neighbour_unknown",
    "outside_window",
    "old_timestamp",
    "ack_outside_window",
    "no_ack",
    "reset_challenged",
    "syn_challenged",
    "pool_empty",
    "out_of_order_full",
    "tx_full",
    "half_open_repeat",
    "time_wait",
    "rate_limited",
    "data_after_close",
    "neighbour_ignored",
    "icmp_ignored",
    "no_next_hop",
    "fragment_repeat",
    "bad_extension",
    "source_route",
    "not_passed_on",
];

/// The counters of one core. Only that core writes them.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes in them.
    pub rx_bytes: u64,
    /// Frames written for transmission.
    pub tx_frames: u64,
    /// Bytes in them.
    pub tx_bytes: u64,
    /// TCP segments received for a connection with a control block.
    pub segments_in: u64,
    /// Those of them that were just what was expected, and took the short way.
    pub plain_in: u64,
    /// Those of them that were dropped; they are under their reasons as well.
    pub segments_dropped: u64,
    /// Other TCP segments that took effect: SYNs to a listening port, and what made or ended a
    /// connection there.
    pub handshakes_in: u64,
    /// ARP and neighbour discovery messages that were learned from or answered.
    pub neighbours_in: u64,
    /// ICMP errors about our flows that were believed.
    pub icmp_errors_in: u64,
    /// Frames about connections of another core: an ICMP error, or a datagram that came in pieces.
    /// They are passed on to it.
    pub strays: u64,
    /// Openings that found no free port, or none whose segments come back to this core.
    pub no_port: u64,
    /// TCP segments sent.
    pub segments_out: u64,
    /// Those of them that took the short way.
    pub plain_out: u64,
    /// Connections opened by peers.
    pub accepted: u64,
    /// Connections opened by us.
    pub connected: u64,
    /// Connections that ended, for whatever reason.
    pub closed: u64,
    /// Connections that ended by a peer's reset.
    pub resets_in: u64,
    /// Resets sent.
    pub resets_out: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Timeouts of the retransmission timer.
    pub timeouts: u64,
    /// Fast retransmissions begun.
    pub fast_retransmits: u64,
    /// Recoveries that turned out to be for nothing and were undone.
    pub undone: u64,
    /// Connections whose two ends agreed on ECN (RFC 3168).
    pub ecn_connections: u64,
    /// Segments with octets that came marked (CE).
    pub ecn_marked: u64,
    /// Times a window was reduced because the peer told of marks (ECE).
    pub ecn_reductions: u64,
    /// Slow starts that ended because round trips grew longer (RFC 9406).
    pub slow_starts_ended: u64,
    /// Tail loss probes sent (RFC 8985 7).
    pub tail_probes: u64,
    /// Keepalive and zero-window probes sent.
    pub probes: u64,
    /// Challenge acknowledgments due (RFC 5961); those beyond the limit in rate are not sent.
    pub challenges: u64,
    /// Payload octets delivered in order.
    pub octets_in: u64,
    /// Payload octets sent, first transmissions only.
    pub octets_out: u64,
    /// Segments that arrived out of order and were kept.
    pub out_of_order: u64,
    /// Blocks and slots looked at on the way to others, in chains and tables that a peer can shape:
    /// what it can make us work for a segment.
    pub walked: u64,
    /// Entries of the flow table that found their bucket full.
    pub flow_overflows: u64,
    /// Out-of-order blocks given back although they had been reported, for want of memory.
    pub reneged: u64,
    /// Connections ended because they held memory that was short, and took next to none of it.
    pub evicted: u64,
    /// Connections of sources that could not be counted, for want of room in their table.
    pub sources_uncounted: u64,
    /// SYN cookies sent.
    pub cookies_sent: u64,
    /// Connections made from a cookie.
    pub cookies_accepted: u64,
    /// Connections that peers opened with a Fast Open cookie.
    pub fast_open_in: u64,
    /// Fast Open cookies sent.
    pub fast_open_cookies_sent: u64,
    /// SYNs with a Fast Open cookie that is not, or no longer, ours: answered as any other.
    pub fast_open_bad_cookies: u64,
    /// SYNs answered without Fast Open, for too many that are not proven, or for want of room.
    pub fast_open_refused: u64,
    /// SYNs sent with octets.
    pub fast_open_out: u64,
    /// Those of them whose octets the SYN-ACK acknowledged.
    pub fast_open_acked: u64,
    /// Those of them whose octets, or some of them, were sent again after the handshake.
    pub fast_open_fallbacks: u64,
    /// Openings that did without Fast Open because the path had failed.
    pub fast_open_rests: u64,
    /// TIME-WAIT records forgotten before their time, for want of room.
    pub time_wait_evicted: u64,
    /// Half-open connections given up.
    pub half_open_expired: u64,
    /// Receive windows that grew, each time one did.
    pub windows_grown: u64,
    /// Times the pool came under pressure.
    pub pressure_entered: u64,
    /// Times it was so full that nothing more was kept of what arrived.
    pub pressure_high: u64,
    /// Timer entries handled.
    pub timers: u64,
    /// Times that full segments were taken to be too large for a path that does not say so.
    pub black_holes: u64,
    /// Larger segments sent to find out whether the path takes them (RFC 8899).
    pub path_probes: u64,
    /// Fragments that were kept; the last one of a datagram has the datagram's fate.
    pub fragments_in: u64,
    /// Datagrams that became whole.
    pub reassembled: u64,
    /// Datagrams in pieces that ran out of time.
    pub reassembly_expired: u64,
    /// Datagrams in pieces that gave way to others.
    pub reassembly_evicted: u64,
    /// Urgent pointers of peers that were new, or had moved on.
    pub urgent_in: u64,
    /// Pings that were answered, if there was room to send.
    pub pings: u64,
    /// Dropped frames and segments by reason, in the order of [`Drop`].
    pub drops: [u64; DROP_REASONS],
}

impl Default for Counters {
    fn default() -> Self {
        Self::new_zeroed()
    }
}

impl Counters {
    /// Counts a dropped frame or segment.
    #[inline]
    pub fn drop(&mut self, reason: Drop) {
        self.drops[reason as usize] += 1;
    }

    /// How many were dropped for `reason`.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize]
    }

    /// Received frames that were dropped, for whatever reason.
    pub fn frames_dropped(&self) -> u64 {
        let of_output: u64 = Drop::OF_OUTPUT.iter().map(|&reason| self.dropped(reason)).sum();
        self.drops.iter().sum::<u64>() - of_output
    }

    /// Received frames that took effect. With [`Counters::frames_dropped`] these are all of
    /// `rx_frames`.
    pub fn frames_taken(&self) -> u64 {
        self.segments_in - self.segments_dropped
            + self.handshakes_in
            + self.neighbours_in
            + self.icmp_errors_in
            + self.strays
            + self.pings
            + self.fragments_in
    }

    /// Each reason's name and count, those that happened only.
    pub fn dropped_by_name(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        DROP_NAMES.iter().copied().zip(self.drops).filter(|&(_, n)| n > 0)
    }
}
