//! A trace as sections, sentences and tables.

use super::words::{addresses, asked, limits, names, sides, verdict};
use crate::connection::Peer;
use crate::render::report::outline::{Outline, Row, Section, Table, Tone, fixed, number, text};
use crate::render::report::words::{clock, counted, listed, peer, port, some, spans_days};
use crate::render::thousands;
use crate::review::report::Seen;
use crate::review::trace::{Asked, Hop, Link, Trace, Way};

/// Names in one sentence.
const NAMED: usize = 5;

pub(super) fn outline(trace: &Trace) -> Outline {
    let days = spans_days(trace.window);
    let mut sections = vec![who(trace, days)];
    for (way, id, title) in [
        (Way::In, "in", "Who called it"),
        (Way::Out, "out", "Whom it called"),
        (Way::Within, "within", "Among its own"),
    ] {
        let links: Vec<&Link> = trace.own(way).collect();
        if !links.is_empty() {
            sections.push(section(trace, &links, (id, title), days, false));
        }
    }
    sections.extend(requests(trace, days));
    for (at, hop) in trace.hops.iter().enumerate().skip(1) {
        sections.extend(further(trace, hop, at + 1, days));
    }
    sections.push(Section {
        id: "limits",
        title: "What the recording cannot show",
        notes: limits(trace),
        tables: Vec::new(),
    });
    Outline {
        title: format!("Who talked to {}", trace.target),
        short: short(trace),
        sections,
        ..Outline::default()
    }
}

fn short(trace: &Trace) -> Vec<String> {
    let days = spans_days(trace.window);
    let count = |way: Way| {
        let (mut peers, mut connections) = (Vec::new(), 0);
        for link in trace.own(way) {
            connections += link.sum.connections;
            if !peers.contains(&link.far()) {
                peers.push(link.far());
            }
        }
        (peers.len() as u64, connections)
    };
    let ((callers, inward), (called, out)) = (count(Way::In), count(Way::Out));
    let times = trace.window.span().map_or(String::new(), |(first, last)| {
        format!(" from {} to {}", clock(first, true), clock(last, days))
    });
    let mut short = vec![format!(
        "{}{times} UTC: called by {} ({}), calls {} ({}).",
        trace.target,
        counted(callers, "peer"),
        counted(inward, "connection"),
        counted(called, "peer"),
        counted(out, "connection"),
    )];
    let denied: u64 = trace.own(Way::Out).map(|link| link.sum.denied).sum();
    if denied > 0 {
        short.push(format!(
            "Policy denied {} of what it called.",
            counted(denied, "connection")
        ));
    }
    let outside: Vec<String> = names(trace.own(Way::Out).filter(|link| {
        matches!(link.server, Peer::Name(_) | Peer::Prefix(_)) && link.passed() > 0
    }));
    if !outside.is_empty() {
        short.push(format!("Outside it reached {}.", listed(&outside, NAMED)));
    }
    if let Some(incident) = trace.incident {
        let new: Vec<String> = names(
            trace
                .hops
                .first()
                .into_iter()
                .flat_map(|hop| &hop.links)
                .filter(|link| trace.is_new(link.seen()) && link.passed() > 0),
        );
        let since = clock(incident, true);
        short.push(if trace.watched_before().is_none() {
            format!("The incident began at {since} UTC, before the recording: what is new cannot be told.")
        } else if new.is_empty() {
            format!("Nothing new got through since the incident began at {since} UTC.")
        } else {
            format!("New since {since} UTC, and let through: {}.", listed(&new, NAMED))
        });
    }
    for (at, hop) in trace.hops.iter().enumerate().skip(1) {
        let of = |way: Way| hop.links.iter().filter(|link| link.way == way).count() as u64;
        short.push(format!(
            "Hop {}: {} onwards, {} towards it.",
            at + 1,
            counted(of(Way::Out), "link"),
            counted(of(Way::In), "link"),
        ));
    }
    short
}

fn times(seen: Seen, days: bool) -> (String, String) {
    seen.span()
        .map(|(first, last)| (clock(first, days), clock(last, days)))
        .unwrap_or_default()
}

fn who(trace: &Trace, days: bool) -> Section {
    let mut table = Table::new(
        "who",
        "Who it is",
        &[
            text("WHO"),
            text("ADDRESS"),
            fixed("IDENTITY"),
            text("NODE"),
            number("FLOWS"),
            fixed("FIRST"),
            fixed("LAST"),
        ],
    );
    for one in &trace.who {
        let (first, last) = times(one.seen, days);
        let all = |names: Vec<String>| listed(&names, 3);
        let name = if one.pod.is_empty() {
            one.peer
                .as_ref()
                .map_or_else(|| trace.target.to_string(), peer)
        } else {
            one.pod.to_string()
        };
        table.row(
            Tone::Plain,
            vec![
                name,
                all(one.addresses.iter().map(ToString::to_string).collect()),
                all(one.identities.iter().map(ToString::to_string).collect()),
                all(one.nodes.iter().map(ToString::to_string).collect()),
                thousands(one.flows),
                first,
                last,
            ],
        );
    }
    Section {
        id: "who",
        title: "Who it is",
        notes: Vec::new(),
        tables: vec![table],
    }
}

