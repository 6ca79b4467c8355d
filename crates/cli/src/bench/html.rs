//! The report to read: one HTML file that needs no other, light and dark, without scripts.

use super::machine::Machine;
use super::print::{cell, number};
use super::result::{Axis, Column, Figure, Pairs, Plot, ProfileResult, Series, Table};
use super::{Entry, Report};
use std::fmt::Write;

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>crore bench</title>\n\
         <style>{CSS}{}</style>\n</head>\n<body>\n<main>\n<h1>crore bench</h1>\n",
        crore_plot::CSS
    );
    let _ = writeln!(
        out,
        "<p>crore {} is a TCP/IP data plane that lives in the application: packet handling, memory \
         and scheduling are its own, and ten million connections are held in one process. This \
         page says what that costs on one machine, measured {}. \
         <a href=\"#repeat\">How to repeat it</a> is at the end.</p>",
        escaped(report.version),
        escaped(&report.when)
    );
    out += "<h2>In short</h2>\n";
    let figures = report
        .profiles
        .iter()
        .flat_map(|entry| entry.found.figures.iter().map(|figure| (entry.found.name, figure)));
    out += &figure_rows(figures.filter(|(_, figure)| figure.asked.is_some()));
    for entry in &report.profiles {
        profile(&mut out, entry);
    }
    repeat(&mut out, report);
    out + "</main>\n</body>\n</html>\n"
}

fn profile(out: &mut String, Entry { machine, found }: &Entry) {
    let name = escaped(found.name);
    let _ = writeln!(out, "<h2 id=\"{name}\">{name}</h2>\n<p>{}</p>", escaped(&found.measured));
    for failure in &found.failures {
        let _ = writeln!(out, "<p class=\"bad\">Check failed: {}</p>", escaped(failure));
    }
    if !found.figures.is_empty() {
        *out += &figure_rows(found.figures.iter().map(|figure| (found.name, figure)));
    }
    for plot in &found.plots {
        let _ = writeln!(out, "<figure>{}</figure>", crore_plot::inline(plot));
    }
    for one in &found.pairs {
        pairs(out, one);
    }
    for one in &found.tables {
        table(out, one);
    }
    if !found.notes.is_empty() {
        *out += "<h3>What to know</h3>\n<ul>\n";
        for note in &found.notes {
            let _ = writeln!(out, "<li>{}</li>", escaped(note));
        }
        *out += "</ul>\n";
    }
    state(out, machine, found);
}

/// What is here, what was asked for, and by whom.
fn figure_rows<'a>(figures: impl Iterator<Item = (&'static str, &'a Figure)>) -> String {
    let mut out = "<table><tr><th>profile</th><th class=\"words\">figure</th><th>here</th>\
                   <th>asked for</th><th class=\"words\">by</th><th></th></tr>\n"
        .to_owned();
    for (profile, figure) in figures {
        let asked = figure.asked.map_or_else(String::new, |asked| {
            format!("{} {}", if figure.at_most { "at most" } else { "at least" }, number(asked))
        });
        let verdict = match figure.is_met() {
            Some(true) => "<td class=\"good\">met</td>",
            Some(false) => "<td class=\"bad\">not met</td>",
            None => "<td></td>",
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"words\"><a href=\"#{0}\">{0}</a></td><td class=\"words\">{1}</td>\
             <td>{2} {3}</td><td>{asked}</td><td class=\"words\">{4}</td>{verdict}</tr>",
            escaped(profile),
            escaped(&figure.name),
            number(figure.here),
            escaped(figure.unit),
            escaped(figure.asked_by)
        );
    }
    out + "</table>\n"
}

