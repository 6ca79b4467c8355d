//! Which arrows of the state diagram a run took (RFC 9293 3.3.2, figure 5), with those that the
//! figure leaves out: resets, timeouts and aborts.

use crore::{Closed, Station, Transitions};
use std::fmt;

/// Counts of arrows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    taken: Transitions,
    closed_in_syn_received: u64,
}

/// An arrow that must be taken.
struct Arrow {
    from: Station,
    to: Station,
    why: Why,
    event: &'static str,
}

#[derive(Clone, Copy)]
enum Why {
    /// Any reason.
    Any,
    /// The connection ended for this reason.
    End(Closed),
    /// CLOSE was called in SYN-RECEIVED.
    CloseInSynReceived,
}

impl Coverage {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.taken.add(&other.taken);
        self.closed_in_syn_received += other.closed_in_syn_received;
    }

    pub(crate) fn add_host(&mut self, stack: &crore::Stack, closed_in_syn_received: u64) {
        self.taken.add(stack.transitions());
        self.closed_in_syn_received += closed_in_syn_received;
    }

    fn count(&self, arrow: &Arrow) -> u64 {
        match arrow.why {
            Why::Any => self.taken.between(arrow.from, arrow.to),
            Why::End(why) => self.taken.ended(arrow.from, why),
            Why::CloseInSynReceived => self.closed_in_syn_received,
        }
    }

    /// The arrows that no connection took.
    pub fn missing(&self) -> Vec<String> {
        let never = ARROWS.iter().filter(|arrow| self.count(arrow) == 0);
        never.map(Arrow::to_string).collect()
    }
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.from.name(), self.to.name(), self.event)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<13} {:<13} {:<44} {:>10}", "from", "to", "by", "taken")?;
        for arrow in ARROWS {
            let (from, to) = (arrow.from.name(), arrow.to.name());
            writeln!(f, "{from:<13} {to:<13} {:<44} {:>10}", arrow.event, self.count(arrow))?;
        }
        writeln!(
            f,
            "{:<13} {:<13} not offered: a listening port does not send",
            "LISTEN", "SYN-SENT"
        )
    }
}

const fn arrow(from: Station, to: Station, event: &'static str) -> Arrow {
    Arrow { from, to, why: Why::Any, event }
}

const fn end(from: Station, why: Closed, event: &'static str) -> Arrow {
    Arrow { from, to: Station::Closed, why: Why::End(why), event }
}

/// Figure 5 from top to bottom, then what it leaves out. The arrow from FIN-WAIT-1 to TIME-WAIT of
/// its second note is taken as two, over FIN-WAIT-2.
const ARROWS: &[Arrow] = {
    use Station as S;
    &[
        arrow(S::Closed, S::Listen, "passive OPEN"),
        arrow(S::Listen, S::Closed, "CLOSE"),
        arrow(S::Closed, S::SynSent, "active OPEN"),
        end(S::SynSent, Closed::Aborted, "CLOSE or ABORT"),
        arrow(S::Listen, S::SynReceived, "SYN"),
        arrow(S::SynSent, S::SynReceived, "SYN: simultaneous open"),
        arrow(S::SynSent, S::Established, "SYN, ACK"),
        arrow(S::SynReceived, S::Established, "ACK of SYN"),
        Arrow {
            from: S::SynReceived,
            to: S::FinWait1,
            why: Why::CloseInSynReceived,
            event: "CLOSE; the FIN waits for ESTABLISHED",
        },
        Arrow {
            from: S::SynReceived,
            to: S::Listen,
            why: Why::End(Closed::Reset),
            event: "RST, passive open",
        },
        arrow(S::Established, S::FinWait1, "CLOSE"),
        arrow(S::Established, S::CloseWait, "FIN"),
        arrow(S::FinWait1, S::FinWait2, "ACK of FIN"),
        arrow(S::FinWait1, S::Closing, "FIN: simultaneous close"),
        arrow(S::FinWait2, S::TimeWait, "FIN"),
        arrow(S::Closing, S::TimeWait, "ACK of FIN"),
        arrow(S::CloseWait, S::LastAck, "CLOSE"),
        end(S::LastAck, Closed::Finished, "ACK of FIN"),
        arrow(S::TimeWait, S::Closed, "2 MSL over"),
        arrow(S::TimeWait, S::Listen, "SYN of the tuple's next user (RFC 6191)"),
        Arrow {
            from: S::SynReceived,
            to: S::Listen,
            why: Why::End(Closed::TimedOut),
            event: "timeout, passive open",
        },
        end(S::SynSent, Closed::Refused, "RST"),
        end(S::SynSent, Closed::TimedOut, "timeout"),
        end(S::SynSent, Closed::Unreachable, "no next hop, or ICMP"),
        end(S::SynReceived, Closed::Refused, "RST, active open"),
        end(S::SynReceived, Closed::TimedOut, "timeout, active open"),
        end(S::SynReceived, Closed::Aborted, "ABORT, active open"),
        end(S::Established, Closed::Reset, "RST"),
        end(S::Established, Closed::TimedOut, "timeout"),
        end(S::Established, Closed::Aborted, "ABORT"),
        end(S::CloseWait, Closed::Reset, "RST"),
        end(S::CloseWait, Closed::TimedOut, "timeout"),
        end(S::CloseWait, Closed::Aborted, "ABORT"),
        end(S::FinWait1, Closed::Reset, "RST"),
        end(S::FinWait1, Closed::TimedOut, "timeout"),
        end(S::FinWait1, Closed::Aborted, "ABORT"),
        end(S::FinWait2, Closed::Reset, "RST"),
        end(S::FinWait2, Closed::TimedOut, "timeout"),
        end(S::FinWait2, Closed::Aborted, "ABORT"),
        end(S::Closing, Closed::Finished, "RST"),
        end(S::Closing, Closed::TimedOut, "timeout"),
        end(S::Closing, Closed::Aborted, "ABORT"),
        end(S::LastAck, Closed::TimedOut, "timeout"),
        end(S::LastAck, Closed::Aborted, "ABORT"),
    ]
};
