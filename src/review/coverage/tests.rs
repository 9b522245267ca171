//! Coverage of small hand-made clusters.

use super::*;
use crate::engine::{Given, Judge};
use crate::flow::{
    BatchBuilder, Direction as FlowDirection, Endpoint, EventType, FlowBatch, FlowType, Protocol,
    Reply, Row, Verdict, flags,
};
use crate::inventory::Inventory;
use crate::manifest;
use crate::policy::{Options, Taint, TaintScope};

const POLICIES: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: lb}}}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web-out, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
    - toEndpoints: [{matchLabels: {'k8s:k8s-app': kube-dns, 'k8s:io.kubernetes.pod.namespace': kube-system}}]
      toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchPattern: '*'}]}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: lb, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: lb}}
  ingress: [{fromEntities: [all]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: see-names, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: lb}}
  enableDefaultDeny: {egress: false}
  egress: [{toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}]
";

const WORKLOADS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: lb, namespace: shop}
spec: {template: {metadata: {labels: {app: lb}}, spec: {containers: []}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: ops}
spec: {template: {metadata: {labels: {app: agent}}, spec: {hostNetwork: true, containers: []}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: backup, namespace: ops}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: backup}}, spec: {containers: []}}}}}
";

fn given(texts: &[&str]) -> Given {
    let mut given = Given::default();
    for text in texts {
        let outcome = manifest::read(text, "t.yaml".into());
        assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
        for document in outcome.documents {
            let namespace = document.root.get("metadata").unwrap().get("namespace");
            let namespace = namespace.and_then(manifest::Node::as_str);
            if !given.inventory.add(&document.root, namespace) {
                given.documents.push(document);
            }
        }
    }
    given
}

fn of(given: Given) -> Coverage {
    Coverage::of(&Policies::new(given), None)
}

fn workload<'a>(coverage: &'a Coverage, name: &str) -> &'a WorkloadCover {
    coverage
        .workloads
        .iter()
        .find(|workload| &*workload.id.name == name)
        .unwrap()
}

#[test]
fn each_direction_is_what_the_policies_that_select_it_make_of_it() {
    let coverage = of(given(&[POLICIES, WORKLOADS]));

    let web = workload(&coverage, "web");
    assert_eq!(web.ingress.cover, Cover::DefaultDeny);
    assert_eq!(web.egress.cover, Cover::DefaultDeny);
    assert!(web.dns && web.ingress.layer7.is_empty());
    let lb = workload(&coverage, "lb");
    assert_eq!(lb.ingress.cover, Cover::Broad);
    assert_eq!(lb.egress.cover, Cover::NoDefaultDeny);
    assert_eq!(lb.egress.policies.len(), 1);
    let backup = workload(&coverage, "backup");
    assert_eq!(backup.without_policy(), Some(Without::Both));
    assert_eq!(&*backup.id.kind, "CronJob");
    // 2 directions of web, half of one of lb, of 6.
    assert_eq!(coverage.sum().score(), Score { points: 5, of: 12 });
    let namespaces = coverage.namespaces();
    let scores: Vec<Option<u64>> = namespaces
        .values()
        .map(|sum| sum.score().tenths())
        .collect();
    assert_eq!(scores, [Some(0), Some(625)]);
}

#[test]
fn pods_on_the_network_of_their_node_are_out_of_scope() {
    let coverage = of(given(&[POLICIES, WORKLOADS]));
    assert_eq!(coverage.workloads.len(), 3);
    assert_eq!(coverage.host_network.len(), 1);
    assert_eq!(&*coverage.host_network[0].name, "agent");
}

#[test]
fn policies_alone_do_not_tell_what_exists() {
    let coverage = of(given(&[POLICIES]));
    assert!(!coverage.knows_workloads());
    assert_eq!(coverage.policies, 4);
    assert_eq!(coverage.sum().score().value(), None);
}

/// Scenario: a file with policies of one namespace cannot be read.
/// Guarantees: default deny stays, as nothing can take it away; what is below is unknown,
/// in that namespace only, and the place is named.
#[test]
fn what_was_not_read_makes_unknown_what_it_might_change() {
    let mut given = given(&[POLICIES, WORKLOADS]);
    given.taints.push(Taint {
        scope: TaintScope::Namespace("shop".into()),
        file: "broken.yaml".into(),
        at: manifest::Place::default(),
        reason: "broken".to_owned(),
        unmodelled: false,
    });
    let coverage = of(given);

    assert_eq!(workload(&coverage, "web").egress.cover, Cover::DefaultDeny);
    assert_eq!(workload(&coverage, "lb").ingress.cover, Cover::Broad);
    let Cover::Unknown(doubt) = &workload(&coverage, "lb").egress.cover else {
        panic!("known");
    };
    assert_eq!(doubt.cause.name(), "policy unreadable");
    assert!(doubt.place.as_ref().unwrap().starts_with("broken.yaml:"));
    assert_eq!(
        workload(&coverage, "backup").egress.cover,
        Cover::NotSelected
    );
}

#[test]
fn a_policy_by_namespace_labels_leaves_open_whom_it_selects_until_they_are_given() {
    let by_team = r"
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: team}
spec:
  endpointSelector: {matchLabels: {'k8s:io.cilium.k8s.namespace.labels.team': a}}
  ingress: [{fromEndpoints: [{matchLabels: {app: x}}]}]
