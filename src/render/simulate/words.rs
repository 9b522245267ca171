//! The words of a simulation.

use crate::connection::ExchangeKind;
use crate::engine::{Alteration, Altered};
use crate::policy::{Direction, Verdict};
use crate::render::report::words::{counted, duration, listed, percent, rule};
use crate::render::thousands;
use crate::review::simulate::{
    Change, ChangeRow, Job, ObjectChange, Outcome, SideChange, SideRuling, Simulation, Sums, What,
};

/// Rules named one by one.
const NAMED: usize = 3;

/// `newly denied`.
pub(super) fn change(change: Change) -> &'static str {
    match change {
        Change::NewlyDenied => "newly denied",
        Change::NewlyAllowed => "newly allowed",
        Change::NewlyUnknown => "newly unknown",
        Change::NoLongerUnknown => "no longer unknown",
        Change::OtherRule => "the same by another rule",
    }
}

/// `allowed by shop/web (web.yaml:12)`.
pub(super) fn ruling(ruling: &SideRuling) -> String {
    let by = match ruling.verdict {
        Verdict::Allowed => "allowed",
        Verdict::Redirected => "handed to the proxy",
        Verdict::DeniedByRule => "denied by a rule",
        Verdict::DeniedByDefault => "denied, nothing allows it",
        Verdict::AuthRequired => "allowed with authentication",
        Verdict::Unknown(cause) => {
            let place = ruling.unread.as_deref();
            let place = place.map_or_else(String::new, |place| format!(": {place}"));
            return format!("unknown ({cause}{place})");
        }
    };
    let mut rules: Vec<String> = ruling.rules.iter().map(rule).collect();
    rules.dedup();
    let joint = match (ruling.verdict, rules.is_empty()) {
        (_, true) => return by.to_owned(),
        // Nothing decides then: these only turn it on.
        (Verdict::DeniedByDefault, _) => "; default deny by",
        (Verdict::DeniedByRule, _) => ":",
        _ => " by",
    };
    format!("{by}{joint} {}", listed(&rules, NAMED))
}

/// `egress: allowed by … → denied, nothing allows it …`, without what stays.
pub(super) fn side(side: &SideChange) -> String {
    format!(
        "{}: {} → {}",
        side.direction.name(),
        ruling(&side.base),
        ruling(&side.head)
    )
}

/// The sides that differ; where none does on its own, those that decide.
pub(super) fn sides(row: &ChangeRow) -> impl Iterator<Item = &SideChange> {
    let any = row.sides.iter().any(|side| side.differs);
    row.sides.iter().filter(move |side| side.differs || !any)
}

/// The side on which a change comes about, for places in files.
pub(super) fn deciding(row: &ChangeRow) -> Option<&SideChange> {
    let denies = |side: &&SideChange| match row.change {
        Change::NewlyDenied => side.head.verdict.is_denied(),
        Change::NewlyAllowed => side.base.verdict.is_denied(),
        _ => true,
    };
    sides(row).find(denies).or_else(|| sides(row).next())
}

/// `passes → denied`.
pub(super) fn outcomes(row: &ChangeRow) -> String {
    let (base, head) = row.outcomes;
    match row.change {
        Change::OtherRule => outcome(head),
        _ => format!("{} → {}", outcome(base), outcome(head)),
    }
}

/// `unknown (L7 not visible)`.
pub(super) fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown(cause) => format!("unknown ({cause})"),
        other => other.name().to_owned(),
    }
}

/// `GET api.example/v1`, empty for connections.
pub(super) fn request(what: &What) -> String {
    match what {
        What::Connections => String::new(),
        What::Requests(ExchangeKind::Dns { query, .. }) => format!("DNS {query}"),
        What::Requests(ExchangeKind::Http {
            method, host, path, ..
        }) => format!("{method} {host}{path}"),
        What::Requests(ExchangeKind::Other(name)) => name.to_string(),
    }
}

/// `3 connections and 1 request`.
pub(super) fn amount(simulation: &Simulation, change: Change) -> String {
    let of = |sums: &Sums| sums.changed.get(&change).copied().unwrap_or_default();
    let (connections, requests) = (of(&simulation.connections), of(&simulation.requests));
    match (connections, requests) {
        (0, requests) if requests > 0 => counted(requests, "request"),
        (connections, 0) => counted(connections, "connection"),
        (connections, requests) => format!(
            "{} and {}",
            counted(connections, "connection"),
            counted(requests, "request")
        ),
    }
}

/// What changes, all kinds together.
pub(super) fn total(simulation: &Simulation, change: Change) -> u64 {
    [&simulation.connections, &simulation.requests]
        .iter()
        .filter_map(|sums| sums.changed.get(&change))
        .sum()
}

