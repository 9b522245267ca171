//! What was dropped, by class, each with what to do next.

use super::{Row, Section, Table, Tone, number, text};
use crate::connection::Peer;
use crate::flow::{DropClass, DropReason, Protocol};
use crate::policy::{Direction, Verdict};
use crate::render::report::words::{clock, counted, listed, peer, port, rule, spans_days};
use crate::render::report::{Paths, command};
use crate::render::thousands;
use crate::review::report::{DropCause, DropGroup, Report};

/// Other ends named in a row.
const ENDS: usize = 2;
/// Rules named below a row.
const RULES: usize = 4;

pub(super) fn section(report: &Report, paths: &Paths) -> Option<Section> {
    if report.drops.is_empty() && report.refused.is_empty() {
        return None;
    }
    let mut section = Section {
        id: "drops",
        title: "What was dropped",
        ..Section::default()
    };
    let days = spans_days(report.reading.seen);
    for class in DropClass::ALL {
        let groups: Vec<&DropGroup> = report
            .drops
            .iter()
            .filter(|group| group.cause.class() == class)
            .collect();
        if groups.is_empty() {
            continue;
        }
        let (id, title) = heading(class);
        let mut table = Table::new(
            id,
            title,
            &[
                text("WHO"),
                text("TO OR FROM"),
                text("WHY"),
                number("CONNECTIONS"),
                number("ATTEMPTS"),
                super::fixed("FIRST"),
                super::fixed("LAST"),
            ],
        );
        for group in groups {
            table.rows.push(row(group, report, paths, days));
        }
        if class == DropClass::Policy && report.other_drops > 0 {
            table.others = Some(format!(
                "{} in groups that are not told apart",
                counted(report.other_drops, "connection")
            ));
        }
        section.tables.push(table);
    }
    section.tables.extend(refused(report, days));
    Some(section)
}

pub(in crate::render::report) fn heading(class: DropClass) -> (&'static str, &'static str) {
    match class {
        DropClass::Policy => ("drops-policy", "Denied by policy"),
        DropClass::Transient => ("drops-transient", "Transient: goes away by itself"),
        DropClass::Conntrack => ("drops-conntrack", "Connection tracking"),
        DropClass::Routing => ("drops-routing", "Routing: no way to the target"),
        DropClass::Infrastructure => ("drops-infrastructure", "Infrastructure"),
        DropClass::NotADrop => ("drops-none", "Called a drop, and nothing was lost"),
    }
}

fn row(group: &DropGroup, report: &Report, paths: &Paths, days: bool) -> Row {
    let (first, last) = group
        .seen
        .span()
        .map_or(Default::default(), |(first, last)| {
            (clock(first, days), clock(last, days))
        });
    Row {
        cells: vec![
            subject(group, report),
            ends(group),
            why(group),
            thousands(group.connections),
            thousands(group.attempts),
            first,
            last,
        ],
        tone: match (group.cause.class(), group.cause) {
            (DropClass::NotADrop | DropClass::Transient, _) => Tone::Plain,
            (_, DropCause::Audited) => Tone::Attention,
            _ => Tone::Bad,
        },
        below: rules(group)
            .into_iter()
            .chain([next(group, paths)])
            .collect(),
    }
}

/// Who it is about; the one pod, where it was one.
fn subject(group: &DropGroup, report: &Report) -> String {
    let name = peer(&group.subject);
    if group.direction == Some(Direction::Ingress) {
        return name;
    }
    match group.clients[..] {
        [(address, count)] if count == group.connections => {
            let pod = report.reading.pod(address);
            match (&group.subject, pod) {
                (Peer::Workload { .. }, Some(pod)) => pod.to_string(),
                _ => name,
            }
        }
        _ => name,
    }
}

