use super::*;
use crore::AddressRange;

fn interface() -> Interface {
    Interface {
        mac: [2; 6],
        mtu: 1500,
        vlan: None,
        addresses: vec![AddressRange::one("10.0.0.1".parse().unwrap(), 8)],
        gateway_v4: None,
        gateway_v6: None,
        verify_checksums: true,
    }
}

fn taken(config: &StackConfig) -> Vec<(&'static str, usize)> {
    let mut memory = Memory::new(HugePages::None);
    let service = Nobody::<[u64; 2]>(PhantomData);
    Engine::new(config.clone(), &interface(), service, &mut memory, [0; 32]).unwrap();
    memory.accounts().iter().map(|account| (account.name, account.bytes)).collect()
}

#[test]
fn a_small_stack_takes_what_was_planned_to_a_page() {
    let config = StackConfig::for_connections(5_000);
    let plan = Plan::of_engine::<[u64; 2]>(&config, &interface()).unwrap();
    for ((name, planned), (_, taken)) in plan.regions.iter().zip(taken(&config)) {
        let difference = planned.abs_diff(taken);
        let page = if taken < HUGE_PAGE_BYTES { 4096 } else { HUGE_PAGE_BYTES };
        assert!(difference <= page, "{name}: {planned} planned, {taken} taken");
    }
}

#[test]
fn a_large_stack_takes_what_small_ones_foretell() {
    let config = StackConfig::for_connections(700_000);
    let plan = Plan::of_engine::<[u64; 2]>(&config, &interface()).unwrap();
    let taken = taken(&config);
    assert_eq!(plan.regions.len(), taken.len());
    for ((name, planned), (_, taken)) in plan.regions.iter().zip(taken) {
        assert!(planned.abs_diff(taken) <= HUGE_PAGE_BYTES, "{name}: {planned}, {taken}");
    }
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
