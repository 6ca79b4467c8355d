//! Storms of addresses and ports: reuse, TIME-WAIT, the flow table.

use crate::segments::{Peer, ack, data, fin, rst, segment, syn};
use crate::{held, steps};
use crore::Drop;
use crore_stack::hash::{FlowHasher, FlowKey};
use crore_wire::tcp::Flags;

/// The same four-tuple, opened and closed ten thousand times: one record, never more.
#[test]
fn reuse_of_one_tuple_without_pause_takes_one_record() {
    let mut peer = Peer::new(|_| {});
    for n in 0..10_000_u32 {
        peer.isn_here = n.wrapping_mul(100_000);
        peer.forget_isn();
        assert!(peer.tries_to_open(syn()).1, "opened for the {n}th time");
        peer.app_closes();
        peer.says(ack(1, 2));
        peer.says(fin(1, 2));
        peer.hear_all();
        peer.now_us += 100;
    }
    assert_eq!(held(&peer.engine), [0, 0, 1, 1, 0]);
    assert_eq!(peer.counters().time_wait_evicted, 0);
}

/// Closed by the tens of thousands from different ports: the ring of TIME-WAIT stays in its bounds.
#[test]
fn a_storm_of_closes_fills_the_ring_of_time_wait_and_no_more() {
    let mut peer = Peer::new(|config| config.time_wait_max = 1024);
    let work = steps(&mut peer, |peer| {
        for n in 0..5_000_u16 {
            assert!(peer.gets_in("10.0.0.7", 1000 + n));
            peer.app_closes();
            peer.says(ack(1, 2));
            peer.says(fin(1, 2));
            peer.hear_all();
        }
    });
    let [conns, half_open, time_wait, flows, blocks] = held(&peer.engine);
    assert_eq!([conns, half_open, blocks], [0; 3]);
    assert!((1000..=1024).contains(&time_wait) && flows == time_wait, "{time_wait}, {flows}");
    assert!(work <= 5_000, "{work} steps");
}

/// RFC 1337: neither a reset, nor old octets, nor an old SYN ends TIME-WAIT; and nobody is answered
/// for ever. A SYN gets its challenge, until there are too many in a millisecond.
#[test]
fn time_wait_is_not_assassinated() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_closes();
    peer.says(ack(1, 2));
    peer.says(fin(1, 2));
    peer.hear_all();
    for n in 0..500 {
        peer.says(rst(n));
        peer.says(segment(Flags::SYN, 0));
        peer.says(ack(2, 2));
    }
    assert_eq!(held(&peer.engine), [0, 0, 1, 1, 0]);
    let heard = peer.hear_all();
    assert_eq!(heard.len(), 500);
    assert!(heard.iter().all(|heard| peer.told(heard) == "A 2 ack 2"));
    peer.says(data(1, 2, b"old"));
    peer.hears(&["A 2 ack 2"]);
    assert!(peer.dropped(Drop::TimeWait) >= 1500);
    assert!(peer.app().received.is_empty());
}

/// A hundred thousand tuples that all fall into one bucket under a key that the attacker has: under
/// ours, which it does not have, they are as any others. The worst probe and the full buckets are
/// what an operator sees.
#[test]
fn tuples_chosen_to_collide_do_not_under_a_secret_key() {
    let (known, ours) = (FlowHasher::new([0, 0]), FlowHasher::new([0x1234, 0x5678]));
    let mut memory = crore::mem::Memory::heap();
    let entries = 20_000;
    let mut table = crore_stack::flow::FlowTable::new(&mut memory, "flows", entries).unwrap();
    let buckets = u64::from(entries * 3 / 2 / 8 + 1);
    let (mut tried, mut chosen, mut passed) = (0_u64, 0, 0);
    while chosen < entries / 2 {
        let port = tried as u16;
        let remote = 0xffff_0a00_0000 | u128::from(tried >> 16);
        let key = FlowKey { remote, local: 0xffff_0a00_0002, remote_port: port, local_port: 80 };
        tried += 1;
        // The home bucket under the known key: one in a thousand falls into the first few.
        if ((known.hash(&key) >> 32) * buckets) >> 32 < buckets / 500 {
            passed += u32::from(table.insert(ours.hash(&key), chosen).unwrap() > 0);
            chosen += 1;
        }
    }
    assert!(table.longest_probe() <= 8, "{} buckets for one entry", table.longest_probe());
    assert!(passed < chosen / 20, "{passed} of {chosen} found their bucket full");
}
