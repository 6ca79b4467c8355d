//! The picture.

use crate::scale::{Scale, label};
use crate::{Mark, Plot};
use std::fmt::Write;

/// What the pictures look like. A page with [`inline`] ones needs it once.
pub const CSS: &str = "\
.plot{font:12px sans-serif}.plot text{fill:#333}.plot .title{font-weight:bold;font-size:13px}\
.plot .grid{stroke:#ddd}.plot .axis{stroke:#888;fill:none}\
.plot .limit{stroke:#555;stroke-dasharray:5 4}.plot path.line{fill:none;stroke-width:2}\
.plot .c0{stroke:#1b6ca8;fill:#1b6ca8}.plot .c1{stroke:#c0392b;fill:#c0392b}\
.plot .c2{stroke:#2e7d32;fill:#2e7d32}.plot .c3{stroke:#b26a00;fill:#b26a00}\
.plot .c4{stroke:#7b3fa0;fill:#7b3fa0}.plot .c5{stroke:#00838f;fill:#00838f}\
@media(prefers-color-scheme:dark){.plot text{fill:#ccc}.plot .grid{stroke:#333}\
.plot .axis{stroke:#888}.plot .limit{stroke:#aaa}\
.plot .c0{stroke:#6ab7f0;fill:#6ab7f0}.plot .c1{stroke:#ff8a80;fill:#ff8a80}\
.plot .c2{stroke:#81c784;fill:#81c784}.plot .c3{stroke:#ffb74d;fill:#ffb74d}\
.plot .c4{stroke:#ce93d8;fill:#ce93d8}.plot .c5{stroke:#4dd0e1;fill:#4dd0e1}}";

/// A picture for a page that has [`CSS`].
pub fn inline(plot: &Plot) -> String {
    let mut out = head(1);
    panel(&mut out, plot, 0.0);
    out + "</svg>\n"
}

/// A file of its own with plots side by side.
pub fn file(plots: &[Plot]) -> String {
    let background = "<style>.plot .ground{fill:#fff}\
        @media(prefers-color-scheme:dark){.plot .ground{fill:#111}}</style>";
    let mut out = head(plots.len());
    let _ = writeln!(out, "<style>{CSS}</style>{background}");
    out += "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n";
    for (number, plot) in plots.iter().enumerate() {
        panel(&mut out, plot, number as f64 * WIDTH);
    }
    out + "</svg>\n"
}

fn head(panels: usize) -> String {
    let width = panels as f64 * WIDTH;
    format!(
        "<svg class=\"plot\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
         viewBox=\"0 0 {width} {HEIGHT}\">\n"
    )
}

/// One plot, from `left` on.
fn panel(out: &mut String, plot: &Plot, left: f64) {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let heights = points().map(|&(_, y)| y).chain(plot.limits.iter().map(|limit| limit.at));
    let x = Scale::of(&plot.x, points().map(|&(x, _)| x));
    let y = Scale::of(&plot.y, heights);
    let place = |at: (f64, f64)| {
        let across = left + LEFT + x.part(at.0) * (WIDTH - LEFT - RIGHT);
        (across, HEIGHT - BELOW - y.part(at.1) * (HEIGHT - ABOVE - BELOW))
    };
    let title = escaped(&plot.title);
    let _ = writeln!(out, "<text class=\"title\" x=\"{}\" y=\"18\">{title}</text>", left + 12.0);
    grid(out, left, (&x, &y), &place);
    axis_titles(out, left, plot);
    for limit in &plot.limits {
        let (_, height) = place((0.0, limit.at));
        let (from, to) = (left + LEFT, left + WIDTH - RIGHT);
        let _ = writeln!(out, "<path class=\"limit\" d=\"M{from:.1} {height:.1}H{to:.1}\"/>");
        text(out, (to - 4.0, height - 5.0), "end", &limit.name);
    }
    for (number, series) in plot.series.iter().enumerate() {
        let colour = series.colour.unwrap_or(number) % COLOURS;
        draw(out, series, colour, &place);
    }
    legend(out, left, plot);
}

/// Lines at the named values, and their names.
fn grid(
    out: &mut String,
    left: f64,
    (x, y): (&Scale, &Scale),
    place: &dyn Fn((f64, f64)) -> (f64, f64),
) {
    let (from, to) = (left + LEFT, left + WIDTH - RIGHT);
    let (top, bottom) = (ABOVE, HEIGHT - BELOW);
    for value in y.ticks() {
        let (_, height) = place((0.0, value));
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{from:.1} {height:.1}H{to:.1}\"/>");
        text(out, (from - 6.0, height + 4.0), "end", &label(value));
    }
    for value in x.ticks() {
        let (across, _) = place((value, 0.0));
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{across:.1} {top:.1}V{bottom:.1}\"/>");
        text(out, (across, bottom + 16.0), "middle", &label(value));
    }
    let _ = writeln!(out, "<path class=\"axis\" d=\"M{from:.1} {top:.1}V{bottom:.1}H{to:.1}\"/>");
}

fn axis_titles(out: &mut String, left: f64, plot: &Plot) {
    let middle = left + LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    text(out, (middle, HEIGHT - 10.0), "middle", &plot.x.title);
    let (across, height) = (left + 14.0, ABOVE + (HEIGHT - ABOVE - BELOW) / 2.0);
    let _ = writeln!(
        out,
        "<text transform=\"translate({across:.1} {height:.1}) rotate(-90)\" \
         text-anchor=\"middle\">{}</text>",
        escaped(&plot.y.title)
    );
}

fn draw(
    out: &mut String,
    series: &crate::Series,
    colour: usize,
    place: &dyn Fn((f64, f64)) -> (f64, f64),
) {
    let usable = || series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
    if series.mark != Mark::Points {
        let mut path = String::new();
        for &point in usable() {
            let (across, height) = place(point);
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{across:.1} {height:.1}");
        }
        let _ = writeln!(out, "<path class=\"line c{colour}\" style=\"fill:none\" d=\"{path}\"/>");
    }
    // A curve of hundreds of points is one without its points.
    if series.mark != Mark::Line && series.points.len() <= DOTS_MAX {
        for &point in usable() {
            let (across, height) = place(point);
            let (x, y) = (label(point.0), label(point.1));
            let name = escaped(&series.name);
            let _ = writeln!(
                out,
                "<circle class=\"c{colour}\" cx=\"{across:.1}\" cy=\"{height:.1}\" r=\"3.5\">\
                 <title>{name}: {y} at {x}</title></circle>"
            );
        }
    }
}

/// Names of the series under the title; one colour is named once.
fn legend(out: &mut String, left: f64, plot: &Plot) {
    let mut across = left + LEFT;
    let mut named = Vec::new();
    for (number, series) in plot.series.iter().enumerate() {
        let colour = series.colour.unwrap_or(number) % COLOURS;
        if series.name.is_empty() || named.contains(&(colour, &series.name)) {
            continue;
        }
        named.push((colour, &series.name));
        let _ = writeln!(
            out,
            "<rect class=\"c{colour}\" x=\"{across:.1}\" y=\"28\" width=\"12\" height=\"4\"/>"
        );
        text(out, (across + 17.0, 34.0), "start", &series.name);
        across += 32.0 + 6.6 * series.name.chars().count() as f64;
    }
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let words = escaped(words);
    let _ =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 16.0;
const ABOVE: f64 = 46.0;
const BELOW: f64 = 46.0;

/// In [`CSS`].
const COLOURS: usize = 6;

const DOTS_MAX: usize = 60;
