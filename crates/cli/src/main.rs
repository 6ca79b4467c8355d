//! `crore`: ten million TCP connections from one command, and a server beside the kernel.
//!
//! ```text
//!   args         what can be said on the command line
//!   demo         server and client in one process, joined by a pipe: all in one command
//!   bench        profiles that measure, one at a time, with reports
//!   plan         what memory and how many cores connections take
//!   serve        echo or HTTP on a link: XDP, memif or TAP
//!   load         clients for a server on a link
//!   pair         the server and client of demo and bench: settings, memory, threads
//!   link         opening a link, and what the control plane knows of it
//!   memory_plan  what memory a stack takes, before it is taken
//!   view         progress: a live picture on a terminal, lines elsewhere
//!   account      where the cores' cycles went: calls, turns, the processor's counters
//!   report       cycles per packet, latencies, JSON
//!   resident     what of the machine's memory this process has
//! ```
//!
//! Exit codes: 0 all well; 1 a check failed; 2 it could not be done: the command line, the rights,
//! the memory or the interface do not allow it, and the message says what would.
#![forbid(unsafe_code)]

mod account;
mod args;
mod bench;
mod demo;
mod figures;
mod huge_pages;
mod interrupt;
mod lead;
mod link;
mod load;
mod memory_plan;
mod neighbours;
mod pair;
mod places;
mod plan;
mod report;
mod resident;
mod running;
mod serve;
mod text;
mod view;

use args::{Args, Command, LoadKind, ServeKind, XdpKind};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    interrupt::listen();
    huge_pages::give_back_on_panic();
    let outcome = match args.command {
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Plan(options) => plan::run(&options),
        Command::Serve(ServeKind::Echo(options)) => serve::echo(&options),
        Command::Serve(ServeKind::Http { root, options }) => serve::http(&options, root.as_deref()),
        Command::Load(LoadKind::Echo { payload, options }) => load::echo(&options, payload),
        Command::Load(LoadKind::Http { target, pipeline, options }) => {
            load::http(&options, &target, pipeline)
        }
        Command::Xdp(XdpKind::Detach { interface }) => detach(&interface),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(CHECK_FAILED),
        Err(error) => {
            eprintln!("crore: {error:#}");
            ExitCode::from(NOT_POSSIBLE)
        }
    }
}

/// Takes a filter off an interface that a killed server left there.
fn detach(interface: &str) -> anyhow::Result<bool> {
    if crore::driver::xdp::detach(interface)? {
        println!("the filter on {interface} is gone; its ports are the kernel's again");
    } else {
        println!("there is no XDP program on {interface}");
    }
    Ok(true)
}

const CHECK_FAILED: u8 = 1;

/// The same that a wrong command line ends with.
const NOT_POSSIBLE: u8 = 2;