fn table(out: &mut String, table: &Table) {
    let heading = |column: &Column| {
        let unit =
            if column.unit.is_empty() { String::new() } else { format!(", {}", column.unit) };
        format!("<th>{}{}</th>", escaped(column.name), escaped(&unit))
    };
    let headings: Vec<_> = table.columns.iter().map(heading).collect();
    let title = escaped(&table.title);
    let _ = writeln!(out, "<table><caption>{title}</caption>\n<tr>{}</tr>", headings.concat());
    for row in &table.rows {
        let cells = row.iter().map(|place| format!("<td>{}</td>", escaped(&cell(place))));
        let _ = writeln!(out, "<tr>{}</tr>", cells.collect::<Vec<_>>().concat());
    }
    *out += "</table>\n";
}

/// A round a row, medians below.
fn pairs(out: &mut String, pairs: &Pairs) {
    let (name, other, unit) = (escaped(&pairs.name), escaped(pairs.other), escaped(pairs.unit));
    let _ = writeln!(
        out,
        "<table><caption>{name}: measured in turn with the {other}</caption>\n\
         <tr><th>round</th><th>ours, {unit}</th><th>{other}, {unit}</th><th>ratio</th></tr>"
    );
    let mut row = |first: &str, ours, theirs, ratio| {
        let (ours, theirs, ratio) = (number(ours), number(theirs), number(ratio));
        let _ = writeln!(
            out,
            "<tr><td>{first}</td><td>{ours}</td><td>{theirs}</td><td>{ratio}</td></tr>"
        );
    };
    for (round, pair) in pairs.rounds.iter().enumerate() {
        row(&(round + 1).to_string(), pair.ours, pair.theirs, pair.ratio);
    }
    row("median", pairs.median_ours, pairs.median_theirs, pairs.median_ratio);
    *out += "</table>\n";
}

/// The machine when the profile began, and the histogram of its stalls.
fn state(out: &mut String, machine: &Machine, found: &ProfileResult) {
    let _ = writeln!(out, "<h3>The machine just before {}</h3>\n<ul>", escaped(found.name));
    for line in machine.lines() {
        let _ = writeln!(out, "<li>{}</li>", escaped(&line));
    }
    *out += "</ul>\n";
    let stalls = &machine.stalls.histogram;
    let points = stalls.iter().map(|&(ns, count)| (ns as f64 / 1e3, count as f64)).collect();
    let plot = Plot {
        name: "stalls",
        title: "A spin loop's readings of the time-stamp counter, by the gap between two"
            .to_owned(),
        x: Axis::log("gap, us"),
        y: Axis::log("readings"),
        series: vec![Series::new("", points)],
        limits: Vec::new(),
    };
    let _ = writeln!(
        out,
        "<details><summary>Stalls of a spin loop</summary><figure>{}</figure></details>",
        crore_plot::inline(&plot)
    );
}

fn repeat(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "<h2 id=\"repeat\">How to repeat it</h2>\n<p>This page is what the following wrote. It \
         needs Linux, no network card and no configuration; root only for reserved huge pages. \
         The figures are of a shared-nothing pair in one process: server and client each have a \
         processor and a whole TCP/IP stack, and frames pass between them in memory.</p>\n\
         <pre>cargo build --release\ntarget/release/{}</pre>\n<p>Absolute times drift on machines \
         that others share; ratios that were measured in turn drift less. What each profile \
         measures and how to read it: docs/bench.md.</p>",
        escaped(&report.command)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const CSS: &str = "\
:root{color-scheme:light dark}body{font:16px/1.5 sans-serif;margin:0;background:#fff;color:#222}\
main{max-width:960px;margin:0 auto;padding:1rem}h2{margin-top:2.5rem;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;margin:1rem 0;font-size:14px;display:block;overflow-x:auto}\
caption{text-align:left;font-weight:bold;padding:.3rem 0}\
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #ddd}\
.words{text-align:left}figure{margin:1rem 0}pre{padding:.8rem;background:#f3f3f3;overflow-x:auto}\
.good{color:#1b7a2b}.bad{color:#b3261e;font-weight:bold}a{color:#1b6ca8}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}h2{border-color:#444}\
th,td{border-color:#333}pre{background:#1c1c1c}.good{color:#81c784}.bad{color:#ff8a80}\
a{color:#6ab7f0}}";
