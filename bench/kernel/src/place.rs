//! Where server and clients meet: loopback, or a veth pair between two network namespaces.
//!
//! As root, both are in namespaces of their own, so that nothing of what is set there touches
//! anybody else. They have no name, and are gone with the last thread and descriptor in them.

use crate::{KernelError, tried};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// The way between server and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The loopback interface; as root, that of a namespace of its own.
    Loopback,
    /// A pair of virtual interfaces between two namespaces (root).
    Veth,
}

/// The place, made.
#[derive(Debug)]
pub(crate) struct Place {
    /// The network namespaces of server and clients; none: everybody's.
    namespaces: Option<[OwnedFd; 2]>,
    pub(crate) server: Ipv4Addr,
    pub(crate) first_client: Ipv4Addr,
    /// What could not be set as it should.
    pub(crate) notes: Vec<String>,
}

impl Place {
    /// Makes it. `cpus` are those of server and clients.
    pub(crate) fn new(path: Path, cpus: [usize; 2]) -> Result<Self, KernelError> {
        let is_root = rustix::process::geteuid().is_root();
        if !is_root {
            return match path {
                Path::Veth => Err(KernelError::NotRoot),
                Path::Loopback => Ok(Self {
                    namespaces: None,
                    server: Ipv4Addr::LOCALHOST,
                    first_client: LOOPBACK_CLIENTS,
                    notes: vec!["not root: the namespace and its limits are everybody's".into()],
                }),
            };
        }
        // On a thread of its own: it changes its namespace, and must not change ours.
        let made = thread::spawn(move || Self::make(path, cpus)).join();
        made.unwrap_or_else(|_| Err(KernelError::Ended("no namespace could be made".to_owned())))
    }

    fn make(path: Path, cpus: [usize; 2]) -> Result<Self, KernelError> {
        let mut notes = Vec::new();
        // One at a time: who finds the other's setting would put that back.
        let alone = MAKING.lock();
        let hash = Restored::set(CHILD_HASH, CHILD_HASH_ENTRIES);
        if hash.is_none() {
            notes.push("namespaces share the hash table of all sockets".to_owned());
        }
        match path {
            Path::Loopback => {
                let namespace = fresh()?;
                drop((hash, alone));
                run("ip link set lo up")?;
                notes.extend(tune());
                let again = tried("a second descriptor", namespace.try_clone())?;
                Ok(Self {
                    namespaces: Some([namespace, again]),
                    server: Ipv4Addr::LOCALHOST,
                    first_client: LOOPBACK_CLIENTS,
                    notes,
                })
            }
            Path::Veth => {
                let clients = fresh()?;
                let server = fresh()?;
                drop((hash, alone));
                notes.extend(tune());
                let at = format!("/proc/{}/fd/{}", std::process::id(), clients.as_raw_fd());
                run(&format!("ip link add vs type veth peer name vc netns {at}"))?;
                run("ip address add 10.66.0.1/30 dev vs")?;
                run("ip link set lo up")?;
                run("ip link set vs up")?;
                run("ip route add 10.64.0.0/15 via 10.66.0.2")?;
                notes.extend(steer("vs", cpus[0]));
                enter(&clients)?;
                notes.extend(tune());
                run("ip address add 10.66.0.2/30 dev vc")?;
                run("ip link set lo up")?;
                run("ip link set vc up")?;
                run("ip route add local 10.64.0.0/15 dev lo")?;
                notes.extend(steer("vc", cpus[1]));
                Ok(Self {
                    namespaces: Some([server, clients]),
                    server: Ipv4Addr::new(10, 66, 0, 1),
                    first_client: Ipv4Addr::new(10, 64, 0, 1),
                    notes,
                })
            }
        }
    }

    /// Moves the calling thread to the server's side.
    pub(crate) fn enter_server(&self) -> Result<(), KernelError> {
        self.namespaces.as_ref().map_or(Ok(()), |[server, _]| enter(server))
    }

    /// Moves the calling thread to the clients' side.
    pub(crate) fn enter_clients(&self) -> Result<(), KernelError> {
        self.namespaces.as_ref().map_or(Ok(()), |[_, clients]| enter(clients))
    }
}

/// A new network namespace, which the calling thread is in from now on.
fn fresh() -> Result<OwnedFd, KernelError> {
    // SAFETY: only this thread's network is another one; no descriptor changes.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    let result = if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    tried("a network namespace", result)?;
    let file = tried("the namespace's file", fs::File::open("/proc/thread-self/ns/net"))?;
    Ok(file.into())
}

fn enter(namespace: &OwnedFd) -> Result<(), KernelError> {
    let kind = Some(LinkNameSpaceType::Network);
    tried("setns", move_into_link_name_space(namespace.as_fd(), kind))
}

/// Limits of the namespace that the calling thread is in. They are gone with it.
fn tune() -> Vec<String> {
    let settings = [
        ("core/somaxconn", "1048576"),
        ("ipv4/tcp_max_syn_backlog", "1048576"),
        ("ipv4/tcp_max_tw_buckets", "4000000"),
        ("ipv4/ip_local_port_range", "1024 65535"),
        ("ipv4/tcp_tw_reuse", "1"),
    ];
    let set = |(name, value): (&str, &str)| {
        let failed = fs::write(format!("/proc/sys/net/{name}"), value).err()?;
        Some(format!("net/{name} could not be set: {failed}"))
    };
    settings.into_iter().filter_map(set).collect()
}

/// Lets the work on what an interface receives be done on its own side's processor, and not on the
/// sender's. `/sys` shows the devices of whoever mounted it, hence a mount of our own.
fn steer(interface: &str, cpu: usize) -> Option<String> {
    let mask = 1u128 << cpu.min(127);
    let file = format!("/sys/class/net/{interface}/queues/rx-0/rps_cpus");
    let script = format!("mount -t sysfs sysfs /sys && echo {mask:x} > {file}");
    let command = format!("unshare --mount sh -c '{script}'");
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output();
    let why = match output {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("receive steering is off on {interface}: `{command}`: {why}"))
}

fn run(command: &str) -> Result<(), KernelError> {
    let failed = |why: String| KernelError::Command { command: command.to_owned(), why };
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// A setting of the whole machine that is put back when this is dropped.
struct Restored {
    /// Open all the time: what the path names is another setting in another namespace.
    file: fs::File,
    before: String,
}

impl Restored {
    fn set(path: &'static str, value: &str) -> Option<Self> {
        let before = fs::read_to_string(path).ok()?;
        let file = fs::OpenOptions::new().write(true).open(path).ok()?;
        file.write_all_at(value.as_bytes(), 0).ok()?;
        Some(Self { file, before })
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = self.file.write_all_at(self.before.trim().as_bytes(), 0);
    }
}

/// Held while a setting of the machine is another one.
pub(crate) static MAKING: Mutex<()> = Mutex::new(());

/// How many buckets the hash table of sockets has in a namespace that is made from now on.
const CHILD_HASH: &str = "/proc/sys/net/ipv4/tcp_child_ehash_entries";
const CHILD_HASH_ENTRIES: &str = "2097152";

/// All of 127.0.0.0/8 is loopback's.
const LOOPBACK_CLIENTS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_put_back() {
        let path = std::env::temp_dir().join(format!("crore-kernel-{}", std::process::id()));
        fs::write(&path, "7\n").unwrap();
        let name: &'static str = path.to_str().unwrap().to_owned().leak();
        let restored = Restored::set(name, "8").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), "8");
        drop(restored);
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), "7");
        fs::remove_file(&path).unwrap();
        assert!(Restored::set("/proc/no such file", "1").is_none());
    }
}
