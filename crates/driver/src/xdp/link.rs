//! The filter on an interface: attached, replaced, taken away, and whose is attached now.
//!
//! A filter stays attached when its process dies, and from then on drops what was that process's:
//! the kernel would answer it with resets and end every connection at the peer. The next start
//! finds the leftover by its name and replaces it in one step; a graceful end takes it away.

use std::io;
use std::os::fd::AsRawFd;

use super::error::XdpError;
use super::filter::{Filter, LocalPorts, PROGRAM_NAME};
use super::{bpf, netlink};
use crate::interface::Interface;

/// Where the kernel runs the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the interface's driver, before the kernel has done anything with the frame.
    Native,
    /// In the kernel's general receive path: works on every interface, and costs more.
    Generic,
}

impl Mode {
    fn flags(self) -> u32 {
        match self {
            Self::Native => XDP_FLAGS_DRV_MODE,
            Self::Generic => XDP_FLAGS_SKB_MODE,
        }
    }

    /// `native` or `generic`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// Which mode to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeChoice {
    /// Native where the driver has it, else generic.
    #[default]
    Best,
    /// This one or none.
    Only(Mode),
}

/// The XDP program that an interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The program's name.
    pub program: String,
    /// The program's number in the kernel.
    pub id: u32,
    /// Where it runs.
    pub mode: Mode,
    /// It is a filter of crore's: of a server that runs, or of one that was killed.
    pub ours: bool,
}

/// Our filter on an interface. Dropping this takes it away; being killed does not.
#[derive(Debug)]
pub struct Attachment {
    filter: Filter,
    interface: Interface,
    mode: Mode,
    replaced: bool,
    native_refusal: Option<String>,
    detached: bool,
}

impl Attachment {
    /// Puts the filter onto the interface, in place of one that a killed process left.
    pub(super) fn new(
        filter: Filter,
        interface: &Interface,
        choice: ModeChoice,
    ) -> Result<Self, XdpError> {
        let leftover = on(interface)?;
        if let Some(other) = leftover.iter().find(|attached| !attached.ours) {
            return Err(other_program(interface, other));
        }
        let mut attachment = Self {
            filter,
            interface: interface.clone(),
            mode: Mode::Generic,
            replaced: leftover.is_some(),
            native_refusal: None,
            // Until it is attached there is nothing to take away.
            detached: true,
        };
        let leftover = leftover.map(|attached| attached.mode);
        let result = match choice {
            ModeChoice::Only(mode) => attachment.attach(mode, leftover),
            ModeChoice::Best => attachment.attach_best(leftover),
        };
        result.map(|()| attachment)
    }

    /// Where the filter runs.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A filter was there already: its process had been killed.
    pub fn replaced_leftover(&self) -> bool {
        self.replaced
    }

    /// Why it does not run in native mode, when that was tried.
    pub fn native_refusal(&self) -> Option<&str> {
        self.native_refusal.as_deref()
    }

    /// The interface.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// From now on these ports are ours as well.
    ///
    /// # Errors
    /// When the kernel has no memory for them, or they are of more than 65,536 addresses.
    pub fn add(&mut self, ours: &LocalPorts) -> Result<(), XdpError> {
        let name = &self.interface.name;
        let refused = |source| XdpError::from_kernel(name, "add ports to the filter", source);
        self.filter.add(ours).map_err(refused)
    }

    /// Answers to pings with this identifier are ours from now on, or the kernel's again.
    pub(super) fn set_probe(&self, ident: u16, ours: bool) -> Result<(), XdpError> {
        let name = &self.interface.name;
        let refused = |source| XdpError::from_kernel(name, "let answers to pings through", source);
        self.filter.set_probe(ident, ours).map_err(refused)
    }

