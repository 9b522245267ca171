//! Whether all that a piece of a policy covers is covered without it.
//!
//! Owns the proof: for each peer and each port that is lost, others with at least the same
//! subjects cover it. It is about identities, ports and layer 7: a plain allow does not stand
//! in for one that hands requests to a proxy, nor the other way round. Where a proxy or
//! authentication takes part in what is asked, only the very same peer and port is taken for
//! an answer, since these meet by peer and port.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::ports::{EVERYTHING, Span, spans, subtract};
use crate::policy::{
    L7Rules, Options, PeerSelector, Piece, PolicyEntry, PolicySet, PortProtocol, PortRule,
};

/// Comparisons of two peers after which nothing more is claimed.
const MOST_COMPARISONS: u64 = 100_000_000;
/// What is lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    Entry(u32),
    Peer(u32, u32),
    Port(u32, u32, u32),
}

/// Proves, within a budget.
pub(super) struct Prover<'a> {
    set: &'a PolicySet,
    options: &'a Options,
    comparisons: u64,
    /// The entry that was asked about last: a rule is asked about part by part.
    last: Option<(u32, Rc<Near<'a>>)>,
}

/// Entries that have to do with the subjects of one.
struct Near<'a> {
    /// Of the same direction, whose subjects are at least those of it.
    wider: Vec<u32>,
    /// Allows that may have subjects in common, and ask for more than to be let through; the
    /// entry itself may be one.
    around: Vec<&'a PolicyEntry>,
}

/// A port of an entry with what is asked of connections to it.
#[derive(Clone, Copy)]
struct Atom<'a> {
    rule: &'a PortRule,
    /// `None`: every port.
    port: Option<&'a PortProtocol>,
}

/// A peer on a span of ports that has to be covered.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    entry: &'a PolicyEntry,
    atom: Atom<'a>,
    span: &'a Span,
    peer: &'a PeerSelector,
    /// A proxy or authentication takes part: only the very same covers it.
    delicate: bool,
}

impl<'a> Prover<'a> {
    pub(super) fn new(set: &'a PolicySet, options: &'a Options) -> Self {
        Self {
            set,
            options,
            comparisons: 0,
            last: None,
        }
    }

