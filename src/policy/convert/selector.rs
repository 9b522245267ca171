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

/// Takes source and name apart at the first dot; `$` is short for a source too.
fn selector_key(extended: &str) -> SelectorKey {
    let (source, name) = match extended.strip_prefix('$') {
        Some(name) => ("reserved", name),
        None => extended.split_once('.').unwrap_or(("", extended)),
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::read::Text;

    fn written(keys: &[&str]) -> Selector {
        let text = |value: &str| Text {
            value: value.into(),
            ..Text::default()
        };
        Selector {
            labels: keys.iter().map(|key| (text(key), text("x"))).collect(),
            ..Selector::default()
        }
    }

    fn scope(namespace: &'static str, init: bool) -> Scope<'static> {
        Scope {
            namespace,
            cluster: Some("c1"),
            init,
        }
    }

    /// The keys that a peer asks for, `source:name`, in the order of its text.
    fn keys(peer: PeerSelector) -> Vec<String> {
        let PeerSelector::Labels(selector) = peer else {
            return vec!["everyone".to_owned()];
        };
        let key = |requirement: &Requirement| match &requirement.key.source {
            Source::Any => format!("any:{}", requirement.key.name),
            Source::Of(source) => format!("{source}:{}", requirement.key.name),
        };
        selector.requirements().map(key).collect()
    }

    const CLUSTER: &str = "k8s:io.cilium.k8s.policy.cluster";
    const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";

    #[test]
    fn a_peer_of_a_namespaced_policy_is_in_its_namespace_and_cluster() {
        let keys =
            |written_keys: &[&str]| keys(endpoints(&written(written_keys), scope("n", false)));

        assert_eq!(keys(&[]), [CLUSTER, NAMESPACE]);
        assert_eq!(keys(&["app"]), ["any:app", CLUSTER, NAMESPACE]);
        let other = "io.kubernetes.pod.namespace";
        assert_eq!(keys(&[other]), [&format!("any:{other}"), CLUSTER]);
        let labels = "io.cilium.k8s.namespace.labels.team";
        assert_eq!(keys(&[labels]), [&format!("any:{labels}"), CLUSTER]);
        let cluster = "io.cilium.k8s.policy.cluster";
        assert_eq!(keys(&[cluster]), [&format!("any:{cluster}"), NAMESPACE]);
        assert_eq!(keys(&["$host"]), ["reserved:host"]);
    }

    #[test]
    fn a_peer_of_a_cluster_wide_policy_is_in_some_namespace() {
        let none: [&str; 0] = [];
        assert_eq!(
            keys(endpoints(&written(&none), scope("", false))),
            [CLUSTER, NAMESPACE]
        );
        assert_eq!(keys(endpoints(&written(&none), scope("", true))), [CLUSTER]);
        let everywhere = Scope {
            cluster: None,
            ..scope("", true)
        };
        assert_eq!(keys(endpoints(&written(&none), everywhere)), ["everyone"]);
    }

    #[test]
    fn node_peers_are_other_nodes() {
        assert_eq!(
            keys(nodes(&written(&["zone"]), scope("", false))),
            ["any:zone", CLUSTER, "reserved:remote-node"]
        );
    }

    #[test]
    fn a_subject_is_in_the_namespace_of_the_policy_whatever_it_says() {
        let key = "k8s:io.kubernetes.pod.namespace";
        let subject = subject(&written(&[key]), "n");
        assert_eq!(subject.labels.len(), 1);
        assert_eq!(subject.labels[0].values, ["n".into()]);
    }

    #[test]
    fn a_dot_parts_source_and_name() {
        let key = |text| {
            let key = selector_key(text);
            (key.source, key.name.to_string())
        };
        assert_eq!(key("any.app"), (Source::Any, "app".into()));
        assert_eq!(key("app"), (Source::Any, "app".into()));
        assert_eq!(key("any.k8s.app"), (Source::Any, "k8s.app".into()));
        assert_eq!(key("k8s.a.b/c"), (Source::Of("k8s".into()), "a.b/c".into()));
        assert_eq!(key("$x"), (Source::Of("reserved".into()), "x".into()));
    }
}
