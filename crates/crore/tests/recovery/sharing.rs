//! Many connections and a small pool: each goes on, nothing that was acknowledged is lost. Host 1
//! sends, host 0 receives.

use super::wire::{Fate, Path, World};
use crore::mem::PoolClass;
use crore::{Pressure, StackConfig};

const CONNS: usize = 1000;

/// Two and a half megabytes of blocks: less than two segments for each of a thousand.
fn small_pool(config: &mut StackConfig) {
    config.pool = [(160, 1024), (480, 512), (2016, 1024)]
        .map(|(payload_bytes, count)| PoolClass { payload_bytes, count });
}

fn connect_all(world: &mut World, count: usize) {
    world.connect();
    let remote = "10.0.0.2:80".parse().unwrap();
    for _ in 1..count {
        world.act(0, |_, turn| turn.connect(remote, None).unwrap());
        world.run_for(2_000, |_| Fate::Arrives);
    }
}

/// Losses of one in a thousand, so that out-of-order octets want room as well.
fn a_little_loss() -> impl FnMut(&super::wire::Seen) -> Fate {
    let mut count = 0u32;
    move |seen| {
        count += u32::from(seen.len > 0);
        if seen.len > 0 && count.is_multiple_of(1000) { Fate::Lost } else { Fate::Arrives }
    }
}

#[test]
fn a_thousand_bulk_transfers_share_a_small_pool_without_stalls() {
    let path = Path { delay_us: 50_000, rate: 50_000_000, queue_us: 1_000_000 };
    let mut world = World::new(path, |_, config| {
        *config = StackConfig::for_connections(CONNS as u32 + 4);
        config.half_open_max = CONNS as u32;
        small_pool(config);
    });
    world.keeps_seen = false;
    connect_all(&mut world, CONNS);
    world.run_for(1_000_000, |_| Fate::Arrives);
    world.service(1).endless = true;
    for index in 0..CONNS as u32 {
        world.act(1, |stream, turn| stream.fill(&mut turn.conn_at(index).unwrap()));
    }
    let mut loss = a_little_loss();
    let mut before = world.service(0).received_by.clone();
    for _ in 0..3 {
        world.run_for(3_000_000, &mut loss);
        let now = world.service(0).received_by.clone();
        assert_eq!(now.len(), CONNS);
        for (conn, octets) in &now {
            let earlier = before.get(conn).copied().unwrap_or(0);
            assert!(*octets > earlier, "connection {conn} stands still at {octets}");
        }
        before = now;
    }
    world.service(1).endless = false;
    world.run_for(30_000_000, |_| Fate::Arrives);
    let (sent, received) = (world.service(1).sent, world.service(0).received);
    assert_eq!(sent, received);
    assert_eq!(world.stack(0).conns() as usize, CONNS, "none was ended");
    for side in 0..2 {
        assert_eq!(world.blocks_in_use(side), 0, "host {side}");
    }
}

/// Readers that pause fill the pool. Who comes then is offered little, and everything goes on when
/// they read again.
#[test]
fn under_pressure_new_connections_begin_small_and_nothing_is_lost() {
    let path = Path { delay_us: 5_000, rate: 12_500_000, queue_us: 40_000 };
    let mut world = World::new(path, |side, config| {
        *config = StackConfig::for_connections(200);
        if side == 0 {
            small_pool(config);
        }
    });
    world.service(1).endless = true;
    world.service(0).pauses = true;
    connect_all(&mut world, 60);
    world.run_for(3_000_000, |_| Fate::Arrives);
    assert!(world.stack(0).pressure() > Pressure::None);
    assert!(world.counters(0).pressure_entered > 0);
    let (used, all) = world.stack(0).pool_bytes();
    assert!(used * 100 < all * 90, "{used} of {all}: the rest is for sending");
    world.seen.clear();
    let remote = "10.0.0.2:80".parse().unwrap();
    world.act(0, |_, turn| turn.connect(remote, None).unwrap());
    world.run_for(100_000, |_| Fate::Arrives);
    let syn = world.seen.iter().find(|seen| seen.from == 0).unwrap();
    assert_eq!(syn.header.window, 4096);
    world.service(0).pauses = false;
    for index in 0..61 {
        world.act(0, |_, turn| turn.conn_at(index).map(|mut conn| conn.resume()));
    }
    world.service(1).endless = false;
    world.run_for(20_000_000, |_| Fate::Arrives);
    let (sent, received) = (world.service(1).sent, world.service(0).received);
    assert_eq!(sent, received);
    assert_eq!(world.stack(0).pressure(), Pressure::None);
    assert_eq!((world.stack(0).conns(), world.blocks_in_use(0)), (61, 0));
}

/// Sender after sender: each queue gets its share, the sum stays below the mark, and a connection
/// that comes late may queue as well.
#[test]
fn send_queues_leave_room_for_others() {
    let path = Path { delay_us: 200_000, rate: 12_500_000, queue_us: 400_000 };
    let mut world = World::new(path, |side, config| {
        *config = StackConfig::for_connections(200);
        config.snd_buf_bytes = 1 << 20;
        if side == 1 {
            small_pool(config);
        }
    });
    world.service(1).endless = true;
    connect_all(&mut world, 40);
    world.run_for(1_000_000, |_| Fate::Arrives);
    let queued: Vec<u32> = (0..40).map(|i| world.stack(1).tcb(i).queued()).collect();
    let (used, all) = world.stack(1).pool_bytes();
    assert!(used * 100 < all * 88, "{used} of {all}");
    assert!(queued.iter().all(|&octets| octets > 0), "{queued:?}");
    world.run_for(20_000_000, |_| Fate::Arrives);
    let queued: Vec<u32> = (0..40).map(|i| world.stack(1).tcb(i).queued()).collect();
    assert!(queued.iter().all(|&octets| octets <= 256 << 10), "{queued:?}");
}