    /// Whether the budget is used up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.comparisons > MOST_COMPARISONS
    }

    /// Entries that together cover what is lost, each with whether it denies, when all of
    /// `gone` is not there. `None` where that is not proven.
    pub(super) fn covered(
        &mut self,
        lost: Lost,
        gone: &BTreeSet<Piece>,
    ) -> Option<BTreeSet<(u32, bool)>> {
        let set = self.set;
        let (Lost::Entry(index) | Lost::Peer(index, _) | Lost::Port(index, ..)) = lost;
        let entry = set.entries.get(index as usize)?;
        if entry.says_nothing() || gone_before(lost, gone, index) {
            return Some(BTreeSet::new());
        }
        let everybody = [PeerSelector::Everyone];
        let peers: &[PeerSelector] = match (&entry.peers, lost) {
            (None, _) => &everybody,
            (Some(peers), Lost::Peer(_, index)) => peers.get(index as usize..=index as usize)?,
            (Some(peers), _) => peers,
        };
        let atoms: Vec<Atom<'_>> = match lost {
            Lost::Port(_, rule, at) => {
                let rule = entry.ports.get(rule as usize)?;
                vec![Atom {
                    rule,
                    port: Some(rule.ports.get(at as usize)?),
                }]
            }
            _ => atoms(entry),
        };
        let near = self.near(index);
        let mut leans = BTreeSet::new();
        for atom in atoms {
            let delicate = entry.auth.is_some()
                || !is_plain(atom.rule)
                || near.around.iter().any(|other| meets(other, atom));
            for span in spans(atom.port) {
                for peer in peers {
                    let wanted = Wanted {
                        entry,
                        atom,
                        span: &span,
                        peer,
                        delicate,
                    };
                    leans.extend(self.one(&wanted, &near.wider, gone)?);
                    if self.is_exhausted() {
                        return None;
                    }
                }
            }
        }
        Some(leans)
    }

    /// Whether a piece of a list is within another piece of it, by itself.
    pub(super) fn is_piece_within(&self, piece: Piece, wide: Piece) -> bool {
        let entry = |piece: Piece| self.set.entries.get(piece.entry() as usize);
        match (piece, wide) {
            (Piece::Peer { index, .. }, Piece::Peer { index: other, .. }) => {
                let peer = |piece, index: u32| entry(piece)?.peers.as_ref()?.get(index as usize);
                let (Some(one), Some(other)) = (peer(piece, index), peer(wide, other)) else {
                    return false;
                };
                one.is_within(other, self.options)
            }
            (Piece::Port { .. }, Piece::Port { .. }) => {
                let (Some(one), Some(other)) = (self.set.port(piece), self.set.port(wide)) else {
                    return false;
                };
                let wide = spans(Some(other));
                spans(Some(one)).iter().all(|span| {
                    wide.iter().any(|wide| match (span, wide) {
                        (Span::Ports(a, first, last), Span::Ports(b, from, to)) => {
                            a == b && from <= first && last <= to
                        }
                        (one, other) => one == other,
                    })
                })
            }
            _ => false,
        }
    }

    /// What has to do with the subjects of an entry.
    fn near(&mut self, index: u32) -> Rc<Near<'a>> {
        if let Some((of, near)) = &self.last
            && *of == index
        {
            return Rc::clone(near);
        }
        let near = Rc::new(Near::of(self.set, index));
        self.last = Some((index, Rc::clone(&near)));
        near
    }

    /// What covers one peer on one span.
    fn one(
        &mut self,
        wanted: &Wanted<'_>,
        wider: &[u32],
        gone: &BTreeSet<Piece>,
    ) -> Option<BTreeSet<(u32, bool)>> {
        let Wanted {
            entry,
            atom,
            span,
            peer,
            delicate,
        } = *wanted;
        let set = self.set;
        let mut left: Vec<(u32, u32)> = match span {
            Span::Ports(_, first, last) => vec![(*first, *last)],
            Span::Named(..) => vec![(0, 0)],
        };
        let mut leans = BTreeSet::new();
        // Denies first: where one covers all, the allow contradicts it.
        for denies in [true, false] {
            if entry.deny && !denies {
                break;
            }
            for index in wider {
                let Some(other) = set.entries.get(*index as usize) else {
                    continue;
                };
                if other.deny != denies || gone.contains(&Piece::Entry(*index)) {
                    continue;
                }
                let exact = delicate && !denies;
                if exact && other.auth != entry.auth {
                    continue;
                }
                if !self.has_peer(*index, other, peer, exact, gone) {
                    continue;
                }
                let before = left.clone();
                for covers in covering(other, *index, atom, span, (denies, exact), gone) {
                    subtract(&mut left, covers);
                }
                if left != before {
                    leans.insert((*index, denies));
                }
                if left.is_empty() {
                    return Some(leans);
                }
            }
        }
        None
    }

    fn has_peer(
        &mut self,
        index: u32,
        entry: &PolicyEntry,
        wanted: &PeerSelector,
        exact: bool,
        gone: &BTreeSet<Piece>,
    ) -> bool {
        let Some(peers) = &entry.peers else {
            return !exact || wanted.is_everybody();
        };
        let stays = |at: u32| {
            !gone.contains(&Piece::Peer {
                entry: index,
                index: at,
            })
        };
        let mut stay = (0..)
            .zip(peers)
            .filter(|(at, _)| stays(*at))
            .map(|(_, peer)| peer);
        if exact {
            // Everybody takes the place of all others in a list.
            let everybody = stay.clone().any(PeerSelector::is_everybody);
            return if everybody || wanted.is_everybody() {
                everybody && wanted.is_everybody()
            } else {
                stay.any(|peer| peer == wanted)
            };
        }
        let mut comparisons = 0;
        let found = stay.any(|peer| {
            comparisons += 1;
            wanted.is_within(peer, self.options)
        });
        self.comparisons += comparisons;
        found
    }

    /// Other entries, not among `own` and not gone, that turn default deny on for all subjects
    /// of an entry. For an isolation they have to be one as well: what is there to allow
    /// something is not meant to stand in for it.
    pub(super) fn cut_off(
        &mut self,
        index: u32,
        own: &[u32],
        isolation: bool,
        gone: &BTreeSet<Piece>,
    ) -> Vec<u32> {
        let mut others = self.near(index).wider.clone();
        others.retain(|at| {
            let other = self.set.entries.get(*at as usize);
            other.is_some_and(|other| {
                other.default_deny
                    && !own.contains(at)
                    && !gone.contains(&Piece::Entry(*at))
                    && (!isolation || other.says_nothing())
            })
        });
        others
    }
}

impl<'a> Near<'a> {
    fn of(set: &'a PolicySet, index: u32) -> Self {
        let mut near = Near {
            wider: Vec::new(),
            around: Vec::new(),
        };
        let Some(entry) = set.entries.get(index as usize) else {
            return near;
        };
        let own = &entry.subject;
        for (at, other) in (0..).zip(&set.entries) {
            if other.direction != entry.direction || other.subject.node != own.node {
                continue;
            }
            if own.selector.is_within(&other.subject.selector) {
                near.wider.push(at);
            }
            let asks_more = other.auth.is_some() || !other.ports.iter().all(is_plain);
            if !other.deny && asks_more && !own.selector.excludes(&other.subject.selector) {
                near.around.push(other);
            }
        }
        near
    }
}

/// Whether a loss is none, since it went before.
fn gone_before(lost: Lost, gone: &BTreeSet<Piece>, entry: u32) -> bool {
    // The pieces of this loss are in `gone` as well; only those of its entry were before.
    match lost {
        Lost::Entry(_) => false,
        Lost::Peer(..) | Lost::Port(..) => gone.contains(&Piece::Entry(entry)),
    }
}

