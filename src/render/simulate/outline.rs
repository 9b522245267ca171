//! A simulation as sections, sentences and tables.

use super::Options;
use super::words::{
    alteration, amount, change, limits, object, outcomes, request, side, sides, total,
};
use crate::render::report::outline::{Column, Outline, Row, Section, Table, Tone};
use crate::render::report::words::{clock, counted, duration, peer, port, spans_days};
use crate::render::thousands;
use crate::review::simulate::{Change, ChangeRow, Simulation};

const fn column(name: &'static str, number: bool, flexible: bool) -> Column {
    Column {
        name,
        number,
        flexible,
    }
}

const COLUMNS: [Column; 7] = [
    column("From", false, true),
    column("To", false, true),
    column("Port", false, false),
    column("Count", true, false),
    column("First", false, false),
    column("Last", false, false),
    column("Request", false, true),
];

const OBJECTS: [Column; 4] = [
    column("Policy", false, true),
    column("Is", false, false),
    column("Where", false, true),
    column("Connections", true, false),
];

pub(super) fn outline(simulation: &Simulation, options: &Options) -> Outline {
    let mut sections = Vec::new();
    for (kind, id, title) in [
        (Change::NewlyDenied, "denied", "Newly denied"),
        (Change::NewlyAllowed, "allowed", "Newly allowed"),
        (Change::NewlyUnknown, "unknown", "Newly unknown"),
        (Change::NoLongerUnknown, "known", "No longer unknown"),
        (Change::OtherRule, "rules", "The same by another rule"),
    ] {
        if total(simulation, kind) > 0 {
            sections.push(changes(simulation, kind, id, title));
        }
    }
    if !simulation.objects.is_empty() || !simulation.kept.is_empty() {
        sections.push(policies(simulation));
    }
    if !simulation.lint.is_empty() {
        sections.push(lint(simulation));
    }
    if !simulation.accepted.is_empty() {
        sections.push(accepted(simulation));
    }
    sections.push(Section {
        id: "limits",
        title: "What the recording cannot show",
        notes: limits(simulation),
        tables: Vec::new(),
    });
    Outline {
        title: format!("{} → {}", options.base, options.head),
        short: short(simulation, options),
        sections,
        ..Outline::default()
    }
}

/// The answer in a few sentences.
pub(super) fn short(simulation: &Simulation, options: &Options) -> Vec<String> {
    let mut short = Vec::new();
    let connections = &simulation.connections;
    let window = simulation
        .reading
        .seen
        .span()
        .map(|(first, last)| {
            let days = spans_days(simulation.reading.seen);
            format!(
                " of {} ({} to {})",
                duration(last - first),
                clock(first, true),
                clock(last, days)
            )
        })
        .unwrap_or_default();
    short.push(format!(
        "{}{window} under {} and under {}.",
        counted(connections.all, "connection"),
        options.base,
        options.head
    ));
    for one in &options.alterations {
        short.push(format!("Under the second: {}.", alteration(one)));
    }
    let changed: Vec<String> = Change::ALL
        .into_iter()
        .filter(|kind| total(simulation, *kind) > 0)
        .map(|kind| format!("{} {}", amount(simulation, kind), change(kind)))
        .collect();
    if changed.is_empty() {
        short.push("Nothing changes for any of them.".to_owned());
    } else {
        short.push(format!("{}.", changed.join("; ")));
    }
    let meant: u64 = Change::ALL
        .into_iter()
        .map(|kind| simulation.accepted_count(kind))
        .sum();
    if meant > 0 {
        short.push(format!("{} of these are meant to be.", thousands(meant)));
    }
    let refused = simulation.kept.len() as u64;
    if refused > 0 {
        let what = if refused == 1 { "policy" } else { "policies" };
        short.push(format!(
            "{refused} {what} of {} would be refused.",
            options.head
        ));
    }
    if !options.failing.is_empty() {
        short.push(format!("Failing on {}.", options.failing.join(", ")));
    }
    short
}

