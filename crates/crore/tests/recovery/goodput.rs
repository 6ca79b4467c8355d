//! Goodput over loss and round-trip time. `cargo test -p crore --release --test recovery --
//! --ignored --nocapture` prints the whole table.

use super::wire::{Fate, Path, World};

/// Mean megabits a second that arrive in `seconds` of virtual time.
fn goodput(rtt_us: u64, loss_per_mille: u64, seconds: u64) -> f64 {
    let path = Path { delay_us: rtt_us / 2, rate: RATE, queue_us: rtt_us.max(5_000) };
    let mut world = World::new(path, |_, config| {
        config.snd_buf_bytes = 4 << 20;
        config.rcv_buf_bytes = 4 << 20;
    });
    world.keeps_seen = false;
    world.service(1).endless = true;
    let mut luck = rtt_us * 31 + loss_per_mille;
    let lose = move |from: usize| {
        luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from == 1 && (luck >> 33) % 1000 < loss_per_mille
    };
    let mut lose = lose;
    world.connect();
    let before = world.service(0).received;
    world.run_for(
        seconds * 1_000_000,
        |seen| {
            if lose(seen.from) { Fate::Lost } else { Fate::Arrives }
        },
    );
    (world.service(0).received - before) as f64 * 8.0 / 1e6 / seconds as f64
}

#[test]
#[ignore = "a measurement: run it in release"]
fn table() {
    println!("loss %   RTT 1 ms   RTT 20 ms   RTT 100 ms   (Mbit/s of {})", RATE * 8 / 1_000_000);
    for loss_per_mille in [0, 1, 10, 50] {
        let row = [1_000, 20_000, 100_000].map(|rtt_us| goodput(rtt_us, loss_per_mille, 20));
        let loss = loss_per_mille as f64 / 10.0;
        println!("{loss:6.1} {:10.2} {:11.2} {:12.2}", row[0], row[1], row[2]);
    }
}

#[test]
fn without_loss_the_path_is_filled() {
    let got = goodput(20_000, 0, 5);
    assert!(got > 0.5 * (RATE * 8 / 1_000_000) as f64, "{got:.1} Mbit/s");
}

/// Octets a second of the path: 100 Mbit/s.
const RATE: u64 = 12_500_000;
