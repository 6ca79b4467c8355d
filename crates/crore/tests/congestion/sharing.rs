//! Two flows over one bottleneck.

use super::dumbbell::{Bottleneck, Dumbbell, Flow};
use super::{cells::RATE, theory};
use crore::Congestion::{Cubic, NewReno};

const RTT_US: u64 = 40_000;

/// A queue of one bandwidth-delay product.
const LINK: Bottleneck = Bottleneck {
    rate: RATE,
    queue_bytes: RATE * RTT_US / 1_000_000,
    mark_bytes: u64::MAX,
    loss_per_million: 0,
};

/// The second flow comes five seconds later; what each gets from 20 to 80 seconds.
pub(crate) fn shares(link: Bottleneck, [first, second]: [Flow; 2]) -> (Vec<f64>, Dumbbell) {
    let second = Flow { starts_us: 5_000_000, ..second };
    let mut net = Dumbbell::new(link, &[first, second], 7);
    net.run_for(20_000_000);
    (net.goodputs(60_000_000), net)
}

#[test]
fn two_of_a_kind_get_the_same() {
    for congestion in [Cubic, NewReno] {
        let flow = Flow::new(congestion, RTT_US);
        let (shares, _) = shares(LINK, [flow, flow]);
        let (jain, sum) = (theory::jain(&shares), shares.iter().sum::<f64>());
        println!("{congestion:?}: {shares:.1?} Mbit/s, Jain {jain:.3}");
        assert!(jain > 0.9, "{congestion:?}: {shares:?}");
        assert!(sum > 0.9 * theory::link_mbit(RATE), "{congestion:?}: {shares:?}");
    }
}

/// On such a path CUBIC is as `NewReno` is (RFC 9438 4.3).
#[test]
fn cubic_leaves_newreno_its_share() {
    let flows = [Flow::new(Cubic, RTT_US), Flow::new(NewReno, RTT_US)];
    let (shares, _) = shares(LINK, flows);
    let jain = theory::jain(&shares);
    println!("CUBIC and NewReno: {shares:.1?} Mbit/s, Jain {jain:.3}");
    assert!(jain > 0.8, "{shares:?}");
}

/// Routers that mark keep the queue short, and nobody has to send anything twice.
#[test]
fn with_marks_the_link_is_full_and_nothing_is_lost() {
    let link = Bottleneck { mark_bytes: LINK.queue_bytes / 4, ..LINK };
    for congestion in [Cubic, NewReno] {
        let flow = Flow { ecn: true, ..Flow::new(congestion, RTT_US) };
        let (shares, net) = shares(link, [flow, flow]);
        let (jain, sum) = (theory::jain(&shares), shares.iter().sum::<f64>());
        println!("{congestion:?} with marks: {shares:.1?} Mbit/s, Jain {jain:.3}");
        assert!(sum > 0.9 * theory::link_mbit(RATE), "{congestion:?}: {shares:?}");
        assert!(jain > 0.9, "{congestion:?}: {shares:?}");
        for flow in 0..2 {
            let counters = net.counters(flow);
            assert!(counters.ecn_reductions > 5, "{congestion:?}");
            assert_eq!(counters.timeouts, 0);
        }
        assert!(net.dropped < 200, "{congestion:?}: {} dropped", net.dropped);
    }
}
