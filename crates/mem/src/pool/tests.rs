//! Pools: sizes, holders, misuse, and a model to compare with.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::Memory;

type Header = [u64; 3];

const SMALL: PoolClass = PoolClass { payload_bytes: 96, count: 2 };
const LARGE: PoolClass = PoolClass { payload_bytes: 1500, count: 3 };

fn pool(classes: &[PoolClass]) -> Pool<Header> {
    Memory::heap().pool("payload", classes).unwrap()
}

#[test]
fn bytes_go_into_the_smallest_block_that_fits() {
    // Given largest first, to see that the order does not matter.
    let mut pool = pool(&[LARGE, SMALL]);
    let small = pool.alloc(96).unwrap();
    let large = pool.alloc(97).unwrap();
    assert_eq!(pool.payload(small).len(), 96);
    // 8 + 24 + 1500 bytes are 24 lines.
    assert_eq!(pool.payload(large).len(), 24 * 64 - 32);
    assert_eq!(pool.payload_max(), 24 * 64 - 32);
    assert_eq!(pool.alloc(pool.payload_max() + 1), None);
    assert_eq!(pool.alloc(usize::MAX), None);
}

#[test]
fn a_larger_block_serves_when_the_small_ones_are_used_up() {
    let mut pool = pool(&[SMALL, LARGE]);
    let blocks: Vec<_> = (0..5).map(|_| pool.alloc(1).unwrap()).collect();
    let small = blocks.iter().filter(|id| pool.payload(**id).len() == 96).count();
    assert_eq!((small, pool.alloc(1), pool.in_use(), pool.free_blocks()), (2, None, 5, 0));
    assert!(pool.free(blocks[0]));
    assert_eq!(pool.alloc(97), None, "a small block does not serve a large payload");
    assert_eq!(pool.alloc(1), Some(blocks[0]));
}

#[test]
fn a_block_comes_with_a_zeroed_header_on_its_own_lines() {
    let mut pool = pool(&[SMALL]);
    let id = pool.alloc(10).unwrap();
    *pool.header_mut(id) = [u64::MAX; 3];
    pool.payload_mut(id).fill(0xee);
    assert_eq!(*pool.header(id), [u64::MAX; 3]);
    pool.free(id);

    assert_eq!(pool.alloc(10), Some(id));
    let (header, payload) = pool.parts_mut(id);
    assert_eq!(*header, [0; 3]);
    assert_eq!(payload[0], 0xee, "a payload is as it was left");
    assert!((payload.as_ptr().addr() - 32).is_multiple_of(64));
}

#[test]
fn a_block_is_handed_out_filled_of_the_smallest_class_or_a_larger_one() {
    let mut pool = pool(&[SMALL, LARGE]);
    let text = [7; 96];
    for (payload_len, number) in [(96, 0), (96, 1), (24 * 64 - 32, 2)] {
        let id = pool.alloc_filled([number; 3], &text).unwrap();
        assert_eq!(pool.payload(id).len(), payload_len);
        assert_eq!((*pool.header(id), &pool.payload(id)[..96]), ([number; 3], &text[..]));
        assert_eq!(pool.references(id), 1);
    }
    assert!(pool.alloc_filled([0; 3], &[0; 97]).is_some());
    assert!(pool.alloc_filled([0; 3], &[0; 97]).is_some());
    assert_eq!(pool.alloc_filled([0; 3], &[]), None, "all are in use");
    assert_eq!((pool.in_use(), pool.free_blocks()), (5, 0));
}

#[test]
fn one_payload_for_many_queues_is_free_after_the_last() {
    let mut pool = pool(&[SMALL]);
    let id = pool.alloc(5).unwrap();
    pool.payload_mut(id)[..5].copy_from_slice(b"hello");
    // More holders than 16 bits could count.
    let queues = if cfg!(miri) { 10 } else { 100_000 };
    for _ in 0..queues {
        pool.share(id);
    }
    assert_eq!(pool.references(id), queues + 1);
    for _ in 0..queues {
        assert!(!pool.free(id));
    }
    assert_eq!((&pool.payload(id)[..5], pool.in_use()), (&b"hello"[..], 1));
    assert!(pool.free(id));
    assert_eq!((pool.references(id), pool.in_use(), pool.free_blocks()), (0, 0, 2));
}

#[test]
#[should_panic(expected = "is freed, and it is free")]
fn freeing_a_block_twice_panics() {
    let mut pool = pool(&[SMALL]);
    let id = pool.alloc(1).unwrap();
    pool.free(id);
    pool.free(id);
}

#[test]
#[should_panic(expected = "is shared, and it is free")]
fn sharing_a_free_block_panics() {
    let mut pool = pool(&[SMALL]);
    let id = pool.alloc(1).unwrap();
    pool.free(id);
    pool.share(id);
}

#[test]
#[should_panic(expected = "`payload` has no block of class 7, index 536870911")]
fn the_block_none_is_no_block() {
    pool(&[SMALL]).free(BlockId::NONE);
}

#[test]
#[should_panic(expected = "`payload` has no block of class 0, index 2")]
fn a_made_up_index_reaches_nothing() {
    let _ = pool(&[SMALL, LARGE]).payload(BlockId::new(0, SMALL.count));
}

