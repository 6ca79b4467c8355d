//! What the server asks of its connection: the only way out.

use std::time::SystemTime;

/// A connection as the server sees it. `crore`'s connections are one, test doubles another.
pub trait Output {
    /// Queues a prefix of `bytes` and returns its length. Less than all of it means that
    /// [`Server::writable`](crate::Server::writable) is called when there is room again.
    fn send(&mut self, bytes: &[u8]) -> usize;

    /// How many bytes the next `send` would take.
    fn send_room(&self) -> usize;

    /// Bytes queued or in flight that the peer did not acknowledge yet.
    fn send_queued(&self) -> usize;

    /// Ends our direction after all that is queued.
    fn close(&mut self);

    /// Resets the connection.
    fn abort(&mut self);

    /// Asks for the unconsumed bytes to be offered again.
    fn resume(&mut self);

    /// Calls [`Server::timer`](crate::Server::timer) once after this time, in place of what was
    /// asked for before.
    fn set_timer_ms(&mut self, after: u32);

    /// A clock that never goes back, in microseconds.
    fn now_us(&self) -> u64;

    /// The time of day. It is read once a second at most.
    fn time_of_day(&self) -> SystemTime;
}
