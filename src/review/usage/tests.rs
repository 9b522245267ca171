//! What recordings by hand do to rules.

use std::sync::Arc;

use super::gather::Unjudged;
use super::*;
use crate::connection::{Edge, Peer, PeerId};
use crate::engine::Policies;
use crate::flow::Protocol;
use crate::inventory::{Identity, Label, UNNUMBERED};
use crate::manifest::{self, Scope};
use crate::policy::{Direction, Question, Verdict, written};
use crate::review::report::Seen;
use crate::review::simulate::tests::policies;

/// Policies of namespace `x`.
pub(in crate::review) fn given(text: &str) -> Policies {
    let mut documents = manifest::read(text, "p.yaml".into()).documents;
    for document in &mut documents {
        document.scope = Scope::Namespace("x".into());
    }
    policies(documents)
}

/// A recording of one connection from `app=a` to `app=b` on port 80 of namespace `x`, whose
/// client's side has this verdict.
pub(in crate::review) fn one_connection(policies: &Policies, verdict: Verdict) -> Usage {
    let pod = |app: &str| Identity {
        number: UNNUMBERED,
        labels: vec![
            Label::new("k8s", "app", app),
            Label::new("k8s", "io.kubernetes.pod.namespace", "x"),
            Label::new("k8s", "io.cilium.k8s.policy.cluster", "default"),
        ],
        ..Identity::default()
    };
    let cluster = policies.cluster(None);
    let side = SideCase {
        cluster: policies.place(&cluster),
        question: Question {
            subject: cluster.index(pod("a"), false),
            direction: Direction::Egress,
            peer: cluster.index(pod("b"), false),
            protocol: 6,
            port: 80,
        },
        verdict,
        request: None,
    };
    let mut seen = Seen::default();
    seen.at(1_000_000_000);
    Usage {
        connections: 1,
        rows: vec![UsageRow {
            sides: [Some(side.clone()), None],
            edge: edge(0, 1),
            count: 1,
            seen,
        }],
        cases: vec![Arc::new([Some(side), None])],
        peers: vec![Peer::Unknown; 4],
        ..Usage::default()
    }
}

fn edge(client: u32, server: u32) -> Edge {
    Edge {
        client: PeerId(client),
        server: PeerId(server),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

/// Scenario: of a connection nobody knows who opened it, nor who one end or both are.
/// Guarantees: every rule that it might fall under is doubted, with all of its peers.
#[test]
fn a_connection_of_somebody_unknown_doubts_every_rule_it_may_need() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: x}\nspec:\n  endpointSelector: {matchLabels: {app: c}}\n  egress:\n  - toEndpoints: [{matchLabels: {app: d}}]\n  ingress:\n  - fromEndpoints: [{matchLabels: {app: a}}]\n";
    for (ends, wanted) in [((2, 3), [true, true]), ((0, 3), [false, true])] {
        let policies = given(text);
        let mut usage = one_connection(&policies, Verdict::Allowed);
        usage.unjudged.push(Unjudged {
            edge: edge(ends.0, ends.1),
            oriented: false,
            count: 1,
        });
        let set = policies.any_set();
        let rules = written(&set, policies.documents());
        assert_eq!(rules.len(), 2);
        let tally = tallied(&usage, &policies, &set, &rules, &[]);
        for (rule, uses) in rules.iter().zip(&tally.uses) {
            let wanted = wanted[usize::from(rule.direction == Direction::Ingress)];
            let is_doubted = |one: &Use| one.doubts.contains_key(&Doubt::Unjudged);
            assert_eq!(is_doubted(&uses.rule), wanted, "{ends:?} {rule:?}");
            assert_eq!(uses.parts.iter().all(is_doubted), wanted, "{ends:?}");
        }
    }
}
