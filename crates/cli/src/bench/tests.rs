use super::*;
use crate::args::{Against, ClientChoice, HugePagesChoice, MemoryOptions};
use serde_json::Value;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Small, quick, and without asking for anything of the machine.
pub(crate) fn options(connections: &[u32]) -> BenchOptions {
    BenchOptions {
        profiles: Vec::new(),
        list: false,
        json: None,
        html: None,
        seconds: 0.2,
        connections: connections.to_vec(),
        against: None,
        client: ClientChoice::Mirror,
        cpus: None,
        connect: None,
        link: None,
        address: Vec::new(),
        memory: MemoryOptions { huge_pages: Some(HugePagesChoice::None) },
    }
}

#[test]
fn a_profile_that_is_not_there_is_refused_by_name() {
    let error = chosen(&["echoes".to_owned()]).err().unwrap().to_string();
    assert!(error.starts_with("there is no profile echoes; there are echo"), "{error}");
}

/// One for all tests: a look takes a second.
fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| Machine::look(&options(&[])).unwrap())
}

/// Runs a profile small, and demands that its figures can be shown in every way.
fn play(
    profile: fn(&BenchOptions, &Machine) -> Result<ProfileResult>,
    options: &BenchOptions,
) -> Value {
    // One after the other: they have the same two processors.
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = profile(options, machine()).unwrap();
    drop(turn);
    assert_eq!(found.failures, Vec::<String>::new());
    print::result(&found);
    let entry = Entry { machine: machine().clone(), found };
    let report = Report {
        format: result::FORMAT,
        version: "0",
        when: when(OffsetDateTime::now_utc()),
        command: "crore bench <test> & more".to_owned(),
        profiles: vec![entry],
    };
    assert_well_formed(&html::page(&report));
    serde_json::to_value(&report).unwrap()["profiles"][0].clone()
}

/// Every tag that opens closes, in order, but for those that never do; what is said is escaped.
fn assert_well_formed(html: &str) {
    let mut open = Vec::new();
    for piece in html.split('<').skip(2) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{html}");
        } else if !tag.ends_with('/') && !tag.starts_with("meta") {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?} did not close");
    assert!(!html.contains("NaN") && !html.contains("<script"), "{html}");
    assert!(!html.contains("src=") && !html.contains("url("), "nothing is loaded");
}

/// The sum of a column of a table.
fn total(found: &Value, table: &str, column: &str) -> u64 {
    let tables = found["tables"].as_array().unwrap();
    let table = tables.iter().find(|one| one["name"] == table).expect("the table");
    let columns = table["columns"].as_array().unwrap();
    let at = columns.iter().position(|one| one["name"] == column).expect("the column");
    table["rows"].as_array().unwrap().iter().map(|row| row[at].as_f64().unwrap() as u64).sum()
}

#[test]
fn echo_checks_every_reply_at_each_size_and_runs_the_yardstick_in_turn() {
    let against = Some(Against::Limit);
    let found = play(echo::run, &BenchOptions { against, ..options(&[200, 1_000]) });
    assert!(total(&found, "turns", "longest since the start") > 0);
    assert_eq!(total(&found, "counts", "stood"), 1_200);
    assert_eq!(total(&found, "counts", "closed"), 1_200);
    assert_eq!(total(&found, "counts", "bad bytes"), 0);
    assert!(total(&found, "counts", "replies") > 1_000);
    let series = found["plots"][0]["series"].as_array().unwrap();
    assert!(series.iter().all(|one| one["points"].as_array().unwrap().len() == 2));
    assert_eq!(series.len(), 4, "stack, driver and stack, the same in turn, yardstick");
    assert_eq!(found["pairs"].as_array().unwrap().len(), 8);
    assert_eq!(found["pairs"][0]["rounds"].as_array().unwrap().len(), 5);
    assert_eq!(found["failures"], Value::Array(Vec::new()));
    assert!(found["machine"]["memory_miss"]["cycles"].as_f64().unwrap() > 0.0);
}

#[test]
fn echo_and_churn_can_have_a_whole_stack_as_their_client() {
    let client = ClientChoice::Full;
    let found = play(echo::run, &BenchOptions { client, ..options(&[200]) });
    assert_eq!(total(&found, "counts", "closed"), 200);
    let found = play(churn::run, &BenchOptions { client, ..options(&[50]) });
    assert!(total(&found, "counts", "whole lives") > 1_000);
}

