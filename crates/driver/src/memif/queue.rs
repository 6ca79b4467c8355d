//! One queue of a link: bursts in and out.
//!
//! **Why frames are copied.** The stack reads a received frame as `&[u8]` and writes one to be sent
//! as `&mut [u8]`, and both promise that nobody else writes there meanwhile. A peer can, in all
//! memory that it shares, and it is not trusted. So as server, and as client unless told otherwise,
//! a frame is copied once: on arrival into memory of our own, and from there when it is sent. The
//! lines come from the peer's core all the same; what a copy adds to a small frame is some cycles.
//!
//! A client with `zero_copy` lends the shared buffers themselves. It trusts its server as an XDP
//! socket trusts the kernel.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use crore_mem::frames::{FramePlace, RX_BURST_MAX, RxBurst, TX_BURST_MAX, TxBurst};
use crore_mem::{Memory, MemoryError};

use super::frames::{Frames, Taken};
use super::interface::Membership;
use super::region::Fault;
use super::seat::Seat;
use super::session::{Piece, Sender, Session, Target};
use crate::tokens::{self, in_order};
use crate::wakeup::Waker;
use crate::{Capabilities, Counters};

/// A queue of a link. One core owns it.
#[derive(Debug)]
pub struct Queue {
    seat: Arc<Seat>,
    /// Of what `session` is.
    generation: u32,
    session: Option<Session>,
    frames: Frames,
    lent: Lent,
    /// What is taken from a ring in one burst.
    pieces: Box<[Piece; RX_BURST_MAX]>,
    /// Where lent frames will be copied to, by their places in the ring.
    targets: Box<[Target; TX_BURST_MAX]>,
    capabilities: Capabilities,
    counters: Counters,
    /// Last: its end may be that of the control thread.
    _membership: Arc<Membership>,
}

/// What the stack has.
#[derive(Debug)]
struct Lent {
    /// Received frames. Their tokens count up from `rx_first` in each burst.
    rx: usize,
    rx_first: u64,
    /// Frames to be written. Their tokens count up to `tx_next`.
    tx: u32,
    tx_next: u64,
}

impl Queue {
    pub(super) fn new(
        seat: Arc<Seat>,
        memory: &mut Memory,
        capabilities: Capabilities,
        membership: Arc<Membership>,
    ) -> Result<Self, MemoryError> {
        Ok(Self {
            seat,
            generation: 0,
            session: None,
            frames: Frames::new(memory, capabilities.mtu)?,
            lent: Lent { rx: 0, rx_first: tokens::first(), tx: 0, tx_next: tokens::first() },
            pieces: Box::new([Piece::NOWHERE; RX_BURST_MAX]),
            targets: Box::new([Target::NOWHERE; TX_BURST_MAX]),
            capabilities,
            counters: Counters::default(),
            _membership: membership,
        })
    }

