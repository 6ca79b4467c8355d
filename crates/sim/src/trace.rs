//! What a run looks like to a reader: a line for each frame and each call.

use crate::segment::Segment;
use crate::wire::Fate;
use crore_wire::tcp;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// Prints lines with times since the run's start and sequence numbers since each stream's.
pub(crate) struct Trace {
    start_us: u64,
    /// Initial sequence numbers by the sender's and the receiver's endpoint.
    starts: HashMap<(SocketAddr, SocketAddr), u32>,
}

impl Trace {
    pub(crate) fn new(start_us: u64) -> Self {
        Self { start_us, starts: HashMap::new() }
    }

    /// A line of another source.
    pub(crate) fn line(&self, now_us: u64, line: &str) {
        println!("{:>12.3} {line}", self.ms(now_us));
    }

    fn ms(&self, at_us: u64) -> f64 {
        (at_us - self.start_us) as f64 / 1000.0
    }

    /// A frame that host `from` sent, and what became of it.
    pub(crate) fn frame(&mut self, now_us: u64, from: usize, frame: &[u8], fate: Fate) {
        let arrow = if from == 0 { "0 -> 1" } else { "0 <- 1" };
        let fate = match fate {
            Fate::Arrives(at_us) => format!("arrives {:.3}", self.ms(at_us)),
            Fate::Twice(first_us, second_us) => {
                format!("arrives {:.3} and {:.3}", self.ms(first_us), self.ms(second_us))
            }
            Fate::Corrupted(at_us) => format!("corrupted, arrives {:.3}", self.ms(at_us)),
            Fate::Split(at_us) => format!("split, arrives {:.3}", self.ms(at_us)),
            Fate::Lost => "lost".into(),
            Fate::NoRoom => "no room in the queue".into(),
        };
        let segment = self.segment(frame).unwrap_or_else(|| "not TCP".into());
        println!("{:>12.3} {arrow} {segment} | {fate}", self.ms(now_us));
    }

    fn segment(&mut self, frame: &[u8]) -> Option<String> {
        let Segment { from, to, header, payload } = Segment::parse(frame)?;
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
