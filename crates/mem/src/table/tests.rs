//! Tables: what may be read, what is refused.

use crate::{Memory, RegionHeader};

#[test]
fn a_new_table_is_zero_and_keeps_what_is_written() {
    let mut table = Memory::heap().table::<[u32; 3]>("things", 7, 5).unwrap();
    assert!(table.as_slice().iter().all(|slot| *slot == [0; 3]));
    table[4] = [1, 2, 3];
    table.as_mut_slice()[0] = [9; 3];
    assert_eq!((table[4], table[0], table[3]), ([1, 2, 3], [9; 3], [0; 3]));
    assert_eq!((table.len(), table.get(5)), (5, None));
    assert_eq!(table.get_mut(5), None);
}

#[test]
fn the_header_says_what_is_in_the_region() {
    let table = Memory::heap().table::<[u32; 3]>("things", 7, 5).unwrap();
    let header = table.region().header();
    assert_eq!(header.magic, RegionHeader::MAGIC);
    assert_eq!((header.version, header.slot_bytes, header.count), (7, 12, 5));
    assert_eq!(&header.name[..7], b"things\0");
    assert_eq!(header.content_at, 64);
}

#[test]
#[should_panic(expected = "`things` has 5 slots, and slot 5 was asked for")]
fn reading_behind_the_end_panics() {
    let table = Memory::heap().table::<u64>("things", 1, 5).unwrap();
    let _ = table[5];
}

#[test]
#[should_panic(expected = "`things` has 0 slots, and slot 4294967295 was asked for")]
fn writing_behind_the_end_panics() {
    let mut table = Memory::heap().table::<u64>("things", 1, 0).unwrap();
    table[u32::MAX] = 1;
}

#[test]
fn any_index_may_be_prefetched() {
    let table = Memory::heap().table::<[u64; 16]>("things", 1, 5).unwrap();
    for index in [0, 4, 5, u32::MAX] {
        table.prefetch(index);
        table.prefetch_line(index, u32::MAX);
    }
}

#[test]
fn a_service_without_state_has_a_table_of_nothing() {
    let mut table = Memory::heap().table::<()>("state", 1, u32::MAX).unwrap();
    assert_eq!(table.get_mut(u32::MAX - 1), Some(&mut ()));
    assert_eq!(table.get(u32::MAX), None);
    assert_eq!(table.region().total_bytes(), 64);
}

#[test]
fn slots_keep_their_alignment_on_the_heap() {
    use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
    #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C, align(128))]
    struct Wide([u8; 128]);

    let table = Memory::heap().table::<Wide>("wide", 1, 3).unwrap();
    assert!(table.as_slice().as_ptr().addr().is_multiple_of(128));
    assert_eq!(table[2].0, [0; 128]);
}
