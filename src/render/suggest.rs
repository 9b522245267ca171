//! Suggested policies: as YAML with what they rest on, as a summary, as JSON.
//!
//! Owns the words around a policy. The policy itself, its rules and their evidence, is
//! `review`'s text.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::report::json::{first, last};
use crate::baseline::Stage;
use crate::detect::words;
use crate::flow::{counted, thousands};
use crate::policy::Cause;
use crate::review::observed::between;
use crate::review::suggest::{Broken, Draft, SIDES, Suggested, Tally, Window};

/// Lines of each kind in the summary.
const SHOWN: usize = 12;

/// All policies as one stream of documents.
#[must_use]
pub fn yaml(suggested: &Suggested) -> String {
    let mut text = String::new();
    for (at, draft) in suggested.settled.drafts.iter().enumerate() {
        if draft.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&document(suggested, at));
    }
    if text.is_empty() {
        let _ = writeln!(text, "# {}", nothing(suggested));
    }
    text
}

/// `nothing to suggest: policies select all 6 workloads already`.
fn nothing(suggested: &Suggested) -> String {
    let Suggested {
        settled,
        connections,
        asked_for,
        ..
    } = suggested;
    let left_out: u64 = suggested.left_out.values().sum();
    let why = if !settled.drafts.is_empty() {
        "what was made does not stand its replay and is withheld"
    } else if *connections == 0 {
        "the flows show no connection"
    } else if *asked_for == 0 {
        "the flows show no workload that was asked for"
    } else if suggested.dropped && *connections == left_out {
        "policies deny no connection"
    } else if suggested.dropped {
        "no connection that policies deny gets a rule"
    } else {
        return format!("nothing to suggest{}", none_made(suggested));
    };
    format!("nothing to suggest: {why}")
}

/// Why no workload that was asked for gets a policy: what stands behind `nothing to suggest`.
fn none_made(suggested: &Suggested) -> String {
    let workloads = |count| counted(count, "workload", "workloads");
    let all = suggested.asked_for;
    let skipped = &suggested.settled.skipped;
    let Some(first) = skipped.first() else {
        return match all {
            1 => ": policies select the workload already".to_owned(),
            _ => format!(": policies select all {} already", workloads(all)),
        };
    };
    let first = format!("{}/{}: {}", first.workload.1, first.workload.2, first.why);
    let selected = all.saturating_sub(skipped.len() as u64);
    match (all, selected) {
        (1, _) => format!(" for {first}"),
        (_, 0) => format!(" for {} ({first})", workloads(all)),
        _ => format!(
            ": policies select {} of {} already ({first})",
            thousands(selected),
            workloads(all)
        ),
    }
}

/// One policy, by its place in the list, with what it rests on above it.
#[must_use]
pub fn document(suggested: &Suggested, at: usize) -> String {
    let Some(draft) = suggested.settled.drafts.get(at) else {
        return String::new();
    };
    draft.text(&head(suggested, draft, at))
}

fn head(suggested: &Suggested, draft: &Draft, at: usize) -> Vec<String> {
    let mut lines = vec![learned(suggested), state(draft)];
    let (accepted, unwanted) = draft.tallies(&suggested.settled.replayed);
    lines.push(if draft.adds {
        format!("Replay: {}.", allowed(&accepted))
    } else {
        format!("Replay: {}.", replay(&accepted, &unwanted))
    });
    if let Some(claims) = suggested.settled.claims.get(at) {
        for (direction, claim) in SIDES.iter().zip(claims) {
            if let Some(claim) = claim.as_ref().filter(|claim| claim.is_void()) {
                lines.push(format!(
                    "It denies nobody {}: {} lets everybody pass.",
                    match direction {
                        crate::policy::Direction::Ingress => "in",
                        crate::policy::Direction::Egress => "out",
                    },
                    claim.others.join(", ")
                ));
            }
        }
    }
    lines.extend(draft.notes.iter().cloned());
    for (direction, why) in &draft.withheld {
        lines.push(format!("{} is left out: {why}.", direction.name()));
    }
    let jobs: Vec<String> = suggested
        .jobs
        .iter()
        .filter(|job| job.namespace.is_empty() || *job.namespace == *draft.id.namespace)
        .map(|job| format!("{} ({})", job.name, job.schedule))
        .collect();
    if !jobs.is_empty() {
        lines.push(format!(
            "Jobs here that the recording is too short for: {}.",
            jobs.join(", ")
        ));
    }
    lines
}

