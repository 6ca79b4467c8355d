//! A link that harms what it carries: two TAP devices and what happens between them.
//!
//! ```text
//!   near ──read──> Way: lose, corrupt, double, queue, delay, hold back ──write──> far
//!   near <─write── Way, with luck of its own                         <──read─── far
//! ```
//!
//! `impaired-link NEAR FAR [SETTING=VALUE ...] [pcap=PREFIX]` makes the two devices, says `ready`,
//! and goes on until `end` or the end of its input. Asked for `counts` it says what it did as one
//! line of JSON; told `seed N` it draws its luck anew, so that two transfers can meet one fate.
//! With `pcap=` it records what each end sent and got, in PREFIX-near.pcap and PREFIX-far.pcap;
//! unlike a capture in the kernel it misses nothing.

mod capture;
mod ends;
mod luck;
mod segment;
mod way;

use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
use crore_netns_tests::impairment::{BothCounts, Impairment};

use crate::ends::{End, sleep};
use crate::way::Way;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("impaired-link {}: {error:#}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let [near, far, settings @ ..] = words else { bail!("{HELP}") };
    let mut impairment = Impairment::default();
    let mut capture = None;
    for word in settings {
        match word.strip_prefix("pcap=") {
            Some(prefix) => capture = Some(prefix),
            None => impairment.read(word)?,
        }
    }
    let mut link = Link {
        near: End::open(near, capture.map(|prefix| format!("{prefix}-near.pcap")))?,
        far: End::open(far, capture.map(|prefix| format!("{prefix}-far.pcap")))?,
        to_far: Way::new(impairment, 0),
        to_near: Way::new(impairment, 1),
        started: Instant::now(),
    };
    println!("ready");
    let requests = requests();
    loop {
        link.carry()?;
        match requests.try_recv() {
            Ok(request) if request == "counts" => {
                println!("{}", serde_json::to_string(&link.counts())?);
            }
            Ok(request) if request == "end" => {
                for end in [&mut link.near, &mut link.far] {
                    end.finish()?;
                }
                println!("ended");
                return Ok(());
            }
            Ok(request) => match request.strip_prefix("seed ").map(str::parse) {
                Some(Ok(seed)) => {
                    link.to_far.draw_anew(seed);
                    link.to_near.draw_anew(seed);
                    println!("drawn");
                }
                _ => bail!("no such request: {request}"),
            },
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

/// The two ends and the two ways between them.
struct Link {
    near: End,
    far: End,
    to_far: Way,
    to_near: Way,
    started: Instant,
}

impl Link {
    /// Takes what came, delivers what is due, and sleeps when there was nothing of either.
    fn carry(&mut self) -> Result<()> {
        let now = self.now_ns();
        let mut moved = self.near.take(now, &mut self.to_far)?;
        moved += self.far.take(now, &mut self.to_near)?;
        moved += self.far.deliver(self.now_ns(), &mut self.to_far)?;
        moved += self.near.deliver(self.now_ns(), &mut self.to_near)?;
        if moved == 0 {
            let due = self.to_far.next_due_ns().into_iter().chain(self.to_near.next_due_ns()).min();
            let wait_ns = due.map_or(IDLE_NS, |due| due.saturating_sub(self.now_ns()).min(IDLE_NS));
            sleep(&self.near, &self.far, wait_ns)?;
        }
        Ok(())
    }

    fn counts(&self) -> BothCounts {
        BothCounts { to_far: self.to_far.counts, to_near: self.to_near.counts }
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

/// The lines of standard input. A request is seen within [`IDLE_NS`].
fn requests() -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Nothing to do: look at the requests this often.
const IDLE_NS: u64 = 20_000_000;

const HELP: &str = "impaired-link NEAR FAR [SETTING=VALUE ...] [pcap=PREFIX]";
