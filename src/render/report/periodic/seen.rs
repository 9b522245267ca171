//! What was seen of both periods, and what is missing.

use super::Review;
use crate::render::report::outline::{Section, Table, Tone, fixed, number, text};
use crate::render::report::words::{clock, counted, duration, listed};
use crate::render::thousands;
use crate::review::periodic::Attendance;

/// Missing spans of one kind that are told one by one.
const SHOWN: usize = 20;
const DAY: i64 = 86_400_000_000_000;

/// `2026-01-05 to 2026-01-11`; with times where it does not go from midnight to midnight.
pub(super) fn period(one: &Attendance) -> String {
    let (start, end) = one.window;
    if start % DAY == 0 && end % DAY == 0 {
        format!(
            "{} to {}",
            &clock(start, true)[..10],
            &clock(end - DAY, true)[..10]
        )
    } else {
        format!(
            "{} to {} UTC",
            &clock(start, true)[..16],
            &clock(end, true)[..16]
        )
    }
}

/// What is missing of a period, as it stands after "of the earlier period"; `None` where
/// nothing is.
pub(super) fn missing(one: &Attendance) -> Option<String> {
    if one.is_whole() {
        return None;
    }
    if !one.is_there() {
        return Some("nothing was recorded".to_owned());
    }
    let mut parts = Vec::new();
    if one.missing > 0 {
        parts.push(format!(
            "{} of {} missing",
            duration(one.missing),
            duration(one.length())
        ));
    }
    match one.lost() {
        Some(0) => {}
        Some(lost) => parts.push(format!("{} lost", counted(lost, "event"))),
        None => parts.push("an unknown number of events lost".to_owned()),
    }
    if !one.unwatched.is_empty() {
        parts.push(format!(
            "{} not watched",
            counted(one.unwatched.len() as u64, "node")
        ));
    }
    if !one.unread.is_empty() {
        parts.push(format!(
            "{} not read",
            counted(one.unread.len() as u64, "file")
        ));
    }
    if one.untold > 0 {
        parts.push(format!(
            "{} not told apart",
            counted(one.untold, "connection")
        ));
    }
    if parts.is_empty() {
        parts.push("a moment missing".to_owned());
    }
    Some(listed(&parts, parts.len()))
}

pub(super) fn section(review: &Review<'_>) -> Section {
    let comparison = review.comparison;
    let mut section = Section {
        id: "seen",
        title: "What was seen",
        ..Section::default()
    };
    let mut table = Table::new(
        "periods",
        "Periods",
        &[
            text("PERIOD"),
            fixed("FROM"),
            fixed("TO"),
            number("WATCHED"),
            number("NODES"),
            number("MISSING"),
            number("EVENTS LOST"),
            number("CONNECTIONS"),
        ],
    );
    let both = [
        ("later", &comparison.later, comparison.connections.1),
        ("earlier", &comparison.earlier, comparison.connections.0),
    ];
    for (name, one, connections) in both {
        table.row(
            if one.is_whole() {
                Tone::Good
            } else {
                Tone::Attention
            },
            vec![
                name.to_owned(),
                clock(one.window.0, true)[..16].to_owned(),
                clock(one.window.1, true)[..16].to_owned(),
                if one.is_there() {
                    duration(one.watched)
                } else {
                    "nothing".to_owned()
                },
                thousands(one.nodes.len() as u64),
                if one.missing > 0 {
                    duration(one.missing)
                } else {
                    String::new()
                },
                match one.lost() {
                    Some(0) => String::new(),
                    lost => lost.map_or("unknown".to_owned(), thousands),
                },
                thousands(connections),
            ],
        );
    }
    section.tables.push(table);
    section.tables.extend(holes(review));
    let came: Vec<&str> = comparison
        .later
        .nodes
        .difference(&comparison.earlier.nodes)
        .map(AsRef::as_ref)
        .collect();
    let went: Vec<&str> = comparison
        .earlier
        .nodes
        .difference(&comparison.later.nodes)
        .map(AsRef::as_ref)
        .collect();
    if comparison.is_comparable() && !came.is_empty() {
        section.notes.push(format!(
            "Nodes seen only in the later period: {}",
            listed(&came, 5)
        ));
    }
    if comparison.is_comparable() && !went.is_empty() {
        section.notes.push(format!(
            "Nodes seen only in the earlier period: {}",
            listed(&went, 5)
        ));
    }
    for name in &comparison.later.unread {
        section.notes.push(format!("Not read: {name}"));
    }
    if comparison.nameless > 0 {
        section.notes.push(format!(
            "Not compared: {} with an end that flows do not tell",
            counted(comparison.nameless, "edge")
        ));
    }
    section.notes.extend(
        review
            .report
            .reading
            .missing()
            .filter(|missing| {
                use crate::source::file::Field;
                !matches!(missing.field, Field::Summary | Field::Uuid)
            })
            .map(|missing| format!("Cannot be told: {missing}")),
    );
    section
}

