//! The report in a few sentences: what a person would tell another.

use std::collections::BTreeMap;

use crate::flow::HoleCause;
use crate::render::report::words::{
    clock, counted, duration, latency, listed, node as short_node, peer, port, rule, spans_days,
};
use crate::render::thousands;
use crate::review::report::{DropCause, Reading, Report, Standout};

/// Sentences about one matter.
const FEW: usize = 2;

pub(super) fn sentences(report: &Report) -> Vec<String> {
    let mut said = vec![read(report)];
    said.extend(holes(&report.reading));
    said.extend(super::findings::sentence(report));
    said.extend(denied(report));
    said.extend(dropped(report));
    for standout in report.standouts.iter().take(FEW) {
        said.extend(refused(standout));
        said.extend(alone(standout, report));
    }
    said.extend(errors(report));
    said.extend(audited(report));
    said.extend(policies(report));
    said
}

fn read(report: &Report) -> String {
    let reading = &report.reading;
    if reading.flows == 0 {
        return "No flow was read.".to_owned();
    }
    let clusters: Vec<&str> = reading.clusters.iter().map(AsRef::as_ref).collect();
    let of = if clusters.is_empty() {
        String::new()
    } else {
        format!(" of {}", listed(&clusters, 3))
    };
    let span = reading.seen.span().map_or(String::new(), |(first, last)| {
        format!("{} of ", duration(last - first))
    });
    format!(
        "{span}{}{of}: {}, {} between {}.",
        counted(reading.nodes.len().max(1) as u64, "node"),
        counted(reading.flows, "flow"),
        counted(report.totals.connections, "connection"),
        counted(report.totals.workloads, "workload"),
    )
}

/// What was lost, and who could not be reached.
pub(in crate::render) fn holes(reading: &Reading) -> Option<String> {
    let holes = reading.holes();
    if holes.is_empty() {
        return None;
    }
    let mut lost: BTreeMap<&str, u64> = BTreeMap::new();
    let mut away: Vec<String> = Vec::new();
    for (node, hole) in &holes {
        if hole.cause == HoleCause::NodeUnavailable {
            let length = hole.span.end().duration_since(hole.span.start());
            away.push(format!(
                "{} could not be reached for {}",
                short_node(node, reading),
                duration(length.as_nanos() as i64)
            ));
        } else {
            *lost.entry(short_node(node, reading)).or_default() += hole.events.unwrap_or(0);
        }
    }
    let mut parts = Vec::new();
    if !lost.is_empty() {
        let nodes: Vec<&str> = lost.keys().copied().collect();
        let events: u64 = lost.values().sum();
        parts.push(format!(
            "{} {} lost on {}",
            counted(events, "event"),
            if events == 1 { "was" } else { "were" },
            listed(&nodes, 3)
        ));
    }
    if !away.is_empty() {
        parts.push(listed(&away, 3));
    }
    Some(format!("Not all of it was seen: {}.", parts.join(", ")))
}

/// What policy denied; who it was, where it was one.
fn denied(report: &Report) -> Option<String> {
    let all = report.totals.denied;
    if all == 0 {
        return None;
    }
    let sum = format!("Policy denied {}", counted(all, "connection"));
    let Some(standout) = report.standouts.first() else {
        let most = report
            .drops
            .iter()
            .find(|group| group.cause != DropCause::Audited);
        return Some(match most {
            Some(group) if group.connections == all => {
                format!("{sum} of {}.", peer(&group.subject))
            }
            Some(group) => format!("{sum}, most of them of {}.", peer(&group.subject)),
            None => format!("{sum}."),
        });
    };
    let reach = &standout.reach;
    let days = spans_days(report.reading.seen);
    let times = reach.seen.span().map_or(String::new(), |(first, last)| {
        format!(" from {} to {}", clock(first, days), clock(last, days))
    });
    let share = if reach.connections == all {
        "all of them".to_owned()
    } else {
        format!("{} of them", thousands(reach.connections))
    };
    let more = if reach.more { "more than " } else { "" };
    Some(format!(
        "{sum}, {share} from {}, which tried {more}{} on {}{times}.",
        name(standout),
        counted(reach.addresses as u64, "address"),
        counted(reach.ports as u64, "port"),
    ))
}

fn name(standout: &Standout) -> String {
    match &standout.pod {
        Some(pod) => format!("the pod {pod}"),
        None => standout.address.to_string(),
    }
}

