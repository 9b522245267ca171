//! What Cilium's agent rejects.
//!
//! Owns the checks of rules, in the agent's order, so that the first thing wrong is the one
//! it would log. One bad rule rejects the whole object. What the API server refuses before
//! is `admission`'s.

mod element;
mod kafka;
mod layer7;
mod ports;
mod selector;
mod syntax;

pub(super) use selector::{by_source, extended_key, is_valid};
pub(super) use syntax::{is_dns_subdomain, is_qualified_name, label_value};

use super::entry::Section;
use super::options::Options;
use super::read::{CiliumPolicy, Path, Rule};
use super::set::{ObjectId, ObjectKind, Rejection};
use crate::manifest::Place;

/// What every check needs.
#[derive(Clone, Copy)]
struct Context<'a> {
    options: &'a Options,
    /// The rule selects nodes.
    host: bool,
    section: Section,
}

type Checked = Result<(), Rejection>;

/// Checks a policy of Cilium's two kinds.
pub(super) fn cilium(
    policy: &CiliumPolicy,
    id: &ObjectId,
    at: Place,
    options: &Options,
) -> Checked {
    let root = Path::Root;
    if id.name.is_empty() {
        let path = root.field("metadata");
        return Err(reject(
            "no_name",
            &path.field("name"),
            at,
            "the policy has no name",
        ));
    }
    let (spec, specs) = (root.field("spec"), root.field("specs"));
    if policy.spec.is_none() && policy.specs.is_none() {
        return Err(reject(
            "empty_policy",
            &root,
            at,
            "neither 'spec' nor 'specs' is there",
        ));
    }
    if let Some(rule) = &policy.spec {
        check(rule, id.kind, &spec, options)?;
    }
    for (index, item) in policy.specs.iter().flatten().enumerate() {
        let path = specs.item(index);
        let Some(rule) = item else {
            return Err(reject(
                "panic",
                &path,
                at,
                "a rule that is null crashes the agent",
            ));
        };
        check(rule, id.kind, &path, options)?;
    }
    Ok(())
}

fn check(rule: &Rule, kind: ObjectKind, path: &Path<'_>, options: &Options) -> Checked {
    let lists = [
        (Section::Ingress, "ingress", &rule.ingress),
        (Section::IngressDeny, "ingressDeny", &rule.ingress_deny),
        (Section::Egress, "egress", &rule.egress),
        (Section::EgressDeny, "egressDeny", &rule.egress_deny),
    ];
    if lists.iter().all(|(_, _, list)| list.is_empty()) {
        let message = "none of 'ingress', 'ingressDeny', 'egress' and 'egressDeny' has an element";
        return Err(reject("no_direction", path, rule.at, message));
    }
    match (&rule.endpoints, &rule.nodes) {
        (None, None) => {
            let message = "neither 'endpointSelector' nor 'nodeSelector' is there";
            return Err(reject("no_selector", path, rule.at, message));
        }
        (Some(_), Some(nodes)) => {
            let message = "'endpointSelector' and 'nodeSelector' exclude each other";
            return Err(reject(
                "both_selectors",
                &path.field("nodeSelector"),
                nodes.at,
                message,
            ));
        }
        (Some(endpoints), None) => {
            selector::check(endpoints, &path.field("endpointSelector"))?;
        }
        (None, Some(nodes)) => selector::check(nodes, &path.field("nodeSelector"))?,
    }
    for (section, field, list) in lists {
        let context = Context {
            options,
            host: rule.nodes.is_some(),
            section,
        };
        let path = path.field(field);
        for (index, element) in list.iter().enumerate() {
            element::check(element, &path.item(index), context)?;
        }
    }
    if let (Some(nodes), ObjectKind::CiliumNetworkPolicy) = (&rule.nodes, kind) {
        let message = "only a CiliumClusterwideNetworkPolicy can select nodes";
        let path = path.field("nodeSelector");
        return Err(reject("node_selector_in_cnp", &path, nodes.at, message));
    }
    Ok(())
}

impl Context<'_> {
    fn ingress(self) -> bool {
        matches!(self.section, Section::Ingress | Section::IngressDeny)
    }

    fn deny(self) -> bool {
        matches!(self.section, Section::IngressDeny | Section::EgressDeny)
    }
}

/// A rejection of what is written at a place.
pub(super) fn reject(
    class: &'static str,
    path: &Path<'_>,
    at: Place,
    message: impl Into<String>,
) -> Rejection {
    Rejection {
        class,
        field: path.to_string(),
        at,
        message: message.into(),
    }
}
