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

fn serve(words: &[&str]) -> ServeOptions {
    let words = ["crore", "serve", "echo", "--listen", "7"].iter().chain(words);
    match Args::try_parse_from(words).unwrap().command {
        Command::Serve(ServeKind::Echo(options)) => options,
        _ => panic!("serve echo"),
    }
}

#[test]
fn addresses_of_their_own_belong_to_a_single_link() {
    let one = serve(&["--link", "tap:a,address=10.9.0.2/24", "--address", "10.9.0.3/24"]);
    assert_eq!(one.links().unwrap()[0].addresses.len(), 2);
    let two = ["--link", "tap:a,address=10.9.0.2/24", "--link", "tap:b,address=10.9.1.2/24"];
    let links = serve(&two).links().unwrap();
    assert_eq!(links.iter().map(|link| link.addresses.len()).collect::<Vec<_>>(), [1, 1]);
    let ambiguous = serve(&[&two[..], &["--address", "10.9.0.3/24"]].concat());
    let error = ambiguous.links().unwrap_err().to_string();
    assert!(error.contains("--link tap:a,address="), "{error}");
}
