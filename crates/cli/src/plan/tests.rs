use super::*;
use crate::args::MemoryOptions;

fn options(connections: u32) -> PlanOptions {
    PlanOptions {
        connections,
        state: 16,
        rate: Some(5e6),
        cycles: Some(crore::tsc_hz() / 1e6),
        memory: MemoryOptions { huge_pages: Some(HugePagesChoice::None) },
        json: None,
    }
}

fn answer(options: &PlanOptions) -> Answer {
    let cost = options.rate.map(|rate| Cost::of(options, rate).unwrap());
    let cores = cost.as_ref().map_or(1, |cost| cost.cores);
    Answer::of(options, cores, cost).unwrap()
}

#[test]
fn ten_million_idle_connections_take_at_most_256_bytes_each_with_everything() {
    let answer = answer(&PlanOptions { state: 0, rate: None, cycles: None, ..options(10_000_000) });
    assert!(answer.bytes_per_connection <= 256.0, "{}", answer.bytes_per_connection);
    assert!(answer.bytes_per_connection > 128.0, "a control block is 128");
    assert_eq!(answer.cores, 1);
    assert_eq!(answer.bytes, answer.regions.values().sum::<usize>());
}

#[test]
fn a_rate_is_divided_among_cores_that_are_not_kept_wholly_busy() {
    // A million packets a second keep one core wholly busy.
    let answer = answer(&options(1_000_000));
    let cost = answer.cost.as_ref().unwrap();
    assert!((cost.cores_busy - 5.0).abs() < 0.5, "{} busy", cost.cores_busy);
    assert_eq!(answer.cores, 7, "of which each is at most 80 % busy");
    assert_eq!(answer.connections_of_core, room_of_core(1_000_000, 7));
    assert!(answer.connections_of_core > 1_000_000 / 7);
    assert_eq!(answer.bytes, 7 * answer.regions.values().sum::<usize>());
    assert!(answer.text().contains("(given)"), "{}", answer.text());
}

#[test]
fn what_no_machine_has_is_planned_and_does_not_fit() {
    let plan = PlanOptions { state: 65_536, rate: None, ..options(1_000_000_000) };
    let answer = answer(&plan);
    assert!(answer.bytes > 65_536_000_000_000 && !answer.fits);
    assert!(answer.text().contains("it does not fit"));
    assert!(answer.page_table_bytes > 0 && answer.huge_pages == 0);
}

#[test]
fn huge_pages_are_counted_when_they_are_wanted() {
    let memory = MemoryOptions { huge_pages: Some(HugePagesChoice::Reserve) };
    let answer = answer(&PlanOptions { memory, ..options(1_000_000) });
    let most = answer.bytes / HUGE_PAGE_BYTES;
    assert!((most - 8 * answer.cores as usize..=most).contains(&answer.huge_pages));
    assert_eq!(answer.page_table_bytes, 0);
}