fn changes(
    simulation: &Simulation,
    kind: Change,
    id: &'static str,
    title: &'static str,
) -> Section {
    let days = spans_days(simulation.reading.seen);
    let mut table = Table::new(id, title, &COLUMNS);
    for row in simulation.rows.iter().filter(|row| row.change == kind) {
        table.rows.push(shown(row, days));
    }
    let others = simulation.others.get(&kind).copied().unwrap_or_default();
    if others > 0 {
        table.others = Some(format!(
            "{} more in rows there was no room for",
            thousands(others)
        ));
    }
    Section {
        id,
        title,
        notes: Vec::new(),
        tables: vec![table],
    }
}

fn shown(row: &ChangeRow, days: bool) -> Row {
    let (first, last) = row
        .seen
        .span()
        .map(|(first, last)| (clock(first, days), clock(last, days)))
        .unwrap_or_default();
    let mut below: Vec<String> = sides(row).map(side).collect();
    if matches!(row.change, Change::NewlyUnknown | Change::NoLongerUnknown) {
        below.insert(0, outcomes(row));
    }
    if row.is_accepted() {
        below.push("meant to be".to_owned());
    }
    Row {
        cells: vec![
            peer(&row.client),
            peer(&row.server),
            port(row.port, row.protocol),
            thousands(row.count),
            first,
            last,
            request(&row.what),
        ],
        tone: tone(row),
        below,
    }
}

fn tone(row: &ChangeRow) -> Tone {
    match row.change {
        _ if row.is_accepted() => Tone::Plain,
        Change::NewlyDenied => Tone::Bad,
        Change::NewlyAllowed | Change::NewlyUnknown => Tone::Attention,
        Change::NoLongerUnknown | Change::OtherRule => Tone::Plain,
    }
}

fn policies(simulation: &Simulation) -> Section {
    let mut notes = Vec::new();
    for kept in &simulation.kept {
        let then = if kept.base_stays {
            "the version of the base stays in force"
        } else {
            "nothing of it is in force"
        };
        notes.push(format!(
            "{}:{}: {} refuses {} {}, {}; {then}.",
            kept.file,
            kept.at.line,
            kept.by.name(),
            kept.id.kind.name(),
            kept.id.short(),
            kept.reason
        ));
    }
    let mut table = Table::new("policies", "Policies that differ", &OBJECTS);
    for one in &simulation.objects {
        table.row(
            Tone::Plain,
            vec![
                object(one),
                one.changed.name().to_owned(),
                format!("{}:{}", one.file, one.line),
                thousands(one.connections),
            ],
        );
    }
    Section {
        id: "policies",
        title: "Policies that differ",
        notes,
        tables: if table.rows.is_empty() {
            Vec::new()
        } else {
            vec![table]
        },
    }
}

fn lint(simulation: &Simulation) -> Section {
    Section {
        id: "lint",
        title: "New findings of policy lint",
        notes: simulation
            .lint
            .iter()
            .map(|finding| {
                format!(
                    "{}:{}: {}: {} ({})",
                    finding.file,
                    finding.at.line,
                    finding.severity.name(),
                    finding.message,
                    finding.check.id
                )
            })
            .collect(),
        tables: Vec::new(),
    }
}

fn accepted(simulation: &Simulation) -> Section {
    Section {
        id: "accepted",
        title: "Changes that are meant to be",
        notes: simulation
            .accepted
            .iter()
            .map(|entry| {
                let says = if entry.is_over {
                    let until = entry.until.map_or_else(String::new, |day| day.to_string());
                    format!("ran out on {until} and covers nothing")
                } else if entry.rows == 0 {
                    "matches nothing".to_owned()
                } else {
                    format!(
                        "covers {} on {}",
                        thousands(entry.count),
                        counted(entry.rows, "edge")
                    )
                };
                format!("Line {} {says}: {}", entry.line, entry.reason)
            })
            .collect(),
        tables: Vec::new(),
    }
}