/// `Learned from 19 minutes of flows, 2026-06-16 14:00 to 14:20 UTC; 98 % of node-time was seen.`
fn learned(suggested: &Suggested) -> String {
    format!("Learned from {}.", between_words(&suggested.window))
}

/// `19 minutes of flows, 2026-06-16 14:00 to 14:20 UTC; 98 % of node-time was seen`.
pub(in crate::render) fn between_words(window: &Window) -> String {
    let Some((first, last)) = window.seen.span() else {
        return "flows without a time".to_owned();
    };
    let mut text = format!(
        "{} of flows, {} UTC",
        words::span(last - first),
        between(first, last)
    );
    if let Some(share) = window.share {
        let _ = write!(text, "; {:.1} % of node-time was seen", share * 100.0);
    }
    match window.lost {
        Some(0) => {}
        Some(lost) => {
            let _ = write!(text, ", {} lost", counted(lost, "event was", "events were"));
        }
        None => text.push_str(", an unknown number of events was lost"),
    }
    text
}

/// How far what was seen is, and what is missing.
fn state(draft: &Draft) -> String {
    let readiness = &draft.readiness;
    let stage = readiness.stage();
    let mut text = match stage {
        Stage::Active => format!("Stable ({stage}): "),
        _ => format!("Not stable yet ({stage}): "),
    };
    let _ = write!(
        text,
        "watched for {} of the 7 days it takes",
        words::span(readiness.observed)
    );
    if readiness.edges > 0 {
        let _ = write!(
            text,
            "; {} of {} in one hour only",
            thousands(readiness.once),
            counted(readiness.edges, "edge was seen", "edges were seen")
        );
    }
    if let Some((newest, last)) = draft.newest {
        let _ = write!(
            text,
            "; the newest came {} before the end",
            words::span(last - newest)
        );
    }
    text.push('.');
    text
}

/// `412 of 412 accepted connections pass; 3 of 3 others are denied`.
fn replay(accepted: &Tally, unwanted: &Tally) -> String {
    let mut text = format!(
        "{} of {} pass",
        thousands(accepted.pass + accepted.authenticated),
        counted(
            accepted.all(),
            "accepted connection",
            "accepted connections"
        )
    );
    if accepted.denied > 0 {
        let _ = write!(text, ", {} are denied", thousands(accepted.denied));
    }
    if accepted.undecided() > 0 {
        let _ = write!(
            text,
            ", {} undecided{}",
            thousands(accepted.undecided()),
            why(accepted)
        );
    }
    if unwanted.all() > 0 {
        let _ = write!(
            text,
            "; {} of {} that were not learned are denied",
            thousands(unwanted.denied),
            thousands(unwanted.all())
        );
    }
    text
}

/// `5 of 93 denied connections would pass`.
fn allowed(denied: &Tally) -> String {
    format!(
        "{} of {} would pass",
        thousands(denied.pass + denied.authenticated),
        counted(denied.all(), "denied connection", "denied connections")
    )
}

fn why(tally: &Tally) -> String {
    let causes: Vec<String> = tally.unknown.keys().map(ToString::to_string).collect();
    if causes.is_empty() {
        String::new()
    } else {
        format!(" ({})", causes.join(", "))
    }
}

