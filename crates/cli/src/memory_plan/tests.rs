use super::*;
use crore::AddressRange;

fn interface() -> Interface {
    Interface::new([2; 6], 1500, vec![AddressRange::one("10.0.0.1".parse().unwrap(), 8)])
}

/// The account of an engine that is there.
fn taken<S: Pod>(config: &StackConfig) -> Vec<(&'static str, usize)> {
    let mut memory = Memory::new(HugePages::None);
    let service = Nobody::<S>(PhantomData);
    Engine::new(config.clone(), &interface(), service, &mut memory, [0; 32]).unwrap();
    memory.accounts().iter().map(|account| (account.name, account.bytes)).collect()
}

#[test]
fn an_engine_takes_what_was_planned_to_the_byte() {
    for connections in [1, 700, 5_000, 300_000] {
        let config = StackConfig::for_connections(connections);
        let plan = Plan::of_engine::<[u64; 2]>(&config, &interface()).unwrap();
        assert_eq!(plan.regions, taken::<[u64; 2]>(&config), "{connections}");
    }
}

#[test]
fn limits_of_sources_and_fast_open_are_in_the_plan() {
    let mut config = StackConfig::for_connections(5_000);
    config.sources.conns_max = Some(100);
    config.fast_open.keys = [Some(crore::FastOpenKey([1; 16])), None];
    let plan = Plan::of_engine::<()>(&config, &interface()).unwrap();
    assert_eq!(plan.regions, taken::<()>(&config));
    let without = StackConfig::for_connections(5_000);
    let without = Plan::of_engine::<()>(&without, &interface()).unwrap();
    assert!(plan.total_bytes() > without.total_bytes());
}

#[test]
fn a_state_of_any_size_takes_what_was_planned_to_the_byte() {
    fn check<S: Pod>(connections: u32) {
        let config = StackConfig::for_connections(connections);
        let planned = Plan::of_state(&config, &interface(), size_of::<S>() as u32).unwrap();
        assert_eq!(planned.regions, taken::<S>(&config), "{} bytes", size_of::<S>());
    }
    check::<()>(5_000);
    check::<u8>(5_000);
    check::<[u32; 3]>(100_000);
    check::<[u64; 8]>(100_000);
    check::<[u8; 1000]>(20_000);
}

#[test]
fn what_does_not_fit_is_refused_with_the_number_that_would() {
    let per_conn = |count: u32| Ok(count as usize * 300);
    assert_eq!(most_that_fit(1_000, 300_000, per_conn).unwrap(), 1_000);
    let fits = most_that_fit(10_000_000, 300_000_000, per_conn).unwrap();
    assert!((985_000..=1_000_000).contains(&fits), "{fits}");
    let whole_machine = |count: u32| Ok(count as usize * (1 << 40));
    let error = check_fit(1_000, HugePages::None, whole_machine).unwrap_err().to_string();
    assert!(error.contains("1,000 connections take"), "{error}");
    assert!(error.contains("--connections 0"), "{error}");
}

#[test]
fn regions_under_a_huge_page_take_none() {
    let plan = Plan { regions: vec![("a", 4096), ("b", HUGE_PAGE_BYTES), ("c", 5 << 21)] };
    assert_eq!(plan.huge_pages(), 6);
    assert_eq!(plan.total_bytes(), 4096 + (6 << 21));
}
