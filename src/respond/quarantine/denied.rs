//! Rules that deny more than a plan does, to close what it leaves open.
//!
//! Owns writing them, as they stand in a policy and as a policy of their own to be tried.

use std::sync::Arc;

use ipnet::IpNet;

use super::manifest::{Draft, no_default_deny, selector_key, subject};
use super::pattern::Pattern;
use super::plan::{Manifest, Plan};
use super::selectors::everyone_but;
use crate::manifest::{Block, Layout};
use crate::policy::{Direction, ObjectId, ObjectKind};

/// Who is to be denied beside what a plan denies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Denied {
    /// All pods but the one for forensics.
    pub(super) pods: bool,
    pub(super) entities: Vec<&'static str>,
    pub(super) prefixes: Vec<IpNet>,
}

impl Denied {
    pub(super) fn is_empty(&self) -> bool {
        !self.pods && self.entities.is_empty() && self.prefixes.is_empty()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.pods |= other.pods;
        self.entities.extend(&other.entities);
        self.entities.sort_unstable();
        self.entities.dedup();
        self.prefixes.extend(&other.prefixes);
        self.prefixes.sort_unstable();
        self.prefixes.dedup();
    }

    fn list(&self, direction: Direction) -> Block {
        let (endpoints, entities, prefixes) = match direction {
            Direction::Ingress => ("fromEndpoints", "fromEntities", "fromCIDRSet"),
            Direction::Egress => ("toEndpoints", "toEntities", "toCIDRSet"),
        };
        let mut rules = Vec::new();
        if self.pods {
            let pods = everyone_but(&[], None).unwrap_or_default();
            rules.push(Block::map([(endpoints, Block::list(pods))]));
        }
        if !self.entities.is_empty() {
            let list = Block::texts(self.entities.iter().copied());
            rules.push(Block::map([(entities, list)]));
        }
        if !self.prefixes.is_empty() {
            let cidr = |prefix: &IpNet| Block::map([("cidr", Block::text(prefix.to_string()))]);
            let list = Block::list(self.prefixes.iter().map(cidr));
            rules.push(Block::map([(prefixes, list)]));
        }
        Block::list(rules)
    }
}

/// The rules alone, as they stand in the list of their direction.
pub(super) fn rules(direction: Direction, denied: &Denied) -> String {
    let list = match direction {
        Direction::Ingress => "ingressDeny",
        Direction::Egress => "egressDeny",
    };
    Block::map([(list, denied.list(direction))]).document(Layout::default())
}

/// A policy that denies more to whom a plan's policies select.
pub(super) fn denying(plan: &Plan, inward: &Denied, outward: &Denied) -> Manifest {
    let draft = Draft {
        target: &plan.target,
        pattern: if plan.pattern == Pattern::Node {
            Pattern::Node
        } else {
            Pattern::LabelQuarantine
        },
        incident: &plan.incident,
        expires: plan.expires,
        subjects: &plan.subjects,
        destination: None,
        kept: &[],
        cluster: None,
        name: format!("flowwatch-more-{}", super::label::name_part(&plan.incident)),
    };
    let mut spec = vec![
        (selector_key(plan.pattern).to_owned(), subject(&draft)),
        no_default_deny(),
    ];
    for (list, denied, direction) in [
        ("ingressDeny", inward, Direction::Ingress),
        ("egressDeny", outward, Direction::Egress),
    ] {
        if !denied.is_empty() {
            spec.push((list.to_owned(), denied.list(direction)));
        }
    }
    let document = Block::map([
        ("apiVersion", Block::text("cilium.io/v2")),
        ("kind", Block::text("CiliumClusterwideNetworkPolicy")),
        (
            "metadata",
            Block::map([("name", Block::text(draft.name.clone()))]),
        ),
        ("spec", Block::map(spec)),
    ]);
    Manifest {
        object: ObjectId {
            kind: ObjectKind::CiliumClusterwideNetworkPolicy,
            namespace: Arc::default(),
            name: draft.name.as_str().into(),
        },
        text: document.document(Layout::default()),
    }
}
