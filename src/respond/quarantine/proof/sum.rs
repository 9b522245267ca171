//! Answers put together as a person reads them: one rule that lets many, one peer that is cut
//! on many ports.
//!
//! Owns grouping, and nothing is left out by it: every peer and every port is in its group.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;

use super::answer::Answer;
use super::bench::{Bench, Fate, When};
use super::cast::{Cast, Somebody};
use super::collateral::same;
use super::wanted::Wanted;
use super::{Proof, number};
use crate::engine::Rule;
use crate::policy::{Direction, Verdict, protocol_name};
use crate::respond::TargetEdge;
use crate::respond::quarantine::manifest::Destination;
use crate::respond::quarantine::plan::{Plan, Subjects};

/// Ports of one protocol, or types of ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// IANA's number.
    pub protocol: u8,
    /// First port or type.
    pub first: u16,
    /// Last one.
    pub last: u16,
}

/// Connections that pass, or may, by the same rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Seen from whom the plan cuts off.
    pub direction: Direction,
    /// Of whom it cuts off, those it is about.
    pub subjects: Vec<String>,
    /// The other ends, by name.
    pub peers: Vec<String>,
    /// On which ports.
    pub spans: Vec<Span>,
    /// The rules that let them.
    pub rules: Vec<Rule>,
    /// Only with an authenticated session.
    pub authenticated: bool,
    /// Why it is meant to be so; empty for what is not.
    pub reason: &'static str,
    /// Peers that nobody has seen and that could be there.
    pub possible: bool,
    /// What closes it: a rule of the plan's policy, as YAML, or a sentence. Tried, where it
    /// is YAML.
    pub closed_by: Option<Closing>,
}

/// What closes a leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// A sentence.
    pub words: String,
    /// Rules to add to the policy; empty where none can.
    pub yaml: String,
    /// Whether the policies were computed with them, and all of the leak was closed.
    pub tried: bool,
}

/// Connections with one peer that were permitted and are denied with the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// Seen from whom the plan cuts off.
    pub direction: Direction,
    /// Of whom it cuts off, those it is about.
    pub subjects: Vec<String>,
    /// The other end.
    pub peer: String,
    /// On which ports.
    pub spans: Vec<Span>,
    /// Connections that flows show of it.
    pub seen: u64,
}

impl Span {
    /// Whether a port of a protocol is in it.
    #[must_use]
    pub fn contains(&self, protocol: u8, port: u16) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }

    /// Whether it is all of its protocol.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match self.protocol {
            1 | 58 => self.first == 0 && self.last == u16::from(u8::MAX),
            _ => self.first <= 1 && self.last == u16::MAX,
        }
    }
}

impl fmt::Display for Span {
    /// `443/TCP`, `8000-8010/TCP`, `TCP` for all of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = protocol_name(self.protocol).unwrap_or("?");
        if self.is_whole() {
            f.write_str(name)
        } else if self.first == self.last {
            write!(f, "{}/{name}", self.first)
        } else {
            write!(f, "{}-{}/{name}", self.first, self.last)
        }
    }
}

/// Which list a leak is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Open,
    Held,
    Kept(&'static str),
}

/// Direction, class, rules, whether authenticated, whether possible only.
type Kind = (Direction, Class, Vec<Rule>, bool, bool);
/// Spans by subject and peer.
type Pairs = BTreeMap<(String, String), Vec<Span>>;

/// Leaks by what lets them.
#[derive(Default)]
pub(super) struct Leaks(BTreeMap<Kind, Pairs>);

impl Leaks {
    pub(super) fn add(&mut self, kind: Kind, subject: &str, peer: &str, span: Span) {
        let pairs = self.0.entry(kind).or_default();
        let key = (subject.to_owned(), peer.to_owned());
        pairs.entry(key).or_default().push(span);
    }

    /// Pairs of the same spans together.
    pub(super) fn into_lists(self, proof: &mut Proof) {
        for ((direction, class, rules, authenticated, possible), pairs) in self.0 {
            let mut by_spans: BTreeMap<Vec<Span>, BTreeMap<String, Vec<String>>> = BTreeMap::new();
            for ((subject, peer), spans) in pairs {
                let peers = by_spans.entry(joined(spans)).or_default();
                peers.entry(peer).or_default().push(subject);
            }
            for (spans, peers) in by_spans {
                let mut by_subjects: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
                for (peer, subjects) in peers {
                    by_subjects.entry(subjects).or_default().push(peer);
                }
                for (subjects, peers) in by_subjects {
                    let leak = Leak {
                        direction,
                        subjects,
                        peers,
                        spans: spans.clone(),
                        rules: rules.clone(),
                        authenticated,
                        reason: match class {
                            Class::Kept(reason) => reason,
                            Class::Open | Class::Held => "",
                        },
                        possible,
                        closed_by: None,
                    };
                    match class {
                        Class::Open => proof.open.push(leak),
                        Class::Held => proof.held.push(leak),
                        Class::Kept(_) => proof.kept.push(leak),
                    }
                }
            }
        }
    }
}

