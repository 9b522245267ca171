//! Names and edges that changed.

use std::collections::BTreeSet;

use super::Review;
use super::seen::missing;
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::render::report::outline::{Row, Section, Table, Tone, fixed, number, policies, text};
use crate::render::report::words::{clock, counted, listed, peer, port, some};
use crate::render::report::{Paths, command};
use crate::render::thousands;
use crate::review::periodic::{Attendance, EdgeChange, EdgeRuling};
use crate::review::report::Seen;

/// Ports and peers named one by one.
const NAMED: usize = 3;

pub(super) fn names(review: &Review<'_>, paths: &Paths) -> Option<Section> {
    let comparison = review.comparison;
    if comparison.names.is_empty() {
        return None;
    }
    let certain = comparison.earlier.is_whole();
    let mut section = Section {
        id: "names",
        title: if certain {
            "New names outside"
        } else {
            "Names outside not seen before"
        },
        ..Section::default()
    };
    section.notes.extend(doubt(&comparison.earlier, "earlier"));
    let mut table = Table::new(
        "names",
        "Names",
        &[
            text("NAME"),
            text("PORT"),
            text("CLIENTS"),
            number("CONNECTIONS"),
            number("DROPPED"),
            fixed("SINCE"),
            fixed("LAST"),
        ],
    );
    for name in &comparison.names {
        let (first, last) = times(name.seen);
        let clients: Vec<String> = name.clients.iter().map(|(one, _)| peer(one)).collect();
        let ports: Vec<(Protocol, u16)> = name.ports.iter().copied().collect();
        let mut below = says(name.ruling.as_ref());
        let client = name
            .clients
            .first()
            .map_or(&Peer::Unknown, |(client, _)| client);
        let one = ports.first().copied().filter(|_| ports.len() == 1);
        let flags = command::edge(client, Some(&name.server), one);
        below.push(format!(
            "Next: {}",
            command::tail(paths, comparison.later.window, &flags)
        ));
        table.rows.push(Row {
            cells: vec![
                peer(&name.server),
                ports_text(&ports),
                listed(&clients, NAMED),
                thousands(name.connections),
                some(name.dropped),
                first,
                last,
            ],
            tone: if name.gaps > 0 {
                Tone::Bad
            } else {
                Tone::Attention
            },
            below,
        });
    }
    section.tables.push(table);
    Some(section)
}

pub(super) fn edges(review: &Review<'_>, paths: &Paths) -> Option<Section> {
    let comparison = review.comparison;
    if comparison.edges.is_empty() {
        return None;
    }
    let certain = comparison.earlier.is_whole();
    let mut section = Section {
        id: "edges",
        title: if certain {
            "New edges"
        } else {
            "Edges not seen before"
        },
        ..Section::default()
    };
    section.notes.extend(doubt(&comparison.earlier, "earlier"));
    section.notes.extend(together(&comparison.edges));
    section.tables.push(edge_table(
        "new-edges",
        &comparison.edges,
        &comparison.later,
        paths,
    ));
    Some(section)
}

pub(super) fn gone(review: &Review<'_>, paths: &Paths) -> Option<Section> {
    let comparison = review.comparison;
    if comparison.gone.is_empty() {
        return None;
    }
    let certain = comparison.later.is_whole();
    let mut section = Section {
        id: "vanished",
        title: if certain {
            "Edges that vanished"
        } else {
            "Edges not seen any more"
        },
        ..Section::default()
    };
    section.notes.extend(doubt(&comparison.later, "later"));
    section.notes.extend(together(&comparison.gone));
    section.tables.push(edge_table(
        "vanished",
        &comparison.gone,
        &comparison.earlier,
        paths,
    ));
    Some(section)
}

/// What is missing beside a claim of absence.
pub(super) fn doubt(one: &Attendance, name: &str) -> Option<String> {
    missing(one).map(|missing| {
        format!("Of the {name} period: {missing}; what is here may have been there then")
    })
}

/// Edges that belong together: two ends, on whichever ports. Servers without a name are one
/// for each client and port.
struct Group<'a> {
    client: &'a Peer,
    servers: BTreeSet<&'a Peer>,
    ports: Vec<(Protocol, u16)>,
    pair_known: bool,
    connections: u64,
    gaps: u64,
    dropped: u64,
    seen: Seen,
    ruling: Option<&'a EdgeRuling>,
}

