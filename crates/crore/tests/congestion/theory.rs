//! What the literature says that a flow gets.

use crore::Congestion;

/// Payload octets of a full segment, and octets of the link that it takes.
pub(crate) const MSS: f64 = 1448.0;
const SEGMENT_ON_LINK: f64 = 1514.0 + 24.0;

/// Megabits of payload a second that a link of `rate` octets a second carries.
pub(crate) fn link_mbit(rate: u64) -> f64 {
    rate as f64 * 8e-6 * MSS / SEGMENT_ON_LINK
}

/// Megabits a second at a loss of `p` of the packets: Mathis et al. (1997) for `NewReno`, with an
/// acknowledgment of all octets; RFC 9438 5.1 for CUBIC, and Mathis where that is more (4.3).
pub(crate) fn under_loss(congestion: Congestion, p: f64, rtt_s: f64) -> f64 {
    let reno = (1.5 / p).sqrt();
    let window = match congestion {
        Congestion::NewReno => reno,
        Congestion::Cubic => (1.054 * (rtt_s / p).powf(0.75)).max(reno),
    };
    window * MSS * 8e-6 / rtt_s
}

/// The share of a link that one flow uses when only its own queue loses packets; `buffer`: the
/// queue in bandwidth-delay products. The window W goes back and forth between `beta (1 + buffer)`
/// and `1 + buffer` bandwidth-delay products; a round trip takes as long as W when that is above 1,
/// and leaves the link idle when it is below. For a window that grows evenly; CUBIC's, which stays
/// near its plateau, does not do worse.
pub(crate) fn share_of_link(congestion: Congestion, buffer: f64) -> f64 {
    let beta = match congestion {
        Congestion::NewReno => 0.5,
        Congestion::Cubic => 0.7,
    };
    let (high, low) = (1.0 + buffer, beta * (1.0 + buffer));
    if low >= 1.0 {
        return 1.0;
    }
    let sent = (high * high - low * low) / 2.0;
    let time = (1.0 - low) + (high * high - 1.0) / 2.0;
    sent / time
}

/// Jain's index: 1 when all have the same, 1 / n when one has all.
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|x| x * x).sum::<f64>());
    sum * sum / (shares.len() as f64 * squares)
}
