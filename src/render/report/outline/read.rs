//! What was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Section, Table, Tone, fixed, number, text};
use crate::flow::{Hole, HoleCause};
use crate::render::report::words::{
    clock, counted, duration, listed, node as short_node, percent, some, spans_days,
};
use crate::render::thousands;
use crate::review::report::{Reading, Report};
use crate::source::file::Field;

/// Holes that are told one by one.
const SHOWN: usize = 20;

pub(super) fn section(report: &Report) -> Section {
    let reading = &report.reading;
    let mut section = Section {
        id: "read",
        title: "What was read",
        ..Section::default()
    };
    section.notes.push(flows(report));
    section.notes.push(complete(reading));
    for name in &reading.failed {
        section.notes.push(format!("Not read: {name}"));
    }
    if reading.interrupted {
        section
            .notes
            .push("Interrupted: this is what was read until then".to_owned());
    }
    if reading.late > 0 {
        section.notes.push(format!(
            "{} came more than 10 s out of order; connections they are part of may be counted twice",
            counted(reading.late, "flow")
        ));
    }
    section.notes.extend(skipped(reading));
    section.notes.extend(blind(report));
    let holes = reading.holes();
    if !holes.is_empty() {
        section.tables.push(hole_table(&holes, reading));
    }
    section.tables.extend(nodes(reading));
    section
}

fn flows(report: &Report) -> String {
    let reading = &report.reading;
    let span = match reading.seen.span() {
        Some((first, last)) => {
            let days = spans_days(reading.seen);
            format!(
                "{} from {} to {} UTC",
                duration(last - first),
                clock(first, true),
                clock(last, days)
            )
        }
        None => "no times".to_owned(),
    };
    let left_out = if reading.read > reading.flows {
        format!(" of {} read", thousands(reading.read))
    } else {
        String::new()
    };
    let events = if reading.aggregated > 0 {
        format!(" that stand for {}", counted(reading.events, "event"))
    } else {
        String::new()
    };
    format!(
        "{span}; {}{left_out}{events} in {} and {} of layer 7",
        counted(reading.flows, "flow"),
        counted(report.totals.connections, "connection"),
        counted(report.totals.exchanges, "exchange"),
    )
}

fn complete(reading: &Reading) -> String {
    let nodes = reading.nodes.keys().filter(|name| !name.is_empty()).count() as u64;
    let clusters: Vec<&str> = reading.clusters.iter().map(AsRef::as_ref).collect();
    let of = match clusters[..] {
        [] => String::new(),
        _ => format!(" of {}", listed(&clusters, 3)),
    };
    let seen = match reading.share_seen() {
        Some(seen) => {
            let lost = match seen.lost {
                Some(0) => String::new(),
                Some(lost) => format!(", {} known to be lost", counted(lost, "event")),
                None => ", an unknown number of events lost".to_owned(),
            };
            format!("{} of their time seen{lost}", percent(seen.share))
        }
        None => "how much of their time was seen is not known".to_owned(),
    };
    format!("{}{of}; {seen}", counted(nodes, "node"))
}

fn skipped(reading: &Reading) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, _, skips) in &reading.skips {
        notes.extend(skips.describe(name).map(|line| format!("Skipped {line}")));
    }
    let more = notes.len().saturating_sub(SHOWN);
    notes.truncate(SHOWN);
    if more > 0 {
        notes.push(format!("Skipped for {more} more reasons; -o json has all"));
    }
    notes
}

/// What the recording cannot tell.
fn blind(report: &Report) -> Vec<String> {
    let reading = &report.reading;
    let mut notes: Vec<String> = reading
        .missing()
        // Nobody misses these in a report.
        .filter(|missing| !matches!(missing.field, Field::Summary | Field::Uuid))
        .map(|missing| format!("Cannot be told: {missing}"))
        .collect();
    if reading.flows > 0 && report.dns.is_none() && reading.capabilities.has(Field::L7) {
        notes.push(
            "Cannot be told: no DNS flows, addresses outside have the names that flows carry"
                .to_owned(),
        );
    }
    if reading.aggregated > 0 {
        notes.push(format!(
            "Aggregated: {} stand for several events, single connections in them cannot be told apart",
            counted(reading.aggregated, "row")
        ));
    }
    if report.totals.joined > 0 {
        notes.push(format!(
            "Begun before the recording or in a hole: {}; who opened them is taken from their first flow",
            counted(report.totals.joined, "connection")
        ));
    }
    notes
}

fn hole_table(holes: &[(Arc<str>, Hole)], reading: &Reading) -> Table {
    let mut table = Table::new(
        "holes",
        "Holes",
        &[
            text("NODE"),
            fixed("FROM"),
            fixed("FOR"),
            number("EVENTS LOST"),
            text("WHY"),
        ],
    );
    let days = spans_days(reading.seen);
    // Losses of a node come in many small windows: together they are one line.
    let mut sums: BTreeMap<(Arc<str>, u8), (Hole, i64, u64)> = BTreeMap::new();
    for (node, hole) in holes {
        let length = hole.span.end().duration_since(hole.span.start()).as_nanos() as i64;
        sums.entry((node.clone(), hole.cause as u8))
            .and_modify(|(known, lengths, count)| {
                known.events = known.events.zip(hole.events).map(|(one, more)| one + more);
                *lengths += length;
                *count += 1;
            })
            .or_insert_with(|| (hole.clone(), length, 1));
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (hole, _, _))| hole.span);
    for ((node, _), (hole, length, count)) in sums {
        let windows = if count > 1 {
            format!(" ({count} times)")
        } else {
            String::new()
        };
        let tone = if hole.cause == HoleCause::HubbleRing {
            Tone::Attention
        } else {
            Tone::Bad
        };
        table.row(
            tone,
            vec![
                short_node(&node, reading).to_owned(),
                clock(hole.span.start().as_nanosecond() as i64, days),
                if length > 0 {
                    duration(length)
                } else {
                    String::new()
                },
                hole.events.map_or("unknown".to_owned(), thousands),
                format!("{}{windows}", hole.cause),
            ],
        );
    }
    table
}

/// Nodes, where they are worth a table: there are several.
fn nodes(reading: &Reading) -> Option<Table> {
    if reading.nodes.len() < 2 {
        return None;
    }
    let mut table = Table::new(
        "nodes",
        "Nodes",
        &[text("NODE"), number("FLOWS"), fixed("FIRST"), fixed("LAST")],
    );
    let days = spans_days(reading.seen);
    for (name, node) in &reading.nodes {
        let (first, last) = node
            .seen
            .span()
            .map_or(Default::default(), |(first, last)| {
                (clock(first, days), clock(last, days))
            });
        let name = if name.is_empty() {
            "without a name"
        } else {
            short_node(name, reading)
        };
        table.row(
            Tone::Plain,
            vec![name.to_owned(), some(node.flows), first, last],
        );
    }
    Some(table)
}
