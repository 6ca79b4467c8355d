use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn a_rate_and_a_number_in_flight_exclude_each_other() {
    let both = ["crore", "demo", "--rate", "1000", "--in-flight", "5"];
    assert!(Args::try_parse_from(both).is_err());
    assert!(Args::try_parse_from(["crore", "demo", "--rate", "0"]).is_err());
}

#[test]
fn fast_open_is_off_unless_asked_for() {
    let serve = |more: &[&str]| {
        let words = ["crore", "serve", "echo", "--link", "tap:x", "--listen", "7"];
        let args = Args::try_parse_from(words.iter().chain(more)).unwrap();
        match args.command {
            Command::Serve(ServeKind::Echo(options)) => options.fast_open,
            _ => panic!("serve echo"),
        }
    };
    assert!(!serve(&[]));
    assert!(serve(&["--fast-open"]));
}
