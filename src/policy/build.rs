//! A set of policies out of documents.
//!
//! Owns which objects are in it, what becomes of each, and that the order of documents
//! changes nothing but the order of objects.

use std::collections::HashMap;
use std::sync::Arc;

use super::convert;
use super::entry::{PolicyEntry, Subject};
use super::member::NAMESPACE;
use super::options::Options;
use super::read::{Body, ReadGroup, ReadObject, ReadPolicy, read_document, read_object};
use super::selector::Source;
use super::set::{Floating, ObjectId, PolicyObject, PolicySet, Rejection, Taint, TaintScope};
use super::validate;
use crate::inventory::{CidrGroup, Service};
use crate::manifest::Document;

/// The class of objects that Cilium might import and that are not evaluated: no cluster
/// would store them.
pub const TOO_LARGE: &str = "too_large";

/// Selectors, values and ports that the entries of one object may repeat.
const WEIGHT: usize = 1 << 20;

impl ReadPolicy {
    /// The entries the object becomes; `object` of each is 0.
    ///
    /// # Errors
    /// Why Cilium does not import it; or [`TOO_LARGE`], where we do not evaluate it.
    pub fn entries(
        &self,
        services: &[Service],
        options: &Options,
    ) -> Result<Vec<PolicyEntry>, Rejection> {
        let body = self.body.as_ref().map_err(Clone::clone)?;
        let weight = match body {
            Body::Cilium(policy) => policy.weight(),
            Body::Kubernetes(policy) => policy.weight(),
        };
        if weight > WEIGHT {
            return Err(self.too_large());
        }
        let entries = match body {
            Body::Cilium(policy) => {
                validate::cilium(policy, &self.id, self.at, options)?;
                convert::cilium(policy, &self.id, services, options)
            }
            Body::Kubernetes(policy) => convert::kubernetes(policy, &self.id, options)?,
        };
        let pairs = entries.iter().map(pairs).fold(0, usize::saturating_add);
        if pairs > WEIGHT {
            return Err(self.too_large());
        }
        Ok(entries)
    }

    fn too_large(&self) -> Rejection {
        Rejection {
            class: TOO_LARGE,
            field: String::new(),
            at: self.at,
            message: "its rules repeat more than is evaluated here".to_owned(),
        }
    }
}

impl PolicySet {
    /// Reads documents: policies and CIDR groups; others are passed over.
    ///
    /// Two objects of one name that differ taint what they apply to, since only one of them
    /// can be in force.
    #[must_use]
    pub fn build(
        documents: &[Document],
        services: &[Service],
        groups: &[CidrGroup],
        options: &Options,
    ) -> Self {
        let mut set = Self {
            cidr_groups: groups.to_vec(),
            ..Self::default()
        };
        let mut seen = HashMap::new();
        for document in documents {
            match read_document(document) {
                ReadObject::Policy(policy) => {
                    set.add(*policy, document, &mut seen, services, options);
                }
                ReadObject::CidrGroup(group) => set.add_group(*group, &document.file),
                ReadObject::Other => {}
            }
        }
        set.cidr_groups.sort_by(|a, b| a.name.cmp(&b.name));
        set
    }

    /// The same with the policies of more documents; others are passed over. One that is
    /// there already and says the same changes nothing.
    #[must_use]
    pub fn with(&self, documents: &[Document], options: &Options) -> Self {
        let mut set = self.clone();
        let mut seen: HashMap<ObjectId, Vec<PolicyEntry>> = HashMap::new();
        for object in &set.objects {
            seen.entry(object.id.clone()).or_default();
        }
        for entry in &set.entries {
            let object = set.objects.get(entry.object as usize);
            if let Some(entries) = object.and_then(|object| seen.get_mut(&object.id)) {
                entries.push(PolicyEntry {
                    object: 0,
                    ..entry.clone()
                });
            }
        }
        for document in documents {
            if let ReadObject::Policy(policy) = read_document(document) {
                set.add(*policy, document, &mut seen, &[], options);
            }
        }
        set
    }

