//! Memory that a peer can take from under us, without harm: whoever touches a page that its file
//! does not have any more gets `SIGBUS`, and would die of it.
//!
//! The first region sets a handler for that signal. A fault inside a region puts private zeroes in
//! place of the whole region, and marks it; the link's next look at it ends the connection. Faults
//! elsewhere go to whoever handled them before. The handler takes no lock and allocates nothing:
//! regions are nodes of a list that only grows, and are used again.

use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use crate::wakeup::Event;

/// The process's handler.
#[derive(Debug)]
pub(super) struct Guard;

/// Addresses that are watched, as long as this lives.
#[derive(Debug)]
pub(super) struct Watched {
    node: &'static Node,
    /// Signalled by the handler.
    _event: Arc<Event>,
}

/// A range of addresses. Never freed: there are as many as there ever were regions at a time.
#[derive(Debug)]
struct Node {
    is_used: AtomicBool,
    start: AtomicUsize,
    bytes: AtomicUsize,
    /// The descriptor of an event.
    event: AtomicI32,
    is_gone: AtomicBool,
    next: AtomicPtr<Node>,
}

impl Guard {
    /// Watches a mapping, and signals the event when it is gone. It must be unmapped after this is
    /// dropped, not before.
    pub(super) fn watch(start: *mut u8, bytes: usize, event: &Arc<Event>) -> Watched {
        SET.call_once(take_signal);
        let node = free_node().unwrap_or_else(new_node);
        node.is_gone.store(false, Ordering::Relaxed);
        node.event.store(event.as_fd().as_raw_fd(), Ordering::Relaxed);
        node.start.store(start.expose_provenance(), Ordering::Relaxed);
        // Release: the handler that sees this size sees this start.
        node.bytes.store(bytes, Ordering::Release);
        Watched { node, _event: Arc::clone(event) }
    }
}

impl Watched {
    /// True when something in it was touched that is not there any more.
    pub(super) fn is_gone(&self) -> bool {
        self.node.is_gone.load(Ordering::Relaxed)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.node.bytes.store(0, Ordering::Release);
        self.node.is_used.store(false, Ordering::Release);
    }
}

fn nodes() -> impl Iterator<Item = &'static Node> {
    // SAFETY: nodes are never freed, and are whole before they are in the list.
    let at = |place: &AtomicPtr<Node>| unsafe { place.load(Ordering::Acquire).as_ref() };
    std::iter::successors(at(&FIRST), move |node| at(&node.next))
}

fn free_node() -> Option<&'static Node> {
    let take = |node: &&Node| {
        let (was, is) = (Ordering::Acquire, Ordering::Relaxed);
        node.is_used.compare_exchange(false, true, was, is).is_ok()
    };
    nodes().find(take)
}

fn new_node() -> &'static Node {
    let node: &'static Node = Box::leak(Box::new(Node {
        is_used: AtomicBool::new(true),
        start: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        event: AtomicI32::new(-1),
        is_gone: AtomicBool::new(false),
        next: AtomicPtr::new(null_mut()),
    }));
    let place = from_ref(node).cast_mut();
    let mut first = FIRST.load(Ordering::Relaxed);
    loop {
        node.next.store(first, Ordering::Relaxed);
        match FIRST.compare_exchange_weak(first, place, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return node,
            Err(now) => first = now,
        }
    }
}

fn take_signal() {
    let mut old = MaybeUninit::uninit();
    let handler: extern "C" fn(_, _, _) = on_fault;
    // SAFETY: a plain C structure, for which all zeroes is a value; the handler is of the kind that
    // `SA_SIGINFO` says, and calls nothing that a handler may not.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        if libc::sigaction(libc::SIGBUS, &raw const action, old.as_mut_ptr()) == 0 {
            // Leaked: a handler may be running whenever this would be freed.
            OLD.store(Box::leak(Box::new(old.assume_init())), Ordering::Release);
        }
    }
}

extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel gives a handler set with `SA_SIGINFO` these; `SIGBUS` has an address.
    let address = unsafe { (*info).si_addr() }.addr();
    let hit = nodes().find(|node| {
        let bytes = node.bytes.load(Ordering::Acquire);
        address.wrapping_sub(node.start.load(Ordering::Relaxed)) < bytes
    });
    match hit {
        Some(node) if replace(node) => {
            node.is_gone.store(true, Ordering::Relaxed);
            let (event, one) = (node.event.load(Ordering::Relaxed), 1u64.to_ne_bytes());
            // SAFETY: eight readable bytes; whoever touched the region keeps its event open.
            let _ = unsafe { libc::write(event, one.as_ptr().cast(), one.len()) };
        }
        _ => pass_on(signal, info, context),
    }
}

/// Puts zeroes in place of a region. False when the system has no memory for that.
fn replace(node: &Node) -> bool {
    let start = std::ptr::with_exposed_provenance_mut(node.start.load(Ordering::Relaxed));
    let bytes = node.bytes.load(Ordering::Acquire);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: whoever touched the region has it mapped, so the range is ours alone; the new mapping
    // has the same addresses and can be read and written as the old one could.
    let at = unsafe { libc::mmap(start, bytes, protection, flags, -1, 0) };
    at != libc::MAP_FAILED
}

/// What would have happened without us.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what was stored is never freed.
    let old = unsafe { OLD.load(Ordering::Acquire).as_ref() };
    let action = old.map_or(libc::SIG_DFL, |old| old.sa_sigaction);
    let takes_info = old.is_some_and(|old| old.sa_flags & libc::SA_SIGINFO != 0);
    // SAFETY: the old handler is of the kind that its flags say, and gets what the kernel gave us.
    // Without one, the default comes when the fault is met again.
    unsafe {
        match action {
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::signal(signal, libc::SIG_DFL);
            }
            old if takes_info => {
                let old: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(old);
                old(signal, info, context);
            }
            old => {
                let old: extern "C" fn(libc::c_int) = std::mem::transmute(old);
                old(signal);
            }
        }
    }
}

static SET: Once = Once::new();
static FIRST: AtomicPtr<Node> = AtomicPtr::new(null_mut());
static OLD: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());

#[cfg(test)]
mod tests;
