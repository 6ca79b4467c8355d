//! A peer that uses the kernel's sockets: what the scenarios run beside `crore`.
//!
//! It says on standard output what happened and does what standard input asks, one line each, so
//! that a scenario decides when the next step comes.

mod drain;
mod echo;
mod hold;
mod pattern;
mod probe;
mod serve;
mod traffic;
mod transfer;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kernel-peer {}: {error:#}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["echo", listen] => echo::run(address(listen)?),
        ["probe", server] => {
            probe::run(address(server)?);
            Ok(())
        }
        ["serve", listen, file, congestion] => serve::run(address(listen)?, file, congestion),
        ["fetch", server, path] => transfer::fetch(address(server)?, path),
        ["drain", server, path] => drain::run(address(server)?, path),
        ["push", server, file, congestion] => transfer::push(address(server)?, file, congestion),
        ["hold", server, source, count] => {
            let source = source.parse().with_context(|| format!("not an address: {source}"))?;
            let count = count.parse().with_context(|| format!("not a number: {count}"))?;
            hold::run(address(server)?, source, count)
        }
        ["traffic", server, count] => {
            let count = count.parse().with_context(|| format!("not a number: {count}"))?;
            traffic::run(address(server)?, count)
        }
        _ => bail!("{HELP}"),
    }
}

fn address(text: &str) -> Result<std::net::SocketAddr> {
    text.parse().with_context(|| format!("not ADDR:PORT: {text}"))
}

const HELP: &str = "\
kernel-peer echo LISTEN                  sends back what it receives
kernel-peer probe SERVER                 one attempt to connect: connected, refused, timed out
kernel-peer serve LISTEN FILE CONGESTION a file for any GET, the SHA-256 of any POST
kernel-peer fetch SERVER PATH            GET: the SHA-256 of what came, and the time it took
kernel-peer drain SERVER PATH            GET: how much came so far, when asked: status
kernel-peer push SERVER FILE CONGESTION  POST: the SHA-256 that the server tells, and the time
kernel-peer hold SERVER SOURCE COUNT     opens connections and keeps them; then: check, close
kernel-peer traffic SERVER COUNT         streams through an echo service; then: status";
