//! Verdicts.
//!
//! Owns when policy is enforced, what the deciding entry comes to, and what is left
//! unknown because something was not given.

use std::sync::Arc;

use super::cause::Cause;
use super::compile::{Compiled, Table};
use super::entry::{AuthMode, Direction};
use super::explain;
use super::interner::Interner;
use super::lookup::{self, Hit};
use super::member::Member;
use super::memo::Question;
use super::options::{AllowLocalhost, Enforcement, OptionName};
use super::plan::{Packed, Plan, pack, unpack};
use super::redacted::is_redacted_mark;
use super::selection::SelectorId;
use super::selector::PeerSelector;
use super::set::TaintScope;
use super::table::{Row, Side};
use super::verdict::{Decision, MatchKind, Origin, RulesId, Verdict};
use super::world::IdentityIndex;

/// A subject: what most decisions about it need, and all that is known.
#[derive(Debug)]
pub(super) struct Subject {
    /// Ingress and egress, for peers that are plain.
    quick: [Quick; 2],
    state: Arc<SubjectState>,
}

/// How a direction is decided for a peer that is known and nothing special.
#[derive(Debug)]
enum Quick {
    /// This is the answer for every one.
    Settled(Packed),
    /// Nothing but peer and port matter.
    Planned(Plan),
    /// As for any other peer.
    Not,
}

/// What is known of a subject before the peer is.
#[derive(Debug)]
struct SubjectState {
    table: Arc<Table>,
    /// Ingress and egress.
    sides: [Enforced; 2],
    /// Something unread may be about it.
    taint: Option<u32>,
    /// A policy of unknown namespace may select it, ingress and egress.
    floating: [bool; 2],
    /// Entries of egress that refer to Services which may not have been given.
    unserved: Vec<u32>,
    /// What another release decides otherwise, ingress and egress.
    versioned: [bool; 2],
}

/// Whether a direction is enforced.
#[derive(Clone, Copy, Debug)]
enum Enforced {
    /// The table decides.
    Yes,
    /// This is the answer for every peer.
    Settled(Decision),
    /// Everything passes; the node's own host by a rule of its own.
    Off(Decision),
}

impl Compiled {
    /// What the policies of `subject` say of a new connection with `peer`.
    ///
    /// `direction` is seen from the subject. `protocol` is IANA's number, `port` the
    /// destination port after translation by Services, or the type of an ICMP message.
    /// An index that does not exist has no labels.
    #[must_use]
    pub fn decide(
        &self,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
    ) -> Decision {
        let Some(slot) = self.states.get(subject.0 as usize) else {
            return Decision::plain(true, Verdict::Unknown(Cause::NoLabels));
        };
        let known = slot.get_or_init(|| self.subject(subject));
        if self.plain.get(peer.0 as usize) == Some(&true) {
            let [ingress, egress] = &known.quick;
            let quick = match direction {
                Direction::Ingress => ingress,
                Direction::Egress => egress,
            };
            match quick {
                Quick::Settled(packed) => return unpack(*packed),
                Quick::Planned(plan) => {
                    let found = plan.decide(&self.selection, peer.0, protocol, port);
                    if let Some(decision) = found {
                        return decision;
                    }
                }
                Quick::Not => {}
            }
        }
        self.decide_any(&known.state, subject, direction, peer, (protocol, port))
    }

    /// As [`Self::decide`], about a question.
    #[must_use]
    #[inline]
    pub fn answer(&self, question: &Question) -> Decision {
        let Question {
            subject,
            direction,
            peer,
            protocol,
            port,
        } = *question;
        self.decide(subject, direction, peer, protocol, port)
    }

    /// As [`Self::decide`], without what makes that quick.
    #[cfg(test)]
    pub(super) fn decide_slowly(
        &self,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
    ) -> Decision {
        let state = self.subject_state(subject);
        self.decide_any(&state, subject, direction, peer, (protocol, port))
    }

