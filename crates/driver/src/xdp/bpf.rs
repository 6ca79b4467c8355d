//! The few calls of bpf(2) that the filter needs, each with its part of `union bpf_attr`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::asm::Instruction;

/// The kinds of maps used here (`enum bpf_map_type`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum MapKind {
    Hash = 1,
    Array = 2,
    /// A hash table whose longest unused entries give way.
    Recent = 9,
    Sockets = 17,
}

/// Creates a map.
pub(super) fn map_create(
    kind: MapKind,
    name: &str,
    (key_bytes, value_bytes): (u32, u32),
    entries_max: u32,
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        kind: u32,
        key_bytes: u32,
        value_bytes: u32,
        entries_max: u32,
        flags: u32,
        inner_map: u32,
        numa_node: u32,
        name: [u8; 16],
    }
    let flags = if matches!(kind, MapKind::Hash) { BPF_F_NO_PREALLOC } else { 0 };
    let mut attr = Attr {
        kind: kind as u32,
        key_bytes,
        value_bytes,
        entries_max,
        flags,
        inner_map: 0,
        numa_node: 0,
        name: object_name(name),
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf_fd(BPF_MAP_CREATE, &mut attr) }
}

/// Sets the value of one key. The lengths must be those that the map was created with.
pub(super) fn map_update(map: &OwnedFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = Element::of(map, key, value.as_ptr() as u64);
    // SAFETY: key and value are readable over the call, and as long as the map's (by contract).
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// The value of one key of a map whose values have eight bytes.
pub(super) fn map_look_up_u64(map: &OwnedFd, key: &[u8]) -> io::Result<u64> {
    let mut value = 0u64;
    let mut attr = Element::of(map, key, (&raw mut value) as u64);
    // SAFETY: the key is readable and the value writable over the call, as long as the map's (by
    // contract).
    unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) }.map(|_| value)
}

/// One key of a map, and where its value is.
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Element {
    fn of(map: &OwnedFd, key: &[u8], value: u64) -> Self {
        let map = map.as_raw_fd() as u32;
        Self { map, padding: 0, key: key.as_ptr() as u64, value, flags: 0 }
    }
}

/// Loads an XDP program. An error from the verifier comes with its whole text.
pub(super) fn program_load(name: &str, code: &[Instruction]) -> io::Result<OwnedFd> {
    match program_load_logged(name, code, &mut []) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => {
            let mut log = vec![0u8; 1 << 20];
            program_load_logged(name, code, &mut log).map_err(|error| {
                let text = String::from_utf8_lossy(&log);
                io::Error::new(error.kind(), format!("{error}: {}", text.trim_end_matches('\0')))
            })
        }
        result => result,
    }
}

fn program_load_logged(name: &str, code: &[Instruction], log: &mut [u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        kind: u32,
        instructions: u32,
        code: u64,
        license: u64,
        log_level: u32,
        log_bytes: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        attach_kind: u32,
    }
    let mut attr = Attr {
        kind: BPF_PROG_TYPE_XDP,
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_bytes: log.len() as u32,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kernel_version: 0,
        flags: 0,
        name: object_name(name),
        interface: 0,
        attach_kind: BPF_XDP,
    };
    // SAFETY: code and licence are readable, the log writable, for the lengths stated.
    unsafe { bpf_fd(BPF_PROG_LOAD, &mut attr) }
}

/// The name of the loaded program with this number, as it was given when it was loaded.
pub(super) fn program_name(id: u32) -> io::Result<String> {
    #[repr(C)]
    struct ById {
        id: u32,
        next: u32,
        flags: u32,
    }
    /// The first 80 bytes of `struct bpf_prog_info`: up to the name.
    #[repr(C)]
    struct Info {
        before: [u8; 64],
        name: [u8; 16],
    }
    #[repr(C)]
    struct InfoOf {
        program: u32,
        bytes: u32,
        info: u64,
    }
    // SAFETY: the attributes hold no pointers.
    let program = unsafe { bpf_fd(BPF_PROG_GET_FD_BY_ID, &mut ById { id, next: 0, flags: 0 }) }?;
    let mut info = Info { before: [0; 64], name: [0; 16] };
    let mut attr = InfoOf {
        program: program.as_raw_fd() as u32,
        bytes: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `info` is writable for the bytes stated. All zeroes asks for no further buffers.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let len = info.name.iter().position(|&byte| byte == 0).unwrap_or(info.name.len());
    Ok(String::from_utf8_lossy(&info.name[..len]).into_owned())
}

/// Runs a program on one frame and returns its verdict (`BPF_PROG_TEST_RUN`).
#[cfg(test)]
pub(super) fn program_run(program: &OwnedFd, frame: &[u8]) -> io::Result<u32> {
    #[repr(C)]
    #[derive(Default)]
    struct Attr {
        program: u32,
        verdict: u32,
        bytes_in: u32,
        bytes_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
    }
    let mut attr = Attr {
        program: program.as_raw_fd() as u32,
        bytes_in: frame.len() as u32,
        data_in: frame.as_ptr() as u64,
        repeat: 1,
        ..Attr::default()
    };
    // SAFETY: the frame is readable for the bytes stated; no output buffer is given.
    unsafe { bpf(BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.verdict)
}

/// A call that answers with a new descriptor.
///
/// # Safety
/// As for [`bpf`].
unsafe fn bpf_fd<T>(command: libc::c_long, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: passed on to the caller.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the caller chose a command whose answer is a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// # Safety
/// `attr` is laid out as the command's part of `union bpf_attr`, and its pointers are good for the
/// lengths it states.
unsafe fn bpf<T>(command: libc::c_long, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the size passed is that of `attr`; the rest is the caller's promise.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// At most 15 characters and a zero.
fn object_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    assert!(name.len() < bytes.len());
    bytes
}

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
#[cfg(test)]
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const BPF_F_NO_PREALLOC: u32 = 1;
