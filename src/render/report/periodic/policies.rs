//! What the policies say: drift, gaps, what they cover, what was not used.

use std::collections::BTreeSet;

use super::seen::missing;
use super::traffic::times;
use super::{Kind, Review};
use crate::render::gap_name;
use crate::render::report::outline::{
    Row, Section, Table, Tone, fixed, number, policies as shared, text,
};
use crate::render::report::words::{counted, peer, port, rule, some};
use crate::render::report::{Paths, command};
use crate::render::thousands;
use crate::review::coverage::SideSum;
use crate::review::periodic::{EdgeName, SideChange};

pub(super) fn drifts(review: &Review<'_>, paths: &Paths) -> Option<Section> {
    let comparison = review.comparison;
    if comparison.drifts.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "drift",
        "Sides",
        &[
            text("CLIENT"),
            text("SERVER"),
            fixed("PORT"),
            fixed("SIDE"),
            fixed("RECORDED"),
            text("COMPUTED"),
            number("CONNECTIONS"),
            number("BEFORE"),
            fixed("SINCE"),
        ],
    );
    for drift in &comparison.drifts {
        let edge = &drift.edge;
        let below = explain(drift, paths).map(|command| format!("Next: {command}"));
        table.rows.push(Row {
            cells: vec![
                peer(&edge.client),
                peer(&edge.server),
                port(edge.port, edge.protocol),
                drift.direction.name().to_owned(),
                drift
                    .sum
                    .recorded
                    .map_or(String::new(), |(verdict, _)| shared::recorded(verdict)),
                drift
                    .sum
                    .ruling
                    .as_ref()
                    .map_or(String::new(), shared::ruling),
                thousands(drift.sum.connections),
                some(drift.before.unwrap_or(0)),
                times(drift.sum.seen).0,
            ],
            tone: Tone::Bad,
            below: below.into_iter().collect(),
        });
    }
    Some(Section {
        id: "drift",
        title: "Drift: the cluster did something else than the policies say",
        tables: vec![table],
        ..Section::default()
    })
}

fn explain(change: &SideChange, paths: &Paths) -> Option<String> {
    let edge = &change.edge;
    command::explain(
        &edge.client,
        &edge.server,
        edge.port,
        edge.protocol,
        None,
        paths,
    )
}

/// New gaps; all of them where the policies are reviewed.
pub(super) fn gaps(review: &Review<'_>, paths: &Paths) -> Option<Section> {
    let comparison = review.comparison;
    let all = review.kind == Kind::Quarterly || !comparison.is_comparable();
    let shown: Vec<&SideChange> = if all {
        comparison.gaps.iter().collect()
    } else {
        // What is new as an edge is told there.
        let told: BTreeSet<&EdgeName> =
            comparison.edges.iter().map(|change| &change.edge).collect();
        comparison
            .new_gaps()
            .filter(|gap| !told.contains(&gap.edge))
            .collect()
    };
    if shown.is_empty() {
        return None;
    }
    let certain = comparison.earlier.is_whole();
    let mut section = Section {
        id: "gaps",
        title: match (all, certain) {
            (true, _) => "Gaps: passed, and no policy asks for it",
            (false, true) => "New gaps: passed, and no policy asks for it",
            (false, false) => "Gaps not seen before: passed, and no policy asks for it",
        },
        ..Section::default()
    };
    let left = comparison.gaps.len() - shown.len();
    if left > 0 {
        section.notes.push(format!(
            "Left out: {} known from the earlier period or told with its edge; -o json has all",
            counted(left as u64, "gap")
        ));
    }
    let mut table = Table::new(
        "gaps",
        "Gaps",
        &[
            text("CLIENT"),
            text("SERVER"),
            fixed("PORT"),
            fixed("SIDE"),
            text("WHY"),
            number("CONNECTIONS"),
            number("BEFORE"),
            fixed("SINCE"),
        ],
    );
    for gap in shown {
        let edge = &gap.edge;
        let new = gap.before.is_none() && comparison.is_comparable();
        table.rows.push(Row {
            cells: vec![
                peer(&edge.client),
                peer(&edge.server),
                port(edge.port, edge.protocol),
                gap.direction.name().to_owned(),
                gap.sum.gap.map_or("gap", gap_name).to_owned(),
                thousands(gap.sum.connections),
                some(gap.before.unwrap_or(0)),
                times(gap.sum.seen).0,
            ],
            tone: if new { Tone::Bad } else { Tone::Attention },
            below: explain(gap, paths)
                .filter(|_| new)
                .map(|command| format!("Next: {command}"))
                .into_iter()
                .collect(),
        });
    }
    section.tables.push(table);
    Some(section)
}