#[test]
fn churn_counts_whole_lives_with_both_orders_of_closing() {
    let found = play(churn::run, &options(&[50]));
    assert_eq!(found["tables"][0]["rows"].as_array().unwrap().len(), 3);
    assert!(total(&found, "counts", "whole lives") > 1_000);
    assert_eq!(total(&found, "counts", "others"), 0);
    assert_eq!(total(&found, "counts", "bad bytes"), 0);
    assert!(total(&found, "lives", "TIME-WAIT cut short") > 0, "1 k records are not enough");
}

#[test]
fn bulk_compares_every_octet_in_both_directions_and_frame_sizes() {
    let found = play(bulk::run, &options(&[]));
    assert_eq!(found["tables"][0]["rows"].as_array().unwrap().len(), 6);
    for column in ["octets to the server", "octets to the client"] {
        assert!(total(&found, "counts", column) > 1_000_000, "{column}");
    }
    assert_eq!(total(&found, "counts", "bad bytes"), 0);
}

#[test]
fn hold_asks_every_connection_and_hears_from_each() {
    let found = play(hold::run, &options(&[500]));
    assert_eq!(found["tables"][0]["rows"].as_array().unwrap().len(), 3);
    let answered = total(&found, "counts", "answered");
    assert!((500..=2_000).contains(&answered), "about once in a period: {answered}");
    assert_eq!(total(&found, "counts", "bad bytes"), 0);
    assert!(total(&found, "held", "server's memory each") > 300);
}

#[test]
fn latency_measures_every_load_alone_and_in_company() {
    let found = play(latency::run, &BenchOptions { seconds: 0.6, ..options(&[300]) });
    assert_eq!(found["tables"][0]["rows"].as_array().unwrap().len(), 8);
    assert!(total(&found, "latency", "answered") > 100);
    assert!(total(&found, "latency", "residence p50") > 0);
    assert!(
        total(&found, "latency", "residence p50") <= total(&found, "latency", "round trip p50")
    );
    assert!(total(&found, "latency", "lives beside") > 0);
    assert!(total(&found, "latency", "timers beside") > 0);
    assert_eq!(total(&found, "latency", "bad bytes"), 0);
    assert_eq!(found["plots"].as_array().unwrap().len(), 4);
}

#[test]
fn flood_leaves_every_reply_right_and_every_connection_standing() {
    let found = play(flood::run, &options(&[300]));
    assert_eq!(found["tables"][0]["rows"].as_array().unwrap().len(), 7);
    assert!(total(&found, "attacks", "came") > 1_000);
    assert!(total(&found, "attacks", "replies") > 1_000);
    let note = found["notes"][0].as_str().unwrap();
    assert!(note.contains("cookies") && note.contains("dropped:"), "{note}");
}

#[test]
fn scale_turns_one_core_to_all_with_generators_of_their_own_and_without() {
    let found = play(scale::run, &options(&[500]));
    let cpus = crore::pin::allowed_cpus().len().min(4);
    let rows = found["tables"][0]["rows"].as_array().unwrap();
    assert!(rows.len() >= 2 * cpus - 1, "{rows:?}");
    assert!(rows.iter().all(|row| row[2].as_f64().unwrap() > 0.0), "{rows:?}");
    assert_eq!(rows[0][5], 100.0, "one core is as fast as itself");
}

#[test]
fn requests_and_short_connections_are_held_against_the_kernel() {
    let against = Some(Against::Kernel);
    for profile in [echo::run, churn::run] {
        let found = play(profile, &BenchOptions { against, ..options(&[300]) });
        let pairs = found["pairs"].as_array().unwrap();
        assert!(pairs.len() >= 2, "{found}");
        assert!(pairs.iter().all(|pair| pair["median_theirs"].as_f64().unwrap() > 0.0));
        assert_eq!(total(&found, "kernel", "connections") % 300, 0);
    }
}

#[test]
fn a_size_that_does_not_fit_is_left_out_with_a_word() {
    let found = play(echo::run, &options(&[1_000_000_000]));
    let note = found["notes"][0].as_str().unwrap();
    assert!(note.starts_with("left out: 1,000,000,000 connections take"), "{note}");
}

#[test]
fn dates_are_those_of_the_calendar() {
    let at = |seconds| when(OffsetDateTime::from_unix_timestamp(seconds).unwrap());
    assert_eq!(at(0), "1970-01-01 00:00 UTC");
    assert_eq!(at(951_782_400), "2000-02-29 00:00 UTC");
    assert_eq!(at(1_767_225_599), "2025-12-31 23:59 UTC");
}
