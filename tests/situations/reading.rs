//! What a recorded event says about policy, and whether that agrees with what is computed.

use std::sync::Arc;

use bytes::Bytes;
use flowwatch::engine::{Agreement, Apart, Event, Given, Judge, Judgement, Policies};
use flowwatch::policy::{Cause, Direction, MatchKind, Origin, Verdict};
use flowwatch::source::file::{Chunk, LineDecoder};
use serde_json::{Value, json};

use super::cluster::{documents, policy};

const SRV: (&str, &str) = ("srv", "10.0.1.1");
const A: (&str, &str) = ("a", "10.0.1.2");
const B: (&str, &str) = ("b", "10.0.1.3");

/// Judges one event under policies.
fn judge(policies: &[Value], flow: &Value) -> Judgement {
    judge_with_rules(policies, flow).0
}

/// Judges one event, and names the policies that decided.
fn judge_with_rules(policies: &[Value], flow: &Value) -> (Judgement, Vec<String>) {
    let policies = Policies::new(Given {
        documents: documents(policies),
        complete: true,
        ..Given::default()
    });
    let mut judge = Judge::new(Arc::new(policies));
    let line = json!({"flow": flow, "node_name": "c1/n1", "time": flow["time"]});
    let chunk = Chunk {
        bytes: Bytes::from(format!("{line}\n")),
        dropped: 0,
        damaged: None,
    };
    let mut judged = Vec::new();
    LineDecoder::default().decode(&chunk, |_, batch| {
        judged.extend(batch.rows().map(|row| judge.judge(row)));
    });
    assert_eq!(judged.len(), 1, "{line}");
    let judged = judged.swap_remove(0);
    let names = deciding(&judged, &judge);
    (judged, names)
}

fn pod((app, _): (&str, &str), local: bool) -> Value {
    json!({
        "ID": if local { 100 } else { 0 },
        "identity": 1000 + app.len(),
        "namespace": "default",
        "labels": [
            format!("k8s:app={app}"),
            "k8s:io.kubernetes.pod.namespace=default",
            "k8s:io.cilium.k8s.policy.cluster=c1",
        ],
    })
}

