//! Proofs against the naive evaluator over all pairs, and what is refused.
//!
//! `FLOWWATCH_CASES` sets how many clusters are tried; 1,000 were when this was written.

mod cluster;
mod refusals;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::cluster::{Cluster, Dice};
use super::bench::documents;
use super::cast::{Cast, Somebody};
use super::*;
use crate::connection::Peer;
use crate::engine::Policies;
use crate::flow::Protocol;
use crate::inventory::{Identity, Label};
use crate::policy::tests::naive::{Connection, Naive, verdict};
use crate::policy::{Direction, PolicySet};
use crate::respond::quarantine::{Order, Pattern, plan};
use crate::respond::{Target, TargetEdge};

/// Ports that are asked about one by one.
const TARGETS: [(u8, u16); 9] = [
    (6, 80),
    (6, 85),
    (6, 443),
    (6, 8080),
    (17, 53),
    (17, 8080),
    (132, 9999),
    (1, 8),
    (1, 0),
];

/// Direction, subject, peer, protocol, port.
type Pair = (Direction, String, String, u8, u16);

fn cases() -> u64 {
    std::env::var("FLOWWATCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(250)
}

fn order(target: Target, pattern: Pattern) -> Order {
    Order {
        target,
        pattern: Some(pattern),
        incident: "INC-1".into(),
        expires: "2026-06-16T18:00:00Z".parse().unwrap(),
        cut: None,
        keep: Vec::new(),
        addresses: Vec::new(),
        files: Vec::new(),
    }
}

/// An identity as the naive evaluator sees it: what follows from an address is written out.
fn naive(identity: &Identity) -> Identity {
    let mut identity = identity.clone();
    if identity.address.is_some() {
        identity
            .labels
            .push(Label::new("reserved", "world-ipv4", ""));
    }
    identity
}

/// Whether a connection passes, both sides asked by the naive evaluator.
fn passes(
    set: &PolicySet,
    subject: &Identity,
    direction: Direction,
    peer: &Identity,
    (protocol, port): (u8, u16),
) -> bool {
    let side = |subject: &Identity, direction, peer: &Identity| {
        let has = |name: &str| {
            subject
                .labels
                .iter()
                .any(|label| &*label.source == "reserved" && &*label.key == name)
        };
        let is_pod = subject.labels.iter().any(|label| &*label.source == "k8s");
        if !(is_pod || has("health") || has("ingress") || has("unmanaged")) || has("remote-node") {
            return true;
        }
        let said = verdict(
            set,
            &Connection {
                subject,
                peer,
                direction,
                protocol,
                port,
            },
        );
        matches!(said, Naive::Allowed | Naive::Redirected)
    };
    let (subject, peer) = (naive(subject), naive(peer));
    side(&subject, direction, &peer) && side(&peer, bench::opposite(direction), &subject)
}

/// Pairs that lists of a proof stand for.
fn listed<'a>(
    lists: impl Iterator<Item = (Direction, &'a [String], &'a [String], &'a [Span])>,
) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for (direction, subjects, peers, spans) in lists {
        for (protocol, port) in TARGETS {
            if !spans.iter().any(|span| span.contains(protocol, port)) {
                continue;
            }
            for subject in subjects {
                for peer in peers {
                    pairs.insert((direction, subject.clone(), peer.clone(), protocol, port));
                }
            }
        }
    }
    pairs
}

fn leaks<'a>(leaks: impl Iterator<Item = &'a Leak>) -> BTreeSet<Pair> {
    listed(
        leaks
            .filter(|leak| !leak.possible)
            .map(|leak| (leak.direction, &*leak.subjects, &*leak.peers, &*leak.spans)),
    )
}

fn cuts<'a>(cuts: impl Iterator<Item = &'a Permitted>) -> BTreeSet<Pair> {
    listed(cuts.map(|cut| {
        (
            cut.direction,
            &*cut.subjects,
            std::slice::from_ref(&cut.peer),
            &*cut.spans,
        )
    }))
}

/// Everybody but who the naive evaluator does not model: `init` has default deny always.
fn compared(cast: &Cast) -> impl Iterator<Item = &Somebody> {
    cast.peers.iter().filter(|peer| !peer.is_reserved("init"))
}

/// Pairs for which a condition on before and after holds, by the naive evaluator.
fn by_naive(
    cast: &Cast,
    before: &PolicySet,
    after: &PolicySet,
    holds: impl Fn(bool, bool) -> bool,
) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for subject in &cast.subjects {
            for peer in compared(cast) {
                for target in TARGETS {
                    let was = passes(before, &subject.before, direction, &peer.before, target);
                    let is = passes(after, &subject.after, direction, &peer.after, target);
                    if holds(was, is) {
                        pairs.insert((
                            direction,
                            subject.name.clone(),
                            peer.name.clone(),
                            target.0,
                            target.1,
                        ));
                    }
                }
            }
        }
    }
    pairs
}