/// Sorts answers into what is open, held by the other side, and kept; what cannot be told is
/// undecided.
pub(super) fn leaks(bench: &Bench, cast: &Cast, answers: &[Answer], proof: &mut Proof) {
    let mut leaks = Leaks::default();
    for answer in answers {
        let (Some(subject), Some(peer)) = (
            cast.subjects.get(answer.subject),
            cast.peers.get(answer.peer),
        ) else {
            continue;
        };
        let class = match (answer.wanted, answer.after.fate) {
            (Wanted::Free, _) | (Wanted::Kept(_), Fate::Denied | Fate::Unknown(_)) => continue,
            (Wanted::Kept(reason), Fate::Passes) => Class::Kept(reason),
            (Wanted::Closed, Fate::Passes) => Class::Open,
            (Wanted::Closed, Fate::Denied) => Class::Held,
            (Wanted::Closed, Fate::Unknown(cause)) => {
                super::doubt::unknown(proof, cause, &subject.name, &peer.name);
                continue;
            }
        };
        let Some(own) = &answer.after.own else {
            continue;
        };
        if own.verdict.is_denied() {
            continue;
        }
        if let (Class::Held, Verdict::Unknown(_)) = (class, own.verdict) {
            // Its own side may deny it, too.
            continue;
        }
        let kind = (
            answer.direction,
            class,
            bench.rules(When::After, own),
            own.verdict == Verdict::AuthRequired,
            false,
        );
        leaks.add(kind, &subject.name, &peer.name, answer.span);
    }
    leaks.into_lists(proof);
}

/// What was permitted and no longer is; what was not to be touched apart.
pub(super) fn cuts(
    plan: &Plan,
    cast: &Cast,
    answers: &[Answer],
    edges: &[TargetEdge],
    proof: &mut Proof,
) {
    type Key = (Direction, usize, bool);
    let mut cuts: BTreeMap<Key, BTreeMap<usize, Vec<Span>>> = BTreeMap::new();
    for answer in answers {
        if answer.before == Fate::Passes && answer.after.fate == Fate::Denied {
            let is_free = answer.wanted == Wanted::Free;
            cuts.entry((answer.direction, answer.peer, is_free))
                .or_default()
                .entry(answer.subject)
                .or_default()
                .push(answer.span);
        }
    }
    for ((direction, peer, is_free), by_subject) in cuts {
        let Some(peer) = cast.peers.get(peer) else {
            continue;
        };
        let mut by_spans: BTreeMap<Vec<Span>, Vec<&Somebody>> = BTreeMap::new();
        for (subject, spans) in by_subject {
            if let Some(subject) = cast.subjects.get(subject) {
                by_spans.entry(joined(spans)).or_default().push(subject);
            }
        }
        for (spans, subjects) in by_spans {
            let of_edge = |edge: &&TargetEdge| {
                is_between(plan, edge, direction, &subjects, peer)
                    && number(edge.protocol).is_some_and(|protocol| {
                        spans.iter().any(|span| span.contains(protocol, edge.port))
                    })
            };
            let seen = edges.iter().filter(of_edge).map(|edge| edge.passed).sum();
            let cut = Permitted {
                direction,
                subjects: subjects.iter().map(|one| one.name.clone()).collect(),
                peer: peer.name.clone(),
                spans,
                seen,
            };
            if is_free {
                proof.unmeant.push(cut);
            } else {
                proof.cuts.push(cut);
            }
        }
    }
    proof
        .cuts
        .sort_by(|one, other| other.seen.cmp(&one.seen).then(one.peer.cmp(&other.peer)));
}

/// Whether an edge is between somebody who is cut off and a peer.
fn is_between(
    plan: &Plan,
    edge: &TargetEdge,
    direction: Direction,
    subjects: &[&Somebody],
    peer: &Somebody,
) -> bool {
    let inward = direction == Direction::Ingress;
    if plan.subjects != Subjects::Everybody {
        return edge.inward == inward && edge.peer.to_string() == peer.peer.to_string();
    }
    // Of a target outside the pods are the subjects; it is known by its addresses, and one of
    // a prefix stands for all of it.
    let Some(Destination::Outside { prefixes, .. }) = &plan.destination else {
        return false;
    };
    let is_it = |prefix: &IpNet| {
        peer.outside
            && peer.after.address == Some(prefix.network())
            && edge
                .own_addresses
                .iter()
                .any(|address| prefix.contains(address))
    };
    edge.inward != inward
        && prefixes.iter().any(is_it)
        && subjects.iter().any(|one| same(&one.peer, &edge.peer))
}

/// Spans that follow each other as one.
pub(super) fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    spans.dedup();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last)
                if last.protocol == span.protocol
                    && last
                        .last
                        .checked_add(1)
                        .is_none_or(|next| next >= span.first) =>
            {
                last.last = last.last.max(span.last);
            }
            _ => joined.push(span),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(protocol: u8, first: u16, last: u16) -> Span {
        Span {
            protocol,
            first,
            last,
        }
    }

    #[test]
    fn spans_that_follow_each_other_are_one() {
        let spans = vec![
            span(6, 81, 90),
            span(6, 1, 79),
            span(6, 80, 80),
            span(17, 91, 91),
        ];
        assert_eq!(joined(spans), [span(6, 1, 90), span(17, 91, 91)]);
    }

    #[test]
    fn a_span_is_shown_as_people_write_it() {
        for (span, shown) in [
            (span(6, 443, 443), "443/TCP"),
            (span(17, 1, 65535), "UDP"),
            (span(132, 8, 9), "8-9/SCTP"),
            (span(1, 8, 8), "8/ICMP"),
            (span(58, 0, 255), "ICMPv6"),
        ] {
            assert_eq!(span.to_string(), shown);
        }
    }
}
