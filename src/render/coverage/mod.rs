//! How coverage is shown: for a terminal, as Markdown, as JSON.
//!
//! Owns the forms and their words. What covers what is `review::coverage`'s.

mod json;
mod markdown;
mod terminal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::escape::{self, Tab};
use super::thousands;
use crate::flow::counted;
use crate::review::coverage::{Cover, Coverage, Doubt, Score, SideCover, Sum, Without, WorkloadId};

pub use json::json;
pub use markdown::markdown;
pub use terminal::terminal;

/// How much a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A line a namespace.
    Namespaces,
    /// A line a workload too.
    Workloads,
}

/// What is unknown, by cause and place.
struct Doubts<'a> {
    by_cause: BTreeMap<String, (&'a Doubt, u64)>,
}

impl<'a> Doubts<'a> {
    fn of(coverage: &'a Coverage) -> Self {
        let mut by_cause = BTreeMap::<String, (&Doubt, u64)>::new();
        let sides = coverage
            .workloads
            .iter()
            .flat_map(|workload| [&workload.ingress, &workload.egress]);
        for side in sides {
            if let Cover::Unknown(doubt) = &side.cover {
                by_cause.entry(doubt_words(doubt)).or_insert((doubt, 0)).1 += 1;
            }
        }
        Self { by_cause }
    }

    /// One sentence a cause: how many directions, why, and what would help.
    fn sentences(&self) -> impl Iterator<Item = String> {
        self.by_cause.iter().map(|(words, (doubt, count))| {
            format!(
                "{} unknown, {words}: {}",
                counted(*count, "direction", "directions"),
                doubt.cause.hint()
            )
        })
    }
}

fn doubt_words(doubt: &Doubt) -> String {
    match &doubt.place {
        Some(place) => format!("{} at {place}", doubt.cause),
        None => doubt.cause.to_string(),
    }
}

/// One decimal, rounded down, so that 100.0 is everything; `-` where nothing is known.
fn score_text(score: Score) -> String {
    match score.tenths() {
        Some(tenths) => format!("{}.{}", tenths / 10, tenths % 10),
        None => "-".to_owned(),
    }
}

/// What was seen encrypted of all packets seen; `-` where none were.
fn share_text(part: u64, whole: u64) -> String {
    match (u128::from(part) * 1_000).checked_div(u128::from(whole)) {
        Some(tenths) => format!("{}.{}%", tenths / 10, tenths % 10),
        None => "-".to_owned(),
    }
}

fn cover_words(cover: &Cover) -> &'static str {
    match cover {
        Cover::NotSelected => "no policy",
        Cover::NoDefaultDeny => "no default deny",
        Cover::Unknown(_) => "unknown",
        Cover::Broad => "broad",
        Cover::DefaultDeny => "default deny",
    }
}

fn without_words(without: Without) -> &'static str {
    match without {
        Without::Both => "ingress and egress",
        Without::Ingress => "ingress",
        Without::Egress => "egress",
    }
}

/// `namespace/name`, with the cluster before it where there are several.
fn workload_name(id: &WorkloadId, clusters: bool) -> String {
    let namespace = namespace_name(&id.cluster, id.namespace.as_ref(), clusters);
    format!("{namespace}/{}", harmless(&id.name))
}

/// A namespace; `?` where it is not known.
fn namespace_name(cluster: &Arc<str>, namespace: Option<&Arc<str>>, clusters: bool) -> String {
    let name = harmless(namespace.map_or("?", |name| name));
    if clusters {
        format!("{}/{name}", harmless(cluster))
    } else {
        name
    }
}

fn peers_text(side: &SideCover) -> String {
    let more = if side.more_peers { "+" } else { "" };
    format!("{}{more}", thousands(side.peers))
}

/// What its rules look at beyond ports, in either direction.
fn layer7_text(ingress: &SideCover, egress: &SideCover) -> String {
    let kinds: Vec<&str> = (&ingress.layer7 | &egress.layer7).into_iter().collect();
    if kinds.is_empty() {
        "-".to_owned()
    } else {
        kinds.join(",")
    }
}

/// The score as a headline.
fn headline(score: Score) -> String {
    match score.tenths() {
        Some(_) => format!("Score {} of 100", score_text(score)),
        None => "No score".to_owned(),
    }
}

/// What is said where no workload is known to lack a policy.
fn all_have_one(sum: Sum) -> String {
    if sum.unknown() == 0 {
        return "No workload needs a policy and has none.".to_owned();
    }
    format!(
        "No workload is known to need a policy; of {} it cannot be told.",
        counted(sum.unknown(), "direction", "directions")
    )
}

/// The sentence behind it: what it is of.
fn scored(sum: Sum) -> String {
    let both =
        |of: fn(&crate::review::coverage::SideSum) -> u64| of(&sum.ingress) + of(&sum.egress);
    let denied = both(|side| side.default_deny);
    let broad = both(|side| side.broad);
    let mut text = format!(
        "of the {} of {}, {} under default deny",
        counted(
            both(|side| side.known()) + sum.unknown(),
            "direction",
            "directions"
        ),
        counted(sum.workloads, "workload", "workloads"),
        match denied + broad {
            1 => "1 is".to_owned(),
            many => format!("{} are", thousands(many)),
        },
    );
    if broad > 0 {
        let _ = write!(
            text,
            ", {} of them opened by a broad rule",
            thousands(broad)
        );
    }
    if sum.unknown() > 0 {
        let _ = write!(text, "; {} unknown", thousands(sum.unknown()));
    }
    text
}

/// What must be known to read the figures.
fn notes(coverage: &Coverage) -> Vec<String> {
    let mut notes: Vec<String> = Doubts::of(coverage).sentences().collect();
    let outside = coverage.host_network.len() as u64;
    if outside > 0 {
        let some: Vec<String> = coverage
            .host_network
            .iter()
            .take(3)
            .map(|id| workload_name(id, false))
            .collect();
        let more = if outside > 3 { ", ..." } else { "" };
        notes.push(format!(
            "{} on the node's network, out of scope: only a host policy can be about them ({}{more})",
            counted(outside, "workload", "workloads"),
            some.join(", "),
        ));
    }
    let planned = coverage
        .workloads
        .iter()
        .any(|workload| workload.in_documents);
    match coverage.flows {
        None => notes.push(
            "workloads are those of the manifests: what runs besides them is not in the score"
                .to_owned(),
        ),
        Some(flows) if !planned => notes.push(format!(
            "workloads are those seen in {}: one that was quiet is not in the score",
            counted(flows, "flow", "flows")
        )),
        Some(flows) => notes.push(format!(
            "workloads are those of the manifests and of {}",
            counted(flows, "flow", "flows")
        )),
    }
    if coverage.more_pods {
        notes.push("there were more pods in the flows than are told apart".to_owned());
    }
    notes
}

/// What is said where it is not known what exists.
fn nothing(coverage: &Coverage) -> String {
    let looked = match coverage.flows {
        None => "and nothing that shows which workloads exist".to_owned(),
        Some(flows) => format!("and no pod in {}", counted(flows, "flow", "flows")),
    };
    format!(
        "{}, {looked}: policies alone cannot tell what they do not cover. Give the manifests \
         of workloads beside them, or recorded flows by --flows.",
        counted(coverage.policies as u64, "policy", "policies")
    )
}

fn harmless(text: &str) -> String {
    let mut out = Vec::new();
    escape::push(&mut out, text, Tab::Escape);
    String::from_utf8_lossy(&out).into_owned()
}
