//! `IFACE[:QUEUES][,OPTION=VALUE...]`: an interface and how to use it.

use core::str::FromStr;
use crore::driver::xdp::ZeroCopy;

/// What stands behind `xdp:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct XdpArg {
    pub(crate) interface: String,
    pub(crate) queues: Option<u32>,
    pub(crate) zero_copy: ZeroCopy,
    pub(crate) busy_poll: Option<u16>,
    pub(crate) frame_room: Option<u32>,
}

impl XdpArg {
    /// All queues of an interface, used in the best way.
    fn of(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            queues: None,
            zero_copy: ZeroCopy::Best,
            busy_poll: None,
            frame_room: None,
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let number = || format!("{option}={value}: not a number that this option takes");
        match (option, value) {
            ("zero-copy", "yes") => self.zero_copy = ZeroCopy::Only,
            ("zero-copy", "no") => self.zero_copy = ZeroCopy::Never,
            ("zero-copy", _) => return Err(format!("zero-copy={value}: it is yes or no")),
            ("busy-poll", _) => {
                let budget = value.parse().ok().filter(|budget| (1..=1024).contains(budget));
                self.busy_poll = Some(budget.ok_or_else(number)?);
            }
            ("frame-room", _) => self.frame_room = Some(value.parse().map_err(|_| number())?),
            _ => {
                let known = "zero-copy=yes|no, busy-poll=FRAMES and frame-room=BYTES";
                return Err(format!("an xdp link has no option `{option}`; it has {known}"));
            }
        }
        Ok(())
    }
}

impl FromStr for XdpArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let (interface, queues) = match name.rsplit_once(':') {
            Some((interface, queues)) => {
                let queues = queues.parse().ok().filter(|&queues: &u32| queues > 0);
                (interface, Some(queues.ok_or("the number of queues is at least 1")?))
            }
            None => (name, None),
        };
        if interface.is_empty() {
            return Err("which interface? like xdp:eth0".to_owned());
        }
        let mut arg = Self { queues, ..Self::of(interface) };
        for part in parts {
            let (option, value) = part.split_once('=').unwrap_or((part, ""));
            arg.set(option, value)?;
        }
        Ok(arg)
    }
}
