//! Words that all forms of a quarantine share.

use std::fmt::Write as _;

use crate::policy::{Direction, OptionName};
use crate::render::report::words::{clock, listed, port, rule};
use crate::render::thousands;
use crate::respond::quarantine::{
    CutEdge, Destination, LabelReach, Leak, Pattern, Plan, Probes, Proof, Role, Span, Undecided,
};
use crate::review::assert::Holds;

/// Names that are said one by one.
pub(super) const NAMED: usize = 6;

/// The answer in one sentence.
pub(super) fn answer(plan: &Plan, proof: &Proof) -> String {
    let target = &plan.target;
    match proof.holds() {
        Holds::Proven => match plan.pattern {
            Pattern::CutDestination => format!(
                "Proven: with this policy nothing passes between {} and {}, and nothing else changes.",
                subjects(proof),
                plan.destination
                    .as_ref()
                    .map(Destination::shown)
                    .unwrap_or_default()
            ),
            Pattern::RingFence => format!(
                "Proven: with this policy nobody reaches {target} but those named under \"What stays open\"."
            ),
            Pattern::NamespaceLockdown => format!(
                "Proven: with this policy nothing passes between {target} and anything outside, but what is named under \"What stays open\"."
            ),
            _ => format!(
                "Proven: with this policy and its label nothing passes to or from {target}, but what is named under \"What stays open\"."
            ),
        },
        Holds::Refuted if plan.pattern == Pattern::CutDestination && proof.unmeant.is_empty() => {
            format!(
                "Not proven: what was seen of {} is cut, and it can still be reached. See \"What leaks\".",
                plan.destination
                    .as_ref()
                    .map(Destination::shown)
                    .unwrap_or_default()
            )
        }
        Holds::Refuted => format!(
            "Not a quarantine: {} with this policy. See \"What leaks\".",
            match (proof.open.len(), proof.unmeant.len()) {
                (0, _) => "something is denied that was not to be touched".to_owned(),
                (_, _) => format!("connections of {target} still pass"),
            }
        ),
        Holds::Undecided => format!(
            "Undecided, so do not rely on it: {}. See \"What is not proven\".",
            proof
                .undecided
                .iter()
                .map(|one| one.doubt.name())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// Leaks that say something new: of those who could be there, those of other rules than the
/// known ones.
pub(super) fn telling(proof: &Proof) -> Vec<&Leak> {
    let known = |leak: &Leak| {
        proof.open.iter().any(|other| {
            !other.possible && other.direction == leak.direction && other.rules == leak.rules
        })
    };
    proof
        .open
        .iter()
        .filter(|leak| !leak.possible || !known(leak))
        .collect()
}

/// An edge's other end, with its own where there are several.
pub(super) fn ends(edge: &CutEdge, edges: &[CutEdge]) -> String {
    let several = edges.iter().any(|other| other.own != edge.own);
    match (several, edge.inward) {
        (false, _) => edge.peer.clone(),
        (true, true) => format!("{} → {}", edge.peer, edge.own),
        (true, false) => format!("{} → {}", edge.own, edge.peer),
    }
}

/// Whom the policy cuts off, in a few words.
pub(super) fn subjects(proof: &Proof) -> String {
    match proof.subjects.as_slice() {
        [] => "nobody".to_owned(),
        few if few.len() <= 3 => few.join(", "),
        many => format!("{} kinds of pods", thousands(many.len() as u64)),
    }
}

/// What was asked to know it.
pub(super) fn asked(proof: &Proof) -> String {
    let mut text = format!(
        "Asked of all policies and this one together: {} questions about {} known and {} possible kinds of peers, both directions, every port that a rule tells apart.",
        thousands(proof.questions),
        thousands(proof.known_peers),
        thousands(proof.possible_peers),
    );
    if proof.by_default == 0 && proof.by_rule > 0 && proof.open.is_empty() {
        text.push_str(
            " All that is closed is closed by a deny rule, so that no other policy can open it.",
        );
    } else if proof.by_default > 0 {
        let _ = write!(
            text,
            " Of what is closed, {} of {} answers hold only because no policy allows it: another policy may open it.",
            thousands(proof.by_default),
            thousands(proof.by_default + proof.by_rule)
        );
    }
    text
}

pub(super) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    }
}

pub(super) fn inward(inward: bool) -> &'static str {
    if inward { "in" } else { "out" }
}

pub(super) fn spans(spans: &[Span]) -> String {
    let all = [6, 17, 132].iter().all(|protocol| {
        spans
            .iter()
            .any(|span| span.is_whole() && span.protocol == *protocol)
    });
    let pings = spans
        .iter()
        .any(|span| span.protocol == 1 && span.is_whole());
    if all && pings {
        return "everything".to_owned();
    }
    let texts: Vec<String> = spans.iter().map(ToString::to_string).collect();
    listed(&texts, NAMED)
}

