//! The way through an object: its rules, their elements, each with what was written.
//!
//! Owns nothing that is checked.

use super::report::{Part, Report, sections};
use crate::manifest::Node;
use crate::policy::read::{Body, CiliumPolicy, Path, Rule};
use crate::policy::set::Rejection;

/// Rules of a policy with their paths and values.
pub(super) fn rules<'p>(
    policy: &'p CiliumPolicy,
    root: &'p Node,
) -> impl Iterator<Item = (Option<usize>, &'p Rule, &'p Node)> {
    let one = policy
        .spec
        .as_ref()
        .and_then(|rule| Some((None, rule, root.get("spec")?)));
    let nodes = root
        .get("specs")
        .and_then(Node::as_list)
        .unwrap_or_default();
    let many = policy.specs.iter().flatten().zip(nodes).enumerate();
    let many = many.filter_map(|(index, (rule, node))| Some((Some(index), rule.as_ref()?, node)));
    one.into_iter().chain(many)
}

/// The rules of an object of Cilium's kinds.
pub(super) fn cilium_body(body: &Result<Body, Rejection>) -> Option<&CiliumPolicy> {
    match body {
        Ok(Body::Cilium(policy)) => Some(policy),
        _ => None,
    }
}

/// Whether a rule has an element in a list of that name.
pub(super) fn element_node<'p>(rule: &'p Node, field: &str, index: usize) -> Option<&'p Node> {
    rule.get(field)?.as_list()?.get(index)
}

/// Runs a check on each element of a rule.
pub(super) fn each_element(
    report: &mut Report<'_, '_>,
    rule: &Rule,
    node: &Node,
    path: &Path<'_>,
    checks: &[fn(&mut Report<'_, '_>, Part<'_>)],
) {
    for (section, field, list) in sections(rule) {
        let path = path.field(field);
        for (index, element) in list.iter().enumerate() {
            let Some(node) = element_node(node, field, index) else {
                continue;
            };
            let path = path.item(index);
            let part = Part {
                rule,
                section,
                element,
                node,
                path: &path,
            };
            for check in checks {
                check(report, part);
            }
        }
    }
}
