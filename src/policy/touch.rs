//! Which entries, and what of each, a connection falls under.
//!
//! Owns looking at every entry that selects the subject, piece by piece: peers that fit,
//! ports that fit, and, where a verdict is not known, those that may. What decides is
//! `decide`'s; here also those are named that decide nothing because others do.

use super::cause::Cause;
use super::compile::Compiled;
use super::decide::is_redacted;
use super::entry::{Direction, PolicyEntry, PortProtocol};
use super::explain::{covers, is_of};
use super::memo::Question;
use super::options::Enforcement;
use super::selection::SelectorId;
use super::selector::PeerSelector;
use super::table::Named;
use super::world::IdentityIndex;

/// An entry that a connection falls under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Index of the entry in the set.
    pub entry: u32,
    /// Its peers that fit, by index; none where it is for anybody.
    pub peers: Vec<u32>,
    /// Its ports that fit: rule and index in it; none where it is for every port.
    pub ports: Vec<(u32, u32)>,
    /// Whether it surely is so; else it may be, for something that is not known.
    pub certain: bool,
}

/// All entries that a connection falls under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touches {
    /// One an entry, by index; for one that is uncertain all pieces that may fit.
    pub entries: Vec<Touch>,
    /// It would pass without any of them: nothing is denied by default, or the agent lets
    /// its own host in.
    pub open: bool,
}

impl Compiled {
    /// The entries that a connection falls under. `cause` is why its verdict is unknown,
    /// where it is: then those are among them that it may fall under.
    #[must_use]
    pub fn touches(&self, question: &Question, cause: Option<Cause>) -> Touches {
        let (subject, direction) = (question.subject, question.direction);
        let Some(member) = self.members.get(subject.0 as usize) else {
            return Touches::default();
        };
        let selecting = self.selecting(subject, direction);
        let entries = |indices: &[u32]| -> Vec<Touch> {
            indices
                .iter()
                .filter_map(|index| {
                    let entry = self.set.entries.get(*index as usize)?;
                    self.touch(*index, entry, question, cause)
                })
                .collect()
        };
        let always = self.always(member);
        let closed = always
            || selecting.iter().any(|index| {
                let entry = self.set.entries.get(*index as usize);
                entry.is_some_and(|entry| entry.default_deny)
            });
        let off = self.options.enforcement == Enforcement::Never
            || member.has_key("host") && !self.options.host_firewall;
        let let_in = direction == Direction::Ingress && self.is_let_in(subject, question.peer);
        let entries = if member.unlabelled {
            let mut touches = entries(&self.may_select(subject, direction));
            for touch in &mut touches {
                touch.certain = false;
            }
            touches
        } else {
            entries(&selecting)
        };
        Touches {
            entries,
            open: !closed || off || let_in,
        }
    }

    /// Entries that select a subject in a direction, by index; all of the direction where
    /// nothing is known of it, since any of them may.
    #[must_use]
    pub fn may_select(&self, subject: IdentityIndex, direction: Direction) -> Vec<u32> {
        let member = self.members.get(subject.0 as usize);
        if member.is_some_and(|member| !member.unlabelled) {
            return self.selecting(subject, direction);
        }
        let entries = self.set.entries.iter().zip(0..);
        entries
            .filter(|(entry, _)| entry.direction == direction)
            .map(|(_, index)| index)
            .collect()
    }

    fn touch(
        &self,
        index: u32,
        entry: &PolicyEntry,
        question: &Question,
        cause: Option<Cause>,
    ) -> Option<Touch> {
        let (peers, sure_peer) = self.fitting_peers(entry, question, cause)?;
        let (ports, sure_port) = self.fitting_ports(entry, question, cause.is_some())?;
        Some(Touch {
            entry: index,
            peers,
            ports,
            certain: sure_peer && sure_port,
        })
    }

    /// Peers that fit and whether that is sure; `None` where none does.
    fn fitting_peers(
        &self,
        entry: &PolicyEntry,
        question: &Question,
        cause: Option<Cause>,
    ) -> Option<(Vec<u32>, bool)> {
        let Some(sure) = self.peers_that_are(entry, question.peer) else {
            return Some((Vec::new(), true));
        };
        if !sure.is_empty() {
            return Some((sure, true));
        }
        let cause = cause?;
        let member = self.members.get(question.peer.0 as usize);
        let unlabelled = member.is_none_or(|member| member.unlabelled);
        let external = member.is_some_and(|member| member.external);
        let may = picked(entry, |selector| {
            unlabelled
                || cause == Cause::Redacted && is_redacted(selector)
                || external && matches!(selector, PeerSelector::Fqdn { .. })
        })
        .unwrap_or_default();
        // What a Service stands for that was not given is no selector at all.
        (!may.is_empty() || entry.service_missing).then_some((may, false))
    }

    /// The same of ports.
    fn fitting_ports(
        &self,
        entry: &PolicyEntry,
        question: &Question,
        unknown: bool,
    ) -> Option<(Vec<(u32, u32)>, bool)> {
        if entry.ports.is_empty() {
            return Some((Vec::new(), true));
        }
        let mut sure = Vec::new();
        let mut may = Vec::new();
        for (rule, at) in entry.ports.iter().zip(0_u32..) {
            for (port, index) in rule.ports.iter().zip(0_u32..) {
                match self.is_port(port, question) {
                    Some(true) => sure.push((at, index)),
                    Some(false) => {}
                    None => may.push((at, index)),
                }
            }
        }
        if !sure.is_empty() {
            return Some((sure, true));
        }
        (unknown && !may.is_empty()).then_some((may, false))
    }

    /// Whether one of the ports of an entry is the one asked about, or may be.
    #[must_use]
    pub fn may_be_port(&self, entry: &PolicyEntry, question: &Question) -> bool {
        self.fitting_ports(entry, question, true).is_some()
    }

    /// Whether a port is the one asked about; `None` where its name is not known.
    fn is_port(&self, asked: &PortProtocol, question: &Question) -> Option<bool> {
        if !is_of(asked.protocol, question.protocol) {
            return Some(false);
        }
        let (subject, direction) = (question.subject, question.direction);
        match self.first_port(asked, subject, direction, question.protocol) {
            Named::Port(first) => Some(covers(asked, first, question.port)),
            Named::Nothing => Some(false),
            Named::Unknown => None,
        }
    }

    /// Whether the subject of an entry is somebody.
    #[must_use]
    pub fn selects_subject(&self, entry: &PolicyEntry, who: IdentityIndex) -> bool {
        let member = self.members.get(who.0 as usize);
        member.is_some_and(|member| member.is_subject(&entry.subject.selector, entry.subject.node))
    }

    /// The peers of an entry that are somebody, by index; `None` where it is for anybody.
    #[must_use]
    pub fn peers_that_are(&self, entry: &PolicyEntry, who: IdentityIndex) -> Option<Vec<u32>> {
        picked(entry, |selector| {
            self.selection
                .id(selector)
                .is_some_and(|id| id == SelectorId::EVERYONE || self.selection.contains(id, who.0))
        })
    }
}

/// The peers of an entry that are picked, by index; `None` where it is for anybody.
fn picked(entry: &PolicyEntry, picks: impl Fn(&PeerSelector) -> bool) -> Option<Vec<u32>> {
    let peers = entry.peers.as_ref()?.iter().zip(0..);
    Some(
        peers
            .filter(|(selector, _)| picks(selector))
            .map(|(_, index)| index)
            .collect(),
    )
}
