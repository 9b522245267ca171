//! Where checks put what they find, and what they are told.
//!
//! Owns the surroundings of a check: the object at hand, the others, the cluster.

use std::fmt;
use std::sync::Arc;

use super::LintInput;
use super::cluster::Cluster;
use super::dns::{lets_ask, names_the_port};
use super::finding::{Check, LintFinding, Severity};
use super::places::Places;
use crate::inventory::CidrGroup;
use crate::manifest::{Node, Place};
use crate::policy::entry::{PolicyEntry, RulePlace, Section};
use crate::policy::options::Options;
use crate::policy::read::{Element, Path, ReadPolicy, Rule};
use crate::policy::selector::LabelSelector;
use crate::policy::set::Rejection;

/// A policy object with what is known of it.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) file: &'a Arc<str>,
    pub(super) root: &'a Node,
    /// As read; the namespace is empty where nobody says which.
    pub(super) policy: ReadPolicy,
    /// The namespace, where somebody says which.
    pub(super) namespace: Option<&'a str>,
    /// A variable or template is left over in it.
    pub(super) templated: bool,
    /// Its entries, or why it has none.
    pub(super) entries: Result<Vec<PolicyEntry>, Rejection>,
    /// `Kind/namespace/name`
    pub(super) name: Arc<str>,
}

/// Everything that checks may look at.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) options: &'a Options,
    pub(super) cluster: Cluster<'a>,
    pub(super) objects: Vec<Object<'a>>,
    pub(super) groups: Vec<CidrGroup>,
    /// Of each object, which entries let somebody ask a DNS server.
    asking: Vec<Vec<usize>>,
    /// Some policy allows the port of DNS to somebody.
    pub(super) allows_dns: bool,
    places: Places,
}

impl<'a> World<'a> {
    /// A world without objects.
    pub(super) fn new(input: &LintInput<'a>) -> Self {
        Self {
            options: input.options,
            cluster: Cluster::new(input),
            objects: Vec::new(),
            groups: input.inventory.cidr_groups.clone(),
            asking: Vec::new(),
            allows_dns: false,
            places: Places::default(),
        }
    }

    /// Adds an object.
    pub(super) fn add(&mut self, object: Object<'a>) {
        self.places.push(object.namespace);
        let entries = object.entries.iter().flatten();
        self.allows_dns |= entries.clone().any(names_the_port);
        let asking = entries.enumerate().filter(|(_, entry)| lets_ask(entry));
        self.asking.push(asking.map(|(index, _)| index).collect());
        self.objects.push(object);
    }

    /// Objects that may be about the same endpoints as a selector.
    pub(super) fn around<'w>(
        &'w self,
        selector: &'w LabelSelector,
    ) -> impl Iterator<Item = &'w Object<'a>> {
        let places = self.places.candidates(selector);
        places.filter_map(|index| self.objects.get(index))
    }

    /// Their entries.
    pub(super) fn entries_around<'w>(
        &'w self,
        selector: &'w LabelSelector,
    ) -> impl Iterator<Item = &'w PolicyEntry> {
        self.around(selector)
            .flat_map(|object| object.entries.iter().flatten())
    }

    /// Those that let somebody ask a DNS server.
    pub(super) fn asking_around<'w>(
        &'w self,
        selector: &'w LabelSelector,
    ) -> impl Iterator<Item = &'w PolicyEntry> {
        let places = self.places.candidates(selector);
        places.flat_map(|index| {
            let entries = self.objects[index].entries.as_deref().unwrap_or_default();
            let asking = self.asking[index].iter();
            asking.filter_map(|&entry| entries.get(entry))
        })
    }
}

/// A check's view: one object, all of the world, and where findings go.
#[derive(Debug)]
pub(super) struct Report<'r, 'a> {
    pub(super) world: &'r World<'a>,
    pub(super) object: &'r Object<'a>,
    pub(super) found: &'r mut Vec<LintFinding>,
}

/// One element and what it stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'p> {
    pub(super) rule: &'p Rule,
    pub(super) section: Section,
    pub(super) element: &'p Element,
    /// As written.
    pub(super) node: &'p Node,
    pub(super) path: &'p Path<'p>,
}

impl<'r, 'a> Report<'r, 'a> {
    /// Says something, as bad as the check is.
    pub(super) fn add(
        &mut self,
        check: &'static Check,
        at: Place,
        field: impl fmt::Display,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add_as(check, check.severity, at, field, message, mend);
    }

    /// Says something, as bad as given.
    pub(super) fn add_as(
        &mut self,
        check: &'static Check,
        severity: Severity,
        at: Place,
        field: impl fmt::Display,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let at = if at == Place::default() {
            self.object.policy.at
        } else {
            at
        };
        self.found.push(LintFinding {
            check,
            severity,
            file: Arc::clone(self.object.file),
            at,
            object: Arc::clone(&self.object.name),
            field: field.to_string(),
            message: message.into(),
            mend: mend.into(),
            suppressed: None,
        });
    }

    /// The entries of the object at hand.
    pub(super) fn entries(&self) -> &'r [PolicyEntry] {
        self.object.entries.as_deref().unwrap_or_default()
    }

    pub(super) fn options(&self) -> &'a Options {
        self.world.options
    }

    pub(super) fn is_clusterwide(&self) -> bool {
        self.object.policy.id.kind == crate::policy::ObjectKind::CiliumClusterwideNetworkPolicy
    }
}

impl Part<'_> {
    pub(super) fn is_deny(&self) -> bool {
        matches!(self.section, Section::IngressDeny | Section::EgressDeny)
    }

    pub(super) fn is_ingress(&self) -> bool {
        matches!(self.section, Section::Ingress | Section::IngressDeny)
    }

    /// `from` or `to`, as peer fields begin.
    pub(super) fn prefix(&self) -> &'static str {
        if self.is_ingress() { "from" } else { "to" }
    }

    /// A peer field of this direction: `fromCIDR` for `CIDR`.
    pub(super) fn peer_field(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix())
    }
}

/// The lists of a rule.
pub(super) fn sections(rule: &Rule) -> [(Section, &'static str, &[Element]); 4] {
    [
        (Section::Ingress, "ingress", &rule.ingress),
        (Section::IngressDeny, "ingressDeny", &rule.ingress_deny),
        (Section::Egress, "egress", &rule.egress),
        (Section::EgressDeny, "egressDeny", &rule.egress_deny),
    ]
}

/// The path of an entry's element.
pub(super) fn field_of(place: &RulePlace) -> String {
    let spec = place
        .spec
        .map_or_else(|| "spec".to_owned(), |index| format!("specs[{index}]"));
    let (section, peers) = match place.section {
        Section::Ingress => ("ingress", "from"),
        Section::IngressDeny => ("ingressDeny", "from"),
        Section::Egress => ("egress", "to"),
        Section::EgressDeny => ("egressDeny", "to"),
        Section::Whole => return spec,
    };
    let element = format!("{spec}.{section}[{}]", place.element);
    match place.peer {
        Some(peer) => format!("{element}.{peers}[{peer}]"),
        None => element,
    }
}
