use serde_json::json;

use super::*;

fn good() -> Value {
    json!({
        "connections": 20_000, "established_server": 20_000, "established_client": 20_000,
        "requests": 1_000_000, "bad_bytes": 0, "resets": 0, "leaked": 0,
    })
}

#[test]
fn a_good_report_has_no_problem() {
    assert_eq!(problems(&good()), Vec::<String>::new());
}

#[test]
fn each_wrong_figure_is_named() {
    for (name, wrong) in [
        ("connections", json!(0)),
        ("established_server", json!(19_999)),
        ("established_client", json!(19_999)),
        ("requests", json!(0)),
        ("bad_bytes", json!(1)),
        ("resets", json!(1)),
        ("leaked", json!(1)),
        ("leaked", json!({"slots": 0, "timers": 1})),
    ] {
        let mut report = good();
        report[name] = wrong;
        assert!(problems(&report).iter().any(|problem| problem.starts_with(name)), "{name}");
    }
}

#[test]
fn a_figure_that_is_missing_is_not_zero() {
    for name in ["connections", "requests", "bad_bytes", "resets", "leaked"] {
        let mut report = good();
        report.as_object_mut().unwrap().remove(name);
        assert!(!problems(&report).is_empty(), "{name}");
    }
}

#[test]
fn leaks_may_be_told_apart() {
    let mut report = good();
    report["leaked"] = json!({"slots": 0, "buffers": 0, "timers": 0});
    assert_eq!(problems(&report), Vec::<String>::new());
}