";
    let namespace = r"
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: a}}
";
    let coverage = of(given(&[by_team, WORKLOADS]));
    let cover = &workload(&coverage, "backup").ingress.cover;
    assert!(matches!(cover, Cover::Unknown(doubt) if doubt.cause == Cause::NamespaceUnknown));
    assert_eq!(
        workload(&coverage, "backup").egress.cover,
        Cover::NotSelected
    );

    let coverage = of(given(&[by_team, WORKLOADS, namespace]));
    assert_eq!(
        workload(&coverage, "backup").ingress.cover,
        Cover::DefaultDeny
    );
}

#[test]
fn agents_that_always_enforce_deny_without_a_policy_and_those_that_never_do_deny_nothing() {
    let with = |value: &str| {
        let mut given = given(&[POLICIES, WORKLOADS]);
        given.options = Options::default();
        given.options.set("enable-policy", value).unwrap();
        of(given)
    };
    assert_eq!(with("always").sum().score().tenths(), Some(916));
    assert_eq!(with("never").sum().score().tenths(), Some(0));
    let mut strict = given(&[POLICIES, WORKLOADS]);
    strict.strict = true;
    assert_eq!(of(strict).sum().unknown(), 6);
}

/// One side of a flow.
fn pod(name: &str, labels: &[&str], owner: Option<(&str, &str)>) -> Endpoint {
    let mut labels: Vec<Arc<str>> = labels.iter().map(|&text| text.into()).collect();
    labels.push("k8s:io.kubernetes.pod.namespace=shop".into());
    labels.push("k8s:io.cilium.k8s.policy.cluster=default".into());
    Endpoint {
        identity: 4_711,
        namespace: "shop".into(),
        pod: name.into(),
        labels,
        workloads: owner
            .into_iter()
            .map(|(kind, name)| crate::flow::Workload {
                kind: kind.into(),
                name: name.into(),
            })
            .collect(),
        ..Endpoint::default()
    }
}

/// Forwarded TCP packets seen at their destination.
fn arriving(flows: &[(Endpoint, Endpoint, bool)]) -> FlowBatch {
    let mut builder = BatchBuilder::default();
    for (source, destination, encrypted) in flows {
        let mut endpoint = |endpoint: &Endpoint| builder.interner().endpoint(endpoint.clone());
        let (source, destination) = (endpoint(source), endpoint(destination));
        let row = Row {
            source,
            destination,
            verdict: Verdict::FORWARDED,
            flow_type: FlowType::L3_L4,
            event_type: EventType::TRACE.0,
            direction: FlowDirection::INGRESS,
            reply: Reply::No,
            protocol: Protocol::Tcp,
            source_port: 40_000,
            destination_port: 8_080,
            flags: if *encrypted { flags::ENCRYPTED } else { 0 },
            ..Row::default()
        };
        builder.push(row, || unreachable!());
    }
    builder.finish()
}

fn watched(policies: &Arc<Policies>, batch: &FlowBatch) -> Traffic {
    let mut judge = Judge::new(policies.clone());
    let mut traffic = Traffic::default();
    for row in batch.rows() {
        let judgement = judge.judge(row);
        traffic.observe(row, &judgement);
    }
    traffic
}

/// Scenario: two pods of one Deployment, one of them seen without its owner, are reached
/// by two pods of another workload and by one of a third.
/// Guarantees: pods are put to their workloads, with the manifest's where the labels are
/// the same; peers are counted by workload; threads add up to what one would see.
#[test]
fn flows_and_manifests_are_one_workload_and_peers_are_counted_by_workload() {
    let policies = Arc::new(Policies::new(given(&[POLICIES, WORKLOADS])));
    let api = |name| pod(name, &["k8s:app=api"], Some(("Deployment", "api-server")));
    let web = |name| pod(name, &["k8s:app=web"], None);
    let flows = [
        (web("web-a"), api("api-1"), true),
        (web("web-b"), api("api-1"), false),
        (web("web-b"), pod("api-1", &["k8s:app=api"], None), false),
        (pod("cache-0", &[], None), api("api-2"), false),
    ];
    let whole = watched(&policies, &arriving(&flows));
    let mut merged = watched(&policies, &arriving(&flows[..1]));
    merged.merge(watched(&policies, &arriving(&flows[1..])));

    for traffic in [whole, merged] {
        let coverage = Coverage::of(&policies, Some(&traffic));
        let names: Vec<&str> = coverage
            .workloads
            .iter()
            .map(|workload| &*workload.id.name)
            .collect();
        assert_eq!(names, ["backup", "api-server", "cache", "lb", "web"]);
        let api = workload(&coverage, "api-server");
        assert_eq!(api.without_policy(), Some(Without::Both));
        assert_eq!((api.ingress.flows, api.ingress.peers), (4, 2));
        assert_eq!((api.packets, api.encrypted), (4, 1));
        let web = workload(&coverage, "web");
        assert!(web.in_documents && web.in_flows);
        assert_eq!((web.egress.flows, web.packets), (0, 3));
        assert_eq!(coverage.flows, Some(4));
    }
}

#[test]
fn pods_without_labels_are_unknown() {
    let policies = Arc::new(Policies::new(given(&[POLICIES])));
    let masked = Endpoint {
        labels: Vec::new(),
        ..pod("web-7d5b9c6f48-hx2vp", &[], None)
    };
    let batch = arriving(&[(masked.clone(), masked, false)]);
    let coverage = Coverage::of(&policies, Some(&watched(&policies, &batch)));
    let cover = &workload(&coverage, "web").ingress.cover;
    assert!(matches!(cover, Cover::Unknown(doubt) if doubt.cause == Cause::NoLabels));
}

#[test]
fn nothing_given_is_nothing_known() {
    let inventory = Inventory::default();
    let coverage = of(Given {
        inventory,
        ..Given::default()
    });
    assert_eq!(coverage.sum(), Sum::default());
}
