//! A thread's place on the machine, and what the system does to it.

use std::io;

/// Binds the calling thread to one processor.
///
/// # Errors
/// When the processor does not exist, or is not among those that this process may use.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    // SAFETY: an all-zero set is a valid, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `cpu` is below the set's size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is read, for the length given.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The processors that this process may use, in order.
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: an all-zero set is a valid, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is written, at most for the length given.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if result != 0 {
        return vec![0];
    }
    // SAFETY: every index is below the set's size.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// How often the system set the calling thread aside although it had work.
pub(crate) fn set_aside() -> u64 {
    // SAFETY: an all-zero value is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the value is written.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    if result == 0 { usage.ru_nivcsw as u64 } else { 0 }
}

/// The system's number of the calling thread.
pub(crate) fn thread_id() -> u64 {
    // SAFETY: it has no arguments and always succeeds.
    unsafe { libc::gettid() as u64 }
}