    #[inline(never)]
    fn decide_any(
        &self,
        state: &SubjectState,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        (protocol, port): (u8, u16),
    ) -> Decision {
        let (enforced, side) = state.side(direction);
        let member = self.members.get(peer.0 as usize);
        match enforced {
            Enforced::Settled(decision) => return decision,
            Enforced::Off(mut decision) => {
                if direction == Direction::Ingress && self.is_let_in(subject, peer) {
                    decision.rules = self.interner.rules(vec![Origin::AllowLocalhost]);
                }
                return decision;
            }
            Enforced::Yes => {}
        }
        let known = member
            .filter(|member| !member.is_unknown() && !member.unlabelled)
            .map(|_| peer.0);
        let hit = lookup::find(side, &self.selection, &self.interner, known, protocol, port);
        let mut decision = decision_of(hit);
        if let Some(cause) = self.doubt(side, hit, member, known, protocol, port) {
            decision.verdict = Verdict::Unknown(cause);
        }
        if decision.verdict != Verdict::DeniedByRule {
            if let Some(taint) = state.taint {
                decision.verdict = Verdict::Unknown(self.tainted(taint));
            } else if state.floating[direction as usize] {
                decision.verdict = Verdict::Unknown(Cause::NamespaceUnknown);
            } else if state.versioned[direction as usize] {
                decision.verdict = Verdict::Unknown(Cause::Version);
            } else if self.hangs_on_service(&state.unserved, direction, &decision, (protocol, port))
            {
                decision.verdict = Verdict::Unknown(Cause::ServiceNotGiven);
            }
        }
        decision.assumed = self.assumed(&decision);
        decision
    }

    fn subject(&self, subject: IdentityIndex) -> Subject {
        let state = self.subject_state(subject);
        let quick = [Direction::Ingress, Direction::Egress].map(|direction| {
            let [ingress, egress] = &state.table.plans;
            let (enforced, _) = state.side(direction);
            let (plan, unserved) = match direction {
                Direction::Ingress => (ingress, false),
                Direction::Egress => (egress, !state.unserved.is_empty()),
            };
            match (enforced, plan) {
                (Enforced::Settled(decision) | Enforced::Off(decision), _) => {
                    pack(decision).map_or(Quick::Not, Quick::Settled)
                }
                (Enforced::Yes, Some(plan))
                    if state.taint.is_none()
                        && !state.floating[direction as usize]
                        && !state.versioned[direction as usize]
                        && !unserved =>
                {
                    Quick::Planned(plan.clone())
                }
                (Enforced::Yes, _) => Quick::Not,
            }
        });
        Subject {
            quick,
            state: Arc::new(state),
        }
    }

    fn subject_state(&self, subject: IdentityIndex) -> SubjectState {
        let Some(member) = self.members.get(subject.0 as usize) else {
            return SubjectState {
                table: Arc::new(Table {
                    ingress: Side::default(),
                    egress: Side::default(),
                    conflict: None,
                    plans: [None, None],
                }),
                sides: [Enforced::Settled(Decision::plain(true, Verdict::Unknown(Cause::NoLabels)));
                    2],
                taint: None,
                floating: [false; 2],
                unserved: Vec::new(),
                versioned: [false; 2],
            };
        };
        let mode = self.options.enforcement;
        let always = self.always(member);
        let view = self.view(member, always);
        let taint = self.taint(member);
        let floating = self.floating(member);
        let off =
            mode == Enforcement::Never || member.has_key("host") && !self.options.host_firewall;
        let directions = [Direction::Ingress, Direction::Egress];
        let mut sides = [Enforced::Yes; 2];
        for ((side, direction), selected) in sides.iter_mut().zip(directions).zip(view.selected) {
            if member.unlabelled && mode != Enforcement::Never {
                *side = Enforced::Settled(Decision::plain(true, Verdict::Unknown(Cause::NoLabels)));
            } else if off {
                let mut decision = self.unenforced(direction);
                decision.assumed = if mode == Enforcement::Never {
                    self.unless_given(OptionName::Enforcement)
                } else if selected {
                    self.unless_given(OptionName::HostFirewall)
                } else {
                    None
                };
                *side = Enforced::Off(decision);
            } else if view.table.conflict.is_some() {
                *side = Enforced::Settled(Decision::plain(
                    true,
                    Verdict::Unknown(Cause::RulesInConflict),
                ));
            } else if !selected && !always {
                let mut decision = self.unenforced(direction);
                decision.assumed = self.unless_given(OptionName::Enforcement);
                if let Some(taint) = taint {
                    decision.verdict = Verdict::Unknown(self.tainted(taint));
                } else if floating[direction as usize] {
                    decision.verdict = Verdict::Unknown(Cause::NamespaceUnknown);
                }
                *side = Enforced::Off(decision);
            }
        }
        SubjectState {
            table: view.table,
            sides,
            taint,
            floating,
            unserved: self.unserved(subject),
            versioned: [Direction::Ingress, Direction::Egress]
                .map(|direction| self.versioned(subject, direction)),
        }
    }

    /// Whether default deny is on whatever the rules say. Cilium looks for the labels `init`
    /// and `host` under any source, so pods with such a label of their own are meant too.
    pub(super) fn always(&self, member: &Member) -> bool {
        self.options.enforcement == Enforcement::Always || member.has_key("init")
    }

