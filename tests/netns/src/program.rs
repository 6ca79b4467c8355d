//! Child processes that end when the scenario does, and waiting with a limit.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::namespace;

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The lines to and from a program that converses.
#[derive(Debug)]
pub struct Conversation {
    requests: ChildStdin,
    answers: Receiver<String>,
}

impl Program {
    /// Starts a program whose output goes to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// Starts a program that answers requests line by line; its complaints go to `log`.
    pub fn converse(name: &str, command: &mut Command, log: &Path) -> Result<(Self, Conversation)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let requests = child.stdin.take().context("no standard input")?;
        let answers = lines(child.stdout.take().context("no standard output")?);
        let program = Self { name: name.to_owned(), child, log: log.to_path_buf() };
        Ok((program, Conversation { requests, answers }))
    }

    /// What the program wrote to its log so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kilobytes of memory that it has, reserved huge pages not counted.
    pub fn resident_kb(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        figure.with_context(|| format!("no memory in {status}"))
    }

    /// How it ended, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Kills it with a signal that no program can catch, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end.
    pub fn interrupt(&mut self, limit: Duration) -> Result<ExitStatus> {
        let id = self.child.id().to_string();
        namespace::output(Command::new("sh").args(["-c", "kill -INT \"$0\"", &id]))?;
        self.wait(limit)
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        until(&format!("the end of {name}"), limit, || self.ended())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Conversation {
    /// The next line that the program says.
    pub fn hear(&self, limit: Duration) -> Result<String> {
        match self.answers.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("no answer within {limit:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("the program has ended"),
        }
    }

    /// Makes a request whose answer, if any, is for [`Conversation::hear`].
    pub fn say(&mut self, request: &str) -> Result<()> {
        writeln!(self.requests, "{request}").with_context(|| format!("asking for {request}"))
    }

    /// Makes a request and returns the answer.
    pub fn ask(&mut self, request: &str, limit: Duration) -> Result<String> {
        self.say(request)?;
        self.hear(limit).with_context(|| format!("asked for {request}"))
    }
}

/// Looks again and again until there is something, or the watchdog's time is over.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().with_context(|| format!("waiting for {what}"))? {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
