//! SYNs from everywhere, as fast as a core can write them.
//!
//! ```text
//!   says    ready             the device is there
//!   asked   go                from now on it sends
//!   asked   count      says   sent 1234567
//! ```
//!
//! `syn-flood DEVICE SERVER MAC` writes to a TAP device of its own, which the scenario puts where
//! the attacker is to be. Sources are those of a benchmark network (RFC 2544), which exist nowhere;
//! SYNs have the options of a common client, so that a cookie has something to keep.

mod syn;

use std::io::{self, Write as _};
use std::net::SocketAddrV4;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use crore_netns_tests::device;
use crore_wire::ethernet::MacAddr;

use crate::syn::Syn;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("syn-flood {}: {error:#}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let [name, server, mac] = words else { bail!("syn-flood DEVICE SERVER MAC") };
    let server: SocketAddrV4 =
        server.parse().with_context(|| format!("not A.B.C.D:P: {server}"))?;
    let mut device = device::open(name)?;
    let mut syn = Syn::to(server, mac_address(mac)?);
    let sent = Arc::new(AtomicU64::new(0));
    let goes = Arc::new(AtomicBool::new(false));
    println!("ready");
    let (counted, started) = (Arc::clone(&sent), Arc::clone(&goes));
    let sender = thread::spawn(move || {
        while !started.load(Ordering::Acquire) {
            thread::park();
        }
        loop {
            // Nobody counts on a flood: what the device does not take is not sent.
            let is_taken = device.write(syn.next()).is_ok();
            counted.fetch_add(u64::from(is_taken), Ordering::Relaxed);
        }
    });
    for line in io::stdin().lines() {
        match line?.as_str() {
            "go" => {
                goes.store(true, Ordering::Release);
                sender.thread().unpark();
                println!("going");
            }
            "count" => println!("sent {}", sent.load(Ordering::Relaxed)),
            other => bail!("no such request: {other}"),
        }
    }
    Ok(())
}

fn mac_address(text: &str) -> Result<MacAddr> {
    let octets: Option<Vec<u8>> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    let octets = octets.and_then(|octets| octets.try_into().ok());
    octets.map(MacAddr).with_context(|| format!("not a hardware address: {text}"))
}
