//! `crore-sim`: plays runs of the simulator, one or many, and makes those that fail smaller.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use crore_sim::{Mix, Report, play, shrink};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Hosts with the real TCP stack, a bad network between them, virtual time: all from one seed.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
struct Arguments {
    /// Play the run of this seed only.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "first", "mix", "shrink"])]
    seed: Option<u64>,
    /// Play this many runs, one after the other.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    seeds: u64,
    /// The first seed of many.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first: u64,
    /// Play the run that this file describes (see --write-mix).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "first", "shrink"])]
    mix: Option<PathBuf>,
    /// Find a smaller mix that fails as the run of this seed does; write it to shrunk-SEED.json.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "first"])]
    shrink: Option<u64>,
    /// With --seed: write what the run is made of to this file, and do not play it.
    #[arg(long, value_name = "FILE", requires = "seed")]
    write_mix: Option<PathBuf>,
    /// Go on after a run that failed, and list all that do.
    #[arg(long)]
    keep_going: bool,
    /// Print how often each arrow of RFC 9293's state diagram was taken.
    #[arg(long)]
    coverage: bool,
    /// The same, and fail when one was never taken.
    #[arg(long)]
    require_coverage: bool,
    /// Print what happens to every frame and connection.
    #[arg(long)]
    verbose: bool,
}

const EXAMPLES: &str = "Examples:
  crore-sim --seeds 10000                     ten thousand runs; stops at the first that fails
  crore-sim --seeds 100000 --require-coverage which must take every arrow of the state diagram
  crore-sim --seed 4711 --verbose             one run, frame by frame
  crore-sim --shrink 4711                     a smaller run that fails as well, as a file
  crore-sim --mix shrunk-4711.json --verbose  and that one, frame by frame";

