//! Sets of policies: order, names used twice, what is added to selectors.

use std::sync::Arc;

use flowwatch::manifest::{Document, read};
use flowwatch::policy::{
    AdmissionOutcome, ObjectKind, Operator, Options, PeerSelector, PolicyEntry, PolicySet,
    Requirement, Source, TaintScope, Version, admit, pruned,
};

use super::vectors::checked_in;

const BLOCK: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: k, namespace: shop}
spec:
  podSelector: {}
  ingress: [{from: [{ipBlock: {cidr: 9.9.9.0/24}}]}]
";

const OPEN: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: a}}
  ingress: [{fromEndpoints: [{matchLabels: {app: b}}]}]
";

const CLOSED: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: a}}
  ingress: [{}]
";

fn documents(texts: &[&str]) -> Vec<Document> {
    let read = |(text, number): (&&str, u32)| {
        let outcome = read(text, Arc::from(format!("{number}.yaml")));
        assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
        outcome.documents
    };
    texts.iter().zip(0..).flat_map(read).collect()
}

fn build(texts: &[&str], options: &Options) -> PolicySet {
    PolicySet::build(&documents(texts), &[], &[], options)
}

/// The entries without what depends on the order: the index of their object.
fn entries(set: &PolicySet) -> Vec<String> {
    let one = |entry: &PolicyEntry| {
        let id = &set.objects[entry.object as usize].id;
        let entry = PolicyEntry {
            object: 0,
            ..entry.clone()
        };
        format!("{id} {entry:?}")
    };
    let mut entries: Vec<_> = set.entries.iter().map(one).collect();
    entries.sort();
    entries
}

#[test]
fn the_order_of_documents_changes_no_entry() {
    for case in checked_in() {
        let mut documents: Vec<_> = case
            .policies
            .iter()
            .flat_map(|text| read(text, Arc::from("case.yaml")).documents)
            .collect();
        let set = PolicySet::build(&documents, &case.services, &[], &case.options);
        documents.reverse();
        let services: Vec<_> = case.services.iter().rev().cloned().collect();
        let other = PolicySet::build(&documents, &services, &[], &case.options);

        assert_eq!(entries(&set), entries(&other), "{}", case.id);
        assert_eq!(set.cidr_groups, other.cidr_groups, "{}", case.id);
        assert_eq!(set.objects.len(), other.objects.len(), "{}", case.id);
        let accepted = set
            .objects
            .iter()
            .filter(|object| object.rejection.is_none());
        let expected = case
            .results
            .iter()
            .filter(|result| result.outcome.is_ok() && !result.id.starts_with("CiliumCIDRGroup"));
        assert_eq!(accepted.count(), expected.count(), "{}", case.id);
    }
}

#[test]
fn one_name_twice_is_one_object_or_a_doubt() {
    let options = Options::default();

    let same = build(&[OPEN, OPEN], &options);
    assert_eq!((same.objects.len(), same.entries.len()), (2, 1));
    assert!(same.taints.is_empty());

    let differing = build(&[OPEN, CLOSED], &options);
    assert_eq!(differing.taints.len(), 1);
    assert_eq!(
        differing.taints[0].scope,
        TaintScope::Namespace("shop".into())
    );
    assert_eq!(&*differing.taints[0].file, "1.yaml");
}

#[test]
fn a_policy_keeps_where_it_is_written() {
    let set = build(&[OPEN], &Options::default());

    let object = &set.objects[0];
    assert_eq!(object.id.kind, ObjectKind::CiliumNetworkPolicy);
    assert_eq!((&*object.file, object.at.line), ("0.yaml", 4));
    assert_eq!(set.entries[0].rule.at.line, 7);
}

#[test]
fn peers_are_limited_to_the_namespace_and_the_cluster() {
    let set = build(&[OPEN], &Options::default());

    let Some([PeerSelector::Labels(peer)]) = set.entries[0].peers.as_deref() else {
        panic!("{:?}", set.entries[0].peers)
    };
    let is = |found: &Requirement, source: Source, name: &str, value: &str| {
        found.key.source == source
            && &*found.key.name == name
            && found.operator == Operator::In
            && found.values == [Arc::from(value)]
    };
    let k8s = || Source::Of("k8s".into());
    assert!(is(&peer.labels[0], Source::Any, "app", "b"));
    assert!(is(
        &peer.labels[1],
        k8s(),
        "io.cilium.k8s.policy.cluster",
        "default"
    ));
    assert!(is(
        &peer.labels[2],
        k8s(),
        "io.kubernetes.pod.namespace",
        "shop"
    ));
    assert_eq!((peer.labels.len(), peer.expressions.len()), (3, 0));
}

/// The defect of 1.19.0 to 1.19.4: a block alone lets in the policy's namespace as well.
#[test]
fn an_address_block_is_alone_in_releases_without_the_defect() {
    let peers = |patch, default_local_cluster| {
        let options = Options {
            version: Version {
                major: 1,
                minor: 19,
                patch,
            },
            default_local_cluster,
            ..Options::default()
        };
        let set = build(&[BLOCK], &options);
        set.entries[0].peers.as_ref().map(Vec::len)
    };
    assert_eq!(peers(4, true), Some(2));
    assert_eq!(peers(4, false), Some(1));
    assert_eq!(peers(5, true), Some(1));
}

/// Fields of Cilium in a NetworkPolicy: strict checking refuses them, everybody else drops
/// them, and what is left lets everything in.
#[test]
fn what_is_left_without_unknown_fields_can_be_open() {
    let written = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: k, namespace: shop}
spec:
  podSelector: {}
  ingress: [{fromEndpoints: [{matchLabels: {app: b}}]}]
";
    let documents = documents(&[written]);
    let admission = admit(&documents[0].root).unwrap();
    assert_eq!(admission.outcome, AdmissionOutcome::Malformed);
    assert_eq!(admission.causes[0].field, "spec.ingress[0].fromEndpoints");

    let left = pruned(&documents[0].root);
    assert_eq!(admit(&left).unwrap().outcome, AdmissionOutcome::Stored);
    let set = build(&[written], &Options::default());
    assert_eq!(set.entries[0].peers, None);
    assert_eq!(
        set.objects[0].warnings[0].field,
        "spec.ingress[0].fromEndpoints"
    );
}

/// Whatever a selector of Kubernetes says that cannot be evaluated, it selects the whole
/// namespace: so does an agent with a variable that nobody replaced.
#[test]
fn a_selector_that_cannot_be_evaluated_asks_for_nothing() {
    let set = build(
        &["
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: k, namespace: shop}
spec:
  podSelector: {matchLabels: {app: '${APP}'}}
  egress: [{to: [{podSelector: {matchLabels: {app: '${APP}'}}}]}]
  policyTypes: [Egress]
"],
        &Options::default(),
    );

    let subject = &set.entries[0].subject.selector;
    assert_eq!(subject.requirements().count(), 1);
    assert_eq!(&*subject.labels[0].key.name, "io.kubernetes.pod.namespace");
    assert_eq!(set.entries[0].peers, Some(vec![PeerSelector::Everyone]));
}
