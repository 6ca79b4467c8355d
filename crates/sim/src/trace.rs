//! What a run looks like to a reader: a line for each frame and each call.

use crate::network::segment::Segment;
use crate::network::{Fate, Traced};
use crore_wire::tcp;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// Prints lines with times since the run's start and sequence numbers since each stream's.
pub(crate) struct Trace {
    /// Initial sequence numbers by the sender's and the receiver's endpoint.
    starts: HashMap<(SocketAddr, SocketAddr), u32>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { starts: HashMap::new() }
    }

    /// A line of another source.
    pub(crate) fn line(now_us: u64, line: &str) {
        println!("{:>12.3} {line}", ms(now_us));
    }

    /// A frame on a lane, and what became of it.
    pub(crate) fn frame(&mut self, now_us: u64, traced: &Traced) {
        let name = |node: Option<usize>| node.map_or_else(|| "-".into(), |n| n.to_string());
        let (from, to) = (name(traced.from), name(traced.to));
        let fate = match traced.fate {
            Fate::Arrives(at_us) => format!("arrives {:.3}", ms(at_us)),
            Fate::Twice(first_us, second_us) => {
                format!("arrives {:.3} and {:.3}", ms(first_us), ms(second_us))
            }
            Fate::Corrupted(at_us) => format!("corrupted, arrives {:.3}", ms(at_us)),
            Fate::Split(at_us) => format!("split, arrives {:.3}", ms(at_us)),
            Fate::Lost => "lost".into(),
            Fate::NoRoom => "no room in the queue".into(),
            Fate::Cut => "cut off".into(),
            Fate::TooBig => "too big for the next link".into(),
            Fate::Nobody => "for nobody".into(),
        };
        let segment = self.segment(&traced.frame).unwrap_or_else(|| "not TCP".into());
        println!("{:>12.3} {from} -> {to} {segment} | {fate}", ms(now_us));
    }

    fn segment(&mut self, frame: &[u8]) -> Option<String> {
        let Segment { from, to, header, payload, .. } = Segment::parse(frame)?;
        let (out, back) = ((from, to), (to, from));
        if header.flags.contains(tcp::Flags::SYN) {
            self.starts.insert(out, header.seq);
        }
        let start = |key| self.starts.get(key).copied().unwrap_or(0);
        let mut text = format!(
            "{}:{} {} seq {}",
            header.src_port,
            header.dst_port,
            flag_names(header.flags),
            header.seq.wrapping_sub(start(&out))
        );
        if header.flags.contains(tcp::Flags::ACK) {
            let _ = write!(text, " ack {}", header.ack.wrapping_sub(start(&back)));
        }
        let _ = write!(text, " len {} win {}", payload.len(), header.window);
        for &(left, right) in header.options.sack.as_slice() {
            let start = start(&back);
            let _ =
                write!(text, " sack {}-{}", left.wrapping_sub(start), right.wrapping_sub(start));
        }
        Some(text)
    }
}

fn ms(at_us: u64) -> f64 {
    at_us as f64 / 1000.0
}

fn flag_names(flags: tcp::Flags) -> String {
    let names = [
        (tcp::Flags::SYN, 'S'),
        (tcp::Flags::FIN, 'F'),
        (tcp::Flags::RST, 'R'),
        (tcp::Flags::PSH, 'P'),
        (tcp::Flags::ACK, '.'),
    ];
    names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect()
}
