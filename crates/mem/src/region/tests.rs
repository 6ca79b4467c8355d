//! Regions from the system, on whatever pages this machine has.
#![cfg(not(miri))]

use std::os::{fd::AsFd, unix::fs::FileExt};

use zerocopy::FromBytes;

use crate::{
    HUGE_PAGE_BYTES, HugePages, Memory, MemoryError, Pages, RegionHeader, available_bytes,
};

const WISHES: [HugePages; 3] = [HugePages::Reserve, HugePages::Transparent, HugePages::None];

#[test]
fn every_wish_ends_with_zeroed_memory_that_can_be_written() {
    for wish in WISHES {
        let mut memory = Memory::new(wish);
        let mut table = memory.table::<u64>("numbers", 3, 1 << 20).unwrap();
        assert!(table.as_slice().iter().all(|slot| *slot == 0));
        table[(1 << 20) - 1] = 5;
        assert_eq!(table[(1 << 20) - 1], 5);
        let region = table.region();
        assert_eq!(region.total_bytes(), 5 * HUGE_PAGE_BYTES, "8 MiB and the header");
        assert_eq!(memory.accounts()[0].pages, region.pages());
        assert_eq!(region.header().content_at, 4096);
    }
}

#[test]
fn without_the_wish_for_huge_pages_there_are_none() {
    let table = Memory::new(HugePages::None).table::<u64>("numbers", 1, 1 << 20).unwrap();
    assert_eq!(table.region().pages(), Pages::Small);
}

#[test]
fn small_regions_stay_small_whatever_the_wish() {
    for wish in WISHES {
        let table = Memory::new(wish).table::<u64>("numbers", 1, 100).unwrap();
        assert_eq!(table.region().pages(), Pages::Small);
        assert_eq!(table.region().total_bytes(), 8192);
    }
}

#[test]
fn using_a_new_region_costs_no_page_fault() {
    for wish in WISHES {
        let mut region = Memory::new(wish).region("frames", 4 * HUGE_PAGE_BYTES).unwrap();
        let bytes = region.bytes_mut();
        let before = page_faults();
        for byte in bytes.iter_mut().step_by(4096) {
            *byte = 1;
        }
        let faults = page_faults() - before;
        assert!(faults <= 1, "{faults} page faults on {:?}", region.pages());
    }
}

#[test]
fn another_process_reads_the_table_by_its_file() {
    let mut table = Memory::new(HugePages::None).table::<u64>("numbers", 3, 1000).unwrap();
    table[999] = 0x1122_3344;
    let file = table.region().file().expect("small pages have a file");
    let file = std::fs::File::from(file.as_fd().try_clone_to_owned().unwrap());

    let mut bytes = [0; 64];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let header = RegionHeader::read_from_bytes(&bytes).unwrap();
    assert_eq!((header.magic, header.format), (RegionHeader::MAGIC, RegionHeader::FORMAT));
    assert_eq!((header.version, header.slot_bytes, header.count), (3, 8, 1000));
    let mut slot = [0; 8];
    let at = u64::from(header.content_at) + 999 * u64::from(header.slot_bytes);
    file.read_exact_at(&mut slot, at).unwrap();
    assert_eq!(u64::from_ne_bytes(slot), 0x1122_3344);

    // Nobody can take the memory away below us.
    assert!(file.set_len(0).is_err());
}

#[test]
fn dropping_a_region_gives_its_memory_back() {
    let lines = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let table = Memory::new(HugePages::None).table::<u64>("given-back", 1, 100).unwrap();
    assert!(lines().contains("crore-given-back"));
    drop(table);
    assert!(!lines().contains("crore-given-back"));
}

#[test]
fn more_than_the_machine_has_is_refused_before_it_is_touched() {
    let asked = available_bytes() * 2;
    let count = u32::try_from(asked / 4096).unwrap();
    for wish in WISHES {
        let error = Memory::new(wish).table::<[u64; 512]>("giant", 1, count).unwrap_err();
        let MemoryError::NotEnough { name, asked_bytes, available_bytes } = error else {
            panic!("{error}");
        };
        assert_eq!(name, "giant");
        assert!(asked_bytes >= asked && available_bytes < asked_bytes);
        assert!(error.to_string().contains("lower the limits"), "{error}");
    }
}

#[test]
fn more_than_an_address_can_name_is_refused() {
    type Huge = [[u64; 1 << 20]; 1 << 20];
    let error = Memory::heap().table::<Huge>("giant", 1, u32::MAX).unwrap_err();
    assert!(matches!(error, MemoryError::TooLarge { .. }), "{error}");
    let error = Memory::new(HugePages::None).table::<Huge>("giant", 1, u32::MAX).unwrap_err();
    assert!(matches!(error, MemoryError::TooLarge { .. }), "{error}");
}

/// Page faults of this thread so far.
fn page_faults() -> i64 {
    // SAFETY: plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: the call fills in the structure it is given.
    let status = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    assert_eq!(status, 0);
    usage.ru_minflt
}
