//! Runs something in a process of its own where any system call is fatal.
//!
//! The kernel's strict mode of seccomp would also forbid the time-stamp counter, so this is a
//! filter: a few instructions that look at the call's number.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog};

/// True when `run` came to its end without a system call. It works on a copy of this process, as
/// fork makes it: what it changes is lost. With `clock`, the clock may be asked.
pub(crate) fn allows(clock: bool, run: impl FnOnce()) -> bool {
    // SAFETY: the child has this thread only; it runs `run`, which neither waits for other threads
    // nor allocates unless it is to fail, and ends without returning.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        be_silent(clock);
        // An unwinding panic would reach the test harness twice; its message is lost, its end not.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_ok();
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!ended)) };
    }
    let mut status = 0;
    // SAFETY: waits for the child above, and writes to `status` only.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child, "waitpid: {}", std::io::Error::last_os_error());
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        assert_eq!(signal, libc::SIGSYS, "the child died of something else than a system call");
    }
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

/// From here on, any system call but the process's end is its end. Ends the process when the
/// kernel has no such filters.
fn be_silent(clock: bool) {
    let let_through = |number: libc::c_long| {
        [jump_unless(number as u32), statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW)]
    };
    let clock_number = if clock { libc::SYS_clock_gettime } else { libc::SYS_exit_group };
    let mut filter = Vec::new();
    // The call's number is the first word of `seccomp_data`.
    filter.push(statement(BPF_LD | BPF_W | BPF_ABS, 0));
    filter.extend(let_through(libc::SYS_exit_group));
    filter.extend(let_through(clock_number));
    filter.push(statement(BPF_RET | BPF_K, libc::SECCOMP_RET_KILL_PROCESS));
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let filter_mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: no pointers.
    let no_new = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: a program of as many instructions as it says, alive over the call.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, filter_mode, &raw const program) };
    if no_new != 0 || set != 0 {
        // SAFETY: ends the process.
        unsafe { libc::_exit(2) };
    }
    // To free it could be a system call.
    std::mem::forget(filter);
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Skips one instruction unless the word loaded is `number`.
fn jump_unless(number: u32) -> sock_filter {
    sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt: 0, jf: 1, k: number }
}
