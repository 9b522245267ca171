//! A simulation as a comment on a pull request.
//!
//! Owns what a reviewer sees in a minute: the answer in one line, what would break, what
//! would open; the rest is folded away.

use std::fmt::Write as _;

use super::Options;
use super::outline::short;
use super::words::{
    amount, change, deciding, limits, object, outcome, request, ruling, side, sides, total,
};
use crate::render::report::markdown::text;
use crate::render::report::words::{clock, peer, port, spans_days};
use crate::render::thousands;
use crate::review::simulate::{Change, ChangeRow, Simulation};

/// The comment.
#[must_use]
pub fn markdown(simulation: &Simulation, options: &Options) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "## Policies: {}\n", verdict(simulation, options));
    for sentence in short(simulation, options) {
        let _ = writeln!(out, "- {}", text(&sentence));
    }
    for kept in &simulation.kept {
        let _ = writeln!(
            out,
            "- **Refused by {}**: {} at {}:{} ({}); {}",
            kept.by.name(),
            text(&kept.id.short()),
            text(&kept.file),
            kept.at.line,
            text(&kept.reason),
            if kept.base_stays {
                "the version of the base stays in force"
            } else {
                "nothing of it is in force"
            }
        );
    }
    table(
        &mut out,
        simulation,
        options,
        Change::NewlyDenied,
        "Newly denied",
    );
    table(
        &mut out,
        simulation,
        options,
        Change::NewlyAllowed,
        "Newly allowed",
    );
    table(
        &mut out,
        simulation,
        options,
        Change::NewlyUnknown,
        "Newly unknown",
    );
    for (kind, title) in [
        (Change::NoLongerUnknown, "No longer unknown"),
        (Change::OtherRule, "The same by another rule"),
    ] {
        if total(simulation, kind) > 0 {
            folded(
                &mut out,
                &format!("{title}: {}", amount(simulation, kind)),
                |out| {
                    rows(out, simulation, options, kind);
                },
            );
        }
    }
    if !simulation.objects.is_empty() {
        let count = simulation.objects.len();
        folded(&mut out, &format!("Policies that differ: {count}"), |out| {
            out.push_str("| Policy | is | where | connections decided |\n|---|---|---|---:|\n");
            for one in &simulation.objects {
                let _ = writeln!(
                    out,
                    "| {} | {} | {}:{} | {} |",
                    text(&object(one)),
                    one.changed.name(),
                    text(&one.file),
                    one.line,
                    thousands(one.connections)
                );
            }
        });
    }
    if !simulation.lint.is_empty() {
        let count = simulation.lint.len();
        folded(
            &mut out,
            &format!("New findings of policy lint: {count}"),
            |out| {
                for finding in &simulation.lint {
                    let _ = writeln!(
                        out,
                        "- {}:{}: {} ({})",
                        text(&finding.file),
                        finding.at.line,
                        text(&finding.message),
                        finding.check.id
                    );
                }
            },
        );
    }
    meant(&mut out, simulation);
    let limits = limits(simulation);
    folded(&mut out, "What the recording cannot show", |out| {
        for limit in &limits {
            let _ = writeln!(out, "- {}", text(limit));
        }
    });
    let _ = writeln!(
        out,
        "\nflowwatch {}; times in UTC",
        env!("CARGO_PKG_VERSION")
    );
    out
}

/// The answer in a few words.
fn verdict(simulation: &Simulation, options: &Options) -> String {
    if !options.failing.is_empty() {
        return format!("failing on {}", options.failing.join(", "));
    }
    if !simulation.says_anything() {
        return "nothing can be said, no connection could be judged".to_owned();
    }
    let grave: Vec<String> = [
        Change::NewlyDenied,
        Change::NewlyAllowed,
        Change::NewlyUnknown,
    ]
    .into_iter()
    .filter(|kind| simulation.unaccepted(*kind) > 0)
    .map(|kind| {
        format!(
            "{} {}",
            thousands(simulation.unaccepted(kind)),
            change(kind)
        )
    })
    .collect();
    if grave.is_empty() {
        "nothing recorded would be denied, allowed or unknown that was not before".to_owned()
    } else {
        grave.join(", ")
    }
}

