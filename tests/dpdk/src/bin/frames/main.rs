//! The driver at one end of a memif link, told what to do line by line; each answer is a line.
//!
//! ```text
//!   frames socket=PATH role=server|client [zero-copy=true] [secret=TEXT] [queues=N] [cpu=N]
//!   says    ready, and then begun before what takes time
//!   asked   status                              how the link is
//!           send COUNT LEN                      numbered frames, as there is room
//!           receive, and later: all COUNT       what testpmd's txonly makes, until it is so many
//!           exchange COUNT LEN WINDOW same|swap numbered frames that must come back, in order
//!           ping COUNT                          one echo request after the other
//! ```

mod traffic;

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use anyhow::{Context as _, Result, bail};
use crore::driver::Link;
use crore::driver::memif::{self, Address, Options, Role};
use crore::mem::{HugePages, Memory};
use crore_dpdk_tests::frames::Status;
use traffic::End;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let of = |name: &str| {
        words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
    };
    if let Ok(cpu) = of("cpu").parse() {
        // Being elsewhere only costs speed.
        let _ = crore::pin::pin_to(cpu);
    }
    let role = if of("role") == "client" { Role::Client } else { Role::Server };
    let mut options = Options::new(Address::parse(of("socket")), role);
    options.zero_copy = of("zero-copy") == "true";
    of("secret").clone_into(&mut options.secret);
    options.queues = of("queues").parse().unwrap_or(1);
    // Testpmd works in place on reserved pages only; who is held against it has them, too.
    options.huge_pages =
        if options.zero_copy { HugePages::Reserve } else { HugePages::Transparent };
    let mut memory = Memory::new(options.huge_pages);
    let opened = memif::open(&options, &mut memory)?;
    let mut ends: Vec<_> = opened.queues.into_iter().map(Link::Memif).map(End::new).collect();
    println!("ready");
    let requests = requests();
    loop {
        match requests.try_recv() {
            Ok(request) => {
                println!("begun");
                let answer = if request == "status" {
                    serde_json::to_string(&status(&opened.status)?)?
                } else {
                    serde_json::to_string(&traffic(&mut ends[0], &request, &requests)?)?
                };
                println!("{answer}");
            }
            Err(TryRecvError::Empty) => ends.iter_mut().for_each(End::rest),
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

/// Lines of standard input, read beside the data path.
fn requests() -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn status(link: &memif::Status) -> Result<Status> {
    let count = |folder: &str| Ok::<_, io::Error>(std::fs::read_dir(folder)?.count());
    Ok(Status {
        up: link.is_up(),
        ups: link.ups(),
        news: link.news(),
        descriptors: count("/proc/self/fd")?,
        threads: count("/proc/self/task")?,
    })
}

fn traffic(
    end: &mut End,
    request: &str,
    requests: &Receiver<String>,
) -> Result<crore_dpdk_tests::frames::Traffic> {
    let words: Vec<&str> = request.split(' ').collect();
    let number = |text: &str| text.parse::<u64>().with_context(|| format!("in `{request}`"));
    match words[..] {
        ["send", count, len] => Ok(end.send(number(count)?, number(len)? as usize)),
        ["receive"] => {
            Ok(end.receive(|| requests.try_recv().ok()?.strip_prefix("all ")?.parse().ok()))
        }
        ["exchange", count, len, window, how] => {
            let is_swapped = how == "swap";
            Ok(end.exchange(number(count)?, number(len)? as usize, number(window)?, is_swapped))
        }
        ["ping", count] => Ok(end.ping(number(count)? as u16)),
        _ => bail!("no such request: {request}"),
    }
}
