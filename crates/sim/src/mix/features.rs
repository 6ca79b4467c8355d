//! Features that some seeds have besides what `draw` gives them.
//!
//! They are drawn from luck of their own, so that a seed's hosts, lanes and sessions are what they
//! were before there were any: a seed that showed a fault once plays its run, with more in it.

use super::Mix;
use crate::luck::{Luck, Purpose};
use crate::script::{Kind, Script};

/// Adds what a mix has of them.
pub(super) fn add(mix: &mut Mix) {
    let luck = &mut Luck::new(mix.seed, Purpose::Features);
    if luck.chance(200) {
        fast_open(luck, mix);
    }
    if luck.chance(200) {
        for host in &mut mix.hosts {
            host.path_search = luck.pick(&[0, 1, 2, 2]);
        }
    }
    if luck.chance(100) {
        limit_sources(luck, mix);
    }
    if mix.faults_us > 0 && luck.chance(200) {
        fragments(luck, mix);
    }
}

/// Octets on SYNs (RFC 7413). A late copy of such a SYN makes a connection that its opener has
/// long left, and so must not meet the tuple's next user: every opening has a port of its own.
fn fast_open(luck: &mut Luck, mix: &mut Mix) {
    for host in &mut mix.hosts {
        host.fast_open = luck.chance(700);
        host.fast_open_without_cookie = host.fast_open && luck.chance(300);
        host.few_ports = false;
    }
    for session in &mut mix.sessions {
        if session.kind != Kind::Listener {
            continue;
        }
        session.local_port = None;
        let [opener, _] = &session.sides;
        let may = mix.hosts[session.hosts[0]].fast_open && !opener.waits && !opener.echoes;
        session.fast_open = may && opener.send_bytes > 0 && luck.chance(800);
    }
}

/// A source may have so many connections, or open so many in a second. Who gets none is told so by
/// silence or by a reset.
fn limit_sources(luck: &mut Luck, mix: &mut Mix) {
    for host in &mut mix.hosts {
        if !luck.chance(500) {
            continue;
        }
        host.source_conns_max = luck.chance(700).then(|| luck.scaled(1, 32) as u32);
        host.source_accepts_per_second = luck.chance(500).then(|| luck.scaled(1, 64) as u32);
        host.refuses_by_reset = luck.chance(500);
        // It does not answer all that it gets.
        host.is_ample = false;
    }
}

/// Packets are cut into fragments on the way, as a tunnel does that is too narrow for them, and
/// some hosts put them together.
fn fragments(luck: &mut Luck, mix: &mut Mix) {
    let per_mille = luck.pick(&[20, 100, 400]);
    for host in &mut mix.hosts {
        host.reassembly_datagrams_max = luck.pick(&[0, 1, 4, 32]);
        for lane in [&mut host.up, &mut host.down] {
            // A lane that passes everything on at once stays what it is.
            if !lane.is_plain() && luck.chance(500) {
                lane.fragment_per_mille = per_mille;
            }
        }
    }
}

impl Script {
    /// How many octets its opening puts on the SYN at most.
    pub(crate) fn octets_on_syn(&self) -> usize {
        let side = &self.sides[0];
        if self.fast_open { side.chunk_bytes.min(side.send_bytes as usize) } else { 0 }
    }
}