fn without_init(pairs: BTreeSet<Pair>, cast: &Cast) -> BTreeSet<Pair> {
    let known: BTreeSet<&str> = compared(cast).map(|peer| peer.name.as_str()).collect();
    pairs
        .into_iter()
        .filter(|(_, _, peer, _, _)| known.contains(peer.as_str()))
        .collect()
}

/// Scenario: a random cluster, a random target, a random pattern.
/// Guarantees: what a proof says stays open, and what it says is cut, is what the naive
/// evaluator finds over all pairs; neither more nor less.
#[test]
fn every_leak_and_every_cut_is_that_of_the_naive_evaluator() {
    let mut patterns = std::collections::BTreeMap::<&str, [u64; 4]>::new();
    for seed in 0..cases() {
        let mut dice = Dice::new(seed);
        let cluster = Cluster::random(&mut dice);
        let (target, pattern, cut) = cluster.attack(&mut dice);
        let order = Order {
            cut,
            keep: cluster.keep(&mut dice, pattern),
            ..order(target, pattern)
        };
        let plan = plan(&order, &cluster.known, Some("c1")).unwrap();
        let scene = cluster.scene();
        let proof = prove(&plan, &scene);
        let cast = Cast::new(&plan, &scene);
        let before = cluster.policies.set(Some("c1"));
        let after = before.with(&documents(&plan), cluster.policies.options());

        let found = cuts(proof.cuts.iter().chain(&proof.unmeant));
        let wanted = by_naive(&cast, &before, &after, |was, is| was && !is);
        assert_eq!(
            without_init(found.clone(), &cast),
            wanted,
            "cuts of seed {seed}, {pattern} of {}\n{}\n{}",
            plan.target,
            cluster.text,
            plan.manifests[0].text
        );
        let open = leaks(proof.open.iter());
        let kept = leaks(proof.kept.iter());
        let all: BTreeSet<Pair> = open.union(&kept).cloned().collect();
        let mut wanted = by_naive(&cast, &before, &after, |_, is| is);
        // What a pattern does not speak of stays as it is and is no leak.
        let speaks = |direction: Direction, subject: &str, peer: &str| {
            let find = |of: &[Somebody], name: &str| {
                of.iter().find(|one| one.name == name).unwrap().clone()
            };
            let (subject, peer) = (find(&cast.subjects, subject), find(&cast.peers, peer));
            wanted::wanted(&plan, "c1", direction, &subject, &peer) != wanted::Wanted::Free
        };
        wanted.retain(|(direction, subject, peer, _, _)| speaks(*direction, subject, peer));
        assert_eq!(
            without_init(all, &cast),
            wanted,
            "leaks of seed {seed}, {pattern} of {}\n{}\n{}",
            plan.target,
            cluster.text,
            plan.manifests[0].text
        );
        if pattern != Pattern::KubernetesDenyAll {
            assert!(
                open.is_empty(),
                "{seed} {pattern}: {open:?}\n{}\n{}",
                cluster.text,
                plan.manifests[0].text
            );
            assert_eq!(
                proof.unmeant,
                [],
                "{seed} {pattern}\n{}\n{}",
                cluster.text,
                plan.manifests[0].text
            );
        }
        let counts = patterns.entry(pattern.name()).or_default();
        counts[0] += 1;
        counts[1] += u64::from(!open.is_empty());
        counts[2] += found.len() as u64;
        counts[3] += proof.questions;
    }
    println!("clusters, with leaks, pairs cut, questions: {patterns:?}");
    assert!(patterns.len() >= 5 || cases() < 100);
}

