//! How large segments may be, found out without ICMP (RFC 4821, RFC 8899).

use crate::segments::{Heard, Peer, ack, syn};
use crore::{PathSearch, StackConfig};
use crore_wire::tcp::Options;

/// The control block's flags of fast recovery and of recovery after a timeout.
const IN_RECOVERY: u32 = 1 << 16 | 1 << 17;

/// The peer behind a path that drops packets above `limit` octets and says nothing.
struct Path {
    limit: usize,
    sack: bool,
    /// The next octet expected, and runs of octets beyond.
    next: u32,
    beyond: Vec<(u32, u32)>,
    /// The largest packet that got through, and how many did not.
    largest: usize,
    dropped: u32,
    /// The congestion window outside of recovery, and the timeouts before it was looked at.
    cwnd: u32,
    timeouts: u64,
}

impl Path {
    fn new(limit: usize, sack: bool) -> Self {
        Self {
            limit,
            sack,
            next: 1,
            beyond: Vec::new(),
            largest: 0,
            dropped: 0,
            cwnd: 0,
            timeouts: 0,
        }
    }

    fn takes(&mut self, seq: u32, len: u32) {
        self.beyond.push((seq, seq + len));
        self.beyond.sort_unstable();
        while let Some(&(from, to)) = self.beyond.first()
            && from <= self.next
        {
            self.next = self.next.max(to);
            self.beyond.remove(0);
        }
    }

    /// What was sent arrives, or does not; the answers to it take ten milliseconds.
    fn round(&mut self, peer: &mut Peer) {
        let heard: Vec<Heard> = peer.hear_all();
        let (mut answers, mss) = (Vec::new(), usize::from(mss(peer)));
        let larger = heard.iter().filter(|heard| heard.payload.len() > mss).count();
        assert!(larger <= 1, "one probe at a time");
        assert!(heard.iter().all(|h| h.from.is_ipv6() || h.packet[6] & 0x40 != 0), "not cut");
        for heard in heard {
            if heard.packet.len() > self.limit {
                self.dropped += 1;
                continue;
            }
            if heard.payload.is_empty() {
                continue;
            }
            self.largest = self.largest.max(heard.packet.len());
            let seq = heard.header.seq.wrapping_sub(peer.isn_there);
            self.takes(seq, heard.payload.len() as u32);
            let mut answer = ack(1, self.next);
            if self.sack {
                for &(from, to) in self.beyond.iter().rev().take(3) {
                    let at = |seq: u32| peer.isn_there.wrapping_add(seq);
                    answer.options.sack.push(at(from), at(to));
                }
            }
            answers.push(answer);
        }
        if answers.is_empty() {
            return peer.wait_ms(50);
        }
        peer.now_us += 10_000;
        for burst in answers.chunks(48) {
            peer.says_all(burst);
        }
        let stack = peer.engine.stack();
        let (tcb, timeouts) = (*stack.tcb(peer.conn().index), stack.counters().timeouts);
        if timeouts != self.timeouts {
            (self.cwnd, self.timeouts) = (0, timeouts);
        }
        if tcb.flags.0 & IN_RECOVERY == 0 {
            assert!(tcb.cwnd >= self.cwnd, "a lost probe takes nothing off the window");
            self.cwnd = tcb.cwnd;
        }
    }

    /// The application sends so many octets; until they are there, or the time is over.
    fn carry(&mut self, peer: &mut Peer, octets: usize) -> bool {
        let end = self.next + octets as u32;
        let (id, mut left) = (peer.conn(), vec![7; octets]);
        // A window that was idle is not what it was.
        self.cwnd = 0;
        for _ in 0..4000 {
            if self.next == end {
                return true;
            }
            let taken = peer.act(|turn| turn.conn(id).map_or(0, |mut conn| conn.send(&left)));
            left.drain(..taken);
            if taken > 0 {
                peer.turn();
            }
            self.round(peer);
        }
        false
    }
}

fn open(v6: bool, sack: bool, search: PathSearch) -> Peer {
    let settings = |config: &mut StackConfig| {
        config.sack = sack;
        config.path_search = search;
        config.data_retries = 8;
        config.rto_max_ms = 2000;
    };
    let mut peer = if v6 { Peer::v6(settings) } else { Peer::new(settings) };
    let options = Options { mss: Some(1460), sack_permitted: sack, ..Options::NONE };
    peer.open(syn().options(options));
    peer
}

fn mss(peer: &Peer) -> u16 {
    peer.engine.stack().tcb(peer.conn().index).mss
}

