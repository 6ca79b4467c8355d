//! A network namespace with a name of its own, gone when dropped.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

/// One host on the stage.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with its loopback up. Its name tells which process made it.
    pub fn new(role: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        output(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name that `ip netns` knows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in the namespace; `words` are separated by spaces.
    pub fn ip(&self, words: &str) -> Result<String> {
        output(Command::new("ip").args(["-n", &self.name]).args(words.split(' ')))
    }

    /// A program that will run in the namespace, with as many descriptors as it may have.
    ///
    /// The process is the program itself: what is killed is not a shell around it. It ends with the
    /// scenario's thread even when that has no chance to end it.
    pub fn command<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, words: &[S]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "sh", "-c", WITH_ALL_DESCRIPTORS, "sh"]);
        command.arg(program).args(words).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end and returns what it printed.
    pub fn run<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, words: &[S]) -> Result<String> {
        output(&mut self.command(program, words))
    }

    /// Sets a file below `/proc/sys/net`.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.run("sh", &["-c", "echo \"$1\" > \"/proc/sys/net/$0\"", name, value]).map(drop)
    }

    /// True while an XDP program, native or generic, is attached to the interface.
    pub fn has_xdp(&self, interface: &str) -> Result<bool> {
        let link = self.ip(&format!("-details link show dev {interface}"))?;
        Ok(link.contains("xdp"))
    }

    /// A counter of the kernel's TCP in this namespace, such as `OutRsts`.
    pub fn tcp_counter(&self, name: &str) -> Result<u64> {
        let text = self.run("cat", &["/proc/net/snmp"])?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        let at = names.split(' ').position(|other| other == name);
        let value = at.and_then(|at| values.split(' ').nth(at));
        value.and_then(|value| value.parse().ok()).with_context(|| format!("no Tcp {name}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = output(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("namespace {} stays: {error:#}", self.name);
        }
    }
}

/// Makes two namespaces with a link between them, and takes them away.
pub fn trial() -> Result<()> {
    let (here, there) = (Namespace::new("trial")?, Namespace::new("trial")?);
    join((&here, "eth0"), (&there, "eth0"))
}

/// Joins two namespaces by a veth pair, both ends up.
pub fn join(here: (&Namespace, &str), there: (&Namespace, &str)) -> Result<()> {
    let (near, far) = (here.1, there.1);
    let other = there.0.name();
    here.0.ip(&format!("link add name {near} type veth peer name {far} netns {other}"))?;
    here.0.ip(&format!("link set {near} up"))?;
    there.0.ip(&format!("link set {far} up"))?;
    Ok(())
}

/// Takes away the namespaces of test processes that did not live to do it.
pub fn remove_leftovers() -> Result<()> {
    let names = output(Command::new("ip").args(["netns", "list"]))?;
    for name in names.lines().filter_map(|line| line.split(' ').next()) {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let maker = rest.split('-').next().and_then(|id| id.parse::<u32>().ok());
        if maker.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            output(Command::new("ip").args(["netns", "del", name]))?;
        }
    }
    Ok(())
}

/// What a command printed; an error with its words and its complaint when it failed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let words = format!("{command:?}");
    let output = command.output().with_context(|| format!("cannot run {words}"))?;
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{words}: {}\n{said}{complaint}", output.status);
    Ok(said.into_owned())
}

const PREFIX: &str = "crore-test-";

const WITH_ALL_DESCRIPTORS: &str =
    "ulimit -n \"$(ulimit -Hn)\"; exec setpriv --pdeathsig KILL \"$@\"";
