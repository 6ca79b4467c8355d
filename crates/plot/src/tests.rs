use super::*;
use crate::scale::{Scale, label};

fn plot() -> Plot {
    Plot {
        name: "cycles",
        title: "Cycles & more".to_owned(),
        x: Axis::log("connections"),
        y: Axis::linear("cycles a packet"),
        series: vec![
            Series::new("ours", vec![(1e4, 150.0), (1e7, 190.0)]),
            Series { mark: Mark::Line, ..Series::new("<theory>", vec![(1e4, 90.0), (1e7, 105.0)]) },
        ],
        limits: vec![Limit::new("asked for", 200.0)],
    }
}

/// Every tag that opens closes, in order; text is escaped.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{svg}");
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?} did not close");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn a_picture_shows_every_series_limit_and_axis() {
    let svg = inline(&plot());
    assert_well_formed(&svg);
    for text in ["Cycles &amp; more", "connections", "ours", "&lt;theory&gt;", "asked for"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert_eq!(svg.matches("<circle").count(), 2, "points of ours; theory is a line");
}

#[test]
fn pictures_side_by_side_are_one_file_with_its_style() {
    let svg = file(&[plot(), plot()]);
    assert_well_formed(&svg);
    assert!(svg.contains("viewBox=\"0 0 1280 340\"") && svg.contains(CSS));
}

#[test]
fn a_plot_of_nothing_or_of_one_point_is_a_picture_too() {
    let single = Series::new("one", vec![(0.0, 0.0)]);
    for series in [vec![], vec![single]] {
        assert_well_formed(&inline(&Plot { series: series.clone(), ..plot() }));
        assert_well_formed(&inline(&Plot { series, y: Axis::log("y"), ..Plot::default() }));
    }
}

#[test]
fn an_axis_names_round_values() {
    let log = Scale::of(&Axis::log(""), [1e4, 1e7].into_iter());
    assert_eq!(log.ticks(), [1e4, 1e5, 1e6, 1e7]);
    let linear = Scale::of(&Axis::linear(""), [20.0, 190.0].into_iter());
    assert_eq!(linear.ticks(), [0.0, 50.0, 100.0, 150.0, 200.0]);
    let fixed = Scale::of(&Axis::log("").within(0.5, 60.0), [1.0].into_iter());
    assert_eq!(fixed.ticks(), [1.0, 10.0]);
    assert_eq!((fixed.part(0.1), fixed.part(60.0), fixed.part(1e9)), (0.0, 1.0, 1.0));
}

#[test]
fn numbers_are_short() {
    let labels = [0.0, 0.01, 2.5, 150.0, 1000.0, 10_000.0, 2_500_000.0].map(label);
    assert_eq!(labels, ["0", "0.01", "2.5", "150", "1000", "10 k", "2.5 M"]);
}