    /// Takes the filter away: our ports are the kernel's again. Nothing happens when somebody else
    /// has replaced it meanwhile.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach(mut self) -> Result<(), XdpError> {
        self.take_away()
    }

    fn attach_best(&mut self, leftover: Option<Mode>) -> Result<(), XdpError> {
        match self.attach(Mode::Native, leftover) {
            Err(XdpError::NotAttached { reason, .. }) => {
                self.native_refusal = Some(reason);
                // A leftover in native mode cannot be: the interface does not take one.
                self.attach(Mode::Generic, None)
            }
            result => result,
        }
    }

    fn attach(&mut self, mode: Mode, leftover: Option<Mode>) -> Result<(), XdpError> {
        let index = self.interface.index;
        let name = &self.interface.name;
        // The kernel replaces a program only by one of the same mode.
        if let Some(old) = leftover.filter(|old| *old != mode) {
            netlink::set(index, None, old.flags(), None).map_err(|source| {
                XdpError::from_kernel(name, "take away the old filter", source)
            })?;
        }
        let program = self.filter.program().as_raw_fd();
        netlink::set(index, Some(program), mode.flags(), None).map_err(|source| {
            match XdpError::from_kernel(name, "attach the filter", source) {
                XdpError::System { source, .. } => XdpError::NotAttached {
                    name: name.clone(),
                    mode: mode.name(),
                    reason: source.to_string(),
                },
                known => known,
            }
        })?;
        self.mode = mode;
        self.detached = false;
        Ok(())
    }

    fn take_away(&mut self) -> Result<(), XdpError> {
        if std::mem::replace(&mut self.detached, true) {
            return Ok(());
        }
        let program = self.filter.program().as_raw_fd();
        match netlink::set(self.interface.index, None, self.mode.flags(), Some(program)) {
            // `EEXIST`: another program is there by now; it is not ours to take away.
            Err(source) if netlink::error_number(&source) != Some(libc::EEXIST) => {
                let name = &self.interface.name;
                Err(XdpError::from_kernel(name, "take away the filter", source))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Who wants to know about a failure calls `detach`; what is left is found at the next
        // start.
        let _ = self.take_away();
    }
}

/// The XDP program of the interface with this name, if it has one.
///
/// # Errors
/// When there is no such interface.
pub fn attached(interface: &str) -> Result<Option<Attached>, XdpError> {
    on(&find(interface)?)
}

/// Takes our filter away from an interface by hand: after a server was killed, and is not to be
/// started again. True when there was one.
///
/// # Errors
/// When there is no such interface, the program on it is not ours, or the process lacks the rights.
pub fn detach(interface: &str) -> Result<bool, XdpError> {
    let interface = find(interface)?;
    let Some(attached) = on(&interface)? else { return Ok(false) };
    if !attached.ours {
        return Err(other_program(&interface, &attached));
    }
    netlink::set(interface.index, None, attached.mode.flags(), None)
        .map(|()| true)
        .map_err(|source| XdpError::from_kernel(&interface.name, "take away the filter", source))
}

/// Asks for an interface by name.
pub(super) fn find(name: &str) -> Result<Interface, XdpError> {
    Interface::named(name).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidInput => XdpError::NoSuchInterface { name: name.to_owned() },
        _ => XdpError::from_kernel(name, "ask about the interface", source),
    })
}

fn on(interface: &Interface) -> Result<Option<Attached>, XdpError> {
    let refused = |doing| move |source| XdpError::from_kernel(&interface.name, doing, source);
    let state = netlink::state(interface.index).map_err(refused("ask for its XDP program"))?;
    let mode = match state.attached {
        0 => return Ok(None),
        XDP_ATTACHED_SKB => Mode::Generic,
        _ => Mode::Native,
    };
    let program = bpf::program_name(state.program_id)
        .map_err(refused("ask for the name of its XDP program"))?;
    let ours = program == PROGRAM_NAME;
    Ok(Some(Attached { program, id: state.program_id, mode, ours }))
}

fn other_program(interface: &Interface, attached: &Attached) -> XdpError {
    XdpError::OtherProgram {
        name: interface.name.clone(),
        program: attached.program.clone(),
        id: attached.id,
    }
}

/// `linux/if_link.h`
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_ATTACHED_SKB: u8 = 2;
