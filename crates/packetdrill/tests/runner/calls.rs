//! Socket calls: made as the script writes them, their results compared.

use super::library::{Answer, Library};
use super::names::{errno_name, number, number_of};
use super::script::{Call, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What calls need to know.
#[derive(Clone)]
pub(crate) struct Setting {
    /// The script's descriptors and ours.
    pub(crate) fds: BTreeMap<i64, i32>,
    /// What `...` is for `bind` and `connect`.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// Makes the call. Some return a new descriptor; an error says what came out differently.
pub(crate) fn make(
    library: &Library,
    call: &Call,
    setting: &Setting,
) -> Result<Option<i32>, String> {
    let made = Made { library, call, setting };
    match call.name.as_str() {
        "socket" | "accept" | "epoll_create" => made.new_descriptor(),
        "read" | "recv" | "readv" | "write" | "writev" | "send" | "sendto" => made.transfer(),
        "setsockopt" | "getsockopt" | "ioctl" | "fcntl" => made.setting_of_socket(),
        "poll" | "epoll_ctl" | "epoll_wait" => made.waiting(),
        "bind" | "listen" | "connect" | "shutdown" | "close" => made.simple(),
        _ => Err(format!("{} is not known here", call.name)),
    }
}

struct Made<'a> {
    library: &'a Library,
    call: &'a Call,
    setting: &'a Setting,
}

impl Made<'_> {
    fn argument(&self, at: usize) -> Result<&Value, String> {
        self.call.arguments.get(at).ok_or_else(|| format!("argument {} is missing", at + 1))
    }

    fn number(&self, at: usize) -> Result<i64, String> {
        let value = self.argument(at)?;
        number(value).ok_or_else(|| format!("argument {} is no number: {value:?}", at + 1))
    }

    fn fd(&self, at: usize) -> Result<i32, String> {
        Ok(self.setting.fds.get(&self.number(at)?).copied().unwrap_or(-1))
    }

    fn len(&self, at: usize) -> Result<usize, String> {
        usize::try_from(self.number(at)?).map_err(|_| format!("argument {} is below 0", at + 1))
    }

    /// The result is the script's.
    fn expect(&self, (result, errno): Answer) -> Result<Option<i32>, String> {
        let wanted = match &self.call.errno {
            Some(name) => format!("-1 {name}"),
            None => self.call.result.to_string(),
        };
        let found =
            if result == -1 { format!("-1 {}", errno_name(errno)) } else { result.to_string() };
        if found == wanted {
            Ok(None)
        } else {
            Err(format!("{} = {found}, not {wanted}", self.call.name))
        }
    }

    fn new_descriptor(&self) -> Result<Option<i32>, String> {
        let answer = match self.call.name.as_str() {
            "socket" => {
                let domain = match (self.argument(0)?, self.setting.local) {
                    (Value::Any, SocketAddr::V4(_)) => libc::AF_INET,
                    (Value::Any, SocketAddr::V6(_)) => libc::AF_INET6,
                    _ => self.number(0)? as i32,
                };
                self.library.socket(domain, self.number(1)? as i32, self.number(2)? as i32)
            }
            "accept" => self.library.accept(self.fd(0)?),
            _ => self.library.epoll_create(self.number(0)? as i32),
        };
        if self.call.result >= 0 && answer.0 >= 0 {
            return Ok(Some(answer.0 as i32));
        }
        self.expect(answer)
    }

    fn simple(&self) -> Result<Option<i32>, String> {
        let (library, fd) = (self.library, self.fd(0)?);
        self.expect(match self.call.name.as_str() {
            "bind" => library.bind(fd, self.setting.local),
            "connect" => library.connect(fd, self.setting.remote),
            "listen" => library.listen(fd, self.number(1)? as i32),
            "shutdown" => library.shutdown(fd, self.number(1)? as i32),
            _ => library.close(fd),
        })
    }

    fn transfer(&self) -> Result<Option<i32>, String> {
        let (library, fd) = (self.library, self.fd(0)?);
        let flags = |at: usize| self.number(at).map(|flags| flags as i32);
        self.expect(match self.call.name.as_str() {
            "read" => library.read(fd, self.len(2)?),
            "recv" => library.recv(fd, self.len(2)?, flags(3)?),
            "readv" => library.readv(fd, &self.part_lens()?),
            "write" => library.write(fd, &self.octets()?),
            "writev" => library.writev(fd, &self.part_lens()?),
            "send" => library.send(fd, &self.octets()?, flags(3)?),
            _ => library.sendto(fd, &self.octets()?, flags(3)?, self.setting.remote),
        })
    }

    /// What is written: zeros, or the text.
    fn octets(&self) -> Result<Vec<u8>, String> {
        let mut octets = match self.argument(1)? {
            Value::Text(text) => text.as_bytes().to_vec(),
            _ => Vec::new(),
        };
        octets.resize(self.len(2)?, 0);
        Ok(octets)
    }

    /// `[{..., 100}, {..., 200}]`
    fn part_lens(&self) -> Result<Vec<usize>, String> {
        let Value::List(parts) = self.argument(1)? else { return Err("no list".to_string()) };
        let len = |part: &Value| match part {
            Value::Fields(fields) => fields.get(1).and_then(|field| number(&field.1)),
            _ => None,
        };
        let lens: Option<Vec<_>> = parts.iter().map(|part| Some(len(part)? as usize)).collect();
        lens.ok_or_else(|| "a part without a length".to_string())
    }

    fn setting_of_socket(&self) -> Result<Option<i32>, String> {
        let (library, fd) = (self.library, self.fd(0)?);
        match self.call.name.as_str() {
            "fcntl" => {
                let value = if self.call.arguments.len() > 2 { self.number(2)? } else { 0 };
                self.expect(library.fcntl(fd, self.number(1)? as i32, value))
            }
            "ioctl" => {
                let (answer, found) = library.ioctl(fd, self.number(1)? as u64);
                self.expect(answer)?;
                self.same_value(&found.to_ne_bytes(), &self.value(2)?)
            }
            "setsockopt" => {
                let (level, name) = (self.number(1)? as i32, self.number(2)? as i32);
                self.expect(library.setsockopt(fd, level, name, &self.value(3)?))
            }
            _ => {
                let (level, name) = (self.number(1)? as i32, self.number(2)? as i32);
                let wanted = self.value(3)?;
                let mut found = vec![0; wanted.len().max(16)];
                let (answer, len) = library.getsockopt(fd, level, name, &mut found);
                self.expect(answer)?;
                if self.call.result < 0 {
                    return Ok(None);
                }
                found.truncate(len.min(wanted.len()));
                self.same_value(&found, &wanted)
            }
        }
    }

    fn same_value(&self, found: &[u8], wanted: &[u8]) -> Result<Option<i32>, String> {
        let number = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).map(i32::from_ne_bytes);
        match (number(found), number(wanted)) {
            _ if found == wanted => Ok(None),
            (Ok(found), Ok(wanted)) => {
                Err(format!("{} finds {found}, not {wanted}", self.call.name))
            }
            _ => Err(format!("{} finds {found:?}, not {wanted:?}", self.call.name)),
        }
    }

    /// An option's value: a number, a name, or the two numbers of a linger.
    fn value(&self, at: usize) -> Result<Vec<u8>, String> {
        let bytes = |value: &Value| Some((number(value)? as i32).to_ne_bytes().to_vec());
        let found = match self.argument(at)? {
            Value::List(values) if values.len() == 1 => bytes(&values[0]),
            Value::Text(text) => Some(text.as_bytes().to_vec()),
            Value::Fields(fields) => {
                let all: Option<Vec<_>> = fields.iter().map(|field| bytes(&field.1)).collect();
                all.map(|all| all.concat())
            }
            other => bytes(other),
        };
        found.ok_or_else(|| format!("argument {} is no value", at + 1))
    }

    fn waiting(&self) -> Result<Option<i32>, String> {
        match self.call.name.as_str() {
            "poll" => self.poll(),
            "epoll_ctl" => {
                let event = event_of(self.argument(3)?)?;
                let (what, fd) = (self.number(1)? as i32, self.fd(2)?);
                self.expect(self.library.epoll_ctl(self.fd(0)?, what, fd, event))
            }
            _ => {
                let (max, timeout) = (self.len(2)?, self.number(3)? as i32);
                let (answer, found) = self.library.epoll_wait(self.fd(0)?, max, timeout);
                self.expect(answer)?;
                let wanted = match self.argument(1)? {
                    Value::List(events) => events.iter().map(event_of).collect(),
                    one => event_of(one).map(|event| vec![event]),
                }?;
                if found == wanted[..found.len().min(wanted.len())] {
                    Ok(None)
                } else {
                    Err(format!("epoll_wait finds {found:x?}, not {wanted:x?}"))
                }
            }
        }
    }

    fn poll(&self) -> Result<Option<i32>, String> {
        let Value::List(list) = self.argument(0)? else { return Err("no list".to_string()) };
        let (mut asked, mut wanted) = (Vec::new(), Vec::new());
        for one in list {
            let fd = field(one, "fd").ok_or("no descriptor")?;
            let events = field(one, "events").ok_or("no events")?;
            asked.push((self.setting.fds.get(&fd).copied().unwrap_or(-1), events as i16));
            wanted.push(field(one, "revents").unwrap_or(0) as i16);
        }
        self.expect(self.library.poll(&mut asked, self.number(2)? as i32))?;
        let found: Vec<_> = asked.iter().map(|one| one.1).collect();
        if found == wanted {
            Ok(None)
        } else {
            Err(format!("poll finds {found:x?}, not {wanted:x?}"))
        }
    }
}

fn field(value: &Value, name: &str) -> Option<i64> {
    let Value::Fields(fields) = value else { return None };
    let found = fields.iter().find(|(known, _)| known == name)?;
    number(&found.1).or_else(|| number_of(name))
}

/// `{events=EPOLLIN, fd=4}`: the events and what comes back with them.
fn event_of(value: &Value) -> Result<(u32, u64), String> {
    let data = ["fd", "ptr", "u32", "u64"].iter().find_map(|name| field(value, name));
    let events = field(value, "events").ok_or("no events")?;
    Ok((events as u32, data.unwrap_or(0) as u64))
}
