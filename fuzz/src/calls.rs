//! The application's calls, interleaved with what a peer answers.

use crate::cut::Cut;
use crate::host::{Host, Octets};
use crate::peer::Peer;
use crate::segments::call;

/// Calls, answers of a peer and time, in any order.
///
/// ```text
///   an act: kind u8 | argument u8          kind & 7
///   0 to 2  the peer answers what has waited longest, as the argument says: see `Peer::answer`
///   3 to 5  the application: see `segments::call`
///   6       the clock goes on: in 1/16 ms, ms, 64 ms or s by the kind's high half
///   7       a connection to or from the bait, or a change of what is listened to
/// ```
///
/// It begins with a connection from the bait, so that the way to it is known.
pub fn stack_calls(input: &[u8]) {
    let mut host = Host::new(Octets::Pattern);
    let (mut cut, mut peer) = (Cut::new(input), Peer::default());
    let sent = host.turn(&[host.syn_from(40_000)]);
    peer.take(sent);
    let third = peer.answer(&host, 2);
    host.turn(&third);
    assert_eq!(host.engine.stack().conns(), 1);
    while let (Some(kind), Some(argument)) = (cut.u8(), cut.u8()) {
        let mut frames = Vec::new();
        match kind & 7 {
            0..=2 => frames = peer.answer(&host, argument),
            3..=5 => call(&mut host, kind, argument),
            6 => {
                let unit_us = [62, 1000, 64_000, 1_000_000][usize::from(kind >> 4 & 3)];
                host.now_us += u64::from(argument) * unit_us;
            }
            _ if kind & 8 == 0 => host.connect(90 + u16::from(argument & 3)),
            _ if kind & 16 == 0 => frames.push(host.syn_from(40_000 + u16::from(argument & 7))),
            _ if kind & 32 == 0 => host.engine.stack_mut().unlisten(80),
            _ => host.engine.listen(80),
        }
        let sent = host.turn(&frames);
        peer.take(sent);
    }
    host.end();
}