    /// Adds policies of which nothing says in which namespace they are. Cilium would reject
    /// some of them in any namespace; these are left out.
    pub fn add_floating(
        &mut self,
        documents: &[Document],
        services: &[Service],
        options: &Options,
    ) {
        for document in documents {
            let ReadObject::Policy(policy) = read_object(&document.root) else {
                continue;
            };
            let Ok(entries) = policy.entries(services, options) else {
                continue;
            };
            for entry in entries {
                let floating = Floating {
                    id: ObjectId {
                        namespace: "".into(),
                        ..policy.id.clone()
                    },
                    file: document.file.clone(),
                    at: policy.at,
                    subject: anywhere(entry.subject),
                    direction: entry.direction,
                };
                if !self.floating.contains(&floating) {
                    self.floating.push(floating);
                }
            }
        }
    }

    fn add(
        &mut self,
        policy: ReadPolicy,
        document: &Document,
        seen: &mut HashMap<ObjectId, Vec<PolicyEntry>>,
        services: &[Service],
        options: &Options,
    ) {
        let file = &document.file;
        let converted = policy.entries(services, options);
        if let Err(rejection) = &converted
            && rejection.class == TOO_LARGE
        {
            self.taints.push(Taint {
                scope: scope(&policy.id),
                file: file.clone(),
                at: policy.at,
                reason: rejection.message.clone(),
                unmodelled: false,
            });
        }
        let object = self.objects.len() as u32;
        let entries = converted.as_deref().unwrap_or_default();
        let twice = match seen.get(&policy.id) {
            Some(known) if same(known, entries) => true,
            Some(_) => {
                self.taints.push(Taint {
                    scope: scope(&policy.id),
                    file: file.clone(),
                    at: policy.at,
                    reason: format!("another {} says something else", policy.id),
                    unmodelled: false,
                });
                false
            }
            None => {
                seen.insert(policy.id.clone(), entries.to_vec());
                false
            }
        };
        if !twice {
            self.entries.extend(entries.iter().map(|entry| PolicyEntry {
                object,
                ..entry.clone()
            }));
        }
        self.objects.push(PolicyObject {
            id: policy.id,
            file: file.clone(),
            at: policy.at,
            rejection: converted.err(),
            warnings: policy.warnings,
            changed: document.changed(),
        });
    }

    fn add_group(&mut self, group: ReadGroup, file: &Arc<str>) {
        let reason = match group.group {
            Ok(group) => {
                let known = self
                    .cidr_groups
                    .iter()
                    .find(|known| known.name == group.name);
                if known == Some(&group) {
                    return;
                }
                let twice = known.is_some();
                self.cidr_groups.push(group);
                if !twice {
                    return;
                }
                "another CiliumCIDRGroup of this name says something else".to_owned()
            }
            Err(rejection) => format!("{}: {}", rejection.field, rejection.message),
        };
        self.taints.push(Taint {
            scope: TaintScope::Everything,
            file: file.clone(),
            at: group.at,
            reason,
            unmodelled: false,
        });
    }
}

/// Pairs of a peer and a port: each is a row of every subject's table.
fn pairs(entry: &PolicyEntry) -> usize {
    let peers = entry.peers.as_ref().map_or(1, |peers| peers.len().max(1));
    let ports: usize = entry.ports.iter().map(|rule| rule.ports.len()).sum();
    peers.saturating_mul(ports.max(1))
}

/// Whether two objects say the same, wherever each is written.
fn same(a: &[PolicyEntry], b: &[PolicyEntry]) -> bool {
    let placeless = |entry: &PolicyEntry| {
        let mut entry = entry.clone();
        entry.rule.at = crate::manifest::Place::default();
        for port in entry.ports.iter_mut().flat_map(|rule| &mut rule.ports) {
            port.at = crate::manifest::Place::default();
        }
        entry
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| placeless(a) == placeless(b))
}

fn scope(id: &ObjectId) -> TaintScope {
    if id.namespace.is_empty() {
        TaintScope::Everything
    } else {
        TaintScope::Namespace(id.namespace.clone())
    }
}

/// A subject without the namespace that was put into it.
fn anywhere(mut subject: Subject) -> Subject {
    subject.selector.labels.retain(|requirement| {
        !(&*requirement.key.name == NAMESPACE && requirement.key.source == Source::Of("k8s".into()))
    });
    subject
}
