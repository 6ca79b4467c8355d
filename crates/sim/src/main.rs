//! `crore-sim`: plays runs of the simulator, one or many.

use clap::Parser;
use crore_sim::{Report, run};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Two hosts with the real TCP stack, a bad link between them, virtual time: all from one seed.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Play the run of this seed only.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Play this many runs, one after the other.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed of many.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Go on after a run that failed, and list all that do.
    #[arg(long)]
    keep_going: bool,
    /// Print what happens to every frame and connection.
    #[arg(long)]
    verbose: bool,
}

/// The seed being played, for a panic's message.
static SEED: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let keep_going = arguments.keep_going;
    panic::set_hook(Box::new(move |panic| {
        println!("seed {} failed: {panic}", SEED.load(Ordering::Relaxed));
        if !keep_going || cfg!(panic = "abort") {
            std::process::exit(1);
        }
    }));
    let seeds = match arguments.seed {
        Some(seed) => seed..seed.saturating_add(1),
        None => arguments.first..arguments.first.saturating_add(arguments.seeds),
    };
    let count = seeds.end - seeds.start;
    let (mut total, mut failed, start) = (Report::default(), Vec::new(), Instant::now());
    for seed in seeds {
        match play(seed, arguments.verbose) {
            Some(report) => total.add(&report),
            None => failed.push(seed),
        }
        if !failed.is_empty() && !keep_going {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    if let Some(seed) = failed.first() {
        println!("{} of {count} seeds failed: {failed:?}", failed.len());
        println!("again, with a trace: crore-sim --seed {seed} --verbose");
        return ExitCode::FAILURE;
    }
    println!("{count} seeds without a failure in {seconds:.1} s: {total}");
    ExitCode::SUCCESS
}

/// One run; says what went wrong when something did.
fn play(seed: u64, verbose: bool) -> Option<Report> {
    SEED.store(seed, Ordering::Relaxed);
    match panic::catch_unwind(AssertUnwindSafe(|| run(seed, verbose))) {
        Ok(Ok(report)) => Some(report),
        Ok(Err(failure)) => {
            println!("{failure}");
            None
        }
        Err(_) => None,
    }
}
