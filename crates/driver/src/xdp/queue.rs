//! One receive queue of an interface, by its `AF_XDP` socket: bursts in and out.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crore_mem::frames::{FramePlace, RX_BURST_MAX, RxBurst, TxBurst};

use super::filter::Queues;
use super::joined::Joined;
use super::path::{Path, PathView};
use super::run::Run;
use super::socket::{Bind, Socket};
use super::watch::{Sight, Watch};
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
    place: Place,
    /// The way out for runs of segments, where frames are copied.
    joined: Option<Joined>,
    path: PathView,
    /// Until the path is proven.
    watch: Option<Box<Watch>>,
    /// Frames that came before the queue was in use.
    early: u64,
    counters: Counters,
}

/// Which queue it is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The kernel's number of the interface.
    pub(super) interface: u32,
    /// The queue's number on it.
    pub(super) queue: u32,
    /// Where the filter looks up the queue's socket.
    pub(super) queues: Arc<Queues>,
    /// What is handed to the interface at any of its queues goes out in the order of the calls.
    pub(super) in_order: bool,
    /// How many frames the interface's work may take inside one of our calls, if it is done there.
    pub(super) busy_poll: Option<u16>,
}

impl Place {
    /// A socket over this memory, on this queue.
    ///
    /// # Safety
    /// As for [`Socket::open`].
    pub(super) unsafe fn socket(&self, chunks: &Chunks) -> io::Result<Socket> {
        // SAFETY: passed on to the caller.
        let socket = unsafe { Socket::open(chunks) }?;
        if let Some(budget) = self.busy_poll {
            socket.busy_poll(budget)?;
        }
        Ok(socket)
    }
}

impl Queue {
    /// A bound socket, with the memory that it was made over. Its path is not settled yet.
    pub(super) fn new(
        socket: Socket,
        chunks: Chunks,
        place: Place,
        capabilities: Capabilities,
    ) -> io::Result<Self> {
        Ok(Self {
            socket,
            chunks,
            event: Arc::new(Event::new()?),
            capabilities,
            place,
            joined: None,
            path: PathView::new(Path::unproven("nothing was sent yet")),
            watch: None,
            early: 0,
            counters: Counters::default(),
        })
    }

    /// What is now known of the path. One that is not proven is watched from here on.
    pub(super) fn set_path(&mut self, path: Path) {
        let watched = path.zero_copy && !path.proven;
        let (mtu, ours) = (self.capabilities.mtu, self.ours().unwrap_or(0));
        self.watch = watched.then(|| Box::new(Watch::new(mtu, ours)));
        self.joined = (!path.zero_copy).then(|| self.way_for_runs()).flatten();
        self.path.set(path);
    }

    /// Puts a socket that is bound in another way in the place of the present one. What the present
    /// one has received and not handed over, and what it has not sent, is lost; frames that are
    /// lent stay lent. On an error the queue is dead.
    pub(super) fn rebind(&mut self, bind: Bind) -> io::Result<()> {
        // SAFETY: a `Queue` drops its socket before its memory. Both sockets know the memory for a
        // moment, but the new one receives nothing before it is bound.
        let socket = unsafe { self.place.socket(&self.chunks) }?;
        // The old one is closed here; its queue is busy until the interface has let go.
        self.socket = socket;
        self.socket.bind(self.place.interface, self.place.queue, bind)?;
        self.chunks.reclaim();
        self.place.queues.set_socket(self.place.queue, self.socket.as_fd())
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
            if self.watch.is_some() {
                self.watch_burst(burst, count);
            }
        } else if self.place.busy_poll.is_some() || self.socket.fill.needs_wakeup() {
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
        let mut sent = 0;
        while sent < count {
            sent += self.send_run(burst, sent).unwrap_or_else(|| self.send_one(burst, sent));
        }
        burst.take_back(count);
        self.counters.tx_frames += count as u64;
        if count > 0 || self.socket.tx.pending() > 0 {
            self.socket.tx.publish();
            self.kick();
        }
        count
    }

    /// Puts a frame into the tx ring.
    #[inline]
    fn send_one(&mut self, burst: &TxBurst, at: usize) -> usize {
        let place = &burst.places()[at];
        let addr = self.chunks.send(place);
        let taken = self.socket.tx.push(libc::xdp_desc { addr, len: place.len, options: 0 });
        debug_assert!(taken, "the tx ring has room for each frame that is sent");
        1
    }