/// What a person is told beside the policies.
#[must_use]
pub fn summary(suggested: &Suggested) -> Vec<String> {
    let made = suggested
        .settled
        .drafts
        .iter()
        .filter(|draft| !draft.is_empty());
    let (mut policies, mut workloads) = (0_u64, 0_u64);
    for draft in made {
        policies += 1;
        workloads += draft.members.len() as u64;
    }
    let mut lines = Vec::new();
    if policies == 0 {
        lines.push(nothing(suggested));
    } else {
        lines.push(format!(
            "{} for {}",
            counted(policies, "policy", "policies"),
            counted(workloads, "workload", "workloads")
        ));
    }
    let drafts = suggested.settled.drafts.iter();
    let quiet = drafts
        .filter(|draft| draft.quiet && !draft.is_empty())
        .count();
    if quiet > 0 {
        lines.push(format!(
            "{} nothing pass, as nothing accepted was seen of whom they are for; --seen-only leaves them out",
            counted(quiet as u64, "of them lets", "of them let")
        ));
    }
    let learned = learned(suggested);
    lines.push(
        learned
            .replacen('L', "l", 1)
            .trim_end_matches('.')
            .to_owned(),
    );
    let replayed = &suggested.settled.replayed;
    if policies > 0 {
        lines.push(if suggested.dropped {
            format!("replay: {}", allowed(&replayed.accepted))
        } else {
            format!("replay: {}", replay(&replayed.accepted, &replayed.unwanted))
        });
        if replayed.requests.all() > 0 {
            let requests = &replayed.requests;
            let mut line = format!(
                "replay: {} of {} pass",
                thousands(requests.pass + requests.authenticated),
                counted(requests.all(), "accepted request", "accepted requests")
            );
            if requests.undecided() > 0 {
                let _ = write!(
                    line,
                    ", {} undecided{}",
                    thousands(requests.undecided()),
                    why(requests)
                );
            }
            lines.push(line);
        }
        if suggested.settled.rounds > 1 {
            lines.push(format!(
                "mended in {}",
                counted(
                    suggested.settled.rounds as u64 - 1,
                    "further round",
                    "further rounds"
                )
            ));
        }
    }
    let before: Vec<&Broken> = replayed.broken.iter().filter(|one| one.before).collect();
    if !before.is_empty() && !suggested.dropped {
        let count: u64 = before.iter().map(|one| one.count).sum();
        lines.push(format!(
            "{} by the policies that are there, whatever is suggested:",
            counted(
                count,
                "accepted connection is denied",
                "accepted connections are denied"
            )
        ));
        some(&mut lines, &before, |one| {
            format!(
                "  {} -> {}:{}: {}",
                one.client,
                one.server,
                one.port,
                thousands(one.count)
            )
        });
    }
    let misses = replayed
        .accepted
        .unknown
        .contains_key(&Cause::PolicyNotLoaded);
    if misses {
        lines.push(
            "the flows name policies that were not given: give them, or --from-scratch for policies in their place"
                .to_owned(),
        );
    }
    left_out(suggested, &mut lines);
    if !suggested.settled.skipped.is_empty() {
        lines.push(format!(
            "no policy for {}:",
            counted(
                suggested.settled.skipped.len() as u64,
                "workload",
                "workloads"
            )
        ));
        some(&mut lines, &suggested.settled.skipped, |one| {
            format!("  {}/{}: {}", one.workload.1, one.workload.2, one.why)
        });
    }
    if suggested.elsewhere > 0 {
        lines.push(format!(
            "{}: policies are for the cluster that most pods are of",
            counted(
                suggested.elsewhere,
                "workload of another cluster is left out",
                "workloads of other clusters are left out"
            )
        ));
    }
    if !suggested.probing.is_empty() {
        lines.push("denied connections that get no rule:".to_owned());
        some(&mut lines, &suggested.probing, |one| {
            let server = match &one.server {
                Some((server, port, protocol)) => {
                    format!(" -> {server}:{port}/{}", protocol.name())
                }
                None => String::new(),
            };
            format!(
                "  {}{server} ({}): {}",
                one.client,
                thousands(one.count),
                one.why
            )
        });
    }
    if !suggested.jobs.is_empty() {
        lines.push("jobs that run less often than the recording is long:".to_owned());
        some(&mut lines, &suggested.jobs, |job| {
            format!("  {}/{} ({})", job.namespace, job.name, job.schedule)
        });
    }
    some(&mut lines, &suggested.unproven(), Clone::clone);
    lines
}