fn table(out: &mut String, simulation: &Simulation, options: &Options, kind: Change, title: &str) {
    if total(simulation, kind) == 0 {
        return;
    }
    let _ = writeln!(out, "\n### {title}: {}\n", amount(simulation, kind));
    rows(out, simulation, options, kind);
}

fn rows(out: &mut String, simulation: &Simulation, options: &Options, kind: Change) {
    let days = spans_days(simulation.reading.seen);
    // What is meant to be is told below.
    let of_kind = || {
        simulation
            .rows
            .iter()
            .filter(move |row| row.change == kind && !row.is_accepted())
    };
    let requests = of_kind().any(|row| !request(&row.what).is_empty());
    let mut count = 0;
    for row in of_kind() {
        count += 1;
        if count == 1 {
            out.push_str(
                "| from | to | count | last seen | was | would be |\n|---|---|---:|---|---|---|\n",
            );
        }
        if count > options.top {
            continue;
        }
        one(out, row, requests, days);
    }
    let others = simulation.others.get(&kind).copied().unwrap_or_default();
    if count > options.top {
        let _ = writeln!(out, "\nThe first {} of {count} rows.", options.top);
    }
    if others > 0 {
        let _ = writeln!(
            out,
            "\nAnd {} in rows there was no room for.",
            thousands(others)
        );
    }
    let meant = simulation.accepted_count(kind);
    if meant > 0 {
        let _ = writeln!(out, "\n{} more are meant to be.", thousands(meant));
    }
}

fn one(out: &mut String, row: &ChangeRow, requests: bool, days: bool) {
    let mut to = format!("{} {}", peer(&row.server), port(row.port, row.protocol));
    if requests {
        let request = request(&row.what);
        if !request.is_empty() {
            let _ = write!(to, ", {request}");
        }
    }
    let last = row
        .seen
        .span()
        .map_or_else(String::new, |(_, last)| clock(last, days));
    let (was, would) = match (row.change, deciding(row)) {
        (Change::NewlyUnknown | Change::NoLongerUnknown, _) | (_, None) => {
            (outcome(row.outcomes.0), outcome(row.outcomes.1))
        }
        (_, Some(side)) => (
            format!("{} {}", side.direction.name(), ruling(&side.base)),
            format!("{} {}", side.direction.name(), ruling(&side.head)),
        ),
    };
    let _ = writeln!(
        out,
        "| {} | {} | {} | {last} | {} | {} |",
        text(&peer(&row.client)),
        text(to.trim()),
        thousands(row.count),
        text(&was),
        text(&would)
    );
}

fn meant(out: &mut String, simulation: &Simulation) {
    if simulation.accepted.is_empty() {
        return;
    }
    let rows: Vec<&ChangeRow> = simulation
        .rows
        .iter()
        .filter(|row| row.is_accepted())
        .collect();
    folded(
        out,
        &format!("Changes that are meant to be: {}", rows.len()),
        |out| {
            for (at, entry) in simulation.accepted.iter().enumerate() {
                let state = if entry.is_over {
                    " (ran out, covers nothing)"
                } else if entry.rows == 0 {
                    " (matches nothing)"
                } else {
                    ""
                };
                let _ = writeln!(out, "- {}{state}", text(&entry.reason));
                for row in rows.iter().filter(|row| row.accepted == Some(at)).take(20) {
                    let why: Vec<String> = sides(row).map(side).collect();
                    let _ = writeln!(
                        out,
                        "  - {} → {} {}: {} {}; {}",
                        text(&peer(&row.client)),
                        text(&peer(&row.server)),
                        port(row.port, row.protocol),
                        thousands(row.count),
                        change(row.change),
                        text(&why.join("; "))
                    );
                }
            }
        },
    );
}

/// Something that is read only by who wants to.
fn folded(out: &mut String, title: &str, body: impl FnOnce(&mut String)) {
    let _ = writeln!(out, "\n<details><summary>{}</summary>\n", text(title));
    body(out);
    out.push_str("\n</details>\n");
}