    /// Sends the run of segments that begins with this frame as one, if there is one, and says how
    /// many they are.
    #[inline]
    fn send_run(&mut self, burst: &TxBurst, at: usize) -> Option<usize> {
        let pair = burst.places().get(at..at + 2)?;
        let joined = self.joined.as_mut().filter(|_| pair[0].len >= RUN_FRAME_BYTES_MIN)?;
        if !joined.is_open() {
            return None;
        }
        let first = burst.committed(at);
        let mut run = Run::from(first)?;
        let mut end = at + 1;
        while end < burst.len() && run.take(first, burst.committed(end)) {
            end += 1;
        }
        let frames = &burst.places()[at..end];
        (frames.len() > 1 && self.send_joined(&run, first, frames)).then_some(frames.len())
    }

    /// The kernel takes the run as one; false: it takes none of it.
    fn send_joined(&mut self, run: &Run, first: &[u8], frames: &[FramePlace]) -> bool {
        // What is in the ring goes first.
        if self.socket.tx.pending() > 0 {
            self.socket.tx.publish();
            self.kick();
        }
        let waiting = self.socket.tx.pending() > 0;
        let Some(joined) = self.joined.as_mut().filter(|_| !waiting) else { return false };
        self.counters.system_calls += 1;
        if joined.send(run, first, frames).is_err() {
            self.counters.tx_busy += 1;
            return false;
        }
        // The kernel has its copy.
        for place in frames {
            self.chunks.take_back(place);
        }
        true
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
        if self.watch.as_ref().is_some_and(|watch| watch.has_got_nothing()) {
            self.watch_silence();
            timeout = timeout.min(WATCH_INTERVAL);
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
        self.place.queue
    }

    /// How its frames cross, and what is known of that. It may change while the queue is in use.
    pub fn path(&self) -> PathView {
        self.path.clone()
    }

    /// Frames on this queue that were ours by the filter since it was loaded, those included that
    /// no socket got.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn ours(&self) -> io::Result<u64> {
        self.place.queues.ours(self.place.queue)
    }

    /// Frames that came while the path was being proven, before there was anybody to take them.
    pub fn early(&self) -> u64 {
        self.early
    }

    pub(super) fn count_early(&mut self) {
        self.early += 1;
    }

    /// Frames on their way out, while none is lent.
    pub(super) fn unsent(&mut self) -> usize {
        self.kick();
        self.reap();
        self.chunks.frames() as usize - self.chunks.free()
    }

    /// From now on the filter sends what is for this queue to the socket of another.
    #[cfg(test)]
    pub(super) fn misdirect(&self, to: &Self) {
        self.place.queues.set_socket(self.place.queue, to.socket.as_fd()).unwrap();
    }

    /// Looks at the last `count` frames of a burst.
    #[cold]
    fn watch_burst(&mut self, burst: &RxBurst, count: usize) {
        for i in burst.len() - count..burst.len() {
            let Some(watch) = &mut self.watch else { return };
            let sight = watch.frame(burst.frame(i));
            self.draw_conclusion(sight);
        }
    }

    /// Asks whether frames are missing.
    #[cold]
    fn watch_silence(&mut self) {
        let (place, system_calls) = (&self.place, &mut self.counters.system_calls);
        let ours = || {
            *system_calls += 1;
            place.queues.ours(place.queue).ok()
        };
        if let Some(watch) = &mut self.watch {
            let sight = watch.idle(Instant::now(), ours);
            self.draw_conclusion(sight);
        }
    }

    /// A way out for runs, where the kernel may make packets of them. Without one all is sent
    /// frame by frame.
    fn way_for_runs(&self) -> Option<Joined> {
        let open = || Joined::open(self.place.interface, self.chunks.bytes()).ok();
        self.place.in_order.then(open).flatten()
    }

    fn draw_conclusion(&mut self, sight: Sight) {
        let fault = match sight {
            Sight::Nothing => return,
            Sight::Whole(bytes) => {
                let why = format!("a frame of {bytes} bytes arrived whole");
                return self.set_path(Path::proven(why));
            }
            Sight::Cut { bytes, said } => format!("frames arrive cut: {bytes} of {said} bytes"),
            Sight::Missing(count) => format!("none of {count} frames arrived"),
        };
        self.fall_back(&fault);
    }

    /// From now on the kernel copies.
    fn fall_back(&mut self, fault: &str) {
        let path = match self.rebind(Bind::Copy) {
            Ok(()) => Path::copy(format!("zero-copy was granted and does not work: {fault}")),
            Err(error) => Path {
                proven: false,
                ..Path::copy(format!("{fault}; then copies were refused: {error}; it is dead"))
            },
        };
        self.set_path(path);
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

/// No run begins with a shorter frame: small segments have other ones after them.
const RUN_FRAME_BYTES_MIN: u32 = 512;

/// How long to sleep at most while it is watched whether frames are missing.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// How long to wait before an interface that had no room is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);