/// RFC 8899-4.3: full segments that do not get through are a black hole; smaller ones are tried.
/// RFC 8899-5.3: then larger ones, until what the path takes is found. RFC 8899-3.7b: a lost probe
/// takes nothing off the congestion window, RFC 8899-3.7c: nor does one that arrives add to it.
/// RFC 8899-3.2, RFC 8899-3.7: only probes are larger, and one at a time. RFC 8899-3.2b: no router
/// cuts them.
#[test]
fn a_black_hole_is_found_and_its_size() {
    for (v6, limit) in [(false, 1200), (false, 1400), (false, 1064), (true, 1350), (true, 1280)] {
        for sack in [false, true] {
            let mut peer = open(v6, sack, PathSearch::Fallback);
            let mut path = Path::new(limit, sack);
            assert!(path.carry(&mut peer, 400_000), "{limit}");
            let before = path.dropped;
            assert!(path.carry(&mut peer, 800_000), "{limit}");
            let counters = *peer.engine.stack().counters();
            assert_eq!(counters.black_holes, 1);
            let headers = if v6 { 60 } else { 40 };
            let found = usize::from(mss(&peer)) + headers;
            assert!(found <= limit && found + 16 > limit, "{found} of {limit}");
            assert!(counters.path_probes <= 12, "{}", counters.path_probes);
            // Whatever was too large after the fallback was a probe.
            assert_eq!(path.dropped, before, "the search is over: {limit} {sack}");
            assert_eq!(peer.app().calls, ["accepted"]);
        }
    }
}

/// Without the search, what ICMP does not say nobody knows.
#[test]
fn the_search_can_be_switched_off() {
    let mut peer = open(false, true, PathSearch::Off);
    let mut path = Path::new(1200, true);
    assert!(!path.carry(&mut peer, 100_000));
    assert_eq!((path.next, mss(&peer)), (1, 1460));
    assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
}

/// A path that takes even less than the base gets the least that hosts must take.
#[test]
fn a_path_below_the_base_gets_the_least_segments() {
    let mut peer = open(false, true, PathSearch::Fallback);
    let mut path = Path::new(600, true);
    assert!(path.carry(&mut peer, 100_000));
    assert!((536..=560).contains(&mss(&peer)), "{}", mss(&peer));
}

/// RFC 8899-5.3: where every path is to be proved, the search begins at the base and no segment is
/// lost on a path that takes all.
#[test]
fn a_search_from_the_start_finds_what_the_path_takes() {
    for sack in [false, true] {
        let mut peer = open(false, sack, PathSearch::Always);
        assert_eq!(mss(&peer), 1024);
        let mut path = Path::new(1500, sack);
        assert!(path.carry(&mut peer, 1_000_000));
        assert_eq!(mss(&peer), 1460);
        let counters = peer.engine.stack().counters();
        assert_eq!((counters.retransmits, counters.timeouts, path.dropped), (0, 0, 0));

        let mut peer = open(false, sack, PathSearch::Always);
        let mut path = Path::new(1300, sack);
        assert!(path.carry(&mut peer, 1_000_000));
        assert!((1245..=1260).contains(&mss(&peer)), "{}", mss(&peer));
        let counters = peer.engine.stack().counters();
        assert_eq!((counters.black_holes, counters.timeouts), (0, 0));
        assert!(path.dropped <= 8, "{}", path.dropped);
    }
}

/// RFC 8899-5.1.1: after ten minutes larger segments are tried again, and a path that got better is
/// used.
#[test]
fn larger_segments_are_tried_again_after_a_while() {
    let mut peer = open(false, true, PathSearch::Always);
    let mut path = Path::new(1200, true);
    assert!(path.carry(&mut peer, 1_000_000));
    let found = mss(&peer);
    assert!(found <= 1160);
    path.limit = 1500;
    let begun_us = peer.now_us;
    while peer.now_us < begun_us + 590_000_000 {
        assert!(path.carry(&mut peer, 30_000));
        peer.wait_in_steps(100, 50);
        assert_eq!(mss(&peer), found);
    }
    while peer.now_us < begun_us + 620_000_000 {
        assert!(path.carry(&mut peer, 30_000));
        peer.wait_in_steps(100, 50);
    }
    assert_eq!(mss(&peer), 1460);
}

/// A search that nobody waits for leaves nothing behind.
#[test]
fn an_idle_connection_forgets_a_search_that_is_over() {
    let mut peer = open(false, true, PathSearch::Always);
    let mut path = Path::new(1300, true);
    assert!(path.carry(&mut peer, 1_000_000));
    peer.wait_in_steps(10_000, 50);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0);
}
