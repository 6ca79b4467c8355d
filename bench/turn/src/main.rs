//! What a packet costs in the stack alone: one engine with a small service, no driver, no second
//! thread, and a client that only writes frames.
//!
//! Cycles are read around the engine's three stages and leave the client out. So do instructions
//! under callgrind: they are collected in [`bench::counted_turn`] only, and they are the same in
//! every run. `cargo xtask guard` compares them with `bench/record.toml`.
//!
//! ```text
//! cargo run --release -p crore-turn -- WORK CONNECTIONS ROUNDS      echo 10000 100000
//! valgrind --tool=callgrind --collect-atstart=no '--toggle-collect=*counted_turn*' \
//!     target/release/crore-turn echo 10000 20000
//! ```
//!
//! | work | a round |
//! |---|---|
//! | `echo` | a request of 64 octets on a connection picked at random, its reply, an ACK |
//! | `churn` | a whole life: open, request, reply, close |
//! | `receive` | a full segment on one of few connections; one ACK a turn answers |
//! | `send` | a full segment sent by the service; every second one is acknowledged |
//! | `idle` | a turn in which nothing happens |
//! | `timers` | an application's timer that runs out and is set again |
//! | `sizes` | none: prints what each structure of a connection takes |

mod bench;
mod client;
mod works;

use bench::Counted;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let number = |at: usize, default| args.get(at).map_or(Ok(default), |text| text.parse::<u32>());
    let work = args.first().map_or("echo", String::as_str);
    let (Ok(conns), Ok(rounds)) = (number(1, 10_000), number(2, 100_000)) else {
        return usage();
    };
    let counted = match work {
        "echo" => works::echo(conns, rounds),
        "churn" => works::churn(conns, rounds),
        "receive" => works::receive(conns, rounds),
        "send" => works::send(conns, rounds),
        "idle" => works::idle(conns, rounds),
        "timers" => works::timers(conns, rounds),
        "sizes" => return sizes(),
        _ => return usage(),
    };
    let Counted { unit, units, cycles } = counted;
    let each = cycles as f64 / units as f64;
    println!(
        "work={work} connections={conns} rounds={rounds} {unit}s={units} \
         cycles_per_{unit}={each:.1}"
    );
    ExitCode::SUCCESS
}

fn sizes() -> ExitCode {
    for (name, bytes) in crore::SIZES {
        println!("{name}={bytes}");
    }
    println!("idle_connection={:.1}", works::idle_connection_bytes());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: crore-turn [echo|churn|receive|send|idle|timers|sizes] [CONNECTIONS] [ROUNDS]"
    );
    ExitCode::from(2)
}