    /// Whether the node's own host reaches a subject whatever the rules say.
    pub(super) fn is_let_in(&self, subject: IdentityIndex, peer: IdentityIndex) -> bool {
        let is_host = |index: IdentityIndex| {
            self.members
                .get(index.0 as usize)
                .is_some_and(|member| member.is_host())
        };
        self.options.allow_localhost != AllowLocalhost::Policy && is_host(peer) && !is_host(subject)
    }

    fn unenforced(&self, direction: Direction) -> Decision {
        let origin = match direction {
            Direction::Ingress => Origin::AllowAnyIngress,
            Direction::Egress => Origin::AllowAnyEgress,
        };
        Decision {
            match_kind: MatchKind::All,
            rules: self.interner.rules(vec![origin]),
            ..Decision::plain(false, Verdict::Allowed)
        }
    }

    /// Entries of egress whose Services may not all have been given.
    fn unserved(&self, subject: IdentityIndex) -> Vec<u32> {
        if self.ports_complete {
            return Vec::new();
        }
        let mut entries = self.selecting(subject, Direction::Egress);
        entries.retain(|index| {
            let entry = self.set.entries.get(*index as usize);
            entry.is_some_and(|entry| entry.service_missing)
        });
        entries
    }

    /// Whether another Service could change what was found.
    fn hangs_on_service(
        &self,
        unserved: &[u32],
        direction: Direction,
        decision: &Decision,
        (protocol, port): (u8, u16),
    ) -> bool {
        if unserved.is_empty() || direction == Direction::Ingress {
            return false;
        }
        let rules = self.interner.rules_of(decision.rules);
        let settled = match decision.verdict {
            // Somebody else allows it, whatever the Service is.
            Verdict::Allowed | Verdict::Redirected | Verdict::AuthRequired => !rules
                .iter()
                .all(|origin| matches!(origin, Origin::Entry(index) if unserved.contains(index))),
            Verdict::DeniedByRule | Verdict::Unknown(_) => true,
            Verdict::DeniedByDefault => false,
        };
        !settled
            && unserved.iter().any(|index| {
                let entry = self.set.entries.get(*index as usize);
                entry.is_some_and(|entry| explain::may_cover(entry, protocol, port))
            })
    }

    /// Whether rules that select a subject mean something else in the release that was
    /// given, in a way that is not modelled.
    fn versioned(&self, subject: IdentityIndex, direction: Direction) -> bool {
        let version = self.options.version;
        !version.is_modelled()
            && self.selecting(subject, direction).iter().any(|index| {
                let entry = self.set.entries.get(*index as usize);
                entry.is_some_and(|entry| version.differs(entry))
            })
    }

    /// Whether policies of unknown namespace may select a subject, ingress and egress.
    fn floating(&self, member: &Member) -> [bool; 2] {
        let mut found = [false; 2];
        for floating in &self.set.floating {
            let is_pod = floating.subject.node || member.namespace().is_some();
            if is_pod && member.is_subject(&floating.subject.selector, floating.subject.node) {
                found[floating.direction as usize] = true;
            }
        }
        found
    }

    /// The cause that a taint is.
    fn tainted(&self, taint: u32) -> Cause {
        match self.set.taints.get(taint as usize) {
            Some(taint) if taint.unmodelled => Cause::KindNotModelled,
            _ => Cause::PolicyUnreadable(taint),
        }
    }

    /// The first thing unread that may be about a subject.
    fn taint(&self, member: &Member) -> Option<u32> {
        let reaches = |scope: &TaintScope| match scope {
            TaintScope::Everything => true,
            TaintScope::Namespace(namespace) => member.namespace() == Some(namespace),
        };
        self.set
            .taints
            .iter()
            .position(|taint| reaches(&taint.scope))
            .map(|index| index as u32)
    }

    fn unless_given(&self, option: OptionName) -> Option<OptionName> {
        (!self.options.given.contains(&option)).then_some(option)
    }

    /// The option, not given, of which another value would give another verdict.
    pub(super) fn assumed(&self, decision: &Decision) -> Option<OptionName> {
        match decision.verdict {
            Verdict::DeniedByRule | Verdict::DeniedByDefault => {
                self.unless_given(OptionName::Enforcement)
            }
            Verdict::Allowed if by_localhost(decision.rules) => {
                self.unless_given(OptionName::AllowLocalhost)
            }
            _ => None,
        }
    }

