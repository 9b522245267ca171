//! What is accepted and does not do what it seems, and what is not accepted at all.
//!
//! Owns the checks of single objects against what Cilium makes of them and what the
//! documents show of the cluster. Rule against rule, and rules against traffic, are other
//! commands' work. Returns values; prints nothing.
//!
//! False alarms cost trust: what is merely surprising is an info, and where something may
//! stand in a file that was not given, a check keeps quiet.

mod addresses;
mod checks;
mod cluster;
mod deny;
mod dns;
mod fields;
mod finding;
mod keys;
mod kubernetes;
mod layer7;
mod lists;
mod name_pattern;
mod names;
mod peers;
mod places;
mod ports;
mod refused;
mod report;
mod selectors;
mod services;
mod subject;
mod suppress;
mod unread;
mod walk;

use std::sync::Arc;

pub use checks::CHECKS;
pub use finding::{Check, LintFinding, NoSeverity, Severity};
pub use suppress::Suppressions;

use self::report::{Object, Report, World};
use super::options::Options;
use super::read::{Path, ReadObject, read_object};
use super::set::ObjectKind;
use crate::inventory::Inventory;
use crate::manifest::{Document, LoadError};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct LintInput<'a> {
    /// Documents of all kinds: those that are no policies show the cluster.
    pub documents: &'a [Document],
    /// What could not be read, or contradicts itself.
    pub errors: &'a [LoadError],
    /// What the documents say about the cluster.
    pub inventory: &'a Inventory,
    /// Options of the agents.
    pub options: &'a Options,
    /// The documents are said to hold every pod of the cluster.
    pub complete: bool,
}

/// Runs all checks. Findings are in the order of files and places.
#[must_use]
pub fn lint(input: &LintInput<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for error in input.errors {
        unread::unread(error, &mut found);
    }
    let mut world = World::new(input);
    let mut sources = Vec::new();
    for document in input.documents {
        match read_object(&document.root) {
            ReadObject::Policy(policy) => {
                let clusterwide = policy.id.kind == ObjectKind::CiliumClusterwideNetworkPolicy;
                let namespace = document.scope.namespace().filter(|_| !clusterwide);
                let mut policy = *policy;
                policy.id.namespace = Arc::from(namespace.unwrap_or_default());
                world.add(Object {
                    file: &document.file,
                    root: &document.root,
                    namespace,
                    templated: document.placeholder.is_some(),
                    entries: policy.entries(&world.cluster.inventory_services, input.options),
                    name: policy.id.to_string().into(),
                    policy,
                });
                sources.push(document);
            }
            ReadObject::CidrGroup(group) => {
                unread::group(document, &group, &mut found);
                world.groups.extend(group.group);
            }
            ReadObject::Other => unread::foreign(document, &mut found),
        }
    }
    for (object, document) in world.objects.iter().zip(sources) {
        let mut report = Report {
            world: &world,
            object,
            found: &mut found,
        };
        refused::placeholder(&mut report, document);
        one(&mut report);
    }
    unread::duplicates(&world, &mut found);
    found.sort_by(LintFinding::order);
    found.dedup();
    found
}

/// All checks of one object.
fn one(report: &mut Report<'_, '_>) {
    fields::object(report);
    kubernetes::object(report);
    cilium(report);
    if report.object.entries.is_ok() {
        dns::object(report);
        layer7::object(report);
        ports::object(report);
        addresses::exceptions(report);
    }
    refused::object(report);
}

fn cilium(report: &mut Report<'_, '_>) {
    let object = report.object;
    let Some(policy) = walk::cilium_body(&object.policy.body) else {
        return;
    };
    let root = Path::Root;
    let (spec, specs) = (root.field("spec"), root.field("specs"));
    for (index, rule, node) in walk::rules(policy, object.root) {
        let item;
        let path = match index {
            None => &spec,
            Some(index) => {
                item = specs.item(index);
                &item
            }
        };
        subject::rule(report, rule, path);
        peers::rule(report, rule, node, path);
        deny::rule(report, rule, node, path);
        walk::each_element(
            report,
            rule,
            node,
            path,
            &[
                peers::element,
                addresses::element,
                names::element,
                ports::element,
                layer7::element,
                deny::element,
                services::element,
            ],
        );
    }
}
