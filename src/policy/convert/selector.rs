//! Label selectors with what Cilium adds to them.
//!
//! Owns when the namespace and the cluster of the policy are added to a written selector,
//! and the order that makes its canonical text.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::entities::CLUSTER_LABEL;
use crate::policy::read::Selector;
use crate::policy::selector::{
    LabelSelector, Operator, PeerSelector, Requirement, SelectorKey, Source,
};
use crate::policy::validate::{by_source, extended_key};

/// Label of the namespace an endpoint is in.
pub(super) const NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";
/// What the labels of that namespace begin with.
pub(super) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels";

/// Where a policy applies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Empty for cluster-wide policies.
    pub(super) namespace: &'a str,
    /// The cluster that peers are limited to, if they are.
    pub(super) cluster: Option<&'a str>,
    /// The subject asks for endpoints that have no labels yet.
    pub(super) init: bool,
}

/// A selector being built: keys have their source before them.
#[derive(Debug, Default)]
pub(super) struct Built {
    labels: BTreeMap<String, Arc<str>>,
    expressions: Vec<(String, Operator, Vec<Arc<str>>)>,
}

/// Whether a subject asks for `reserved:init`.
pub(super) fn asks_for_init(written: &Selector) -> bool {
    Built::of(written, extended_key).has_key(&["reserved.init".to_owned()])
}

/// The subject of a rule: a namespaced policy's is in its namespace, whatever it says.
pub(super) fn subject(written: &Selector, namespace: &str) -> LabelSelector {
    let mut built = Built::of(written, extended_key);
    if !namespace.is_empty() {
        built.add(by_source("k8s", NAMESPACE_LABEL), namespace);
    }
    built.finish()
}

/// Endpoints as peers.
pub(super) fn endpoints(written: &Selector, scope: Scope<'_>) -> PeerSelector {
    let mut built = Built::of(written, extended_key);
    if !built.has_prefix(&["reserved.".to_owned()]) {
        built.add_namespace(scope);
        built.add_cluster(scope);
    }
    built.peer()
}

/// Nodes as peers: other nodes than the subject's.
pub(super) fn nodes(written: &Selector, scope: Scope<'_>) -> PeerSelector {
    let mut built = Built::of(written, extended_key);
    built.exists("reserved.remote-node".to_owned());
    built.add_cluster(scope);
    built.peer()
}

/// The labels of a CIDR group.
pub(super) fn groups(written: &Selector) -> LabelSelector {
    Built::of(written, |key| by_source("cidrgroup", key)).finish()
}

impl Built {
    /// Takes a written selector, its keys extended. Operators have been validated.
    pub(super) fn of(written: &Selector, extend: impl Fn(&str) -> String) -> Self {
        let mut built = Self::default();
        built.append(written, extend);
        built
    }

    /// Adds the requirements of another selector.
    pub(super) fn append(&mut self, written: &Selector, extend: impl Fn(&str) -> String) {
        for (key, value) in &written.labels {
            self.labels.insert(extend(key), value.value.clone());
        }
        self.expressions
            .extend(written.expressions.iter().map(|expression| {
                let operator = match &*expression.operator {
                    "In" => Operator::In,
                    "NotIn" => Operator::NotIn,
                    "DoesNotExist" => Operator::DoesNotExist,
                    _ => Operator::Exists,
                };
                let values = expression.values.iter().map(|value| value.value.clone());
                (extend(&expression.key), operator, values.collect())
            }));
    }

    /// Asks for a label, in place of what was asked of it in `matchLabels`.
    pub(super) fn add(&mut self, key: String, value: &str) {
        self.labels.insert(key, value.into());
    }

    /// Asks that a label is there.
    pub(super) fn exists(&mut self, key: String) {
        self.expressions.push((key, Operator::Exists, Vec::new()));
    }

    /// Limits peers to the cluster, unless they say one.
    pub(super) fn add_cluster(&mut self, scope: Scope<'_>) {
        if let Some(cluster) = scope.cluster
            && !self.has_key(&of_both_sources(CLUSTER_LABEL))
        {
            self.add(by_source("k8s", CLUSTER_LABEL), cluster);
        }
    }

    fn add_namespace(&mut self, scope: Scope<'_>) {
        if self.has_key(&of_both_sources(NAMESPACE_LABEL)) {
            return;
        }
        let namespace = by_source("k8s", NAMESPACE_LABEL);
        if scope.namespace.is_empty() {
            if !scope.init {
                self.exists(namespace);
            }
        } else if !self.has_prefix(&of_both_sources(&format!("{NAMESPACE_LABELS}."))) {
            self.add(namespace, scope.namespace);
        }
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        let expressions = self.expressions.iter().map(|(key, ..)| &**key);
        self.labels.keys().map(|key| &**key).chain(expressions)
    }

    fn has_key(&self, wanted: &[String]) -> bool {
        self.keys()
            .any(|key| wanted.iter().any(|wanted| wanted == key))
    }

    fn has_prefix(&self, wanted: &[String]) -> bool {
        self.keys()
            .any(|key| wanted.iter().any(|wanted| key.starts_with(&**wanted)))
    }

    /// The selector as a peer: one that asks for nothing is everybody.
    pub(super) fn peer(self) -> PeerSelector {
        if self.labels.is_empty() && self.expressions.is_empty() {
            PeerSelector::Everyone
        } else {
            PeerSelector::Labels(self.finish())
        }
    }

    /// The selector.
    pub(super) fn finish(self) -> LabelSelector {
        let label = |(key, value): (String, Arc<str>)| Requirement {
            key: selector_key(&key),
            operator: Operator::In,
            values: vec![value],
        };
        let expression = |(key, operator, values): (String, Operator, Vec<Arc<str>>)| Requirement {
            key: selector_key(&key),
            operator,
            values,
        };
        LabelSelector {
            labels: self.labels.into_iter().map(label).collect(),
            expressions: self.expressions.into_iter().map(expression).collect(),
        }
    }
}

/// Takes source and name apart at the first dot.
pub(super) fn selector_key(extended: &str) -> SelectorKey {
    let (source, name) = extended.split_once('.').unwrap_or(("", extended));
    SelectorKey {
        source: match source {
            "" | "any" | "unspec" => Source::Any,
            _ => Source::Of(source.into()),
        },
        name: name.into(),
    }
}

fn of_both_sources(name: &str) -> [String; 2] {
    ["k8s", "any"].map(|source| by_source(source, name))
}
