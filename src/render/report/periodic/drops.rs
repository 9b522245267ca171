//! Drops that are new, reach further or grew.

use super::Review;
use super::traffic::{doubt, times};
use crate::connection::Peer;
use crate::flow::{DropClass, Protocol};
use crate::render::report::Paths;
use crate::render::report::outline::{
    Row, Section, Table, Tone, drops as shared, fixed, number, text,
};
use crate::render::report::words::{listed, peer, port, some};
use crate::render::thousands;
use crate::review::periodic::{DropChange, DropKind};
use crate::review::report::{DropCause, DropEnd, DropGroup};

/// New ends of drops named one by one.
const ENDS: usize = 4;

pub(super) fn drops(review: &Review<'_>, paths: &Paths) -> Option<Section> {
    let comparison = review.comparison;
    if comparison.drops.is_empty() {
        return None;
    }
    let mut section = Section {
        id: "drops",
        title: if comparison.is_comparable() {
            "Drops that are new or grew"
        } else {
            "Drops"
        },
        ..Section::default()
    };
    if comparison.is_comparable() {
        section.notes.extend(doubt(&comparison.earlier, "earlier"));
    }
    let mut table = Table::new(
        "drops",
        "Drops",
        &[
            text("WHO"),
            text("TO OR FROM"),
            text("WHY"),
            fixed("WHAT"),
            number("CONNECTIONS"),
            number("BEFORE"),
            fixed("SINCE"),
        ],
    );
    for change in &comparison.drops {
        table
            .rows
            .push(drop_row(change, comparison.earlier.is_whole(), paths));
    }
    section.tables.push(table);
    Some(section)
}

fn drop_row(change: &DropChange, certain: bool, paths: &Paths) -> Row {
    let group = group(change);
    let (first, _) = times(change.sum.seen);
    let mut below = Vec::new();
    if change.kind == DropKind::NewEnds {
        let ends: Vec<String> = change
            .new_ends
            .iter()
            .map(|((one, number, protocol), _)| end(one, *number, *protocol))
            .collect();
        below.push(format!("Not before: {}", listed(&ends, ENDS)));
    }
    below.extend(shared::rules(&group));
    below.push(shared::next(&group, paths));
    Row {
        cells: vec![
            peer(&change.name.subject),
            shared::ends(&group),
            shared::why(&group),
            match change.kind {
                DropKind::New if certain => "new",
                DropKind::New => "not seen before",
                DropKind::NewEnds => "other ends",
                DropKind::Grown => "grew",
                DropKind::Only => "",
            }
            .to_owned(),
            thousands(change.sum.connections),
            some(change.before),
            first,
        ],
        tone: match (change.name.cause.class(), change.name.cause) {
            (DropClass::NotADrop | DropClass::Transient, _) => Tone::Plain,
            (_, DropCause::Audited) => Tone::Attention,
            _ => Tone::Bad,
        },
        below,
    }
}

/// The same as drops of one report; new ends first, as the next step is about the first.
fn group(change: &DropChange) -> DropGroup {
    let mut ends: Vec<DropEnd> = change
        .sum
        .ends
        .iter()
        .map(|((one, port, protocol), connections)| DropEnd {
            peer: one.clone(),
            port: *port,
            protocol: *protocol,
            connections: *connections,
        })
        .collect();
    let new = |end: &DropEnd| {
        let key = (end.peer.clone(), end.port, end.protocol);
        change.new_ends.iter().any(|(known, _)| *known == key)
    };
    ends.sort_by_cached_key(|end| {
        (
            !new(end),
            std::cmp::Reverse(end.connections),
            end.peer.clone(),
            end.port,
        )
    });
    let told: u64 = ends.iter().map(|end| end.connections).sum();
    DropGroup {
        cause: change.name.cause,
        direction: change.name.direction,
        subject: change.name.subject.clone(),
        ends,
        other_ends: change.sum.connections.saturating_sub(told),
        clients: change
            .sum
            .client
            .map(|address| (address, 0))
            .into_iter()
            .collect(),
        connections: change.sum.connections,
        attempts: change.sum.attempts,
        seen: change.sum.seen,
        ruling: change.sum.ruling.clone(),
        named: change.sum.named.clone(),
    }
}

fn end(one: &Peer, number: u16, protocol: Protocol) -> String {
    match port(number, protocol) {
        port if port.is_empty() => peer(one),
        port => format!("{}:{port}", peer(one)),
    }
}