fn holes(review: &Review<'_>) -> Option<Table> {
    let mut table = Table::new(
        "missing",
        "Missing",
        &[
            text("PERIOD"),
            text("WHAT"),
            fixed("FROM"),
            fixed("FOR"),
            number("EVENTS LOST"),
            text("WHY"),
        ],
    );
    let both = [
        ("later", &review.comparison.later),
        ("earlier", &review.comparison.earlier),
    ];
    for (name, one) in both {
        for (start, end) in one.dark.iter().take(SHOWN) {
            table.row(
                Tone::Bad,
                vec![
                    name.to_owned(),
                    "all nodes".to_owned(),
                    clock(*start, true),
                    duration(end - start),
                    "unknown".to_owned(),
                    "nothing was recorded".to_owned(),
                ],
            );
        }
        for (node, (start, end)) in one.gaps.iter().take(SHOWN) {
            table.row(
                Tone::Bad,
                vec![
                    name.to_owned(),
                    node.to_string(),
                    clock(*start, true),
                    duration(end - start),
                    "unknown".to_owned(),
                    "nothing of the node was recorded".to_owned(),
                ],
            );
        }
        for node in one.unwatched.iter().take(SHOWN) {
            table.row(
                Tone::Attention,
                vec![
                    name.to_owned(),
                    node.to_string(),
                    clock(one.window.0, true),
                    duration(one.length()),
                    "unknown".to_owned(),
                    "it is there when the later period begins, and was never seen before"
                        .to_owned(),
                ],
            );
        }
        for (cause, count, length, events) in one.causes() {
            let times = if count > 1 {
                format!(" ({} times)", thousands(count))
            } else {
                String::new()
            };
            let first = one.holes.iter().filter(|(_, hole)| hole.cause == cause);
            let first = first
                .map(|(_, hole)| hole.span.start().as_nanosecond() as i64)
                .min();
            let mut nodes: Vec<&str> = one
                .holes
                .iter()
                .filter(|(_, hole)| hole.cause == cause)
                .map(|(node, _)| &**node)
                .collect();
            nodes.sort_unstable();
            nodes.dedup();
            table.row(
                Tone::Attention,
                vec![
                    name.to_owned(),
                    listed(&nodes, 2),
                    first.map_or(String::new(), |first| clock(first.max(one.window.0), true)),
                    if length > 0 {
                        duration(length)
                    } else {
                        String::new()
                    },
                    events.map_or("unknown".to_owned(), thousands),
                    format!("{cause}{times}"),
                ],
            );
        }
        let spans = one.dark.len().saturating_sub(SHOWN) + one.gaps.len().saturating_sub(SHOWN);
        if spans > 0 {
            table.others = Some(format!("{} more", counted(spans as u64, "span")));
        }
    }
    (!table.rows.is_empty()).then_some(table)
}
