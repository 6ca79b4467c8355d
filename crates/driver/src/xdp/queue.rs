//! One receive queue of an interface, by its `AF_XDP` socket: bursts in and out.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crore_mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};

use super::socket::Socket;
use crate::chunks::Chunks;
use crate::wakeup::{Event, Waker};
use crate::{Capabilities, Counters};

/// A queue of an interface. One core owns it.
#[derive(Debug)]
pub struct Queue {
    /// Closed before the memory goes.
    socket: Socket,
    chunks: Chunks,
    event: Arc<Event>,
    capabilities: Capabilities,
    number: u32,
    zero_copy: bool,
    counters: Counters,
}

impl Queue {
    /// Takes a bound socket and gives the kernel all the frames it may receive into.
    pub(super) fn new(
        mut socket: Socket,
        chunks: Chunks,
        capabilities: Capabilities,
        number: u32,
    ) -> io::Result<Self> {
        for chunk in 0..chunks.frames() {
            let taken = socket.fill.push(chunks.address_of(chunk));
            assert!(taken, "the fill ring has room for each frame that is received into");
        }
        socket.fill.publish();
        let zero_copy = socket.is_zero_copy()?;
        let event = Arc::new(Event::new()?);
        let counters = Counters::default();
        Ok(Self { socket, chunks, event, capabilities, number, zero_copy, counters })
    }

    /// Adds up to `max` received frames to the burst; returns how many.
    pub fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        let max = max.min(RX_BURST_MAX - burst.len());
        let mut count = 0;
        while count < max {
            let Some(entry) = self.socket.rx.pop() else { break };
            let Some(place) = self.chunks.receive(entry.addr, entry.len) else {
                self.counters.rx_bad += 1;
                continue;
            };
            // SAFETY: `receive` checked that the place is in our memory and was the kernel's, and
            // it is the kernel's no more: nobody writes it until `rx_release`. The burst is not
            // full.
            unsafe { burst.push(place) };
            count += 1;
        }
        if count > 0 {
            self.socket.rx.release();
            self.counters.rx_frames += count as u64;
        } else if self.socket.fill.needs_wakeup() {
            self.counters.system_calls += 1;
            self.socket.kick_rx();
        }
        count
    }

    /// Gives the frames of a burst back to the kernel, to receive into them again.
    pub fn rx_release(&mut self, burst: &mut RxBurst) {
        if burst.is_empty() {
            return;
        }
        for place in burst.places() {
            let taken = self.socket.fill.push(self.chunks.release(place));
            debug_assert!(taken, "the fill ring has room for each frame that is received into");
        }
        burst.clear();
        self.socket.fill.publish();
    }

    /// Tops the burst's room up to `want` frames, or as near as there are free ones.
    pub fn tx_reserve(&mut self, burst: &mut TxBurst, want: usize) {
        let more = want.saturating_sub(burst.room()).min(burst.unreserved());
        if self.chunks.free() < more {
            self.reap();
        }
        for _ in 0..more {
            let Some(place) = self.chunks.lend() else { break };
            // SAFETY: the chunk was free and is now lent to this burst alone; regions begin zeroed,
            // so its bytes are initialised; `unreserved` bounded the count.
            unsafe { burst.reserve(place) };
        }
    }

    /// Sends the committed frames of the burst; returns how many.
    pub fn tx_burst(&mut self, burst: &mut TxBurst) -> usize {
        let count = burst.len();
        for place in burst.places() {
            let addr = self.chunks.send(place);
            let taken = self.socket.tx.push(libc::xdp_desc { addr, len: place.len, options: 0 });
            debug_assert!(taken, "the tx ring has room for each frame that is sent");
        }
        burst.take_back(count);
        if count > 0 {
            self.socket.tx.publish();
            self.counters.tx_frames += count as u64;
        }
        if count > 0 || self.socket.tx.pending() > 0 {
            self.kick();
        }
        count
    }

    /// Takes all room of a burst back, unsent: for the end of its life.
    pub fn tx_cancel(&mut self, burst: &mut TxBurst) {
        while burst.frame().is_some() {
            burst.commit(0);
        }
        for place in burst.places() {
            self.chunks.take_back(place);
        }
        burst.take_back(burst.len());
    }

    /// Sleeps until a frame may have come, the waker was used, or the timeout has passed.
    pub fn wait(&mut self, timeout: Duration) {
        let mut timeout = timeout;
        if self.socket.tx.pending() > 0 {
            self.kick();
            // No event tells that an interface which was busy takes frames again.
            timeout = timeout.min(RETRY_INTERVAL);
        }
        if self.socket.rx.has_more() {
            return;
        }
        self.counters.system_calls += 1;
        self.event.wait(Some(self.socket.as_fd()), timeout);
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker::new(&self.event)
    }

    /// What the interface is and can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The kernel's counters of this queue's socket.
    ///
    /// # Errors
    /// When the kernel has none.
    pub fn kernel_counters(&self) -> io::Result<KernelCounters> {
        let statistics = self.socket.statistics()?;
        Ok(KernelCounters {
            rx_dropped: statistics.rx_dropped,
            rx_ring_full: statistics.rx_ring_full,
            rx_no_frame: statistics.rx_fill_ring_empty_descs,
            rx_bad: statistics.rx_invalid_descs,
            tx_bad: statistics.tx_invalid_descs,
        })
    }

    /// The queue's number on its interface.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The interface's driver reads and writes our frames itself; else the kernel copies each one.
    pub fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Bytes of memory that the frames take.
    pub fn memory_bytes(&self) -> usize {
        self.chunks.memory_bytes()
    }

    /// Makes the kernel send what is in the tx ring, where it does not do so by itself.
    ///
    /// In copy mode a call sends a batch (32 frames in most kernels) and says `EAGAIN` when there
    /// is more. What the interface has no room for now stays in the ring for the next call.
    fn kick(&mut self) {
        let mut pending = self.socket.tx.pending();
        while pending > 0 && self.socket.tx.needs_wakeup() {
            self.counters.system_calls += 1;
            match self.socket.kick_tx() {
                Ok(()) => break,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::EINTR) => {}
                    Some(libc::EBUSY | libc::ENOBUFS) => {
                        self.counters.tx_busy += 1;
                        break;
                    }
                    // The interface is down or gone.
                    _ => {
                        self.counters.tx_errors += 1;
                        break;
                    }
                },
            }
            let now = self.socket.tx.pending();
            if now == pending {
                self.counters.tx_busy += 1;
                break;
            }
            pending = now;
        }
    }

    /// Takes back the chunks of frames that were sent.
    fn reap(&mut self) {
        while let Some(address) = self.socket.completion.pop() {
            if !self.chunks.complete(address) {
                self.counters.tx_bad += 1;
            }
        }
        self.socket.completion.release();
    }
}

/// What the kernel counted at one socket since it was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Frames for us dropped for other reasons than those below.
    pub rx_dropped: u64,
    /// Frames for us dropped because we did not take them in time.
    pub rx_ring_full: u64,
    /// Times when the kernel had no frame to receive into.
    pub rx_no_frame: u64,
    /// Places we gave that the kernel refused to receive into: a fault of this driver.
    pub rx_bad: u64,
    /// Places we gave that the kernel refused to send from: a fault of this driver.
    pub tx_bad: u64,
}

/// How long to wait before an interface that had no room is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);
