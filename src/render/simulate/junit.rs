//! A simulation as a JUnit report: a case each kind of change.
//!
//! A case fails exactly where the command would: for what the person asked to fail on.

use std::fmt::Write as _;

use super::Options;
use super::words::{change, request, side, sides};
use crate::render::report::html::escape;
use crate::render::report::words::{peer, port};
use crate::render::thousands;
use crate::review::simulate::{Change, Simulation};

/// Rows told of a case.
const MOST: usize = 50;

/// The report.
#[must_use]
pub fn junit(simulation: &Simulation, options: &Options) -> String {
    let mut cases: Vec<(String, String)> = Change::ALL
        .into_iter()
        .map(|kind| (change(kind).to_owned(), rows(simulation, kind)))
        .collect();
    cases.push(("policy lint".to_owned(), lint(simulation)));
    cases.push(("refused by the cluster".to_owned(), refused(simulation)));
    let undecided = options
        .failing
        .iter()
        .any(|text| text.starts_with("undecided"));
    let failing = |name: &str| options.failing.iter().find(|text| text.contains(name));
    let failures = cases
        .iter()
        .filter(|(name, _)| failing(name).is_some())
        .count();
    let failures = failures + usize::from(undecided);
    let count = cases.len() + usize::from(undecided);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"flowwatch simulate\" tests=\"{count}\" failures=\"{failures}\">\n  \
         <testsuite name=\"{} to {}\" tests=\"{count}\" failures=\"{failures}\">",
        escape(&options.base),
        escape(&options.head)
    );
    for (name, text) in &cases {
        case(&mut out, name, text, failing(name));
    }
    if undecided {
        let text = "undecided: no connection could be judged".to_owned();
        case(&mut out, "judged", "", Some(&text));
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn case(out: &mut String, name: &str, text: &str, failing: Option<&String>) {
    let _ = write!(
        out,
        "    <testcase classname=\"flowwatch.simulate\" name=\"{}\"",
        escape(name)
    );
    match failing {
        Some(message) => {
            let _ = writeln!(
                out,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escape(message),
                lines(text)
            );
        }
        None if text.is_empty() => out.push_str("/>\n"),
        None => {
            let _ = writeln!(
                out,
                ">\n      <system-out>{}</system-out>\n    </testcase>",
                lines(text)
            );
        }
    }
}

/// Escaped line by line, as control characters are not kept.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    lines.join("\n")
}

fn rows(simulation: &Simulation, kind: Change) -> String {
    let mut text = String::new();
    let rows = || simulation.rows.iter().filter(|row| row.change == kind);
    for row in rows().take(MOST) {
        let why: Vec<String> = sides(row).map(side).collect();
        let _ = writeln!(
            text,
            "{} {} -> {} {} {}: {}{}",
            thousands(row.count),
            peer(&row.client),
            peer(&row.server),
            port(row.port, row.protocol),
            request(&row.what),
            why.join("; "),
            if row.is_accepted() {
                " (meant to be)"
            } else {
                ""
            }
        );
    }
    let more = rows().count().saturating_sub(MOST);
    if more > 0 {
        let _ = writeln!(text, "and {more} more rows");
    }
    text
}

fn lint(simulation: &Simulation) -> String {
    simulation
        .lint
        .iter()
        .fold(String::new(), |mut text, finding| {
            let _ = writeln!(
                text,
                "{}:{}: {} ({})",
                finding.file, finding.at.line, finding.message, finding.check.id
            );
            text
        })
}

fn refused(simulation: &Simulation) -> String {
    simulation
        .kept
        .iter()
        .fold(String::new(), |mut text, kept| {
            let _ = writeln!(
                text,
                "{}:{}: {} refuses {}, {}",
                kept.file,
                kept.at.line,
                kept.by.name(),
                kept.id,
                kept.reason
            );
            text
        })
}
