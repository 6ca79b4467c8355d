//! The account of what was taken.

use crate::{Account, HugePages, Memory, Pages, PoolClass, region_bytes};

#[test]
fn every_region_is_on_the_account() {
    let mut memory = Memory::heap();
    assert_eq!((memory.total_bytes(), memory.main_pages()), (0, None));
    let table = memory.table::<u64>("first", 1, 8).unwrap();
    let region = memory.region("second", 5000).unwrap();
    let first = Account { name: "first", bytes: 64 + 64, pages: Pages::Heap };
    // A plain region counts in pages, from a page's start on.
    let second = Account { name: "second", bytes: 3 * 4096, pages: Pages::Heap };
    assert_eq!(memory.accounts(), [first, second]);
    assert_eq!(memory.total_bytes(), first.bytes + second.bytes);
    assert_eq!(memory.main_pages(), Some(Pages::Heap));
    assert_eq!((table.region().total_bytes(), region.total_bytes()), (first.bytes, second.bytes));
}

/// A terabyte, which no machine here has.
#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_plan_takes_addresses_and_hardly_any_memory() {
    let mut memory = Memory::planned();
    let mut table = memory.table::<[u64; 128]>("large", 1, 1 << 30).unwrap();
    assert_eq!(memory.total_bytes(), region_bytes(1 << 40));
    table[(1 << 30) - 1][127] = 7;
    assert_eq!((table[0][0], table[(1 << 30) - 1][127]), (0, 7));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_plan_says_to_the_byte_what_the_system_gives() {
    for count in [1, 500, 5_000, 300_000] {
        let (mut planned, mut taken) = (Memory::planned(), Memory::new(HugePages::None));
        for memory in [&mut planned, &mut taken] {
            memory.table::<u64>("table", 1, count).unwrap();
            memory.pool::<u64>("pool", &[PoolClass { payload_bytes: 160, count }]).unwrap();
        }
        let bytes = |memory: &Memory| {
            memory.accounts().iter().map(|account| account.bytes).collect::<Vec<_>>()
        };
        assert_eq!(bytes(&planned), bytes(&taken));
    }
}

#[test]
fn what_was_handed_out_outlives_its_source() {
    let mut memory = Memory::heap();
    let mut pool =
        memory.pool::<u64>("pool", &[PoolClass { payload_bytes: 10, count: 1 }]).unwrap();
    drop(memory);
    let id = pool.alloc(10).unwrap();
    pool.payload_mut(id).fill(1);
    assert_eq!(pool.payload(id)[9], 1);
}

#[test]
fn a_region_is_aligned_and_zero() {
    let mut region = Memory::heap().region("frames", 4097).unwrap();
    assert!(region.start().as_ptr().addr().is_multiple_of(4096));
    assert!(region.bytes_mut().iter().all(|byte| *byte == 0));
    region.bytes_mut()[4096] = 1;
    assert_eq!((region.len(), region.is_empty(), region.pages()), (8192, false, Pages::Heap));
}

#[test]
fn a_small_region_is_rounded_to_4_kib_and_a_big_one_to_2_mib() {
    let mib = 1 << 20;
    assert_eq!(region_bytes(0), 4096);
    assert_eq!(region_bytes(1), 8192);
    assert_eq!(region_bytes(2 * mib - 8192), 2 * mib - 4096);
    assert_eq!(region_bytes(2 * mib - 4096), 2 * mib);
    assert_eq!(region_bytes(2 * mib), 4 * mib);
    assert_eq!(region_bytes(usize::MAX), usize::MAX);
}