pub(super) fn role(edge: &CutEdge) -> &'static str {
    match edge.role {
        Role::Client => "calls it",
        Role::Server => "is called by it",
        Role::Dns => "names",
        Role::Scrape => "metrics",
        Role::Health => "health checks",
    }
}

pub(super) fn edge_port(edge: &CutEdge) -> String {
    port(edge.port, edge.protocol)
}

pub(super) fn last(edge: &CutEdge) -> String {
    edge.seen
        .map(|(_, last)| clock(last, true))
        .unwrap_or_default()
}

/// `by payments (payments.yaml:12)`; by nobody's rule where none is enforced.
pub(super) fn rules(leak: &Leak) -> String {
    if leak.rules.is_empty() {
        return "by no rule".to_owned();
    }
    let rules: Vec<String> = leak
        .rules
        .iter()
        .map(|one| match &*one.policy {
            "reserved:allow-any-ingress" | "reserved:allow-any-egress" => {
                "no policy selects it in this direction".to_owned()
            }
            "reserved:allow-localhost-ingress" => {
                "the agent's own rule for the node's host".to_owned()
            }
            _ => rule(one),
        })
        .collect();
    listed(&rules, NAMED)
}

pub(super) fn probes(proof: &Proof) -> Option<&'static str> {
    match proof.collateral.probes {
        Probes::GoOn => Some(
            "The kubelet's probes go on: the pod stays ready, and its Services go on sending it connections, which hang. Take its Service label away to stop that.",
        ),
        Probes::Fail => Some(
            "The kubelet's probes fail: the container is restarted, and what it has in memory is lost. Save it first.",
        ),
        Probes::None => Some("No probe of the kubelet comes over the network."),
        Probes::Unsaid => None,
    }
}

/// How it is known that the label counts.
pub(super) fn label(proof: &Proof) -> Option<String> {
    Some(match &proof.label {
        LabelReach::NotNeeded => return None,
        LabelReach::Shown => {
            "The label becomes part of the identity: flows show one of the same prefix in an identity."
                .to_owned()
        }
        LabelReach::Configured => {
            "The label becomes part of the identity: the agents' configuration takes it.".to_owned()
        }
        LabelReach::Assumed => {
            "Assumed: the agents' labels option has its default, which takes the label. If it leaves out flowwatch.io, the policy selects nobody and nothing says so. Look after labelling: kubectl get cep POD -o jsonpath='{.status.identity.labels}'".to_owned()
        }
        LabelReach::Filtered(why) => format!("The label may not count: {why}."),
    })
}

/// Options that answers hang on and nobody gave.
pub(super) fn assumed(proof: &Proof) -> Option<String> {
    if proof.assumed.is_empty() {
        return None;
    }
    let names: Vec<&str> = proof
        .assumed
        .iter()
        .map(|one: &OptionName| one.name())
        .collect();
    Some(format!(
        "Assumed to have their default, as nobody gave them: {}. Give them by --cilium-option or the cilium-config ConfigMap.",
        names.join(", ")
    ))
}

pub(super) fn undecided(one: &Undecided) -> String {
    let who = listed(&one.who, NAMED);
    let more = one.count.saturating_sub(one.who.len() as u64);
    let more = if more > 0 {
        format!(" and {} more", thousands(more))
    } else {
        String::new()
    };
    format!(
        "{} ({who}{more}): {}. Instead: {}.",
        capital(one.doubt.name()),
        one.why,
        one.instead
    )
}

/// The first letter large.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// What no policy ends.
pub(super) fn established(proof: &Proof) -> Vec<String> {
    let mut lines = vec![
        "Connections that are open: policy is asked for every forward packet, so one that goes through no proxy stops at its next packet, with a verdict event. Replies are not asked about. It is denied in both directions where the pattern is, so neither side can go on.".to_owned(),
    ];
    let edges: Vec<String> = proof
        .collateral
        .established
        .iter()
        .map(|edge| {
            format!(
                "{} {} {}",
                if edge.inward { "from" } else { "to" },
                edge.peer,
                port(edge.port, edge.protocol)
            )
        })
        .collect();
    if edges.is_empty() {
        lines.push(
            "A connection through a proxy has a leg of the proxy's own, which may live on; none of the target's is known to go through one."
                .to_owned(),
        );
    } else {
        lines.push(format!(
            "These go through a proxy, whose own leg to the server may live on until it is idle: {}.",
            listed(&edges, NAMED)
        ));
    }
    lines
}
