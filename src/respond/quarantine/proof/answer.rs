//! Every subject, every known peer, both directions, all ports.
//!
//! Owns asking, and counting what came of it. Putting answers together is `sum`'s.

use std::collections::BTreeSet;

use super::Proof;
use super::bench::{Bench, Fate, Said, Seat, Starts, When, opposite};
use super::cast::Cast;
use super::sum::Span;
use super::wanted::{Wanted, wanted};
use crate::policy::Direction;
use crate::respond::quarantine::plan::Plan;

/// Pairs that are not to be touched and are compared all the same.
const MOST_FREE: u64 = 1 << 16;
/// TCP, UDP, SCTP.
pub(super) const PROTOCOLS: [u8; 3] = [6, 17, 132];
/// ICMP of both families.
pub(super) const PINGS: [u8; 2] = [1, 58];

/// What becomes of the connections of one pair on a span of ports, where some pass or passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// Index of the subject.
    pub(super) subject: usize,
    /// Index of the peer.
    pub(super) peer: usize,
    /// Seen from the subject.
    pub(super) direction: Direction,
    pub(super) span: Span,
    pub(super) wanted: Wanted,
    pub(super) before: Fate,
    pub(super) after: Said,
}

/// Asks about everybody who is known. What neither passed nor passes is only counted.
pub(super) fn all(bench: &mut Bench, cast: &Cast, plan: &Plan, proof: &mut Proof) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut free = 0;
    proof.known_peers = cast.peers.len() as u64;
    for direction in [Direction::Ingress, Direction::Egress] {
        let peers = bench.peers.clone();
        let subjects = bench.subjects.clone();
        let theirs: Vec<Starts> = peers
            .iter()
            .map(|seat| bench.starts(*seat, opposite(direction)))
            .collect();
        for (subject, seat) in subjects.iter().enumerate() {
            let own = bench.starts(*seat, direction);
            for (peer, other) in peers.iter().enumerate() {
                let (Some(theirs), Some(one), Some(met)) = (
                    theirs.get(peer),
                    cast.subjects.get(subject),
                    cast.peers.get(peer),
                ) else {
                    continue;
                };
                // A pod meets itself by its Service only, which no policy is asked about; but
                // its replicas are the same identity.
                let wanted = wanted(plan, &cast.cluster, direction, one, met);
                if wanted == Wanted::Free {
                    free += 1;
                    if free > MOST_FREE {
                        proof.skipped += 1;
                        continue;
                    }
                }
                for span in spans(&own, theirs) {
                    let answer = Answer {
                        subject,
                        peer,
                        direction,
                        span,
                        wanted,
                        before: Fate::Denied,
                        after: Said {
                            fate: Fate::Denied,
                            own: None,
                            by_rule: false,
                        },
                    };
                    answers.extend(asked(bench, (*seat, *other), answer, proof));
                }
            }
        }
    }
    answers
}

fn asked(
    bench: &mut Bench,
    (subject, peer): (Seat, Seat),
    mut answer: Answer,
    proof: &mut Proof,
) -> Option<Answer> {
    let target = (answer.span.protocol, answer.span.first);
    answer.before = bench
        .ask(When::Before, subject, answer.direction, peer, target)
        .fate;
    answer.after = bench.ask(When::After, subject, answer.direction, peer, target);
    if answer.before == Fate::Passes {
        proof.open_before += 1;
    }
    if let Some(own) = &answer.after.own {
        proof.assumed.extend(own.assumed);
        if answer.wanted == Wanted::Closed && answer.after.fate == Fate::Denied {
            if answer.after.by_rule {
                proof.by_rule += 1;
            } else {
                proof.by_default += 1;
            }
        }
    }
    let own = answer.after.own;
    let own_denies = own.is_some_and(|own| own.verdict.is_denied());
    let says_nothing = answer.before == Fate::Denied && answer.after.fate == Fate::Denied;
    (!(says_nothing && own_denies)).then_some(answer)
}

/// Spans of ports that neither of two sides tells apart.
pub(super) fn spans(own: &Starts, theirs: &Starts) -> Vec<Span> {
    let ports: BTreeSet<u16> = own.ports.union(&theirs.ports).copied().collect();
    let types: BTreeSet<u16> = own.types.union(&theirs.types).copied().collect();
    let mut spans = Vec::new();
    for protocol in PROTOCOLS {
        cut(protocol, &ports, u16::MAX, &mut spans);
    }
    for protocol in PINGS {
        cut(protocol, &types, u16::from(u8::MAX), &mut spans);
    }
    spans
}

fn cut(protocol: u8, starts: &BTreeSet<u16>, most: u16, spans: &mut Vec<Span>) {
    let mut starts = starts
        .iter()
        .copied()
        .filter(|start| *start <= most)
        .peekable();
    while let Some(first) = starts.next() {
        let last = starts.peek().map_or(most, |next| next - 1);
        spans.push(Span {
            protocol,
            first,
            last,
        });
    }
}