/// An event at the destination, `srv`: a policy verdict unless changed.
fn event(from: (&str, &str), verdict: &str, changes: &Value) -> Value {
    let mut flow = json!({
        "time": "2026-01-02T03:04:05Z",
        "verdict": verdict,
        "IP": {"source": from.1, "destination": SRV.1, "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 45678, "destination_port": 80, "flags": {"SYN": true}}},
        "source": pod(from, false),
        "destination": pod(SRV, true),
        "Type": "L3_L4",
        "node_name": "c1/n1",
        "event_type": {"type": 5},
        "traffic_direction": "INGRESS",
    });
    for (key, value) in changes.as_object().expect("fields") {
        flow[key] = value.clone();
    }
    flow
}

fn from_a() -> Value {
    json!({"fromEndpoints": [{"matchLabels": {"app": "a"}}]})
}

fn allow_a() -> Value {
    policy("p1", &json!({"ingress": [from_a()]}))
}

fn proxied() -> Value {
    let mut element = from_a();
    element["toPorts"] = json!([{
        "ports": [{"port": "80", "protocol": "TCP"}],
        "rules": {"http": [{"method": "GET"}]},
    }]);
    policy("http", &json!({"ingress": [element]}))
}

fn verdict(judgement: &Judgement) -> Verdict {
    judgement.computed.as_ref().expect("a verdict").verdict
}

/// Names of the policies that decided.
fn deciding(judgement: &Judgement, judge: &Judge) -> Vec<String> {
    let Some(computed) = &judgement.computed else {
        return Vec::new();
    };
    let compiled = judge.policies(computed.cluster).read();
    let rules = compiled.rules(computed.decision.rules);
    rules
        .iter()
        .map(|origin| match origin {
            Origin::Entry(index) => {
                let set = compiled.set();
                let entry = &set.entries[*index as usize];
                set.objects[entry.object as usize].id.to_string()
            }
            own => own.reserved_name().expect("the agent's own").to_owned(),
        })
        .collect()
}

fn named(name: &str) -> Value {
    json!([{"kind": "CiliumNetworkPolicy", "namespace": "default", "name": name}])
}

#[test]
fn a_reply_is_asked_of_no_policy() {
    let deny = policy("deny", &json!({"egress": [{}]}));
    let mut reply = event(
        A,
        "FORWARDED",
        &json!({"event_type": {"type": 4}, "is_reply": true, "traffic_direction": "EGRESS"}),
    );
    let (source, destination) = (pod(SRV, true), pod(A, false));
    reply["source"] = source;
    reply["destination"] = destination;
    reply["l4"]["TCP"] = json!({"source_port": 80, "destination_port": 45678});
    let judged = judge(&[deny], &reply);
    assert_eq!(judged.event, Event::Apart(Apart::Reply));
    assert_eq!(judged.agreement, Agreement::NotCompared);
}

/// Scenario: a router's "fragmentation needed" reaches a pod whose policy allows nothing.
/// Guarantees: that the datapath lets it pass before policy is no drift.
#[test]
fn an_error_about_a_connection_is_context() {
    let nothing = policy("nothing", &json!({"ingress": [{}]}));
    let error = event(
        A,
        "FORWARDED",
        &json!({"event_type": {"type": 4}, "l4": {"ICMPv4": {"type": 3, "code": 4}}}),
    );
    assert_eq!(judge(&[nothing], &error).agreement, Agreement::NotCompared);
}

#[test]
fn the_policy_that_hubble_names_is_among_the_deciding() {
    let flow = event(
        A,
        "FORWARDED",
        &json!({"policy_match_type": 1, "ingress_allowed_by": named("p1"), "is_reply": false}),
    );
    let (judged, names) = judge_with_rules(&[allow_a()], &flow);
    assert_eq!(judged.agreement, Agreement::Equal);
    assert_eq!(names, ["CiliumNetworkPolicy/default/p1"]);
    let computed = judged.computed.expect("a verdict");
    assert_eq!(computed.decision.match_kind, MatchKind::L3Only);
    let elsewhere = event(
        A,
        "FORWARDED",
        &json!({"ingress_allowed_by": named("other")}),
    );
    assert_eq!(
        judge(&[allow_a()], &elsewhere).agreement,
        Agreement::Unknown(Cause::PolicyNotLoaded)
    );
}

#[test]
fn reason_133_is_a_default_deny() {
    let flow = event(
        B,
        "DROPPED",
        &json!({"drop_reason": 133, "drop_reason_desc": "POLICY_DENIED", "policy_match_type": 0}),
    );
    let (judged, names) = judge_with_rules(&[allow_a()], &flow);
    assert_eq!(judged.agreement, Agreement::Equal);
    assert_eq!(verdict(&judged), Verdict::DeniedByDefault);
    assert!(names.is_empty());
}

#[test]
fn reason_181_is_a_deny_rule() {
    let deny = policy("deny", &json!({"ingressDeny": [from_a()]}));
    let flow = event(
        A,
        "DROPPED",
        &json!({"drop_reason_desc": "POLICY_DENY", "ingress_denied_by": named("deny")}),
    );
    let (judged, names) = judge_with_rules(&[allow_a(), deny], &flow);
    assert_eq!(judged.agreement, Agreement::Equal);
    assert_eq!(verdict(&judged), Verdict::DeniedByRule);
    assert_eq!(names, ["CiliumNetworkPolicy/default/deny"]);
    let default = event(A, "DROPPED", &json!({"drop_reason_desc": "POLICY_DENIED"}));
    assert_eq!(judge(&[allow_a()], &default).agreement, Agreement::Drift);
}

#[test]
fn audit_mode_lets_pass_what_is_denied() {
    let judged = judge(&[allow_a()], &event(B, "AUDIT", &json!({})));
    assert_eq!(judged.agreement, Agreement::Equal);
    assert_eq!(verdict(&judged), Verdict::DeniedByDefault);
    let allowed = judge(&[allow_a()], &event(A, "AUDIT", &json!({})));
    assert_eq!(allowed.agreement, Agreement::Drift);
}

#[test]
fn a_proxy_port_is_a_redirect() {
    let judged = judge(&[proxied()], &event(A, "REDIRECTED", &json!({})));
    assert_eq!(judged.agreement, Agreement::Equal);
    assert_eq!(verdict(&judged), Verdict::Redirected);
    let straight = judge(&[allow_a()], &event(A, "REDIRECTED", &json!({})));
    assert_eq!(straight.agreement, Agreement::Drift);
}

fn request(verdict: &str, method: &str) -> Value {
    event(
        A,
        verdict,
        &json!({
            "Type": "L7",
            "event_type": {"type": 129},
            "l7": {
                "type": "REQUEST",
                "http": {"method": method, "url": "http://srv/", "protocol": "HTTP/1.1"},
            },
        }),
    )
}

#[test]
fn a_request_is_judged_by_its_rules() {
    for (recorded, method, agreement) in [
        ("DROPPED", "POST", Agreement::Equal),
        ("FORWARDED", "GET", Agreement::Equal),
        ("DROPPED", "GET", Agreement::Drift),
        ("FORWARDED", "POST", Agreement::Drift),
    ] {
        let judged = judge(&[proxied()], &request(recorded, method));
        assert_eq!(judged.agreement, agreement, "{recorded} {method}");
    }
}

#[test]
fn a_refused_request_contradicts_no_connection() {
    let policies = [proxied()];
    let refused = judge(&policies, &request("DROPPED", "POST"));
    let connection = judge(&policies, &event(A, "REDIRECTED", &json!({})));
    assert_eq!(refused.agreement, Agreement::Equal);
    assert_eq!(connection.agreement, Agreement::Equal);
}

#[test]
fn other_drops_are_no_policy() {
    for (reason, name) in [
        (132, "INVALID_SOURCE_IP"),
        (157, "NOT_LOCAL_HOST_ADDRESS"),
        (170, "INVALID_IDENTITY"),
        (177, "NO_EGRESS_GATEWAY"),
        (195, "UNENCRYPTED_TRAFFIC"),
    ] {
        for fields in [
            json!({"drop_reason": reason, "event_type": {"type": 1}}),
            json!({"drop_reason_desc": name, "event_type": {"type": 1}}),
        ] {
            let judged = judge(&[allow_a()], &event(A, "DROPPED", &fields));
            assert_eq!(judged.event, Event::Apart(Apart::OtherDrop), "{fields}");
            assert_eq!(judged.agreement, Agreement::NotCompared);
        }
    }
}

#[test]
fn reason_189_wants_a_session() {
    let mut element = from_a();
    element["authentication"] = json!({"mode": "required"});
    let required = [policy("auth", &json!({"ingress": [element]}))];
    let dropped = event(A, "DROPPED", &json!({"drop_reason_desc": "AUTH_REQUIRED"}));
    let judged = judge(&required, &dropped);
    assert_eq!(judged.agreement, Agreement::Equal);
    assert_eq!(verdict(&judged), Verdict::AuthRequired);
    let with_session = judge(&required, &event(A, "FORWARDED", &json!({})));
    assert_eq!(with_session.agreement, Agreement::Equal);
}

/// Scenario: ICMP type 0, for which Hubble never finds the deciding policies.
/// Guarantees: that none is named is no evidence of anything.
#[test]
fn an_echo_reply_type_is_judged_without_names() {
    let fields = json!({"l4": {"ICMPv4": {"type": 0}}, "is_reply": false});
    let judged = judge(&[allow_a()], &event(A, "FORWARDED", &fields));
    assert_eq!(judged.agreement, Agreement::Equal);
    assert_eq!(verdict(&judged), Verdict::Allowed);
}

#[test]
fn nobody_is_judged_by_wildcards_only() {
    let open = policy(
        "open",
        &json!({"ingress": [{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}]}),
    );
    let nobody = json!({"source": {"identity": 0}, "IP": {"destination": SRV.1}});
    let flow = event(A, "FORWARDED", &nobody);
    assert_eq!(judge(&[open, allow_a()], &flow).agreement, Agreement::Equal);
    assert_eq!(
        judge(&[allow_a()], &flow).agreement,
        Agreement::Unknown(Cause::NoLabels)
    );
}

#[test]
fn an_address_counts_not_its_recorded_labels() {
    let prefix = policy("net", &json!({"ingress": [{"fromCIDR": ["9.9.9.0/24"]}]}));
    for labels in [
        json!(["reserved:world-ipv4"]),
        json!(["reserved:world-ipv4", "cidr:9.0.0.0/8"]),
    ] {
        let flow = event(
            ("", "9.9.9.9"),
            "FORWARDED",
            &json!({"source": {"identity": 16_777_300, "labels": labels}}),
        );
        let judged = judge(std::slice::from_ref(&prefix), &flow);
        assert_eq!(judged.agreement, Agreement::Equal, "{labels}");
    }
}

/// Scenario: a drop that does not say its direction; one side, or both, are endpoints of
/// the node.
/// Guarantees: the only endpoint's policy is asked; between two nobody guesses.
#[test]
fn a_drop_without_direction_is_of_the_only_local_side() {
    let nothing = policy("nothing", &json!({"egress": [{}]}));
    let mut flow = event(
        A,
        "DROPPED",
        &json!({
            "event_type": {"type": 1},
            "drop_reason_desc": "POLICY_DENIED",
            "traffic_direction": "TRAFFIC_DIRECTION_UNKNOWN",
            "source": pod(SRV, true),
            "destination": pod(A, false),
        }),
    );
    let judged = judge(std::slice::from_ref(&nothing), &flow);
    assert_eq!(judged.event.direction(), Some(Direction::Egress));
    assert_eq!(judged.agreement, Agreement::Equal);
    flow["destination"] = pod(A, true);
    let judged = judge(std::slice::from_ref(&nothing), &flow);
    assert_eq!(judged.event, Event::Apart(Apart::NoDirection));
    flow["source"] = pod(SRV, false);
    let judged = judge(&[nothing], &flow);
    assert_eq!(judged.event.direction(), Some(Direction::Ingress));
}

#[test]
fn a_trace_to_the_proxy_is_consistent_with_a_redirect() {
    let flow = event(
        A,
        "FORWARDED",
        &json!({"event_type": {"type": 4, "sub_type": 1}, "trace_observation_point": "TO_PROXY"}),
    );
    let judged = judge(&[proxied()], &flow);
    assert_eq!(judged.agreement, Agreement::NotCompared);
    assert_eq!(verdict(&judged), Verdict::Redirected);
}

/// Scenario: a pod reaches itself through its own Service, which the datapath lets pass.
/// Guarantees: the trace of it is no drift.
#[test]
fn a_pod_that_reaches_itself_is_context() {
    let nothing = policy("nothing", &json!({"ingress": [{}], "egress": [{}]}));
    let itself = event(SRV, "FORWARDED", &json!({"event_type": {"type": 4}}));
    assert_eq!(judge(&[nothing], &itself).agreement, Agreement::NotCompared);
}

/// Scenario: a port open to everybody and to one peer by name: agents since 1.18 leave the
/// second entry out, so that the recorded match is of the first.
/// Guarantees: either match type agrees.
#[test]
fn match_types_two_and_three_are_one() {
    let ports = json!([{"ports": [{"port": "80", "protocol": "TCP"}]}]);
    let mut element = from_a();
    element["toPorts"] = ports.clone();
    let both = [policy(
        "both",
        &json!({"ingress": [{"toPorts": ports}, element]}),
    )];
    for kind in [2, 3] {
        let flow = event(A, "FORWARDED", &json!({"policy_match_type": kind}));
        assert_eq!(judge(&both, &flow).agreement, Agreement::Equal, "{kind}");
    }
}