pub(in crate::render::report) fn ends(group: &DropGroup) -> String {
    let arrow = match group.direction {
        Some(Direction::Ingress) => "<-",
        _ => "->",
    };
    let all = group.ends.len() as u64;
    if all as usize <= ENDS && group.other_ends == 0 {
        let ends: Vec<String> = group.ends.iter().map(one_end).collect();
        return format!("{arrow} {}", ends.join(", "));
    }
    let mut peers: Vec<&Peer> = group.ends.iter().map(|end| &end.peer).collect();
    peers.sort();
    peers.dedup();
    let mut ports: Vec<(Protocol, u16)> = group
        .ends
        .iter()
        .map(|end| (end.protocol, end.port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let more = if group.other_ends > 0 {
        "more than "
    } else {
        ""
    };
    let ports = match ports[..] {
        [(protocol, one)] => port(one, protocol),
        _ => counted(ports.len() as u64, "port"),
    };
    let peers = match peers[..] {
        [one] => peer(one),
        _ => counted(peers.len() as u64, "peer"),
    };
    format!("{arrow} {more}{peers}, {ports}")
}

fn one_end(end: &crate::review::report::DropEnd) -> String {
    match port(end.port, end.protocol) {
        port if port.is_empty() => peer(&end.peer),
        port => format!("{}:{port}", peer(&end.peer)),
    }
}

pub(in crate::render::report) fn why(group: &DropGroup) -> String {
    let direction = group.direction.map_or("", Direction::name);
    let base = match group.cause {
        DropCause::Audited => format!("audit mode, {direction}"),
        DropCause::Error => "verdict ERROR".to_owned(),
        DropCause::Reason(DropReason::POLICY_DENIED) => format!("default deny, {direction}"),
        DropCause::Reason(DropReason::POLICY_DENY) => format!("deny rule, {direction}"),
        DropCause::Reason(DropReason::AUTH_REQUIRED) => {
            format!("authentication, {direction}")
        }
        DropCause::Reason(DropReason(0)) => "no reason recorded".to_owned(),
        DropCause::Reason(reason) => reason
            .text()
            .map_or_else(|| reason.to_string(), str::to_owned),
    };
    base.trim_end_matches(", ").to_owned()
}

/// The rules behind it: those of the policies that were given, else those Hubble named.
pub(in crate::render::report) fn rules(group: &DropGroup) -> Option<String> {
    let (word, rules): (&str, Vec<String>) = match &group.ruling {
        Some(ruling) if !matches!(ruling.verdict, Verdict::Unknown(_)) => {
            ("By", ruling.rules.iter().map(rule).collect())
        }
        _ => (
            "Hubble names",
            group.named.iter().map(ToString::to_string).collect(),
        ),
    };
    (!rules.is_empty()).then(|| format!("{word} {}", listed(&rules, RULES)))
}

/// What to do next.
pub(in crate::render::report) fn next(group: &DropGroup, paths: &Paths) -> String {
    match (group.cause.class(), group.cause) {
        (_, DropCause::Audited) => {
            "Next: allow it before audit mode is turned off, or it will be denied".to_owned()
        }
        (DropClass::Policy, DropCause::Reason(DropReason::AUTH_REQUIRED)) => {
            "Next: look at the mutual authentication of both ends (SPIRE, cilium-agent's auth logs)"
                .to_owned()
        }
        (DropClass::Policy, _) => match explain(group, paths) {
            Some(command) => format!("Next: {command}"),
            None => "Next: look for the policies of the endpoint with `kubectl get cnp,ccnp,netpol -A`"
                .to_owned(),
        },
        (DropClass::Transient, _) => {
            "Next: nothing, if it ends when the endpoint is ready; else `cilium-dbg endpoint list` on the node"
                .to_owned()
        }
        (DropClass::Conntrack, _) => {
            "Next: look at how full the connection table is (`cilium-dbg bpf ct list global | wc -l`, metric cilium_bpf_map_pressure)"
                .to_owned()
        }
        (DropClass::Routing, _) => {
            "Next: look for the target: does the pod still run, has the Service endpoints, does the node have a route"
                .to_owned()
        }
        (DropClass::NotADrop, _) => "Next: nothing".to_owned(),
        (DropClass::Infrastructure, _) => {
            "Next: look at the agent of the node (`cilium-dbg status --verbose`, `cilium-dbg monitor --type drop`)"
                .to_owned()
        }
    }
}

/// The command that explains the commonest connection of a group.
fn explain(group: &DropGroup, paths: &Paths) -> Option<String> {
    // Of a port there is more to say than of an echo request.
    let end = group
        .ends
        .iter()
        .find(|end| end.protocol == Protocol::Tcp)
        .or(group.ends.first())?;
    let (from, to) = match group.direction {
        Some(Direction::Ingress) => (&end.peer, &group.subject),
        _ => (&group.subject, &end.peer),
    };
    let world = group
        .clients
        .first()
        .map(|(address, _)| address.to_string());
    command::explain(from, to, end.port, end.protocol, world.as_deref(), paths)
}

fn refused(report: &Report, days: bool) -> Option<Table> {
    if report.refused.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "refused",
        "Refused by a proxy at layer 7",
        &[
            text("WHO"),
            text("TO"),
            text("REQUEST"),
            number("REQUESTS"),
            super::fixed("FIRST"),
            super::fixed("LAST"),
        ],
    );
    for refused in &report.refused {
        let (first, last) = refused
            .seen
            .span()
            .map_or(Default::default(), |(first, last)| {
                (clock(first, days), clock(last, days))
            });
        table.row(
            Tone::Bad,
            vec![
                peer(&refused.client),
                format!("-> {}:{}", peer(&refused.server), refused.port),
                refused.request.to_string(),
                thousands(refused.exchanges),
                first,
                last,
            ],
        );
    }
    Some(table)
}