/// Scenario: a pod that a policy allows to be called, and a NetworkPolicy without rules.
/// Guarantees: the proof shows that it takes nothing away, and that a deny rule would.
#[test]
fn a_kubernetes_deny_all_on_a_pod_with_an_allow_is_a_no_op() {
    let cluster = Cluster::of(
        "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: alpha}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: '8080', protocol: TCP}]}]
  egress:
  - toCIDR: [9.9.9.9/32]
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: alpha, labels: {app: api}}
spec: {containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: alpha, labels: {app: web}}
spec: {containers: []}
",
    );
    let target = Target::parse("pod:alpha/api-1").unwrap();
    let make = |pattern| plan(&order(target.clone(), pattern), &cluster.known, Some("c1")).unwrap();
    let scene = cluster.scene();

    let deny_all = make(Pattern::KubernetesDenyAll);
    let proof = prove(&deny_all, &scene);
    assert_eq!(proof.holds(), Holds::Refuted);
    assert_eq!(proof.cuts, []);
    let cast = Cast::new(&deny_all, &scene);
    let set = cluster.policies.set(Some("c1"));
    let before = by_naive(&cast, &set, &set, |was, _| was);
    let open: BTreeSet<Pair> = leaks(proof.open.iter().chain(&proof.kept));
    assert_eq!(without_init(open, &cast), before);
    let from_web = proof
        .open
        .iter()
        .find(|leak| leak.peers == ["alpha/web-1"] && !leak.possible)
        .unwrap();
    assert_eq!(from_web.rules.len(), 1);
    assert_eq!(&*from_web.rules[0].policy, "alpha/api");
    assert_eq!(from_web.rules[0].line, 7);
    let closing = from_web.closed_by.as_ref().unwrap();
    assert!(closing.tried);
    assert!(closing.yaml.starts_with("ingressDeny:"), "{}", closing.yaml);

    let quarantine = make(Pattern::LabelQuarantine);
    let proof = prove(&quarantine, &scene);
    assert_eq!(proof.holds(), Holds::Proven, "{proof:#?}");
    assert_eq!(proof.by_default, 0);
    assert!(proof.cuts.iter().any(|cut| cut.peer == "alpha/web-1"));
}

/// Scenario: a name is cut by the addresses that were seen of it, and a rule allows the name.
/// Guarantees: that it may be at another address tomorrow is a leak, with the rule.
#[test]
fn a_name_that_a_rule_allows_leaks_at_another_address() {
    let cluster = Cluster::of(
        "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: alpha}
spec:
  endpointSelector: {matchLabels: {app: api}}
  egress:
  - toFQDNs: [{matchPattern: '*.edge.example'}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: alpha, labels: {app: api}}
spec: {containers: []}
",
    );
    let mut order = order(
        Target::parse("pod:alpha/api-1").unwrap(),
        Pattern::CutDestination,
    );
    order.cut = Some(Target::parse("x.edge.example").unwrap());
    order.addresses = vec!["203.0.113.7".parse().unwrap()];
    let plan = plan(&order, &cluster.known, Some("c1")).unwrap();
    let proof = prove(&plan, &cluster.scene());
    let open: Vec<&Leak> = proof.open.iter().collect();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0].peers, ["x.edge.example at another address"]);
    assert_eq!(open[0].rules[0].line, 7);
    let closing = open[0].closed_by.as_ref().unwrap();
    assert!(
        !closing.tried && closing.words.contains("policy.yaml:7"),
        "{}",
        closing.words
    );
}

/// Scenario: pods of another cluster have the labels of those who are kept.
/// Guarantees: they are shut out where the cluster's name is known, and named where not.
#[test]
fn what_is_kept_is_kept_in_this_cluster_only() {
    let cluster = Cluster::of(
        "apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: alpha, labels: {app: db}}
spec: {containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: alpha, labels: {app: web}}
spec: {containers: []}
",
    );
    let mut order = order(Target::parse("pod:alpha/db-1").unwrap(), Pattern::RingFence);
    order.keep = vec![Target::parse("pod:alpha/web-1").unwrap()];
    let known = plan(&order, &cluster.known, Some("c1")).unwrap();
    assert_eq!(prove(&known, &cluster.scene()).holds(), Holds::Proven);
    let unknown = plan(&order, &cluster.known, None).unwrap();
    let proof = prove(&unknown, &cluster.scene());
    assert_eq!(proof.holds(), Holds::Refuted);
    assert!(proof.open.iter().all(|leak| {
        leak.possible
            && leak
                .peers
                .iter()
                .all(|peer| peer.starts_with("a pod of another cluster"))
    }));
}

#[test]
fn every_pattern_is_stored_by_the_api_server_and_taken_by_the_agent() {
    let cluster = Cluster::random(&mut Dice::new(7));
    let pod = cluster.pod(0);
    let address = Target::parse("8.8.8.8").unwrap();
    let orders = [
        order(pod.clone(), Pattern::LabelQuarantine),
        order(pod.clone(), Pattern::KubernetesDenyAll),
        Order {
            keep: vec![cluster.pod(1), Target::parse("beta/*").unwrap()],
            ..order(pod.clone(), Pattern::RingFence)
        },
        order(pod.clone(), Pattern::NamespaceLockdown),
        Order {
            cut: Some(address.clone()),
            ..order(pod.clone(), Pattern::CutDestination)
        },
        Order {
            cut: Some(cluster.pod(1)),
            ..order(pod, Pattern::CutDestination)
        },
        order(address, Pattern::CutDestination),
        order(Target::Node("n1".into()), Pattern::Node),
    ];
    for order in orders {
        let plan = plan(&order, &cluster.known, Some("c1")).unwrap();
        let read = documents(&plan);
        assert_eq!(read.len(), 1);
        let text = &plan.manifests[0].text;
        let admission = crate::policy::admit(&read[0].root).unwrap();
        assert_eq!(admission.causes, [], "{text}");
        assert_eq!(admission.outcome, crate::policy::AdmissionOutcome::Stored);
        let set = PolicySet::default().with(&read, cluster.policies.options());
        assert!(
            set.objects[0].rejection.is_none(),
            "{:?}\n{text}",
            set.objects[0].rejection
        );
        assert_eq!(set.objects[0].warnings, [], "{text}");
        assert_eq!(set.objects[0].id, plan.manifests[0].object);
        assert!(!set.entries.is_empty());
        let rollback = crate::manifest::read(&plan.rollback, "x".into()).documents;
        assert_eq!(rollback[0].name(), Some(&*plan.manifests[0].object.name));
    }
}

