//! What the flow table's numbers mean: a kind in the two high bits, an index below.

/// A record that the flow table points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    /// A control block.
    Conn(u32),
    /// A passive open that waits for the handshake's last segment.
    HalfOpen(u32),
    /// A closed connection in TIME-WAIT.
    TimeWait(u32),
}

const KIND_SHIFT: u32 = 30;
const INDEX_MASK: u32 = (1 << KIND_SHIFT) - 1;

impl Record {
    /// The number the flow table keeps.
    #[inline]
    pub(crate) fn id(self) -> u32 {
        match self {
            Record::Conn(index) => index,
            Record::HalfOpen(index) => 2 << KIND_SHIFT | index,
            Record::TimeWait(index) => 3 << KIND_SHIFT | index,
        }
    }

    /// The number for a control block whose connection the peer opened: limits count those.
    #[inline]
    pub(crate) fn accepted_id(index: u32) -> u32 {
        1 << KIND_SHIFT | index
    }

    /// The reverse of both: one bit is a control block's.
    #[inline]
    pub(crate) fn of(id: u32) -> Self {
        match id >> KIND_SHIFT {
            0 | 1 => Record::Conn(id & INDEX_MASK),
            2 => Record::HalfOpen(id & INDEX_MASK),
            _ => Record::TimeWait(id & INDEX_MASK),
        }
    }
}
