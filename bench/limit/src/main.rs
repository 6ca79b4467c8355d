//! The yardstick alone; the library says what it does.

use crore_limit::{Limit, Round};
use crore_mem::HugePages;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u32>());
    let (Ok(conns), Ok(burst)) = (number(10_000_000), number(32)) else {
        eprintln!("usage: crore-limit [CONNECTIONS] [BURST]");
        std::process::exit(2);
    };
    match Limit::new(conns, burst as usize, HugePages::Transparent) {
        Ok(mut limit) => {
            let all: Round = (0..ROUNDS).map(|_| limit.round()).sum();
            println!(
                "connections={conns} burst={burst} cycles_per_request_and_reply={:.1} \
                 cycles_per_packet={:.1} requests={} bad={}",
                2.0 * all.cycles_per_packet(),
                all.cycles_per_packet(),
                all.requests,
                all.requests - all.answered
            );
        }
        Err(error) => {
            eprintln!("crore-limit: {error}");
            std::process::exit(2);
        }
    }
}

const ROUNDS: usize = 32;
