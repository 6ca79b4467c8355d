use super::*;
use crate::args::{HugePagesChoice, MemoryOptions};

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
        cpus: None,
        memory: MemoryOptions { huge_pages: Some(HugePagesChoice::None) },
    }
}

#[test]
fn a_profile_that_is_not_there_is_refused_by_name() {
    let error = chosen(&["echoes".to_owned()]).err().unwrap().to_string();
    assert!(error.starts_with("there is no profile echoes; there are echo"), "{error}");
}

#[test]
fn echo_checks_every_reply_at_each_size() {
    let options = options(&[200, 1_000]);
    let found = echo::run(&options, &Machine::look(&options).unwrap()).unwrap();
    assert_eq!(found.failures, Vec::<String>::new());
    assert_eq!(found.tables[0].rows.len(), 2);
    assert_eq!(found.plots[0].series[0].points.len(), 2);
}
