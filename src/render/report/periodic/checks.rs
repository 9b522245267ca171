//! The checklist of a review: what to look at, in this order, with figures and the command
//! that shows more.

use super::seen::missing;
use super::{Kind, Review};
use crate::render::report::outline::Check;
use crate::render::report::words::{counted, listed, peer};
use crate::render::report::{Paths, command};
use crate::render::thousands;
use crate::review::periodic::{Comparison, DropKind};

pub(super) fn checks(review: &Review<'_>, paths: &Paths) -> Vec<Check> {
    let comparison = review.comparison;
    let judged = review.policies.is_some();
    let later = comparison.later.window;
    let policies = format!("--policies {}", command::given(&paths.policies));
    let mut checks = vec![completeness(comparison, paths)];
    let mut check = |text: String, command: Option<String>| checks.push(Check { text, command });
    if judged {
        check(
            drift(comparison),
            (!comparison.drifts.is_empty())
                .then(|| command::tail(paths, later, &format!("{policies} --only drift"))),
        );
    } else {
        check(
            "Policies: none were given, so nothing is said about drift, gaps and rules (--policies)".to_owned(),
            None,
        );
    }
    if comparison.is_comparable() {
        let new = if comparison.earlier.is_whole() {
            "new"
        } else {
            "not seen before"
        };
        let names = comparison.names.len() as u64;
        let first = comparison.names.first();
        check(
            match first {
                None => "Names outside: none that was not there before".to_owned(),
                Some(_) => format!(
                    "Names outside: {} {new}; for each, somebody knows why",
                    thousands(names)
                ),
            },
            first.map(|name| {
                let flags = format!("--to-fqdn {}", command::quoted(&peer(&name.server)));
                command::tail(paths, later, &flags)
            }),
        );
        let gaps = comparison
            .edges
            .iter()
            .filter(|change| change.sum.gaps > 0)
            .count();
        check(
            match comparison.edges.len() as u64 {
                0 => "Edges: none that was not there before".to_owned(),
                edges => {
                    let without = if gaps > 0 {
                        format!(
                            ", {} without a policy that asks for it",
                            thousands(gaps as u64)
                        )
                    } else {
                        String::new()
                    };
                    format!(
                        "Edges: {} {new}{without}; each belongs to a change that is known",
                        thousands(edges)
                    )
                }
            },
            comparison.edges.first().map(|change| {
                let edge = &change.edge;
                let flags = command::edge(
                    &edge.client,
                    Some(&edge.server),
                    Some((edge.protocol, edge.port)),
                );
                command::tail(paths, later, &flags)
            }),
        );
    }
    let kinds = comparison.drops.len() as u64;
    check(
        match kinds {
            0 => "Drops: no new kind, none that grew".to_owned(),
            _ if comparison.is_comparable() => {
                format!(
                    "Drops: {}; each is meant, or has an owner",
                    kinds_of_drops(comparison)
                )
            }
            _ => format!(
                "Drops: {}; each is meant, or has an owner",
                counted(kinds, "kind")
            ),
        },
        (kinds > 0).then(|| command::tail(paths, later, "--verdict DROPPED")),
    );
    if judged {
        let new = comparison.new_gaps().count() as u64;
        let all = comparison.gaps.len() as u64;
        let text = match (all, review.kind) {
            (0, _) => "Gaps: everything that passed was asked for by a policy".to_owned(),
            (_, Kind::Weekly) if comparison.is_comparable() => format!(
                "Gaps: {}, {} of them not seen before",
                thousands(all),
                thousands(new)
            ),
            _ => format!("Gaps: {}; each gets a rule, or a reason", thousands(all)),
        };
        check(
            text,
            (all > 0).then(|| command::tail(paths, later, &format!("{policies} --only gap"))),
        );
    }
    if comparison.is_comparable() {
        check(
            match comparison.gone.len() as u64 {
                0 => "Vanished: every edge of the earlier period is there".to_owned(),
                gone => format!(
                    "Vanished: {} not seen any more; rules for what was retired can go, what should still run is looked for",
                    counted(gone, "edge")
                ),
            },
            comparison.gone.first().map(|change| {
                let edge = &change.edge;
                let flags = command::edge(
                    &edge.client,
                    Some(&edge.server),
                    Some((edge.protocol, edge.port)),
                );
                command::tail(paths, comparison.earlier.window, &flags)
            }),
        );
    }
    if judged && comparison.unknown_verdicts() > 0 {
        check(
            format!(
                "Not known: {}; what is missing is given, or it is accepted",
                counted(comparison.unknown_verdicts(), "verdict")
            ),
            Some(command::tail(
                paths,
                later,
                &format!("{policies} --only unknown"),
            )),
        );
    }
    quarter(review, paths, &mut checks);
    checks
}

