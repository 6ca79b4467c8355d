//! The simulator as a test: some seeds in a row, and those that once showed something.

use crore_sim::{Mix, Report, play as play_mix, run};

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
fn the_short_way_of_plain_segments_changes_no_frame() {
    let mut predicted = 0;
    for seed in 0..150 {
        let mut mix = Mix::draw(seed);
        let short = play_mix(&mix, false).unwrap();
        mix.hosts.iter_mut().for_each(|host| host.header_prediction = false);
        let long = play_mix(&mix, false).unwrap();
        assert_eq!(long.predicted, 0);
        assert_eq!(Report { predicted: 0, ..short }, long, "seed {seed}");
        predicted += short.predicted;
    }
    assert!(predicted > 3_000, "{predicted} segments took the short way");
}

#[test]
fn what_once_went_wrong_goes_right() {
    play(FOUND.iter().map(|&(seed, _)| seed));
}

/// Seeds that showed a fault of the stack or the engine when they were first played, and the fault.
/// What a seed plays changes with the simulator, so an old one may not show its fault any more;
/// `tests/mutants/` has most of these faults again, to be planted and caught.
const FOUND: &[(u64, &str)] = &[
    (29, "a simultaneous open left the time of its SYN in place of a round-trip time"),
    (17, "a FIN queued in SYN-RECEIVED was not sent when the connection opened"),
    (1258, "the same"),
    (6, "a connection whose next hop was gone looked for it every 4 ms, and never ended"),
    (13, "keepalive came up every millisecond while something was in flight"),
    (275, "after a leap of the clock TIME-WAIT lasted for another half hour"),
    (747, "a round trip as long as a leap of the clock overflowed the smoothed one"),
    (1348, "a lost block larger than a lowered MSS went out in part, in every turn"),
    (
        273,
        "a tuple's next user got octets of its last one: numbers outran the clock, no timestamps",
    ),
    (2727, "the unsent rest of a block whose sent part was lost stayed marked as lost"),
    (12_237, "a cookie took a later segment for the first one, and its octets for those before"),
    (3011, "the judge: a host with cookies is silent to what may have overtaken its cookie"),
    (12_050, "the same"),
    (3176, "the judge: a table of neighbours that was too small for the link"),
    (8442, "the observer: TIME-WAIT's answer found no room on the link, once"),
    (71_305, "the same, each time: who takes frames by the dozen sends one in a turn"),
    (24_823, "the network: a frame cut down to its Ethernet header was to be corrupted"),
    (42_526, "the observer: word that a host is gone shortens the pauses"),
    (5115, "the judge: who gave no answer is not asked again at once"),
    (93_982, "a SYN that may not reopen a connection in TIME-WAIT had no answer"),
    (12_853, "the observer: the pause before a timer's next turn counts twice"),
    (20_768, "the book: a tuple's next user was taken for its last one, of which more had come"),
    (33_271, "the player: two small tables full of connections opening into each other"),
    (52_025, "the network: a SYN with octets was cut in two"),
    (52_050, "the observer: what ends an echo may come in fragments"),
    (66_849, "the observer: the opener's first SYN asked for ECN, its second one did not"),
    (94_503, "no allowance for a quarter of every 71 minutes; the end of a wait was forgotten"),
];
