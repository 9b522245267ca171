//! What the agent's DNS proxy does with queries, and what names do for addresses.

use flowwatch::policy::{Cause, Options, Verdict};
use serde_json::{Value, json};

use super::cluster::{A, B, CILIUM, Cluster, NINE, policy};

/// Port 53 over UDP of the servers `app`, with DNS rules.
fn served(app: &str, rules: &Value) -> Value {
    json!({
        "toEndpoints": [{"matchLabels": {"app": app}}],
        "toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": rules}}],
    })
}

fn plain(app: &str) -> Value {
    json!({
        "toEndpoints": [{"matchLabels": {"app": app}}],
        "toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}]}],
    })
}

/// A cluster in which `srv` asks the server `a` under one rule.
fn under(rule: &Value) -> Cluster {
    Cluster::with(&json!({"egress": [served("a", &json!([rule]))]}))
}

#[track_caller]
fn answers(cluster: &Cluster, names: &[&str]) {
    for name in names {
        assert!(cluster.query(A, name), "{name} is refused");
    }
}

#[track_caller]
fn refuses(cluster: &Cluster, names: &[&str]) {
    for name in names {
        assert!(!cluster.query(A, name), "{name} is answered");
    }
}

#[test]
fn a_star_alone_is_every_name() {
    let cluster = under(&json!({"matchPattern": "*"}));
    assert_eq!(cluster.egress(A, 17, 53).verdict, Verdict::Redirected);
    answers(&cluster, &["x.y.z", "x.", "a_b.example"]);
}

#[test]
fn a_name_is_that_name_in_any_case() {
    let cluster = under(&json!({"matchName": "cilium.io"}));
    answers(&cluster, &["cilium.io", "CILIUM.IO", "cilium.io."]);
    refuses(&cluster, &["www.cilium.io", "ciliumxio"]);
}

#[test]
fn a_star_is_one_label() {
    let cluster = under(&json!({"matchPattern": "*.cilium.io"}));
    answers(&cluster, &["www.cilium.io"]);
    refuses(&cluster, &["a.b.cilium.io", "cilium.io"]);
}

#[test]
fn two_stars_are_labels_since_1_19() {
    let rule = json!({"matchPattern": "**.cilium.io"});
    let cluster = under(&rule);
    answers(&cluster, &["a.b.cilium.io", "www.cilium.io"]);
    refuses(&cluster, &["cilium.io"]);
    let before = Options {
        version: "1.18.4".parse().expect("a release"),
        ..Options::default()
    };
    let policies = [policy(
        "p",
        &json!({"egress": [served("a", &json!([rule]))]}),
    )];
    let cluster = Cluster::holding(&policies, &before, true);
    answers(&cluster, &["www.cilium.io"]);
    refuses(&cluster, &["a.b.cilium.io"]);
}

#[test]
fn a_star_may_be_part_of_a_label() {
    let cluster = under(&json!({"matchPattern": "*cilium.io"}));
    answers(&cluster, &["cilium.io", "subcilium.io"]);
    refuses(&cluster, &["www.cilium.io"]);
}

#[test]
fn name_and_pattern_of_one_rule_are_either() {
    let cluster = under(&json!({"matchName": "x.io", "matchPattern": "*.y.io"}));
    answers(&cluster, &["x.io", "a.y.io"]);
    refuses(&cluster, &["y.io", "z.io"]);
}

#[test]
fn a_server_without_rules_answers_everything() {
    let rules = json!([{"matchName": "x.io"}]);
    let cluster = Cluster::with(&json!({"egress": [served("a", &rules), plain("b")]}));
    assert!(cluster.query(B, "anything.example"));
    refuses(&cluster, &["anything.example"]);
}

#[test]
fn a_rule_without_ports_does_not_open_the_dns_proxy() {
    let everything = json!({"toEndpoints": [{"matchLabels": {"app": "a"}}]});
    let rules = json!([{"matchName": "x.io"}]);
    let cluster = Cluster::with(&json!({"egress": [served("a", &rules), everything]}));
    assert_eq!(cluster.egress(A, 17, 53).verdict, Verdict::Redirected);
    answers(&cluster, &["x.io"]);
    refuses(&cluster, &["y.io"]);
}

#[test]
fn a_rule_for_one_protocol_leaves_the_other_denied() {
    let cluster = under(&json!({"matchPattern": "*"}));
    assert_eq!(cluster.egress(A, 6, 53).verdict, Verdict::DeniedByDefault);
}

/// Scenario: a rule about a name, and no DNS rule that would show the proxy the answer.
/// Guarantees: with all names known the address is denied; where some may be missing, the
/// verdict is unknown and not a guess.
#[test]
fn a_name_nobody_saw_leaves_its_address_denied() {
    let rules = json!({"egress": [{"toFQDNs": [{"matchName": "www.cilium.io"}]}]});
    let policies = [policy("p", &rules)];
    let seen = Cluster::with(&rules);
    assert_eq!(seen.egress(CILIUM, 6, 443).verdict, Verdict::Allowed);
    assert_eq!(seen.egress(NINE, 6, 443).verdict, Verdict::DeniedByDefault);
    let unseen = Cluster::holding(&policies, &Options::default(), false);
    assert_eq!(
        unseen.egress(CILIUM, 6, 443).verdict,
        Verdict::Unknown(Cause::NameNotObserved)
    );
}