    /// Why something that is not known might change what was found.
    fn doubt(
        &self,
        side: &Side,
        hit: Option<Hit>,
        member: Option<&Arc<Member>>,
        known: Option<u32>,
        protocol: u8,
        port: u16,
    ) -> Option<Cause> {
        let unlabelled = member.is_none_or(|member| member.unlabelled);
        let by_name = side.by_name
            && !self.names_complete
            && member.is_some_and(|member| member.external && !member.names_complete);
        // Only what is outside is selected by names.
        let redacted = side.by_name && member.is_some_and(|member| member.external);
        if !unlabelled && !redacted && side.unresolved.is_empty() {
            return None;
        }
        let selected =
            |row: &Row| known.is_some_and(|peer| self.selection.contains(row.selector, peer));
        let may_be = |row: &Row| {
            !selected(row)
                && row.selector != SelectorId::LOCALHOST
                && (unlabelled
                    || by_name
                        && matches!(
                            self.selection.selector(row.selector),
                            // One without a name is about the root, which no address has.
                            Some(PeerSelector::Fqdn { name, pattern })
                                if !(name.is_empty() && pattern.is_empty())
                        ))
        };
        let may_be_redacted = |row: &Row| {
            let selector = self.selection.selector(row.selector);
            !selected(row) && selector.is_some_and(is_redacted)
        };
        if redacted {
            let lists = side.lists(protocol, port);
            let doubtful = lists
                .iter()
                .flatten()
                .flat_map(|list| &list.rows)
                .any(|row| would_change(hit, row) && may_be_redacted(row));
            if doubtful {
                return Some(Cause::Redacted);
            }
        }
        if unlabelled || by_name {
            let lists = side.lists(protocol, port);
            let doubtful = lists
                .iter()
                .flatten()
                .flat_map(|list| &list.rows)
                .any(|row| would_change(hit, row) && may_be(row));
            if doubtful {
                return Some(if unlabelled {
                    Cause::NoLabels
                } else {
                    Cause::NameNotObserved
                });
            }
        }
        let unresolved = side.unresolved.iter().any(|row| {
            row.prefix.protocol() == protocol
                && would_change(hit, row)
                && (row.selector == SelectorId::EVERYONE || selected(row) || may_be(row))
        });
        unresolved.then_some(Cause::NamedPort)
    }
}

impl SubjectState {
    fn side(&self, direction: Direction) -> (Enforced, &Side) {
        let [ingress, egress] = self.sides;
        match direction {
            Direction::Ingress => (ingress, &self.table.ingress),
            Direction::Egress => (egress, &self.table.egress),
        }
    }
}

/// Whether a peer is known, has labels, and is not one that rules of their own are about.
pub(super) fn is_plain(member: &Member) -> bool {
    !member.is_unknown() && !member.unlabelled && !member.is_host()
}

/// Whether a selector is by a name that a redaction took away.
pub(super) fn is_redacted(selector: &PeerSelector) -> bool {
    matches!(
        selector,
        PeerSelector::Fqdn { name, pattern }
            if is_redacted_mark(name) || is_redacted_mark(pattern)
    )
}

/// Whether nothing but the agent's own rule for the node's host is among these.
fn by_localhost(rules: RulesId) -> bool {
    rules == RulesId(0) || rules == Interner::LOCALHOST
}

pub(super) fn decision_of(hit: Option<Hit>) -> Decision {
    let Some(hit) = hit else {
        return Decision::plain(true, Verdict::DeniedByDefault);
    };
    let entry = hit.entry;
    let auth = match entry.auth.kind {
        0 => None,
        1 => Some(AuthMode::Required),
        _ => Some(AuthMode::TestAlwaysFail),
    };
    let verdict = if entry.is_deny() {
        Verdict::DeniedByRule
    } else if auth.is_some() {
        Verdict::AuthRequired
    } else if entry.redirect.is_some() {
        Verdict::Redirected
    } else {
        Verdict::Allowed
    };
    Decision {
        enforced: true,
        verdict,
        auth,
        auth_derived: auth.is_some() && !entry.auth.explicit,
        match_kind: hit.match_kind(),
        rules: hit.rules,
        redirect: entry.redirect,
        assumed: None,
    }
}

/// Whether a row, if it applied, would give another verdict than what was found.
fn would_change(hit: Option<Hit>, row: &Row) -> bool {
    let Some(hit) = hit else {
        return true;
    };
    if hit.entry.is_deny() {
        return false;
    }
    row.entry.precedence > hit.entry.precedence || row.entry.auth.kind > hit.entry.auth.kind
}