/// `3 kinds not seen before, 2 with other ends, 1 that grew`.
pub(super) fn kinds_of_drops(comparison: &Comparison) -> String {
    let count = |kind: DropKind| {
        let same = comparison.drops.iter().filter(|change| change.kind == kind);
        same.count() as u64
    };
    let new = if comparison.earlier.is_whole() {
        "new"
    } else {
        "not seen before"
    };
    let parts: Vec<String> = [
        (DropKind::New, new),
        (DropKind::NewEnds, "at other ends than before"),
        (DropKind::Grown, "that grew"),
    ]
    .into_iter()
    .map(|(kind, words)| (count(kind), words))
    .filter(|(count, _)| *count > 0)
    .map(|(count, words)| format!("{} {words}", counted(count, "kind")))
    .collect();
    listed(&parts, parts.len())
}

fn drift(comparison: &Comparison) -> String {
    let (equal, drift) = comparison.compared;
    match drift {
        0 if equal == 0 => "Drift: no recorded verdict could be compared".to_owned(),
        0 => format!("Drift: none in {}", counted(equal, "verdict")),
        _ => format!(
            "Drift: {} on {} of edges, in {}",
            counted(drift, "verdict"),
            counted(comparison.drifts.len() as u64, "side"),
            counted(equal + drift, "verdict")
        ),
    }
}

fn completeness(comparison: &Comparison, paths: &Paths) -> Check {
    let both = [
        ("earlier", &comparison.earlier),
        ("later", &comparison.later),
    ];
    let parts: Vec<String> = both
        .iter()
        .filter_map(|(name, one)| Some(format!("of the {name} period {}", missing(one)?)))
        .collect();
    if parts.is_empty() {
        return Check {
            text: "Completeness: nothing is known to be missing of either period".to_owned(),
            command: None,
        };
    }
    Check {
        text: format!(
            "Completeness: {}; the cause is known, or the recording is mended",
            parts.join("; ")
        ),
        command: Some(format!(
            "flowwatch archive info {}",
            command::given(&paths.flows)
        )),
    }
}

/// What is asked of the policies once a quarter.
fn quarter(review: &Review<'_>, paths: &Paths, checks: &mut Vec<Check>) {
    if let Some(coverage) = review.coverage {
        let sum = coverage.sum();
        checks.push(Check {
            text: format!(
                "Coverage: {} of {} without a policy in one direction or both",
                thousands(sum.without_policy),
                counted(sum.workloads, "workload")
            ),
            command: Some(format!(
                "flowwatch policy coverage {} --flows {} --workloads",
                command::given(&paths.policies),
                command::given(&paths.flows)
            )),
        });
    }
    let Some(used) = review.policies.filter(|_| review.kind == Kind::Quarterly) else {
        return;
    };
    if !used.more {
        checks.push(Check {
            text: match used.never_hit.len() as u64 {
                0 => "Policies: each decided about something that was seen".to_owned(),
                unused => format!(
                    "Policies: {} of {} never hit; each is still wanted, or goes",
                    thousands(unused),
                    thousands(used.policies)
                ),
            },
            command: None,
        });
    }
    checks.push(Check {
        text: match used.broad.len() as u64 {
            0 => "Broad rules: none".to_owned(),
            broad => format!(
                "Broad rules: {}; each is narrowed, or has a reason",
                thousands(broad)
            ),
        },
        command: None,
    });
}