    /// Adds up to `max` received frames to the burst; returns how many.
    ///
    /// # Panics
    /// When the burst has frames of another link.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        assert!(burst.len() == self.lent.rx, "a burst with frames of another link");
        if self.seat.has_news(self.generation) && self.lent.rx == 0 && self.lent.tx == 0 {
            self.follow();
        }
        self.wake_peer();
        let before = burst.len();
        if let Err(fault) = self.receive(burst, max.min(RX_BURST_MAX - before)) {
            self.fail(fault);
        }
        self.lent.rx = burst.len();
        let count = burst.len() - before;
        self.counters.rx_frames += count as u64;
        count
    }

    /// Takes the frames of a burst back, and with them the buffers that they are in.
    ///
    /// # Panics
    /// When they are not this queue's.
    #[inline]
    pub fn rx_release(&mut self, burst: &mut RxBurst) {
        let ours = burst.len() == self.lent.rx && in_order(burst.places(), self.lent.rx_first);
        assert!(ours, "a burst with frames of another link");
        burst.clear();
        self.lent.rx = 0;
        if let Some(Session { rx: Some(rx), .. }) = &mut self.session {
            rx.release();
        }
    }

    /// Tops the burst's room up to `want` frames, or as near as the peer has free buffers. Without
    /// a peer there is room all the same: what is sent then is lost, as on a wire that is cut.
    #[inline]
    pub fn tx_reserve(&mut self, burst: &mut TxBurst, want: usize) {
        if self.seat.has_news(self.generation) && self.lent.rx == 0 {
            self.empty(burst);
            self.follow();
        }
        let more = want.saturating_sub(burst.room()).min(burst.unreserved());
        if more == 0 {
            return;
        }
        let free = self.room(more as u32).unwrap_or_else(|fault| {
            self.fail(fault);
            more as u32
        });
        self.counters.tx_busy += u64::from(free == 0);
        if let Err(fault) = self.look_ahead(free as u16) {
            self.fail(fault);
        }
        for _ in 0..free {
            let (start, capacity) = self.place_to_write();
            let token = self.lent.tx_next;
            self.lent.tx_next += 1;
            self.lent.tx += 1;
            // SAFETY: our own frame or the ring's own buffer, lent to nobody else while its token
            // is out, and initialised, because regions begin zeroed; `unreserved` bounded the
            // count. A peer that could write to a buffer that is lent is one that we chose to
            // trust.
            unsafe { burst.reserve(FramePlace { start, len: 0, capacity, token }) };
        }
    }

    /// Sends the committed frames that it can; returns how many. A peer that sleeps is signalled by
    /// the next call of this, of [`Queue::rx_burst`] or of [`Queue::wait`], or when the queue ends.
    ///
    /// # Panics
    /// When the burst was not reserved from this queue, or another one was reserved before it.
    #[inline]
    pub fn tx_burst(&mut self, burst: &mut TxBurst) -> usize {
        if burst.is_empty() {
            return 0;
        }
        self.check(burst);
        self.wake_peer();
        let count = self.send(burst).unwrap_or_else(|fault| {
            self.fail(fault);
            self.lose(burst.len())
        });
        burst.take_back(count);
        self.lent.tx -= count as u32;
        count
    }

    /// Takes all room of a burst back, unsent: for the end of its life.
    ///
    /// # Panics
    /// As [`Queue::tx_burst`].
    pub fn tx_cancel(&mut self, burst: &mut TxBurst) {
        while burst.frame().is_some() {
            burst.commit(0);
        }
        self.check(burst);
        assert!(burst.len() == self.lent.tx as usize, "frames are with another burst");
        burst.take_back(burst.len());
        self.lent.tx_next -= u64::from(self.lent.tx);
        self.lent.tx = 0;
    }

    /// Sleeps until a frame may have come, a peer came or went, the waker was used, or the timeout
    /// has passed.
    ///
    /// The peer is told that we want to be signalled, and looks at that each time it has published.
    pub fn wait(&mut self, timeout: Duration) {
        self.wake_peer();
        if self.seat.has_news(self.generation) {
            return;
        }
        let Some(Session { rx: Some(rx), .. }) = &mut self.session else {
            self.counters.system_calls += 1;
            self.seat.event.wait(None, timeout);
            return;
        };
        rx.set_polling(false);
        // What signalled the last sleep's end is forgotten only now: its frames were answered
        // first. One that comes meanwhile may go with it, but not its frames: they are looked for
        // next.
        if std::mem::take(&mut rx.is_signalled) {
            self.counters.system_calls += 1;
            rx.event.drain();
        }
        // Pairs with the fence of a sender that has published: either it sees that we want to be
        // signalled, or we see its frames.
        fence(Ordering::SeqCst);
        // Some senders have no fence there (DPDK's has none). What they wrote before they looked
        // is on its way then, and comes within less time than this takes.
        for _ in 0..LAST_LOOKS {
            // A fault is the next burst's to find.
            if rx.available(1) != Ok(0) {
                return rx.set_polling(true);
            }
            std::hint::spin_loop();
        }
        self.counters.system_calls += 1;
        rx.is_signalled = self.seat.event.wait(Some(rx.event.as_fd()), timeout);
        rx.set_polling(true);
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker::new(&self.seat.event)
    }

    /// What the link is and can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    #[inline]
    fn receive(&mut self, burst: &mut RxBurst, max: usize) -> Result<(), Fault> {
        let Self { session, frames, pieces, lent, counters, .. } = self;
        let Some(Session { rx: Some(rx), in_place, .. }) = session else { return Ok(()) };
        let count = usize::from(rx.available(max as u16)?).min(max);
        if count == 0 {
            return Ok(());
        }
        // All descriptors first: the frames are on their way while the first one is copied, and
        // those of the next burst while the stack has this one. Who reads in place asks itself.
        for piece in &mut pieces[..count] {
            *piece = rx.take()?;
            if !*in_place {
                piece.prefetch();
            }
        }
        for (ahead, piece) in (0..).zip(&pieces[..count]) {
            if !*in_place {
                rx.prefetch(ahead);
            }
            let taken = if piece.more || frames.is_amid_frame() {
                counters.rx_chained += u64::from(!piece.more);
                frames.joined(burst.len(), piece, rx.size())?
            } else if *in_place {
                frames.in_place(piece)
            } else {
                frames.copied(burst.len(), piece)
            };
            match taken {
                Taken::Frame(place) => {
                    let name = lent.rx_first + burst.len() as u64;
                    // SAFETY: our own frame, which is lent to this burst alone, or a buffer that a
                    // peer gave us whom we chose to trust. `max` left room in the burst.
                    unsafe { burst.push(FramePlace { token: name, ..place }) };
                }
                Taken::Part => {}
                Taken::TooLong => counters.rx_too_long += 1,
                Taken::Empty => counters.rx_bad += 1,
            }
        }
        // Frames that are lent where they are keep their buffers until they are released.
        if !*in_place || burst.is_empty() {
            rx.release();
        }
        Ok(())
    }

    /// How many more frames can be lent to be written, up to `more`.
    #[inline]
    fn room(&mut self, more: u32) -> Result<u32, Fault> {
        let Some(Session { tx: Some(tx), .. }) = &mut self.session else { return Ok(more) };
        let wanted = self.lent.tx + more;
        let room = u32::from(tx.room(wanted as u16)?);
        Ok(room.saturating_sub(self.lent.tx).min(more))
    }

    /// Reads where the next `count` frames to be lent will be copied to, and asks for the lines
    /// there while their bytes are still being made. Who writes in place knows best which lines it
    /// needs.
    #[inline]
    fn look_ahead(&mut self, count: u16) -> Result<(), Fault> {
        let Some(Session { tx: Some(tx), in_place, .. }) = &self.session else { return Ok(()) };
        let first = self.lent.tx as u16;
        tx.prefetch_descriptors(first, count);
        if !in_place {
            for ahead in first..first + count {
                let target = tx.target(ahead)?;
                tx.prefetch(&target);
                self.targets[tx.place(ahead) % TX_BURST_MAX] = target;
            }
        }
        Ok(())
    }

    /// The next place to be lent, and its size.
    #[inline]
    fn place_to_write(&self) -> (*mut u8, u32) {
        match &self.session {
            Some(Session { tx: Some(tx), in_place: true, .. }) => tx.lend(self.lent.tx as u16),
            _ => self.frames.tx(self.lent.tx_next),
        }
    }

    #[inline]
    fn send(&mut self, burst: &TxBurst) -> Result<usize, Fault> {
        let Some(Session { tx: Some(tx), in_place, .. }) = &mut self.session else {
            return Ok(self.lose(burst.len()));
        };
        let count = burst.len().min(usize::from(tx.room(burst.len() as u16)?));
        let places = &burst.places()[..count];
        let sent = if *in_place {
            for (i, place) in places.iter().enumerate() {
                tx.fill_in_place(i as u16, place.len);
            }
            count
        } else {
            send_copies(tx, places, &self.targets)
        };
        self.counters.tx_frames += sent as u64;
        self.counters.tx_errors += (count - sent) as u64;
        if let Some(last) = places.last()
            && sent > 0
        {
            tx.publish(sent as u16, last.len);
        }
        Ok(count)
    }

    /// Signals a peer that sleeps and has frames.
    #[inline]
    fn wake_peer(&mut self) {
        if let Some(Session { tx: Some(tx), .. }) = &mut self.session
            && tx.must_signal()
        {
            self.counters.system_calls += 1;
            tx.signal();
        }
    }

    /// Frames that nobody will get.
    #[cold]
    fn lose(&mut self, count: usize) -> usize {
        self.counters.tx_errors += count as u64;
        count
    }

    fn check(&self, burst: &TxBurst) {
        let oldest = self.lent.tx_next - u64::from(self.lent.tx);
        let ours = in_order(burst.places(), oldest) && burst.len() <= self.lent.tx as usize;
        assert!(ours, "frames of another link, or out of order");
    }

    /// The peer broke a rule: nothing of its memory is looked at any more, and the control thread
    /// ends the connection. What is lent stays in place until it is taken back.
    #[cold]
    fn fail(&mut self, fault: Fault) {
        self.counters.rx_bad += 1;
        if let Some(session) = &mut self.session {
            session.shared.blame(fault);
            (session.rx, session.tx) = (None, None);
        }
        self.seat.call_control();
    }

    /// Takes all room of a burst back, because a peer came or went; what was committed is lost.
    #[cold]
    fn empty(&mut self, burst: &mut TxBurst) {
        let lost = burst.len() as u64;
        self.tx_cancel(burst);
        self.counters.tx_errors += lost;
    }

    /// Goes on with what the control thread offers. Nothing is lent.
    #[cold]
    fn follow(&mut self) {
        if let Some((session, generation)) = self.seat.take() {
            self.frames.forget_part();
            (self.session, self.generation) = (session, generation);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.wake_peer();
        // Frames that are still lent stay valid for whoever has them.
        if self.lent.rx > 0 || self.lent.tx > 0 {
            std::mem::forget(Arc::clone(self.frames.region()));
            if let Some(session) = &self.session {
                std::mem::forget(Arc::clone(&session.shared));
            }
        }
    }
}

/// Copies frames into the next buffers of a ring. Returns how many fitted; the others are lost.
#[inline]
fn send_copies(tx: &Sender, places: &[FramePlace], targets: &[Target; TX_BURST_MAX]) -> usize {
    let mut sent = 0;
    for place in places {
        let target = &targets[tx.place(sent) % TX_BURST_MAX];
        if place.len <= target.capacity {
            // SAFETY: a committed frame of ours; the target has room for it.
            unsafe { tx.fill(sent, target, place.start, place.len) };
            sent += 1;
        }
    }
    sent.into()
}

/// Looks at the ring before going to sleep: some microseconds.
const LAST_LOOKS: u32 = 100;