fn dropped(report: &Report) -> Option<String> {
    if report.totals.dropped.is_empty() {
        return None;
    }
    let parts: Vec<String> = report
        .totals
        .dropped
        .iter()
        .map(|(class, count)| format!("{} {}", thousands(*count), class.name()))
        .collect();
    Some(format!(
        "Dropped for other reasons than policy: {}.",
        parts.join(", ")
    ))
}

fn refused(standout: &Standout) -> Option<String> {
    let first = standout.refused.first()?;
    let requests: Vec<&str> = standout
        .refused
        .iter()
        .filter(|refused| refused.server == first.server)
        .map(|refused| &*refused.request)
        .collect();
    Some(format!(
        "{} asked {} for {}, which its rules of layer 7 refused.",
        peer(&first.client),
        peer(&first.server),
        listed(&requests, 3),
    ))
}

fn alone(standout: &Standout, report: &Report) -> Option<String> {
    let mut alone: Vec<_> = standout.alone.iter().collect();
    // What comes in a rhythm is told first.
    alone.sort_by_key(|server| {
        (
            server.every.is_none(),
            std::cmp::Reverse(server.connections),
        )
    });
    let server = alone.first()?;
    let days = spans_days(report.reading.seen);
    let since = server.seen.span().map_or(String::new(), |(first, last)| {
        format!(" from {} to {}", clock(first, days), clock(last, days))
    });
    let every = server.every.map_or(String::new(), |seconds| {
        format!(", about every {}", duration((seconds * 1e9) as i64))
    });
    let who = match (&standout.pod, report.standouts.len()) {
        (Some(_), 1) => "The same pod".to_owned(),
        _ => capital(name(standout)),
    };
    let rules: Vec<String> = server
        .ruling
        .iter()
        .flat_map(|ruling| ruling.rules.iter().map(rule))
        .collect();
    let by = if rules.is_empty() {
        String::new()
    } else {
        format!("; {} lets it", listed(&rules, FEW))
    };
    Some(format!(
        "{who} is the only one that talks to {} ({}): {}{every}{since}{by}.",
        peer(&server.server),
        port(server.port, server.protocol),
        counted(server.connections, "connection"),
    ))
}

/// The requests that a server could not answer.
fn errors(report: &Report) -> Option<String> {
    let mut failing: Vec<_> = report
        .paths
        .iter()
        .filter(|path| path.server_errors > 0)
        .collect();
    failing.sort_by_key(|path| std::cmp::Reverse(path.server_errors));
    let worst = failing.first()?;
    let all: u64 = failing.iter().map(|path| path.server_errors).sum();
    let slow = match latency(worst.slowest) {
        slow if slow.is_empty() => slow,
        slow => format!(", the slowest after {slow}"),
    };
    Some(format!(
        "{} failed with 5xx{}: {} ({} {}{slow}).",
        counted(all, "request"),
        if failing.len() > 1 {
            ", most of them"
        } else {
            ""
        },
        peer(&worst.server),
        worst.method,
        worst.path,
    ))
}

fn capital(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn audited(report: &Report) -> Option<String> {
    let group = report
        .drops
        .iter()
        .find(|group| group.cause == DropCause::Audited)?;
    let end = group.ends.first()?;
    let (from, to) = match group.direction {
        Some(crate::policy::Direction::Ingress) => (&end.peer, &group.subject),
        _ => (&group.subject, &end.peer),
    };
    Some(format!(
        "Only audit mode lets {} talk to {} ({}).",
        peer(from),
        peer(to),
        port(end.port, end.protocol)
    ))
}

fn policies(report: &Report) -> Option<String> {
    let judged = report.judged.as_ref()?;
    let mut parts = Vec::new();
    match judged.drift {
        0 if judged.equal > 0 => {
            parts.push("every recorded verdict is what the policies say".to_owned());
        }
        0 => {}
        drift => parts.push(format!(
            "{} differ from what the policies say",
            counted(drift, "verdict")
        )),
    }
    if judged.gap_connections > 0 {
        parts.push(format!(
            "{} passed that no policy asks for",
            counted(judged.gap_connections, "connection")
        ));
    }
    let unknown: u64 = judged.unknown.values().sum();
    if unknown > 0 {
        parts.push(format!("{} could not be told", counted(unknown, "verdict")));
    }
    let text = parts.join(", ");
    (!text.is_empty()).then(|| format!("{}.", capital(text)))
}
