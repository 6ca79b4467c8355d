//! The attacks that `docs/security.md` speaks of, one scenario each: what is sent, what it must not
//! do, what it may cost at most. Costs are counted in work, never in time.
//!
//! The engine under test and the peer made by hand are those of the tests of requirements;
//! `tests/hostile` has floods by the million.

// Each test binary uses its own part of what the peer can do.
#[allow(dead_code)]
#[path = "../requirements/app.rs"]
mod app;
#[allow(dead_code)]
#[path = "../requirements/segments.rs"]
mod segments;

mod acks;
mod blind;
mod floods;
mod holding;
mod icmp;
mod limits;
mod memory;
mod odd;
mod sack;
mod tuples;

use app::App;
use crore::{Counters, Drop, Engine};
use segments::{Heard, Peer, Segment, ack, syn};
use std::net::IpAddr;

impl Peer {
    fn counters(&self) -> Counters {
        *self.engine.stack().counters()
    }

    fn dropped(&self, reason: Drop) -> u64 {
        self.counters().dropped(reason)
    }

    /// Becomes somebody else.
    fn becomes(&mut self, address: &str, port: u16) {
        self.here = address.parse::<IpAddr>().unwrap();
        self.port_here = port;
        self.forget_isn();
    }

    /// Tries to open a connection; what came back, and whether it was accepted.
    fn tries_to_open(&mut self, syn: Segment) -> (Vec<Heard>, bool) {
        let accepted = self.counters().accepted;
        self.hear_all();
        self.says(syn);
        let heard = self.hear_all();
        if let Some(answer) = heard.first().filter(|heard| self.told(heard).starts_with("SA")) {
            let clock = answer.header.options.timestamps;
            let third = ack(1, 1);
            self.says(clock.map_or(third.clone(), |clock| third.clock(clock.echo, clock.value)));
        }
        (heard, self.counters().accepted > accepted)
    }

    /// The same, when only the outcome counts.
    fn gets_in(&mut self, address: &str, port: u16) -> bool {
        self.becomes(address, port);
        self.tries_to_open(syn()).1
    }
}

/// Steps over blocks and slots that `play` makes the engine take.
fn steps(peer: &mut Peer, play: impl FnOnce(&mut Peer)) -> u64 {
    let before = peer.counters().walked;
    play(peer);
    peer.counters().walked - before
}

/// Connections, half-open ones, TIME-WAIT records, flow entries and blocks.
fn held(engine: &Engine<App>) -> [u32; 5] {
    let stack = engine.stack();
    [
        stack.conns(),
        stack.half_open(),
        stack.time_wait(),
        stack.flow_entries(),
        stack.blocks_in_use(),
    ]
}
