//! The echo server on `io_uring`: accept and receive are asked for once and go on by themselves;
//! what comes is put into buffers that we lend the kernel; all is submitted and awaited in one
//! call.

use crate::shared::Orders;
use crate::{KernelError, tried};
use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::Socket;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// Serves this listener's connections until the server is to stop.
pub(crate) fn serve(listener: &Socket, orders: &Orders) -> Result<(), KernelError> {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun();
    let ring = tried("io_uring", builder.setup_cqsize(COMPLETIONS).build(SUBMISSIONS))?;
    // Dropped after the ring: the kernel writes to the buffers until then.
    let mut server = Server { ring, buffers: Buffers::new(), conns: Vec::new() };
    server.buffers.register(&server.ring)?;
    let fd = listener.as_raw_fd();
    server
        .submit(&opcode::AcceptMulti::new(Fd(fd)).build(), Token { kind: ACCEPT, buffer: 0, fd })?;
    while !orders.is_server_stopped() {
        server.wait()?;
        server.take_completions(fd)?;
    }
    Ok(())
}

/// Fields are dropped in this order.
struct Server {
    ring: IoUring,
    buffers: Buffers,
    conns: Vec<Option<OwnedFd>>,
}

impl Server {
    /// Submits what was asked for and waits for news, for some time.
    fn wait(&mut self) -> Result<(), KernelError> {
        let timeout = Timespec::new().nsec(50_000_000);
        let until = SubmitArgs::new().timespec(&timeout);
        match self.ring.submitter().submit_with_args(1, &until) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY) => Ok(()),
                _ => tried("io_uring_enter", Err(error)),
            },
        }
    }

    fn take_completions(&mut self, listener: RawFd) -> Result<(), KernelError> {
        let mut room = [const { MaybeUninit::uninit() }; COMPLETIONS_AT_ONCE];
        loop {
            let entries = self.ring.completion().fill(&mut room);
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                self.take(entry, listener)?;
            }
        }
    }

    fn take(&mut self, entry: &cqueue::Entry, listener: RawFd) -> Result<(), KernelError> {
        let (token, result, flags) = (Token::of(entry.user_data()), entry.result(), entry.flags());
        match token.kind {
            ACCEPT => {
                if result >= 0 {
                    self.accepted(result)?;
                }
                if !cqueue::more(flags) {
                    self.submit(&opcode::AcceptMulti::new(Fd(listener)).build(), token)?;
                }
            }
            RECEIVE => self.received(token.fd, result, flags)?,
            _ => self.buffers.give_back(token.buffer),
        }
        Ok(())
    }

    fn accepted(&mut self, fd: RawFd) -> Result<(), KernelError> {
        // SAFETY: the kernel made it for us just now, and nobody else has it.
        let conn = unsafe { OwnedFd::from_raw_fd(fd) };
        let at = fd as usize;
        if self.conns.len() <= at {
            self.conns.resize_with(at + 1, || None);
        }
        self.conns[at] = Some(conn);
        self.receive(fd)
    }

    fn receive(&mut self, fd: RawFd) -> Result<(), KernelError> {
        let entry = opcode::RecvMulti::new(Fd(fd), GROUP).build();
        self.submit(&entry, Token { kind: RECEIVE, buffer: 0, fd })
    }

    fn received(&mut self, fd: RawFd, result: i32, flags: u32) -> Result<(), KernelError> {
        if result == -libc::ENOBUFS {
            // All buffers are on their way out; it goes on when some are back.
            return self.receive(fd);
        }
        let Some(buffer) = cqueue::buffer_select(flags).filter(|_| result > 0) else {
            self.conns[fd as usize] = None;
            return Ok(());
        };
        let (start, len) = (self.buffers.start(buffer), result as u32);
        let entry = opcode::Send::new(Fd(fd), start, len).flags(libc::MSG_NOSIGNAL).build();
        self.submit(&entry, Token { kind: SEND, buffer, fd })?;
        if cqueue::more(flags) { Ok(()) } else { self.receive(fd) }
    }

    fn submit(&mut self, entry: &squeue::Entry, token: Token) -> Result<(), KernelError> {
        let entry = entry.clone().user_data(token.bits());
        loop {
            // SAFETY: what the entry points to is a buffer of ours, which lives until after the
            // ring, and is not used otherwise until the completion.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            tried("io_uring_enter", self.ring.submit())?;
        }
    }
}

/// What a completion is for.
#[derive(Clone, Copy)]
struct Token {
    kind: u8,
    buffer: u16,
    fd: RawFd,
}

impl Token {
    fn bits(self) -> u64 {
        u64::from(self.kind) << 48 | u64::from(self.buffer) << 32 | u64::from(self.fd as u32)
    }

    fn of(bits: u64) -> Self {
        Self { kind: (bits >> 48) as u8, buffer: (bits >> 32) as u16, fd: bits as u32 as RawFd }
    }
}

/// Buffers that the kernel takes from a ring when something comes.
struct Buffers {
    /// The ring's entries, a page's start; then the buffers.
    memory: NonNull<u8>,
    tail: u16,
}

impl Buffers {
    fn new() -> Self {
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc_zeroed(LAYOUT) };
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(LAYOUT) };
        Self { memory, tail: 0 }
    }

    fn register(&mut self, ring: &IoUring) -> Result<(), KernelError> {
        let start = self.memory.as_ptr().expose_provenance() as u64;
        // SAFETY: the entries are at the start of the memory, as many as said, on a page's start,
        // and live until after the ring.
        let result =
            unsafe { ring.submitter().register_buf_ring_with_flags(start, COUNT, GROUP, 0) };
        tried("a ring of buffers", result)?;
        (0..COUNT).for_each(|buffer| self.give_back(buffer));
        Ok(())
    }

    fn start(&self, buffer: u16) -> *mut u8 {
        assert!(buffer < COUNT);
        // SAFETY: inside the memory, which has room for all buffers after the entries.
        unsafe { self.memory.add(ENTRIES_BYTES + usize::from(buffer) * BUFFER_BYTES) }.as_ptr()
    }

    /// Lends a buffer to the kernel (again).
    fn give_back(&mut self, buffer: u16) {
        let address = self.start(buffer).expose_provenance() as u64;
        let entries = self.memory.cast::<BufRingEntry>();
        let at = usize::from(self.tail % COUNT);
        // SAFETY: inside the entries. The kernel reads this one only after the tail has passed it.
        let entry = unsafe { entries.add(at).as_mut() };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the first entry, initialised, of a registered ring.
        let tail = unsafe { BufRingEntry::tail(entries.as_ptr()) };
        // SAFETY: the tail is two aligned bytes in our memory, which the kernel reads only.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: the entry comes before the kernel's sight of it.
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: from the allocator, with this layout; the ring is gone.
        unsafe { dealloc(self.memory.as_ptr(), LAYOUT) };
    }
}

const ACCEPT: u8 = 0;
const RECEIVE: u8 = 1;
const SEND: u8 = 2;

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;
const COMPLETIONS_AT_ONCE: usize = 64;
const GROUP: u16 = 0;

/// Buffers, a power of two.
const COUNT: u16 = 2048;
const BUFFER_BYTES: usize = 256;
const ENTRIES_BYTES: usize = COUNT as usize * size_of::<BufRingEntry>();
const LAYOUT: Layout =
    match Layout::from_size_align(ENTRIES_BYTES + COUNT as usize * BUFFER_BYTES, 4096) {
        Ok(layout) => layout,
        Err(_) => panic!("a layout"),
    };
