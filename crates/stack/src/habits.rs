//! What the RFCs leave open and systems do each in their own way. The defaults are this stack's;
//! others make a test script that was written for another system apply.

/// The habits of a stack.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Habits {
    /// The receive buffer is rounded up to whole segments once the peer's MSS is known: bulk data
    /// that comes in full segments fills it to the last octet.
    pub rcv_buf_whole_segments: bool,
    /// How the advertised window moves on.
    pub window_steps: WindowSteps,
    /// Acknowledgments carry our FIN again until it is acknowledged: one that was lost costs no
    /// timeout where the peer goes on sending.
    pub fin_on_acks: bool,
    /// Acknowledge at once after a segment out of order: a sender that has lost something has a
    /// small window, and waits.
    pub quick_acks_after_loss: bool,
    /// Acknowledge every second segment at once, whatever its size; without it every second full
    /// one (RFC 9293 SHLD-19).
    pub acks_small_segments: bool,
    /// Tell the peer of a connection that was given up because nothing of it was acknowledged.
    pub reset_given_up: bool,
    /// A tail loss probe repeats the last of several segments even where there is a new one to send
    /// instead (RFC 8985 7.3): that a repeat arrived is said at once, and a new segment that is
    /// alone may be acknowledged after the delay. When not one of several segments was answered,
    /// it is their acknowledgment that was lost, most likely. And recovery is probed too, by a
    /// repeat of the first segment: without it what is left is the retransmission timer.
    pub probes_repeat: bool,
    /// The most segments that one acknowledgment adds to the window in slow start: the L of
    /// RFC 9406 4.2 and RFC 3465.
    pub slow_start_acks_max: u32,
}

impl Habits {
    /// True when none of them bears on the segments of a connection on which nothing is unusual.
    #[inline]
    pub(crate) fn are_plain(&self) -> bool {
        self.window_steps == WindowSteps::Segments
            && !self.rcv_buf_whole_segments
            && !self.acks_small_segments
    }
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            rcv_buf_whole_segments: false,
            window_steps: WindowSteps::Segments,
            fin_on_acks: false,
            quick_acks_after_loss: true,
            acks_small_segments: false,
            reset_given_up: true,
            probes_repeat: true,
            slow_start_acks_max: 8,
        }
    }
}

/// Silly-window avoidance of the receiver (RFC 9293 MUST-39): which windows are never advertised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowSteps {
    /// The right edge moves by a segment or half the buffer, as RFC 9293 3.8.6.2.2 suggests.
    Segments,
    /// The right edge is where the buffer ends, in every segment, unless that leaves a window
    /// smaller than a segment and a quarter of the buffer.
    Octets,
}
