//! After creation, slabs, pools and rings allocate nothing: the packet path uses them.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use crore_mem::{Memory, PoolClass, Slot, ring};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

struct Counting;

thread_local! {
    /// Of this thread: the test harness has others, which may print meanwhile.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: it passes each call on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Session {
    link: u32,
    generation: u32,
}

impl Slot for Session {
    fn link(&self) -> u32 {
        self.link
    }

    fn set_link(&mut self, link: u32) {
        self.link = link;
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }
}

#[test]
fn the_packet_path_allocates_nothing() {
    let mut memory = Memory::heap();
    let mut slab = memory.slab::<Session>("sessions", 1, 4).unwrap();
    let mut pool =
        memory.pool::<u64>("payload", &[PoolClass { payload_bytes: 100, count: 4 }]).unwrap();
    let (mut producer, mut consumer) = ring::channel::<u64>(8);
    let mut sum = 0;

    let before = ALLOCATIONS.get();
    assert!(before > 0, "the counter counts");
    for round in 0..1000 {
        let index = slab.insert().unwrap();
        let block = pool.alloc(100).unwrap();
        pool.share(block);
        pool.payload_mut(block)[0] = 1;
        assert_eq!(producer.push_burst(&mut (round..round + 5)), 5);
        assert_eq!(consumer.pop_burst(8, |value| sum += value), 5);
        pool.free(block);
        pool.free(block);
        slab.remove(index);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!((slab.len(), pool.in_use(), sum), (0, 0, 2_507_500));
}