pub(super) fn coverage(review: &Review<'_>) -> Option<Section> {
    let coverage = review.coverage?;
    if coverage.workloads.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "coverage",
        "Namespaces",
        &[
            text("NAMESPACE"),
            number("SCORE"),
            number("WORKLOADS"),
            number("INGRESS DENY"),
            number("EGRESS DENY"),
            number("NO POLICY"),
            number("BROAD"),
            number("UNKNOWN"),
        ],
    );
    let clusters = coverage.has_clusters();
    let namespaces = coverage.namespaces();
    let mut rows: Vec<_> = namespaces.iter().collect();
    rows.sort_by_key(|((cluster, namespace), sum)| {
        (sum.score().tenths().unwrap_or(1001), cluster, namespace)
    });
    for ((cluster, namespace), sum) in rows {
        let name = namespace.as_deref().unwrap_or("?");
        let deny = |side: SideSum| {
            format!(
                "{}/{}",
                thousands(side.default_deny + side.broad),
                thousands(side.known())
            )
        };
        let tenths = sum.score().tenths();
        table.row(
            match tenths {
                Some(1000) => Tone::Good,
                Some(0) => Tone::Bad,
                _ => Tone::Attention,
            },
            vec![
                if clusters {
                    format!("{cluster}/{name}")
                } else {
                    name.to_owned()
                },
                tenths.map_or("-".to_owned(), |tenths| {
                    format!("{}.{}", tenths / 10, tenths % 10)
                }),
                thousands(sum.workloads),
                deny(sum.ingress),
                deny(sum.egress),
                some(sum.without_policy),
                some(sum.ingress.broad + sum.egress.broad),
                some(sum.unknown()),
            ],
        );
    }
    let sum = coverage.sum();
    let score = sum.score().tenths().map_or_else(
        || "Nothing can be scored".to_owned(),
        |tenths| format!("{}.{} of 100", tenths / 10, tenths % 10),
    );
    Some(Section {
        id: "coverage",
        title: "What the policies cover",
        notes: vec![format!(
            "{score}: {}, {} that no policy selects in one direction or both",
            counted(sum.workloads, "workload"),
            thousands(sum.without_policy)
        )],
        tables: vec![table],
    })
}

/// Policies never hit, and rules that are broad.
pub(super) fn used(review: &Review<'_>) -> Option<Section> {
    let used = review.policies.filter(|_| review.kind == Kind::Quarterly)?;
    let mut section = Section {
        id: "used",
        title: "What was used of the policies",
        ..Section::default()
    };
    let hit = used.policies - used.never_hit.len() as u64;
    section.notes.push(if used.more {
        "More was decided than is remembered: what was never hit cannot be told".to_owned()
    } else {
        format!(
            "Policies that decided about a connection that was seen: {} of {}",
            thousands(hit),
            thousands(used.policies),
        )
    });
    if used.default_deny_only > 0 {
        section.notes.push(format!(
            "Not counted, as turning on default deny is all they do: {}",
            thousands(used.default_deny_only)
        ));
    }
    if !used.never_hit.is_empty() {
        section.notes.push(match missing(&review.comparison.later) {
            Some(missing) => format!(
                "Of the period: {missing}; a policy may have been hit then, or be there for what happens less often"
            ),
            None => "A policy never hit in the period may be there for what happens less often".to_owned(),
        });
        let mut table = Table::new(
            "never-hit",
            "Never hit in the period",
            &[
                text("POLICY"),
                number("ALLOWS"),
                number("DENIES"),
                text("WHERE"),
            ],
        );
        for unused in &used.never_hit {
            table.row(
                Tone::Attention,
                vec![
                    unused.rule.policy.to_string(),
                    some(unused.allows),
                    some(unused.denies),
                    format!("{}:{}", unused.rule.file, unused.rule.line),
                ],
            );
        }
        section.tables.push(table);
    }
    if !used.broad.is_empty() {
        let mut table = Table::new(
            "broad",
            "Broad: allows nearly anybody on nearly any port",
            &[text("RULE")],
        );
        for broad in &used.broad {
            table.row(Tone::Attention, vec![rule(broad)]);
        }
        section.tables.push(table);
    }
    Some(section)
}

pub(super) fn unknown(review: &Review<'_>) -> Option<Section> {
    let causes: Vec<_> = review
        .comparison
        .unknown
        .iter()
        .filter(|(_, _, after)| *after > 0)
        .collect();
    if causes.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "unknown",
        "Causes",
        &[
            number("VERDICTS"),
            number("BEFORE"),
            text("CAUSE"),
            text("WHAT TO GIVE"),
        ],
    );
    let mut causes = causes;
    causes.sort_by_key(|(cause, _, after)| (std::cmp::Reverse(*after), *cause));
    for (cause, before, after) in causes {
        table.row(
            Tone::Attention,
            vec![
                thousands(*after),
                some(*before),
                cause.to_string(),
                cause.hint().to_owned(),
            ],
        );
    }
    Some(Section {
        id: "unknown",
        title: "Verdicts that are not known",
        tables: vec![table],
        ..Section::default()
    })
}
