//! The simulator as a test: some seeds in a row, and those that once showed something.

use crore_sim::{Report, run};

fn play(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let Ok(played) = std::panic::catch_unwind(|| run(seed, false)) else {
            panic!("seed {seed} broke an invariant, see above");
        };
        if let Err(failure) = played {
            panic!("{failure}\nagain: crore-sim --seed {seed} --verbose");
        }
    }
}

#[test]
fn two_hundred_runs_end_as_they_should() {
    play(0..200);
}

#[test]
fn one_seed_is_one_run_to_the_frame() {
    let mut total = Report::default();
    for seed in 0..20 {
        let (first, second) = (run(seed, false).unwrap(), run(seed, false).unwrap());
        assert_eq!(first, second, "seed {seed}");
        total.add(&first);
    }
    // The runs are worth something: much is sent, lost, sent again, finished and cut short.
    assert!(total.octets > 100_000 && total.retransmits > 50, "{total}");
    assert!(total.finished > 50 && total.cut_short > 5, "{total}");
}

#[test]
fn what_once_went_wrong_goes_right() {
    play(FOUND.iter().map(|&(seed, _)| seed));
}

/// Seeds that showed a fault of the stack or the engine when they were first played, and the fault.
/// What a seed plays changes with the simulator, so an old one may not show its fault any more;
/// `mutants/` has most of these faults again, to be planted and caught.
const FOUND: &[(u64, &str)] = &[
    (0, "the application's timer was dropped with the connection, and unread octets with it"),
    (8, "SACK blocks on a full segment: longer than the frame"),
    (22, "octets were offered after one that found no block: a hole in the stream"),
    (23, "the FIN in flight kept a congestion window of one segment shut: nothing was sent again"),
    (46, "finished, although octets had found no block"),
    (109, "octets queued behind a later frame of a burst were offered before that frame's"),
    (134, "the same, by way of octets kept from an earlier frame"),
    (177, "the same, after `writable`"),
    (247, "a half-open connection of an old duplicate SYN held the tuple: no reset from SYN-SENT"),
    (787, "an aborted connection's octets were offered once more after `resume`"),
    (1735, "octets out of order took the last blocks, and those in order found none"),
    (7159, "a half-open connection was mute after its neighbour was forgotten"),
    (23072, "a round-trip sample took in the time of a recovery: timeouts grew without end"),
    (20517, "no large block was free, and small ones were not asked for"),
    (30700, "a segment was counted as delivered and as dropped"),
    (403, "two sides in TIME-WAIT acknowledged each other's acknowledgments for ever"),
    (453, "the same"),
    (1872, "an old window counted from a new SND.UNA: octets beyond what was offered"),
    (874, "the same"),
    (1459, "an abort after the end, with octets unread, was told as `Finished`"),
    (1776, "the same"),
    (1684, "the answer to a simultaneous open took the window back"),
    (2716, "the same"),
    (57198, "round-trip samples took in the time of a recovery once more"),
    (29147, "the same"),
    (4792, "data that came while a SYN waited to be sent once more were dropped"),
    (751, "the answer to such a SYN was reset"),
    (14181, "received octets had all blocks, so that an echo could not answer and read no more"),
    (7004, "acknowledgments beyond a probed window were not looked at: both sides stood still"),
    (9162, "the same"),
    (9932, "the same"),
    (5002, "a wheel for four connections had no room for duplicates: a timeout 150 ms late"),
];