fn grouped(changes: &[EdgeChange]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for change in changes {
        let edge = &change.edge;
        let port = (edge.protocol, edge.port);
        let address = matches!(edge.server, Peer::Prefix(_));
        let key = if address {
            (&edge.client, None, Some(port))
        } else {
            (&edge.client, Some(&edge.server), None)
        };
        let at = *places.entry(key).or_insert_with(|| {
            groups.push(Group {
                client: &edge.client,
                servers: BTreeSet::new(),
                ports: Vec::new(),
                pair_known: change.pair_known,
                connections: 0,
                gaps: 0,
                dropped: 0,
                seen: Seen::default(),
                ruling: change.ruling.as_ref(),
            });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.servers.insert(&edge.server);
        if !group.ports.contains(&port) {
            group.ports.push(port);
        }
        group.connections += change.sum.connections;
        group.gaps += change.sum.gaps;
        group.dropped += change.sum.denied + change.sum.dropped;
        group.seen = both(group.seen, change.sum.seen);
    }
    groups
}

/// Why there are fewer rows than edges, where that is so.
fn together(changes: &[EdgeChange]) -> Option<String> {
    let rows = grouped(changes).len();
    (rows < changes.len()).then(|| {
        format!(
            "{} in {}: ports of two ends are together, and so are addresses without a name that a client calls on one port",
            counted(changes.len() as u64, "edge"),
            counted(rows as u64, "row")
        )
    })
}

fn both(one: Seen, other: Seen) -> Seen {
    Seen {
        first: one.first.min(other.first),
        last: one.last.max(other.last),
    }
}

fn edge_table(
    id: &'static str,
    changes: &[EdgeChange],
    period: &Attendance,
    paths: &Paths,
) -> Table {
    let vanished = id == "vanished";
    let mut table = Table::new(
        id,
        "Edges",
        &[
            text("CLIENT"),
            text("SERVER"),
            text("PORT"),
            fixed("WHAT"),
            number("CONNECTIONS"),
            number("DROPPED"),
            fixed(if vanished { "FIRST" } else { "SINCE" }),
            fixed("LAST"),
        ],
    );
    for group in grouped(changes) {
        let (first, last) = times(group.seen);
        let mut below = says(group.ruling);
        let server = group
            .servers
            .first()
            .copied()
            .filter(|_| group.servers.len() == 1);
        let one = group
            .ports
            .first()
            .copied()
            .filter(|_| group.ports.len() == 1);
        let flags = command::edge(group.client, server, one);
        below.push(format!(
            "Next: {}",
            command::tail(paths, period.window, &flags)
        ));
        let mut what = String::from(match (group.servers.len() > 1, group.pair_known) {
            (true, _) => "addresses",
            (_, true) => "other port",
            (_, false) => "pair",
        });
        if group.gaps > 0 {
            what.push_str(", gap");
        }
        table.rows.push(Row {
            cells: vec![
                peer(group.client),
                match server {
                    Some(server) => peer(server),
                    None => counted(group.servers.len() as u64, "address"),
                },
                ports_text(&group.ports),
                what,
                if group.connections == 0 {
                    "open".to_owned()
                } else {
                    thousands(group.connections)
                },
                some(group.dropped),
                first,
                last,
            ],
            tone: match (vanished, group.gaps > 0) {
                (true, _) => Tone::Plain,
                (_, true) => Tone::Bad,
                _ => Tone::Attention,
            },
            below,
        });
    }
    table
}

/// What the policies say, a line a side that is certain.
fn says(ruling: Option<&EdgeRuling>) -> Vec<String> {
    let Some(ruling) = ruling else {
        return Vec::new();
    };
    let sides = [("Egress", &ruling.egress), ("Ingress", &ruling.ingress)];
    let told: Vec<String> = sides
        .into_iter()
        .filter_map(|(side, ruling)| Some((side, ruling.as_ref()?)))
        .map(|(side, ruling)| format!("{side}: {}", policies::ruling(ruling)))
        .collect();
    if told.is_empty() {
        Vec::new()
    } else {
        vec![told.join("; ")]
    }
}

fn ports_text(ports: &[(Protocol, u16)]) -> String {
    let ports: Vec<String> = ports
        .iter()
        .map(|(protocol, number)| port(*number, *protocol))
        .collect();
    listed(&ports, NAMED)
}

/// First and last time, to the minute: periods have many days.
pub(super) fn times(seen: Seen) -> (String, String) {
    seen.span().map_or(Default::default(), |(first, last)| {
        (minute(first), minute(last))
    })
}

fn minute(nanos: i64) -> String {
    clock(nanos, true).get(..16).unwrap_or_default().to_owned()
}
