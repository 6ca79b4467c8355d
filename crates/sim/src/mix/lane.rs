//! One direction between a node and the middle, as data.

use serde::{Deserialize, Serialize};

/// What a lane does to frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LaneMix {
    /// How long each frame takes.
    pub delay_us: u64,
    /// Added to each frame's delay, 0 to this, without changing the order.
    pub jitter_us: u64,
    /// Frames lost.
    pub loss_per_mille: u32,
    /// Frames that arrive twice, the second time up to `reorder_us` later.
    pub duplicate_per_mille: u32,
    /// Frames that arrive once more much later, after up to `ancient_us`.
    pub ancient_per_mille: u32,
    /// See there. Below any host's TIME-WAIT: what lives longer than an MSL nobody can tell apart.
    pub ancient_us: u64,
    /// Frames with an octet changed.
    pub corrupt_per_mille: u32,
    /// Frames cut short.
    pub truncate_per_mille: u32,
    /// Packets that say they can take it get the mark of congestion (RFC 3168 5).
    pub mark_per_mille: u32,
    /// Segments cut in two that overlap.
    pub split_per_mille: u32,
    /// IP packets cut into two fragments.
    pub fragment_per_mille: u32,
    /// Frames held back so that others overtake them.
    pub reorder_per_mille: u32,
    /// How long they are held back at most.
    pub reorder_us: u64,
    /// Bytes a second; `None`: no limit.
    pub bytes_per_second: Option<u64>,
    /// Frames that would wait longer than this for their turn are dropped.
    pub queue_us: u64,
}

impl LaneMix {
    /// True when every frame arrives as it was sent, at once.
    pub(crate) fn is_plain(&self) -> bool {
        let keeps_queue = Self { queue_us: self.queue_us, ..Self::default() };
        let moot = Self { reorder_us: 0, ancient_us: 0, ..self.clone() };
        moot == keeps_queue
    }

    /// The longest time that the lane, when it is not congested, takes for a frame.
    pub(crate) fn longest_us(&self) -> u64 {
        let held = if self.reorder_per_mille > 0 || self.duplicate_per_mille > 0 {
            self.reorder_us
        } else {
            0
        };
        self.delay_us + self.jitter_us + held
    }
}