fn section(
    trace: &Trace,
    links: &[&Link],
    (id, title): (&'static str, &'static str),
    days: bool,
    through: bool,
) -> Section {
    let has_new = trace.incident.is_some();
    let mut columns = Vec::new();
    if through {
        columns.push(text("THROUGH"));
    }
    columns.extend([
        text("PEER"),
        fixed("PORT"),
        number("CONNECTIONS"),
        fixed("VERDICT"),
        fixed("FIRST"),
        fixed("LAST"),
    ]);
    if has_new {
        columns.extend([number("SINCE"), fixed("NEW")]);
    }
    let mut table = Table::new(id, title, &columns);
    for link in links {
        table.rows.push(row(trace, link, days, through));
    }
    Section {
        id,
        title,
        notes: Vec::new(),
        tables: vec![table],
    }
}

fn row(trace: &Trace, link: &Link, days: bool, through: bool) -> Row {
    let (first, last) = times(link.seen(), days);
    let is_new = trace.is_new(link.seen());
    let mut cells = Vec::new();
    if through {
        cells.push(peer(link.near()));
    }
    cells.extend([
        peer(link.far()),
        port(link.port, link.protocol),
        thousands(link.sum.connections),
        verdict(link),
        first,
        last,
    ]);
    if trace.incident.is_some() {
        cells.push(some(link.after));
        cells.push(if is_new {
            "new".to_owned()
        } else {
            String::new()
        });
    }
    let mut below = sides(link);
    if matches!(link.far(), Peer::Name(_))
        || matches!(link.far(), Peer::Entity(entity) if &**entity == "world")
    {
        below.push(addresses(link.far_addresses()));
    }
    Row {
        cells,
        tone: match (link.passed(), is_new) {
            (0, _) => Tone::Bad,
            (_, true) => Tone::Attention,
            _ => Tone::Plain,
        },
        below,
    }
}

fn requests(trace: &Trace, days: bool) -> Option<Section> {
    if trace.asked.is_empty() {
        return None;
    }
    let mut columns = vec![
        fixed("WAY"),
        text("PEER"),
        text("REQUEST"),
        number("COUNT"),
        number("REFUSED"),
        number("ERRORS"),
        fixed("FIRST"),
        fixed("LAST"),
    ];
    if trace.incident.is_some() {
        columns.push(fixed("NEW"));
    }
    let mut table = Table::new("requests", "What was asked", &columns);
    let mut asked_ones: Vec<&Asked> = trace.asked.iter().collect();
    // What is new, and what was refused, first.
    asked_ones.sort_by_key(|one| (!trace.is_new(one.seen), one.denied == 0));
    for one in asked_ones {
        let (first, last) = times(one.seen, days);
        let is_new = trace.is_new(one.seen);
        let far = if one.way == Way::In {
            &one.client
        } else {
            &one.server
        };
        let mut cells = vec![
            one.way.name().to_owned(),
            peer(far),
            asked(&one.kind),
            thousands(one.count),
            some(one.denied),
            some(one.errors),
            first,
            last,
        ];
        if trace.incident.is_some() {
            cells.push(if is_new {
                "new".to_owned()
            } else {
                String::new()
            });
        }
        let tone = match (one.denied > 0, is_new) {
            (true, _) => Tone::Bad,
            (_, true) => Tone::Attention,
            _ => Tone::Plain,
        };
        table.row(tone, cells);
    }
    Some(Section {
        id: "requests",
        title: "What was asked",
        notes: Vec::new(),
        tables: vec![table],
    })
}

fn further(trace: &Trace, hop: &Hop, at: usize, days: bool) -> Vec<Section> {
    let ways: [(Way, [(&'static str, &'static str); 3]); 2] = [
        (
            Way::Out,
            [
                ("out-2", "Hop 2: whom those called that it had reached"),
                ("out-3", "Hop 3: and whom these called"),
                ("out-n", "Further: and whom these called"),
            ],
        ),
        (
            Way::In,
            [
                ("in-2", "Hop 2: who called those that then reached it"),
                ("in-3", "Hop 3: and who called these"),
                ("in-n", "Further: and who called these"),
            ],
        ),
    ];
    ways.into_iter()
        .filter_map(|(way, names)| {
            let links: Vec<&Link> = hop.links.iter().filter(|link| link.way == way).collect();
            let name = names[(at - 2).min(names.len() - 1)];
            (!links.is_empty()).then(|| section(trace, &links, name, days, true))
        })
        .collect()
}