#[test]
#[should_panic(expected = "`payload` has no block of class 2, index 0")]
fn a_made_up_class_reaches_nothing() {
    pool(&[SMALL, LARGE]).share(BlockId::new(2, 0));
}

#[test]
#[should_panic(expected = "and it is free")]
#[cfg(debug_assertions)]
fn reading_a_free_block_panics_in_debug_builds() {
    let mut pool = pool(&[SMALL]);
    let id = pool.alloc(1).unwrap();
    pool.free(id);
    let _ = pool.payload(id);
}

#[test]
fn any_block_may_be_prefetched() {
    let pool = pool(&[SMALL]);
    for id in [BlockId::NONE, BlockId::new(0, 0), BlockId::new(3, 77)] {
        pool.prefetch(id);
        pool.prefetch_line(id, u32::MAX);
    }
}

#[test]
fn limits_without_sense_are_refused_by_name() {
    let all = [PoolClass { payload_bytes: u32::MAX, count: 1 << 28 }];
    let error = Memory::heap().pool::<Header>("payload", &all).unwrap_err();
    assert!(matches!(error, MemoryError::TooLarge { name: "payload", .. }), "{error}");
    let many = [PoolClass { payload_bytes: 1, count: 1 << 29 }];
    assert!(Memory::heap().pool::<Header>("payload", &many).is_err());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Alloc { len: usize, mark: u8 },
    AllocFilled { len: usize, mark: u8 },
    Share(usize),
    Free(usize),
}

/// What the model knows of a block.
struct Known {
    holders: u32,
    mark: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0usize..300, any::<u8>()).prop_map(|(len, mark)| Step::Alloc { len, mark }),
        2 => (0usize..300, any::<u8>()).prop_map(|(len, mark)| Step::AllocFilled { len, mark }),
        1 => any::<usize>().prop_map(Step::Share),
        3 => any::<usize>().prop_map(Step::Free),
    ];
    prop::collection::vec(step, 0..if cfg!(miri) { 15 } else { 200 })
}

fn classes() -> impl Strategy<Value = Vec<PoolClass>> {
    let class =
        (0u32..260, 0u32..6).prop_map(|(payload_bytes, count)| PoolClass { payload_bytes, count });
    prop::collection::vec(class, 1..=8)
}

fn check(pool: &Pool<Header>, model: &HashMap<BlockId, Known>, blocks: u32) {
    assert_eq!(pool.in_use() as usize, model.len());
    assert_eq!(pool.free_blocks(), blocks - pool.in_use());
    for (&id, known) in model {
        assert_eq!(pool.references(id), known.holders);
        assert_eq!(*pool.header(id), [u64::from(known.mark); 3]);
        assert!(pool.payload(id).iter().all(|byte| *byte == known.mark), "blocks overlap");
    }
}

proptest! {
    #![proptest_config(crate::test_runs())]

    #[test]
    fn a_pool_does_what_a_map_does(classes in classes(), steps in steps()) {
        let mut pool = pool(&classes);
        let blocks: u32 = classes.iter().map(|class| class.count).sum();
        let mut model = HashMap::<BlockId, Known>::new();
        let mut holders = Vec::new();
        for step in steps {
            match step {
                Step::Alloc { len, mark } | Step::AllocFilled { len, mark } => {
                    let is_filled = matches!(step, Step::AllocFilled { .. });
                    let id = if is_filled {
                        pool.alloc_filled([u64::from(mark); 3], &vec![mark; len])
                    } else {
                        pool.alloc(len)
                    };
                    let Some(id) = id else {
                        // Refused only when every block that fits is in use.
                        let fits = |class: &&PoolClass| class.payload_bytes as usize >= len;
                        let fit = classes.iter().filter(fits);
                        let fitting: u32 = fit.map(|class| class.count).sum();
                        let used = model.keys().filter(|id| pool.payload(**id).len() >= len);
                        prop_assert!(used.count() >= fitting as usize);
                        continue;
                    };
                    prop_assert!(pool.payload(id).len() >= len);
                    let (header, payload) = pool.parts_mut(id);
                    if is_filled {
                        prop_assert_eq!(*header, [u64::from(mark); 3]);
                        prop_assert!(payload[..len].iter().all(|byte| *byte == mark));
                    } else {
                        prop_assert_eq!(*header, [0; 3]);
                    }
                    header.fill(u64::from(mark));
                    payload.fill(mark);
                    let before = model.insert(id, Known { holders: 1, mark });
                    prop_assert!(before.is_none(), "{:?} was handed out twice", id);
                    holders.push(id);
                }
                Step::Share(which) if !holders.is_empty() => {
                    let id = holders[which % holders.len()];
                    pool.share(id);
                    model.get_mut(&id).unwrap().holders += 1;
                    holders.push(id);
                }
                Step::Free(which) if !holders.is_empty() => {
                    let id = holders.swap_remove(which % holders.len());
                    let known = model.get_mut(&id).unwrap();
                    known.holders -= 1;
                    let last = known.holders == 0;
                    prop_assert_eq!(pool.free(id), last);
                    if last {
                        model.remove(&id);
                    }
                }
                Step::Share(_) | Step::Free(_) => {}
            }
            check(&pool, &model, blocks);
        }
        for id in holders {
            pool.free(id);
        }
        prop_assert_eq!((pool.in_use(), pool.free_blocks()), (0, blocks));
    }
}
