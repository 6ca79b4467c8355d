//! The judgment at the end of a run: every end must have a reason.
//!
//! What a host lacked and what went wrong by schedule excuses the ends that it can have caused,
//! for the sessions that met it.

use crate::book::{Session, Stage};
use crate::fault::{Fault, What};
use crate::host::Host;
use crate::mix::Mix;
use crate::script::Kind;
use crate::world::World;
use crore::{Closed, Drop};

/// What each host had no room for, over all its restarts.
#[derive(Clone)]
pub(crate) struct Forgot(Vec<Lacks>);

#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each lack excuses something else")]
struct Lacks {
    /// It found no block.
    blocks: bool,
    /// It may have forgotten openings, so that it reset their later segments.
    openings: bool,
    /// It had no place for a connection, or never a frame for its answers.
    places: bool,
    /// It evicted connections.
    patience: bool,
    /// It kept somebody out of a tuple in TIME-WAIT.
    tuples: bool,
}

impl Forgot {
    pub(crate) fn new(mix: &Mix) -> Self {
        Self(vec![Lacks::default(); mix.hosts.len()])
    }

    /// Notes what a host had no room for.
    pub(crate) fn note(&mut self, n: usize, host: &Host) {
        let counters = host.engine.stack().counters();
        let has = |reason| counters.dropped(reason) > 0;
        let lacks = &mut self.0[n];
        lacks.blocks |= has(Drop::PoolEmpty);
        lacks.openings |= counters.cookies_sent > 0 || counters.half_open_expired > 0;
        lacks.places |= has(Drop::ConnTableFull) || has(Drop::TxFull);
        lacks.places |= has(Drop::SourceFull) || has(Drop::SourceRate);
        lacks.patience |= counters.evicted > 0;
        lacks.tuples |= has(Drop::TimeWait);
    }
}

/// Looks at every end. An error says which has no reason.
pub(crate) fn judge(world: &mut World<'_>) -> Result<(), String> {
    for (n, host) in world.hosts.iter().enumerate() {
        if let Some(host) = host {
            world.forgot.note(n, host);
            host.check_blocks();
        }
    }
    let book = world.book.borrow();
    for (n, session) in book.sessions.iter().enumerate() {
        for side in 0..2 {
            let Stage::Closed(why) = session.sides[side].stage else { continue };
            if !is_excused(world.mix, &world.forgot, session, side, why) {
                return Err(format!(
                    "session {n}.{side} ended {why:?} without a reason: {:?}\n  {:?}\n  {:?}",
                    session.script, session.sides[0], session.sides[1]
                ));
            }
        }
    }
    Ok(())
}

fn is_excused(mix: &Mix, forgot: &Forgot, session: &Session, side: usize, why: Closed) -> bool {
    let (mine, peer) = (&session.sides[side], &session.sides[1 - side]);
    let [here, there] = [session.script.hosts[side], session.script.hosts[1 - side]];
    let (own, others) = (forgot.0[here], forgot.0[there]);
    let peer_cut = peer.aborted || peer.stage.was_cut_short() || peer.stage == Stage::Unopened;
    let met = |is_it: &dyn Fn(&What) -> bool| {
        mix.faults.iter().any(|fault| is_it(&fault.what) && overlaps(fault, session))
    };
    let restarted = met(&|what| matches!(*what, What::Restart { node, .. } if node == there));
    let gone = met(
        &|what| matches!(*what, What::AddressGone { node, .. } if node == here || node == there),
    );
    let leapt =
        met(&|what| matches!(*what, What::ClockStep { node, .. } if node == here || node == there));
    let cut = met(&|what| matches!(what, What::Cut { .. } | What::Partition { .. }));
    // A forged SYN that meets an opening is believed (RFC 9293 3.10.7.3): nobody can tell it.
    let misled = !mine.was_open && met(&|what| matches!(what, What::Forgery { .. }));
    let deaf = met(&|what| matches!(*what, What::Deaf { node } if node == there));
    match why {
        Closed::Finished => true,
        Closed::Evicted => own.patience,
        Closed::Aborted => mine.aborted || peer_cut || own.blocks,
        Closed::Reset => peer_cut || others.openings || restarted || deaf || leapt,
        Closed::Refused => {
            session.script.kind != Kind::Listener || peer_cut || restarted || deaf || misled
        }
        // Three questions for the next hop may all be lost (RFC 4861 10).
        Closed::Unreachable => {
            let lossy = mix.faults_us > 0 && !mix.spares_neighbours || cut;
            let nobody = session.script.kind == Kind::Nobody;
            nobody || lossy || others.places || restarted || gone
        }
        Closed::TimedOut => {
            let nobody = session.script.kind == Kind::Nobody;
            // Who answers SYNs with cookies says nothing to octets that may have overtaken the
            // segment with the cookie, also when that one's connection is over and its reset lost.
            let no_place = peer_cut && (others.places || others.openings);
            let lost = peer.stage == Stage::Lost || misled;
            // Half of the time passes between the last SYN and its timeout.
            let waited_us = mine.opened_us.zip(mine.ended_us).map_or(0, |(from, to)| to - from);
            let time_wait_us = u64::from(mix.hosts[there].time_wait_ms) * 1000;
            let lingers = !mine.was_open && others.tuples && waited_us / 2 <= time_wait_us;
            // Its opener had left, and resets may be lost: nobody else would know of it.
            let left = mine.was_early && peer_cut;
            nobody || no_place || restarted || gone || leapt || lost || lingers || left
        }
    }
}

/// The session may have met the fault: it was not over before, and did not begin long after.
fn overlaps(fault: &Fault, session: &Session) -> bool {
    let begun = session.sides.iter().filter_map(|side| side.opened_us).min();
    let ended = session.sides.iter().map(|side| side.ended_us.unwrap_or(u64::MAX)).max();
    let moves = matches!(fault.what, What::Restart { moves: true, .. });
    // Neighbours remember an old hardware address for a while.
    let cuts = matches!(fault.what, What::Cut { .. } | What::Partition { .. } | What::Stall { .. });
    let lasts_us = match (moves, cuts) {
        (true, _) => MOVED_FOR_US,
        (_, true) => UNREACHABLE_FOR_US,
        _ => AFTER_US,
    };
    let begins_in_time = begun.unwrap_or(session.script.at_us) <= fault.end_us() + lasts_us;
    begins_in_time && ended.is_none_or(|ended_us| ended_us >= fault.at_us)
}

/// Segments that were under way, and what was held back, arrive for so long after a fault.
const AFTER_US: u64 = 1_000_000;

/// Three questions in three seconds without an answer, and no other one for five.
const UNREACHABLE_FOR_US: u64 = 8_000_000;

/// RFC 4861: 30 s until a neighbour is doubted, and three questions.
const MOVED_FOR_US: u64 = 60_000_000;
