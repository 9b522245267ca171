//! Policies that change while flows are judged.
//!
//! Proves that a piece is judged by one set of policies, the next by the newest, and that
//! what flows told before stays known; then the same of the program (`program`).

mod program;

use std::sync::Arc;

use bytes::Bytes;
use flowwatch::engine::{Agreement, Current, Given, Judge, Judgement, Policies};
use flowwatch::flow::FlowBatch;
use flowwatch::manifest::read;
use flowwatch::policy::{Cause, Verdict};
use flowwatch::source::file::{Chunk, LineDecoder};
use serde_json::{Value, json};

/// A policy of `srv`.
fn policy(name: &str, rules: &Value) -> Value {
    let mut spec = json!({"endpointSelector": {"matchLabels": {"app": "srv"}}});
    for (key, value) in rules.as_object().expect("rules") {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

/// Lets one application in.
fn lets_in(name: &str, app: &str) -> Value {
    let from = json!({"fromEndpoints": [{"matchLabels": {"app": app}}]});
    policy(name, &json!({"ingress": [from]}))
}

fn pod(app: &str) -> Value {
    json!({
        "identity": 1000 + app.len(),
        "namespace": "default",
        "pod_name": format!("{app}-0"),
        "labels": [
            format!("k8s:app={app}"),
            "k8s:io.kubernetes.pod.namespace=default",
            "k8s:io.cilium.k8s.policy.cluster=c1",
        ],
    })
}

fn flow(changes: &Value) -> Value {
    let mut flow = json!({
        "time": "2026-01-02T03:04:05Z",
        "verdict": "FORWARDED",
        "IP": {"source": "10.0.1.2", "destination": "10.0.1.1", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 45678, "destination_port": 80, "flags": {"SYN": true}}},
        "Type": "L3_L4",
        "node_name": "c1/n1",
        "event_type": {"type": 5},
    });
    for (key, value) in changes.as_object().expect("fields") {
        flow[key] = value.clone();
    }
    json!({"flow": flow, "node_name": "c1/n1", "time": flow["time"]})
}

/// A connection from a pod to `srv` that the cluster let pass.
fn incoming(app: &str, changes: &Value) -> Value {
    let mut fields = json!({
        "source": pod(app), "destination": pod("srv"), "traffic_direction": "INGRESS",
    });
    for (key, value) in changes.as_object().expect("fields") {
        fields[key] = value.clone();
    }
    flow(&fields)
}

fn given(policies: &[Value]) -> Given {
    Given {
        documents: policies
            .iter()
            .flat_map(|policy| read(&policy.to_string(), "policy.json".into()).documents)
            .collect(),
        complete: true,
        ..Given::default()
    }
}

/// Each value on a line of its own.
fn lines(values: &[Value]) -> String {
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

/// Judges by policies that change.
struct Session {
    current: Arc<Current>,
    judges: Vec<Judge>,
    decoder: LineDecoder,
    pieces: u64,
}

impl Session {
    fn under(policies: &[Value]) -> Self {
        let current = Arc::new(Current::new(Policies::new(given(policies))));
        Self {
            judges: vec![
                Judge::current(current.clone()),
                Judge::current(current.clone()),
            ],
            current,
            decoder: LineDecoder::default(),
            pieces: 0,
        }
    }

    fn reload(&self, policies: &[Value]) {
        let (before, _) = self.current.get();
        self.current.replace(before.succeeded_by(given(policies)));
    }

    fn batch(&mut self, flows: &[Value]) -> FlowBatch {
        let chunk = Chunk {
            bytes: Bytes::from(lines(flows)),
            dropped: 0,
            damaged: None,
        };
        let mut batches = Vec::new();
        self.decoder.decode(&chunk, |_, batch| batches.push(batch));
        assert_eq!(batches.len(), 1);
        batches.remove(0)
    }

    /// The next piece, by the judges in turn.
    fn piece(&mut self, flows: &[Value]) -> Vec<Judgement> {
        let batch = self.batch(flows);
        let judge = &mut self.judges[self.pieces as usize % 2];
        judge.renew();
        judge.begin(self.pieces, 0, std::slice::from_ref(&batch));
        self.pieces += 1;
        let judged = batch.rows().map(|row| judge.judge(row)).collect();
        judge.end_of(&batch);
        judged
    }

    fn agreement(&mut self, flow: &Value) -> Agreement {
        self.piece(std::slice::from_ref(flow))[0].agreement
    }
}

#[test]
fn the_next_piece_is_judged_by_the_newest_policies() {
    let mut session = Session::under(&[lets_in("p", "a")]);
    let (a, b) = (incoming("a", &json!({})), incoming("bb", &json!({})));
    for _ in 0..3 {
        assert_eq!(session.agreement(&a), Agreement::Equal);
        assert_eq!(session.agreement(&b), Agreement::Drift);
    }
    session.reload(&[lets_in("p", "bb")]);
    for _ in 0..3 {
        assert_eq!(session.agreement(&a), Agreement::Drift);
        assert_eq!(session.agreement(&b), Agreement::Equal);
    }
    assert_eq!(session.current.number(), 1);
}

#[test]
fn a_piece_is_judged_by_one_set_to_its_end() {
    let mut session = Session::under(&[lets_in("p", "a")]);
    let a = incoming("a", &json!({}));
    let batch = session.batch(&[a.clone(), a.clone()]);
    let mut judge = Judge::current(session.current.clone());
    assert!(!judge.renew());
    judge.begin(0, 0, std::slice::from_ref(&batch));
    let mut verdicts = Vec::new();
    for row in batch.rows() {
        verdicts.push(judge.judge(row).agreement);
        session.reload(&[lets_in("p", "bb")]);
    }
    assert_eq!(verdicts, [Agreement::Equal, Agreement::Equal]);
    judge.end_of(&batch);
    assert!(judge.renew());
    assert!(!judge.renew());
    judge.begin(1, 0, std::slice::from_ref(&batch));
    let row = batch.rows().next().unwrap();
    assert_eq!(judge.judge(row).agreement, Agreement::Drift);
}

/// Scenario: DNS gives a name while no policy asks for names; then one does.
/// Guarantees: the name is known to the policies that came after it.
#[test]
fn names_that_dns_gave_stay_known() {
    let answer = flow(&json!({
        "source": pod("dns"), "destination": pod("srv"), "traffic_direction": "INGRESS",
        "Type": "L7", "event_type": {"type": 129}, "is_reply": true,
        "l7": {"type": "RESPONSE", "dns": {
            "query": "api.mail.example.", "ips": ["9.9.9.9"], "ttl": 300, "rcode": 0,
            "qtypes": ["A"], "rrtypes": ["A"], "observation_source": "proxy",
        }},
    }));
    let out = flow(&json!({
        "time": "2026-01-02T03:04:09Z",
        "IP": {"source": "10.0.1.1", "destination": "9.9.9.9", "ipVersion": "IPv4"},
        "source": pod("srv"),
        "destination": {"identity": 16_777_300, "labels": ["reserved:world"]},
        "traffic_direction": "EGRESS",
    }));
    let to = |name: &str| {
        policy(
            "p",
            &json!({"egress": [{"toFQDNs": [{"matchName": name}]}]}),
        )
    };
    let mut session = Session::under(&[policy("p", &json!({"egress": [{}]}))]);
    session.piece(std::slice::from_ref(&answer));
    assert_eq!(session.agreement(&out), Agreement::Drift);
    session.reload(&[to("api.mail.example")]);
    assert_eq!(session.agreement(&out), Agreement::Equal);
    session.reload(&[to("other.example")]);
    assert!(matches!(session.agreement(&out), Agreement::Unknown(_)));
    session.reload(&[to("api.mail.example")]);
    assert_eq!(session.agreement(&out), Agreement::Equal);
}

/// Scenario: Hubble names two policies that were not given; one is given later, then both.
/// Guarantees: their subject is unknown until it has all, whatever is reloaded between.
#[test]
fn a_missing_policy_is_missed_until_it_is_given() {
    let named = |name: &str| {
        let policy = json!({"kind": "CiliumNetworkPolicy", "namespace": "default", "name": name});
        incoming("a", &json!({"ingress_allowed_by": [policy]}))
    };
    let missed = Agreement::Unknown(Cause::PolicyNotLoaded);
    let plain = incoming("a", &json!({}));
    let mut session = Session::under(&[lets_in("p", "a")]);
    assert_eq!(session.agreement(&plain), Agreement::Equal);
    assert_eq!(session.agreement(&named("q")), missed);
    assert_eq!(session.agreement(&named("r")), missed);
    session.reload(&[lets_in("p", "a"), lets_in("q", "a")]);
    for _ in 0..2 {
        assert_eq!(session.agreement(&plain), missed);
    }
    session.reload(&["p", "q", "r"].map(|name| lets_in(name, "a")));
    for _ in 0..2 {
        assert_eq!(session.agreement(&plain), Agreement::Equal);
        assert_eq!(session.agreement(&named("r")), Agreement::Equal);
    }
    session.reload(&[lets_in("p", "a"), lets_in("q", "a")]);
    assert_eq!(session.agreement(&plain), missed);
}

/// Guarantees: what is known of pods changes with the documents, and a policy that is
/// rejected after the change has no rules any more.
#[test]
fn documents_of_the_cluster_and_rejections_change_too() {
    let by_name = policy(
        "p",
        &json!({"ingress": [{
            "fromEndpoints": [{"matchLabels": {"app": "a"}}],
            "toPorts": [{"ports": [{"port": "web", "protocol": "TCP"}]}],
        }]}),
    );
    let mut session = Session::under(std::slice::from_ref(&by_name));
    let a = incoming("a", &json!({}));
    assert_eq!(session.agreement(&a), Agreement::Drift);
    let workload = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "srv-0", "namespace": "default", "labels": {"app": "srv"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 80}]}]},
    });
    let (before, _) = session.current.get();
    let mut with_pod = given(std::slice::from_ref(&by_name));
    for document in given(&[workload]).documents {
        assert!(with_pod.inventory.add(&document.root, Some("default")));
    }
    session.current.replace(before.succeeded_by(with_pod));
    assert_eq!(session.agreement(&a), Agreement::Equal);
    let rejected = policy("p", &json!({"ingress": [{"fromCIDR": ["no prefix"]}]}));
    session.reload(&[rejected]);
    let judged = session.piece(std::slice::from_ref(&a)).remove(0);
    let verdict = judged.computed.map(|computed| computed.verdict);
    assert_eq!(verdict, Some(Verdict::Allowed));
}