/// `CiliumNetworkPolicy shop/web`.
pub(super) fn object(object: &ObjectChange) -> String {
    format!("{} {}", object.id.kind.name(), object.id.short())
}

/// What is changed beside policies.
pub(super) fn alteration(alteration: &Alteration) -> String {
    let who = format!("{}/{}", alteration.namespace, alteration.workload);
    match &alteration.change {
        Altered::Labels(labels) => {
            let labels: Vec<String> = labels
                .iter()
                .map(|(key, value)| match value {
                    Some(value) => format!("{key}={value}"),
                    None => format!("without {key}"),
                })
                .collect();
            format!("{who} with {}", labels.join(", "))
        }
        Altered::Namespace(namespace, _) => format!("{who} in {namespace}"),
    }
}

/// What a person must know before believing that nothing breaks: what the recording does
/// not show.
pub(super) fn limits(simulation: &Simulation) -> Vec<String> {
    let mut limits = Vec::new();
    let reading = &simulation.reading;
    let connections = &simulation.connections;
    match reading.seen.span() {
        None => limits.push("No flow has a time.".to_owned()),
        Some((first, last)) => {
            let length = duration(last - first);
            limits.push(match reading.share_seen() {
                Some(seen) if seen.share < 1.0 || seen.lost != Some(0) => {
                    let lost = match seen.lost {
                        Some(0) => String::new(),
                        Some(lost) => format!(", {} lost", counted(lost, "event")),
                        None => ", events lost and nobody knows how many".to_owned(),
                    };
                    format!(
                        "{length} were recorded, and {} of that was seen on all nodes{lost}: what happened in the holes was not replayed.",
                        percent(seen.share)
                    )
                }
                _ => format!(
                    "{length} were recorded without a known hole; what happens less often is not among it."
                ),
            });
        }
    }
    if connections.not_judged > 0 {
        limits.push(format!(
            "{} could not be judged: only replies of them, or nothing of layer 4, was recorded.",
            counted(connections.not_judged, "connection")
        ));
    }
    let unknown: u64 = connections.unknown.values().sum();
    if unknown > 0 {
        let mut causes: Vec<&str> = connections
            .unknown
            .keys()
            .map(|cause| cause.name())
            .collect();
        causes.dedup();
        limits.push(format!(
            "{} unknown under both sets ({}): a change may hide there.",
            counted(unknown, "connection"),
            causes.join(", ")
        ));
    }
    let silent: Vec<String> = simulation.silent().map(object).collect();
    if !silent.is_empty() {
        let (what, them) = match silent.len() {
            1 => ("policy that differs", "it"),
            _ => ("policies that differ", "them"),
        };
        limits.push(format!(
            "{} {what} decided about nothing that was recorded: {}. Nothing is said about {them}.",
            silent.len(),
            listed(&silent, 5),
        ));
    }
    limits.extend(missed(&simulation.jobs));
    if simulation.fit.drift > 0 {
        let rate = simulation.fit.rate().unwrap_or_default();
        limits.push(format!(
            "The base is not what was in force: it explains {} of the recorded verdicts, {} of sides of connections are otherwise.",
            percent(rate),
            thousands(simulation.fit.drift)
        ));
    }
    if !simulation.assumed.is_empty() {
        let options: Vec<&str> = simulation.assumed.keys().copied().collect();
        limits.push(format!(
            "Some verdicts hang on agent options that were not given and are taken as their defaults: {}.",
            options.join(", ")
        ));
    }
    if reading.interrupted {
        limits.push("Reading was interrupted: the rest was not replayed.".to_owned());
    }
    let skipped: u64 = reading.skipped().values().sum();
    if skipped > 0 {
        limits.push(format!("{} could not be read.", counted(skipped, "line")));
    }
    limits
}

/// The jobs that may not be in a recording, as a sentence.
pub(in crate::render) fn missed(jobs: &[Job]) -> Option<String> {
    let named: Vec<String> = jobs
        .iter()
        .map(|job| {
            let name = if job.namespace.is_empty() {
                job.name.to_string()
            } else {
                format!("{}/{}", job.namespace, job.name)
            };
            match job.pause {
                Some(pause) => format!("{name} (every {})", duration(pause * 60_000_000_000)),
                None => format!("{name} ({})", job.schedule),
            }
        })
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "Jobs that run less often than the recording is long may not be in it: {}.",
            listed(&named, 5)
        )
    })
}

/// The directions, for columns of programs.
pub(super) fn direction(direction: Direction) -> &'static str {
    direction.name()
}