/// The seed being played, for a panic's message.
static SEED: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let goes_on = arguments.keep_going;
    panic::set_hook(Box::new(move |panic| {
        println!("seed {} failed: {panic}", SEED.load(Ordering::Relaxed));
        if !goes_on || cfg!(panic = "abort") {
            std::process::exit(1);
        }
    }));
    match command(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crore-sim: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does what is asked for; says whether nothing failed.
fn command(arguments: &Arguments) -> Result<bool> {
    if let Some(seed) = arguments.shrink {
        return shrink_seed(seed);
    }
    if let Some(path) = &arguments.mix {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the mix {}", path.display()))?;
        let mix = Mix::from_json(&text).map_err(anyhow::Error::msg);
        let mix = mix.with_context(|| format!("{} is no mix", path.display()))?;
        let again = format!("crore-sim --mix {}", path.display());
        return Ok(play_all(arguments, &again, std::iter::once(mix)));
    }
    let Some(seed) = arguments.seed else {
        let seeds = arguments.first..arguments.first.saturating_add(arguments.seeds);
        return Ok(play_all(arguments, "crore-sim --seed", seeds.map(Mix::draw)));
    };
    let mix = Mix::draw(seed);
    if let Some(path) = &arguments.write_mix {
        std::fs::write(path, mix.to_json())
            .with_context(|| format!("cannot write the mix to {}", path.display()))?;
        return Ok(true);
    }
    Ok(play_all(arguments, "crore-sim --seed", std::iter::once(mix)))
}

fn play_all(arguments: &Arguments, again: &str, mixes: impl Iterator<Item = Mix>) -> bool {
    let (mut total, mut failed, start) = (Report::default(), Vec::new(), Instant::now());
    let mut count = 0u64;
    for mix in mixes {
        count += 1;
        if arguments.verbose {
            println!("{}", mix.to_json());
        }
        match play_one(&mix, arguments.verbose) {
            Some(report) => total.add(&report),
            None => failed.push(mix.seed),
        }
        if !failed.is_empty() && !arguments.keep_going {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    if let Some(seed) = failed.first() {
        println!("{} of {count} seeds failed: {failed:?}", failed.len());
        let seed = if arguments.mix.is_some() { String::new() } else { format!(" {seed}") };
        println!("again, with a trace: {again}{seed} --verbose");
        if arguments.mix.is_none() {
            println!("made smaller: crore-sim --shrink{seed}");
        }
    } else {
        let rate = total.frames as f64 / seconds;
        println!("{count} seeds without a failure in {seconds:.1} s ({rate:.0} frames/s): {total}");
    }
    if arguments.coverage || arguments.require_coverage {
        println!("{}", total.coverage);
    }
    let missing = total.coverage.missing();
    if arguments.require_coverage && !missing.is_empty() {
        println!("{} arrows were never taken:\n  {}", missing.len(), missing.join("\n  "));
        return false;
    }
    failed.is_empty()
}

/// One run; says what went wrong when something did.
fn play_one(mix: &Mix, traces: bool) -> Option<Report> {
    SEED.store(mix.seed, Ordering::Relaxed);
    match panic::catch_unwind(AssertUnwindSafe(|| play(mix, traces))) {
        Ok(Ok(report)) => Some(report),
        Ok(Err(failure)) => {
            println!("{failure}");
            None
        }
        Err(_) => None,
    }
}

/// Makes the run of a seed smaller. Each try is a process of its own: a panic may end it.
fn shrink_seed(seed: u64) -> Result<bool> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let path = PathBuf::from(format!("shrunk-{seed}.json"));
    let scratch = path.with_extension("try.json");
    let mix = Mix::draw(seed);
    let Some(wanted) = failure_of(&program, &scratch, &mix)? else {
        std::fs::remove_file(&scratch).ok();
        bail!("seed {seed} does not fail");
    };
    let mut broken = None;
    let small = shrink::shrink(&mix, TRIES_MAX, |mix| {
        let failure = failure_of(&program, &scratch, mix).unwrap_or_else(|error| {
            broken.get_or_insert(error);
            None
        });
        failure.as_ref() == Some(&wanted)
    });
    std::fs::remove_file(&scratch).ok();
    if let Some(error) = broken {
        return Err(error);
    }
    std::fs::write(&path, small.to_json())
        .with_context(|| format!("cannot write the mix to {}", path.display()))?;
    let sizes = |mix: &Mix| {
        let (hosts, liars) = (mix.hosts.len(), mix.liars.len());
        let (sessions, faults) = (mix.sessions.len(), mix.faults.len());
        format!("{hosts} hosts, {liars} liars, {sessions} sessions, {faults} faults by schedule")
    };
    println!("seed {seed}: {}", sizes(&mix));
    println!("smaller:   {}", sizes(&small));
    for session in &small.sessions {
        println!("  {session:?}");
    }
    for fault in &small.faults {
        println!("  {fault:?}");
    }
    println!("again, with a trace: crore-sim --mix {} --verbose", path.display());
    Ok(true)
}

/// How a mix fails: the words of the message, without the numbers, so that another failure is not
/// taken for the one that is looked for.
fn failure_of(program: &Path, scratch: &Path, mix: &Mix) -> Result<Option<String>> {
    std::fs::write(scratch, mix.to_json())
        .with_context(|| format!("cannot write to {}", scratch.display()))?;
    let mut command = Command::new(program);
    command.arg("--mix").arg(scratch).stderr(Stdio::null());
    let output = command.output().context("cannot start a run in a process of its own")?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let first = lines.find(|line| line.starts_with("seed ")).unwrap_or_default();
    // A panic's message is on the line after its place.
    let line = if first.contains("panicked") { lines.next().unwrap_or(first) } else { first };
    let words = line.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic));
    Ok(Some(words.take(WORDS_MAX).collect::<Vec<_>>().join(" ")))
}

/// Words of a failure that are compared.
const WORDS_MAX: usize = 6;

/// Runs played in the search for a smaller one.
const TRIES_MAX: usize = 4000;
