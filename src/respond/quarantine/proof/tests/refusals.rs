//! Where success is not claimed.

use super::cluster::Cluster;
use super::{order, plan};
use crate::policy::{Enforcement, OptionName, Options};
use crate::respond::Target;
use crate::respond::quarantine::proof::{Doubt, LabelReach, Probes, Proof, prove};
use crate::respond::quarantine::{Pattern, PlanError};
use crate::review::assert::Holds;

const PODS: &str = "apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec:
  containers:
  - {name: c, livenessProbe: {httpGet: {port: 80}}}
---
apiVersion: v1
kind: Pod
metadata: {name: agent-1, namespace: shop, labels: {app: agent}}
spec: {hostNetwork: true, containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app: web, track: canary}}
spec: {containers: []}
";

fn options() -> Options {
    Options {
        cluster_name: "c1".into(),
        ..Options::default()
    }
}

fn proof(cluster: &Cluster, target: &str, pattern: Pattern) -> Proof {
    let target = cluster
        .known
        .settle(Target::parse(target).unwrap())
        .unwrap();
    let plan = plan(&order(target, pattern), &cluster.known, Some("c1")).unwrap();
    prove(&plan, &cluster.scene())
}

fn doubts(proof: &Proof) -> Vec<Doubt> {
    proof.undecided.iter().map(|one| one.doubt).collect()
}

#[test]
fn a_pod_on_its_nodes_network_is_not_said_to_be_cut_off() {
    let cluster = Cluster::of(PODS);
    let proof = proof(&cluster, "shop/agent-1", Pattern::LabelQuarantine);
    assert_eq!(proof.holds(), Holds::Undecided);
    assert_eq!(doubts(&proof), [Doubt::HostNetwork]);
    assert!(proof.undecided[0].instead.contains("drain"));
}

#[test]
fn a_probed_pod_stays_probed_and_its_other_replica_is_counted() {
    let cluster = Cluster::of(PODS);
    let proof = proof(&cluster, "shop/web-1", Pattern::LabelQuarantine);
    assert_eq!(proof.holds(), Holds::Proven, "{:?}", proof.undecided);
    assert_eq!(proof.collateral.probes, Probes::GoOn);
    assert_eq!(proof.label, LabelReach::Assumed);
    assert_eq!(proof.kept.len(), 1, "{:#?}", proof.kept);
    assert_eq!(proof.kept[0].peers, ["host"]);
}

#[test]
fn agents_that_leave_the_label_out_make_it_undecided() {
    let config = "---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {labels: 'k8s:app k8s:io.kubernetes.pod.namespace'}
";
    let cluster = Cluster::of(&format!("{PODS}{config}"));
    let proof = proof(&cluster, "shop/web-1", Pattern::LabelQuarantine);
    assert_eq!(proof.holds(), Holds::Undecided);
    assert_eq!(doubts(&proof), [Doubt::LabelFiltered]);
}

#[test]
fn under_strict_what_was_assumed_is_undecided() {
    let cluster = Cluster::given(PODS, options(), true);
    let proof = proof(&cluster, "shop/web-1", Pattern::LabelQuarantine);
    assert_eq!(proof.holds(), Holds::Undecided);
    let doubts = doubts(&proof);
    assert!(doubts.contains(&Doubt::LabelFiltered), "{doubts:?}");
    assert!(doubts.len() > 1, "{doubts:?}");
}

#[test]
fn where_policy_is_off_everything_leaks_and_no_rule_closes_it() {
    let mut options = options();
    options.enforcement = Enforcement::Never;
    options.given.insert(OptionName::Enforcement);
    let cluster = Cluster::with(PODS, options);
    let proof = proof(&cluster, "shop/web-1", Pattern::LabelQuarantine);
    assert_eq!(proof.holds(), Holds::Refuted);
    let closing = proof.open[0].closed_by.as_ref().unwrap();
    assert!(!closing.tried);
    assert!(closing.words.contains("enable-policy"), "{}", closing.words);
}

#[test]
fn a_node_is_never_proven() {
    let cluster = Cluster::of(PODS);
    let without = proof(&cluster, "node:n1", Pattern::Node);
    assert!(doubts(&without).contains(&Doubt::HostFirewall));
    let mut options = options();
    options.host_firewall = true;
    options.given.insert(OptionName::HostFirewall);
    let cluster = Cluster::with(PODS, options);
    let with = proof(&cluster, "node:n1", Pattern::Node);
    assert_eq!(doubts(&with), [Doubt::NodeOwner]);
    assert!(with.open.is_empty(), "{:#?}", with.open);
    assert_eq!(with.holds(), Holds::Undecided);
    assert!(
        with.kept.iter().any(|leak| leak
            .peers
            .iter()
            .any(|peer| peer.starts_with("kube-apiserver outside"))),
        "{:#?}",
        with.kept
    );
}

#[test]
fn a_conflict_of_the_rules_in_force_leaves_it_undecided() {
    let rules = "---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: b, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {kafka: [{topic: x}]}}]
";
    let cluster = Cluster::of(&format!("{PODS}{rules}"));
    let proof = proof(&cluster, "shop/web-1", Pattern::LabelQuarantine);
    assert_eq!(proof.holds(), Holds::Undecided, "{:#?}", proof.open);
    assert!(
        doubts(&proof)
            .iter()
            .any(|doubt| doubt.name() == "rules in conflict")
    );
}

#[test]
fn an_address_of_a_pod_is_not_cut_by_a_prefix() {
    let pod = "---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: shop, labels: {app: db}}
spec: {containers: []}
status: {podIP: 10.0.0.9}
";
    let cluster = Cluster::of(&format!("{PODS}{pod}"));
    let order = order(Target::parse("10.0.0.9").unwrap(), Pattern::CutDestination);
    let error = plan(&order, &cluster.known, None).unwrap_err();
    assert!(matches!(error, PlanError::IsInside { .. }), "{error}");
}

#[test]
fn a_name_without_an_address_cannot_be_cut() {
    let cluster = Cluster::of(PODS);
    let order = order(Target::parse("x.example").unwrap(), Pattern::CutDestination);
    let error = plan(&order, &cluster.known, None).unwrap_err();
    assert_eq!(error, PlanError::NoAddress("x.example".into()));
}
