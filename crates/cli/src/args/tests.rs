use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn numbers_of_connections_are_read_as_people_write_them() {
    assert_eq!(count_1_to_1_billion("10000"), Ok(10_000));
    assert_eq!(count_1_to_1_billion("10_000_000"), Ok(10_000_000));
    assert_eq!(count_1_to_1_billion("10M"), Ok(10_000_000));
    assert_eq!(count_1_to_1_billion("64k"), Ok(64_000));
    for wrong in ["", "0", "-1", "1.5M", "2000M", "ten", "99999999999999999999"] {
        assert!(count_1_to_1_billion(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_rate_and_a_number_in_flight_exclude_each_other() {
    let both = ["crore", "demo", "--rate", "1000", "--in-flight", "5"];
    assert!(Args::try_parse_from(both).is_err());
    assert!(Args::try_parse_from(["crore", "demo", "--rate", "0"]).is_err());
}
