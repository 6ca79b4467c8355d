//! What must be true of a whole stack between two stages of a turn: for the simulator and tests.
//! Everything here walks whole tables.

use crate::stack::Stack;
use crate::tcb::Tcb;
use crate::tcp::send_queue::Marks;
use alloc::collections::BTreeSet;
use crore_mem::BlockId;

impl Stack {
    /// Checks every invariant of every connection, and that no frame went without being counted;
    /// for the simulator, between turns.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check(&self) {
        let mut granted = 0;
        for index in self.tcbs.live() {
            granted += self.check_conn(index);
        }
        assert_eq!(granted, self.bytes_granted(), "what is granted is somebody's");
        self.check_sums();
    }

    /// Checks every invariant of the connection in a live slot. Returns what its window may fill
    /// beyond what it began with, in bytes of the pool.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check_conn(&self, index: u32) -> u64 {
        self.tcbs[index].check();
        self.check_extension(&self.tcbs[index])
    }

    /// Checks that tables and counters agree with each other: no connection is walked, only the
    /// table of sources.
    ///
    /// # Panics
    /// When they do not.
    pub fn check_sums(&self) {
        let records = self.tcbs.len() + self.half_open() + self.time_wait();
        assert!(self.flows.len() <= records, "no flow without a record");
        assert!(self.sources.conns() <= self.accepted_now, "each counted connection is there");
        let fates = self.counters.frames_taken() + self.counters.frames_dropped();
        assert_eq!(self.counters.rx_frames, fates, "one fate a frame: {:?}", self.counters);
    }

    /// Checks that every pool block that is handed out is in exactly one queue, or is the payload
    /// of such a block, or one of `held` shared payloads that the application has in no queue.
    ///
    /// # Panics
    /// When a block is in two queues, or lost.
    pub fn check_blocks(&self, held: u32) {
        let (mut own, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for index in self.tcbs.live() {
            let tcb = &self.tcbs[index];
            self.collect_blocks(tcb, &mut own, &mut shared);
        }
        // A block that was cut in two is in a queue and holds the payload of another.
        let reached = own.union(&shared).count() as u32 + held;
        let in_use = self.pool.in_use();
        assert_eq!(in_use, reached, "blocks handed out, and those in queues, {held} held");
    }

    fn collect_blocks(
        &self,
        tcb: &Tcb,
        own: &mut BTreeSet<BlockId>,
        shared: &mut BTreeSet<BlockId>,
    ) {
        if tcb.extension != BlockId::NONE {
            assert!(own.insert(tcb.extension), "an extension that is another's as well");
        }
        let rare = self.rare_block(tcb);
        assert!(rare == BlockId::NONE || own.insert(rare), "rare things that are another's too");
        for head in [tcb.snd_head, tcb.rcv_queue] {
            let mut id = head;
            while id != BlockId::NONE {
                assert!(own.insert(id), "{id:?} is in two places");
                let segment = self.pool.header(id);
                if segment.marks & Marks::SHARED != 0 {
                    shared.insert(segment.shared);
                }
                id = segment.next;
            }
        }
    }
}
