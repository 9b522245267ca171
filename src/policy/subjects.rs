//! Which rules select which subject.
//!
//! Owns the distinct subjects of a set, filed by the namespace they ask for, and the order
//! of their entries. What the entries come to is `filter`'s.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::entry::{PolicyEntry, Port, Subject};
use super::member::{Member, NAMESPACE};
use super::selector::{LabelSelector, Operator, Source};

/// Distinct subjects, filed by the namespace they ask for.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    pub(super) distinct: Vec<SubjectGroup>,
    known: HashMap<Subject, u32, RandomState>,
    by_namespace: HashMap<Arc<str>, Vec<u32>, RandomState>,
    anywhere: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct SubjectGroup {
    subject: Subject,
    /// Entries in the order Cilium takes them.
    pub(super) entries: Vec<Place>,
    /// Some entry names a port.
    pub(super) by_name: bool,
    /// Some entry hands connections to a listener.
    pub(super) by_listener: bool,
}

/// An entry and its rank among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) rank: u32,
    pub(super) entry: u32,
}

impl Subjects {
    pub(super) fn file(&mut self, entry: &PolicyEntry, place: Place) {
        let known = self.known.get(&entry.subject).copied();
        let index = known.unwrap_or_else(|| {
            let index = self.distinct.len() as u32;
            self.known.insert(entry.subject.clone(), index);
            self.distinct.push(SubjectGroup {
                subject: entry.subject.clone(),
                entries: Vec::new(),
                by_name: false,
                by_listener: false,
            });
            match namespace_of(&entry.subject.selector) {
                Some(namespace) => self.by_namespace.entry(namespace).or_default().push(index),
                None => self.anywhere.push(index),
            }
            index
        });
        if let Some(group) = self.distinct.get_mut(index as usize) {
            group.entries.push(place);
            group.by_name |= entry
                .ports
                .iter()
                .flat_map(|rule| &rule.ports)
                .any(|port| matches!(port.port, Port::Name(_)));
            group.by_listener |= entry.ports.iter().any(|rule| rule.listener.is_some());
        }
    }

    /// The distinct subjects that an identity is one of.
    pub(super) fn of(&self, member: &Member) -> Vec<u32> {
        let namespaced = member
            .namespace()
            .and_then(|namespace| self.by_namespace.get(namespace));
        namespaced
            .into_iter()
            .flatten()
            .chain(&self.anywhere)
            .filter(|index| {
                self.distinct.get(**index as usize).is_some_and(|group| {
                    member.is_subject(&group.subject.selector, group.subject.node)
                })
            })
            .copied()
            .collect()
    }
}

/// The one namespace a selector asks for.
fn namespace_of(selector: &LabelSelector) -> Option<Arc<str>> {
    selector
        .labels
        .iter()
        .find(|requirement| {
            requirement.operator == Operator::In
                && requirement.values.len() == 1
                && &*requirement.key.name == NAMESPACE
                && matches!(&requirement.key.source, Source::Of(source) if &**source == "k8s")
        })
        .and_then(|requirement| requirement.values.first().cloned())
}
