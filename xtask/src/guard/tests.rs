//! A record and what was measured, side by side.

use super::*;

const RECORD: &str = "
[bytes]
control_block = 128.0
[instructions]
echo_per_packet = 1000.0
";

fn measured(control_block: f64, echo: f64) -> Figures {
    let table = |name: &str, figure| BTreeMap::from([(name.to_owned(), figure)]);
    Figures::from([
        ("bytes".to_owned(), table("control_block", control_block)),
        ("instructions".to_owned(), table("echo_per_packet", echo)),
    ])
}

#[test]
fn within_three_percent_nothing_is_said() {
    let record = parse(RECORD).unwrap();
    assert_eq!(problems(&record, &measured(128.0, 1030.0)), Vec::<String>::new());
    assert_eq!(problems(&record, &measured(128.0, 970.0)), Vec::<String>::new());
}

#[test]
fn growth_and_gain_beyond_it_are_named() {
    let record = parse(RECORD).unwrap();
    assert_eq!(
        problems(&record, &measured(132.0, 969.0)),
        [
            "bytes.control_block grew from 128 to 132 (+3.1 %)",
            "instructions.echo_per_packet shrank from 1000 to 969 (-3.1 %): update the record"
        ]
    );
}

#[test]
fn what_came_or_went_is_named() {
    let record = parse(RECORD).unwrap();
    let mut now = measured(128.0, 1000.0);
    now.remove("instructions");
    now.get_mut("bytes").unwrap().insert("half_open_record".to_owned(), 64.0);
    assert_eq!(
        problems(&record, &now),
        [
            "bytes.half_open_record is 64 and not recorded",
            "instructions.echo_per_packet is recorded and was not measured"
        ]
    );
}

#[test]
fn a_record_that_was_written_is_read_again() {
    let figures = measured(128.0, 1684.7);
    assert_eq!(parse(&render(&figures)).unwrap(), figures);
}

#[test]
fn callgrind_and_the_program_say_how_much_for_how_many() {
    let said = "work=idle connections=10 rounds=7 turns=7 cycles_per_turn=1.5\n";
    assert_eq!(measure::units(said), Some(("turn".to_owned(), 7.0)));
    assert_eq!(measure::units("work=echo connections=4"), None);
    assert!((measure::total("events: Ir\nsummary: 9\ntotals: 42\n").unwrap() - 42.0).abs() < 0.1);
    assert!(measure::total("events: Ir\n").is_err());
}