fn atoms(entry: &PolicyEntry) -> Vec<Atom<'_>> {
    static PLAIN: std::sync::LazyLock<PortRule> = std::sync::LazyLock::new(PortRule::default);
    if entry.ports.is_empty() {
        return vec![Atom {
            rule: &PLAIN,
            port: None,
        }];
    }
    entry
        .ports
        .iter()
        .flat_map(|rule| {
            rule.ports.iter().map(move |port| Atom {
                rule,
                port: Some(port),
            })
        })
        .collect()
}

/// Whether nothing is asked of connections but their port.
fn is_plain(rule: &PortRule) -> bool {
    rule.l7.is_none()
        && rule.server_names.is_empty()
        && rule.listener.is_none()
        && rule.terminating_tls.is_none()
        && rule.originating_tls.is_none()
}

/// Whether an entry that asks for more has a port in common with an atom.
fn meets(other: &PolicyEntry, atom: Atom<'_>) -> bool {
    let meets_port = |port: &PortProtocol| {
        spans(Some(port)).iter().any(|one| {
            spans(atom.port).iter().any(|own| match (one, own) {
                (Span::Ports(a, first, last), Span::Ports(b, from, to)) => {
                    (*b == EVERYTHING || a == b) && first <= to && from <= last
                }
                // A name may be any number.
                (Span::Named(a, ..), Span::Named(b, ..) | Span::Ports(b, ..))
                | (Span::Ports(a, ..), Span::Named(b, ..)) => *b == EVERYTHING || a == b,
            })
        })
    };
    if other.auth.is_some() {
        return other.ports.is_empty()
            || other
                .ports
                .iter()
                .flat_map(|rule| &rule.ports)
                .any(meets_port);
    }
    other
        .ports
        .iter()
        .filter(|rule| !is_plain(rule))
        .flat_map(|rule| &rule.ports)
        .any(meets_port)
}

/// The parts of a span that an entry covers.
fn covering(
    other: &PolicyEntry,
    index: u32,
    atom: Atom<'_>,
    span: &Span,
    (denies, exact): (bool, bool),
    gone: &BTreeSet<Piece>,
) -> Vec<(u32, u32)> {
    let whole = match span {
        Span::Ports(_, first, last) => (*first, *last),
        Span::Named(..) => (0, 0),
    };
    if other.ports.is_empty() {
        let stands_in = denies || is_plain(atom.rule) && (!exact || atom.port.is_none());
        return if stands_in { vec![whole] } else { Vec::new() };
    }
    let mut found = Vec::new();
    for (at, rule) in (0_u32..).zip(&other.ports) {
        let asks_no_more = denies || is_no_stricter(rule, atom.rule);
        if !asks_no_more {
            continue;
        }
        for (place, port) in (0_u32..).zip(&rule.ports) {
            if gone.contains(&Piece::Port {
                entry: index,
                rule: at,
                index: place,
            }) {
                continue;
            }
            if exact {
                let same = atom.port.is_some_and(|own| {
                    own.port == port.port
                        && own.end_port == port.end_port
                        && own.protocol == port.protocol
                });
                if same {
                    found.push(whole);
                }
                continue;
            }
            for one in spans(Some(port)) {
                match (&one, span) {
                    (Span::Ports(a, first, last), Span::Ports(b, ..)) if a == b => {
                        found.push((*first, *last));
                    }
                    // Every port of a protocol is every name of one, too.
                    (Span::Ports(a, 0, last), Span::Named(b, ..))
                        if a == b && *last == u32::from(u16::MAX) =>
                    {
                        found.push(whole);
                    }
                    (Span::Named(..), Span::Named(..)) if one == *span => {
                        found.push(whole);
                    }
                    _ => {}
                }
            }
        }
    }
    found
}

/// Whether a rule lets at least the same pass in the same way: both plain, or both to the
/// same proxy with at least the same rules.
fn is_no_stricter(rule: &PortRule, wanted: &PortRule) -> bool {
    if is_plain(rule) || is_plain(wanted) {
        return is_plain(rule) && is_plain(wanted);
    }
    rule.server_names == wanted.server_names
        && rule.listener == wanted.listener
        && rule.terminating_tls == wanted.terminating_tls
        && rule.originating_tls == wanted.originating_tls
        && match (&rule.l7, &wanted.l7) {
            (None, None) => true,
            (Some(L7Rules::Http(has)), Some(L7Rules::Http(wants))) => {
                wants.iter().all(|one| has.contains(one))
            }
            (Some(L7Rules::Dns(has)), Some(L7Rules::Dns(wants))) => {
                wants.iter().all(|one| has.contains(one))
            }
            (Some(L7Rules::Kafka(has)), Some(L7Rules::Kafka(wants))) => {
                wants.iter().all(|one| has.contains(one))
            }
            (one, other) => one == other,
        }
}