fn left_out(suggested: &Suggested, lines: &mut Vec<String>) {
    let left_out: Vec<String> = suggested
        .left_out
        .iter()
        .map(|(why, count)| format!("{} {}", thousands(*count), why.words()))
        .collect();
    if !left_out.is_empty() {
        lines.push(format!(
            "not learned, of {}: {}",
            counted(suggested.connections, "connection", "connections"),
            left_out.join(", ")
        ));
    }
}

fn some<T>(lines: &mut Vec<String>, list: &[T], line: impl Fn(&T) -> String) {
    lines.extend(list.iter().take(SHOWN).map(line));
    if list.len() > SHOWN {
        lines.push(format!(
            "  and {} more",
            thousands((list.len() - SHOWN) as u64)
        ));
    }
}

/// One sentence for whoever asked not to be told more.
#[must_use]
pub fn why_not(suggested: &Suggested) -> String {
    let unproven = suggested.unproven();
    match unproven.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first, ..] => format!("{first}; and {} more", thousands(unproven.len() as u64 - 1)),
    }
}

/// Everything as JSON: `docs/schema/suggest.json`.
#[must_use]
pub fn json(suggested: &Suggested) -> Value {
    let policies = suggested
        .settled
        .drafts
        .iter()
        .enumerate()
        .map(|(at, draft)| {
            let (accepted, unwanted) = draft.tallies(&suggested.settled.replayed);
            let members: Vec<Value> = draft
            .members
            .iter()
            .map(|(cluster, namespace, name)| {
                json!({"cluster": &**cluster, "namespace": &**namespace, "name": &**name})
            })
            .collect();
            let sides: Vec<Value> = SIDES
                .iter()
                .filter_map(|direction| {
                    let side = draft.side(*direction)?;
                    Some(json!({
                        "direction": direction.name(),
                        "rules": side.rules.len(),
                        "edges": side.edges,
                        "connections": side.evidence.count,
                        "first": first(side.evidence.seen),
                        "last": last(side.evidence.seen),
                    }))
                })
                .collect();
            let withheld: Vec<Value> = draft
                .withheld
                .iter()
                .map(|(direction, why)| json!({"direction": direction.name(), "why": why}))
                .collect();
            json!({
                "namespace": &*draft.id.namespace,
                "name": &*draft.id.name,
                "workloads": members,
                "sides": sides,
                "withheld": withheld,
                "stage": draft.readiness.stage().name(),
                "missing": draft.readiness.missing(),
                "notes": draft.notes,
                "replay": {"accepted": tally(&accepted), "unwanted": tally(&unwanted)},
                "yaml": if draft.is_empty() { Value::Null } else { document(suggested, at).into() },
            })
        });
    let replayed = &suggested.settled.replayed;
    let skipped = suggested.settled.skipped.iter().map(
        |one| json!({"namespace": &*one.workload.1, "name": &*one.workload.2, "why": one.why}),
    );
    let left_out = suggested
        .left_out
        .iter()
        .map(|(why, count)| (why.name().to_owned(), Value::from(*count)));
    json!({
        "version": 1,
        "policies": policies.collect::<Vec<_>>(),
        "replay": {
            "accepted": tally(&replayed.accepted),
            "unwanted": tally(&replayed.unwanted),
            "requests": tally(&replayed.requests),
            "rounds": suggested.settled.rounds,
        },
        "window": {
            "first": first(suggested.window.seen),
            "last": last(suggested.window.seen),
            "share": suggested.window.share,
            "lost": suggested.window.lost,
        },
        "connections": suggested.connections,
        "left_out": left_out.collect::<serde_json::Map<_, _>>(),
        "skipped": skipped.collect::<Vec<_>>(),
        "proven": suggested.is_proven(),
        "unproven": suggested.unproven(),
    })
}

pub(super) fn tally(tally: &Tally) -> Value {
    json!({
        "pass": tally.pass + tally.authenticated,
        "denied": tally.denied,
        "undecided": tally.undecided(),
    })
}