/// Scenario: the same plan is made twice, and the policy is in force already.
/// Guarantees: nothing differs, and what is in force changes nothing.
#[test]
fn a_quarantine_that_is_in_force_is_proven_again() {
    let cluster = Cluster::random(&mut Dice::new(3));
    let order = order(cluster.pod(0), Pattern::LabelQuarantine);
    let first = plan(&order, &cluster.known, Some("c1")).unwrap();
    assert_eq!(first, plan(&order, &cluster.known, Some("c1")).unwrap());
    let with = Cluster::of(&format!("{}---\n{}", cluster.text, first.manifests[0].text));
    let proof = prove(&first, &with.scene());
    assert_eq!(proof.holds(), Holds::Proven, "{:#?}", proof.open);
    let _: Arc<Policies> = with.policies;
}

/// Scenario: an address outside is cut off, flows know it by a name, and a rule lets one pod
/// call it through the proxy.
/// Guarantees: the connections are found by the address whatever flows call it: they stop, they
/// count as seen among what was permitted, and the proxy's own leg is named.
#[test]
fn connections_to_an_address_are_found_whatever_flows_call_it() {
    let cluster = Cluster::of(
        "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: alpha}
spec:
  endpointSelector: {matchLabels: {app: api}}
  egress:
  - toCIDR: [9.9.9.9/32]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
  - toFQDNs: [{matchName: far.example}]
    toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: alpha, labels: {app: api}}
spec: {containers: []}
",
    );
    let pod = cluster.known.pods().next().unwrap();
    let edge = |own: Peer, port: u16| TargetEdge {
        inward: true,
        own,
        peer: Peer::Workload {
            cluster: "c1".into(),
            namespace: pod.namespace.clone(),
            kind: pod.kind.clone(),
            name: pod.workload.clone(),
        },
        port,
        protocol: Protocol::Tcp,
        connections: 4,
        passed: 4,
        seen: None,
        addresses: BTreeSet::new(),
        own_addresses: ["9.9.9.9".parse().unwrap()].into(),
    };
    let named = Peer::Name("far.example".into());
    let edges = [
        edge(named.clone(), 443),
        edge(named, 80),
        edge(Peer::Prefix("9.9.9.0/24".parse().unwrap()), 443),
        edge(Peer::Entity("world".into()), 443),
    ];
    for target in ["9.9.9.9", "9.9.9.0/24"] {
        let target = Target::parse(target).unwrap();
        let order = order(target, Pattern::CutDestination);
        let plan = plan(&order, &cluster.known, Some("c1")).unwrap();
        let scene = Scene {
            edges: &edges,
            ..cluster.scene()
        };
        let proof = prove(&plan, &scene);
        assert_eq!(proof.collateral.untold, 0);
        assert_eq!(proof.collateral.cut.len(), 4, "{:#?}", proof.collateral);
        assert!(proof.collateral.cut.iter().all(|edge| !edge.inward));
        let established = &proof.collateral.established;
        assert_eq!(established.len(), 1, "{established:#?}");
        assert_eq!(established[0].port, 80);
        assert_eq!(hit(&plan, &scene), proof.collateral);
    }
    let target = Target::parse("9.9.9.9").unwrap();
    let order = order(target, Pattern::CutDestination);
    let plan = plan(&order, &cluster.known, Some("c1")).unwrap();
    let scene = Scene {
        edges: &edges,
        ..cluster.scene()
    };
    let cuts = prove(&plan, &scene).cuts;
    let outward = cuts
        .iter()
        .find(|cut| cut.direction == Direction::Egress)
        .unwrap();
    assert_eq!(outward.peer, "9.9.9.9");
    assert_eq!(outward.seen, 12, "{cuts:#?}");
}
