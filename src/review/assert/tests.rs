use super::read::parse;
use super::*;
use crate::review::fixture::{self, PODS};

/// Somebody of another namespace.
const CRON: &str = "
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cron, namespace: other}
spec:
  template:
    metadata: {labels: {app: cron}}
    spec: {containers: []}
";

const DB: &str = "
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: '5432', protocol: TCP}]}]
";

fn judged(policies: &str, sentences: &[&str]) -> Vec<(Holds, String)> {
    let policies = fixture::policies(&format!("{PODS}{CRON}{policies}"));
    let assertions: Vec<Assertion> = sentences.iter().map(|text| parse(text).unwrap()).collect();
    check(&assertions, &policies, &People::of(&policies, None))
        .into_iter()
        .map(|checked| (checked.by_policies, checked.why))
        .collect()
}

fn holds(policies: &str, sentence: &str) -> Holds {
    judged(policies, &[sentence]).remove(0).0
}

#[test]
fn what_the_rules_allow_and_nothing_else_is_reached() {
    for (sentence, wanted) in [
        ("nothing from world reaches shop/db", Holds::Proven),
        ("shop/web reaches shop/db:5432", Holds::Proven),
        ("shop/web reaches shop/db:5433", Holds::Refuted),
        ("nothing from other/* reaches shop/db", Holds::Proven),
        ("nothing from shop/web reaches shop/db:80", Holds::Proven),
        ("nothing from shop/web reaches shop/db", Holds::Refuted),
        (
            "nothing from anything reaches shop/db:22/TCP",
            Holds::Refuted,
        ),
        ("nothing from cluster reaches shop/db:22/TCP", Holds::Proven),
        ("nothing from 192.0.2.0/24 reaches shop/db", Holds::Proven),
        ("nothing from world reaches shop/web", Holds::Refuted),
        ("shop/nobody reaches shop/db:5432", Holds::Undecided),
    ] {
        assert_eq!(holds(DB, sentence), wanted, "{sentence}");
    }
}

/// Scenario: nobody who is known has the label that is let in.
/// Guarantees: somebody who could be is found, and shown.
#[test]
fn whoever_could_be_counts_too() {
    let policy = DB.replace("app: web", "role: backup");
    let judged = judged(&policy, &["nothing from shop/* reaches shop/db"]);
    assert_eq!(judged[0].0, Holds::Refuted);
    assert!(judged[0].1.contains("role=backup"), "{}", judged[0].1);
    // In a namespace of its own nobody is selected.
    assert_eq!(
        holds(&policy, "nothing from other/* reaches shop/db"),
        Holds::Proven
    );
}

#[test]
fn a_deny_for_some_leaves_the_others() {
    let deny = "
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: open, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
    - fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.9.0.0/16]}]
  ingressDeny:
    - fromCIDR: [10.1.0.0/16]
";
    for (sentence, wanted) in [
        ("nothing from 10.9.0.0/16 reaches shop/db", Holds::Proven),
        ("nothing from 10.1.0.0/16 reaches shop/db", Holds::Proven),
        ("nothing from 10.1.0.0/15 reaches shop/db", Holds::Proven),
        ("nothing from 10.0.0.0/15 reaches shop/db", Holds::Refuted),
        ("nothing from 10.0.0.0/8 reaches shop/db", Holds::Refuted),
        ("nothing from 11.0.0.0/8 reaches shop/db", Holds::Proven),
    ] {
        // 10.1.0.0/15 is 10.0.0.0/15: the host's bits do not count.
        let wanted = if sentence.contains("10.1.0.0/15") {
            Holds::Refuted
        } else {
            wanted
        };
        assert_eq!(holds(deny, sentence), wanted, "{sentence}");
    }
}

#[test]
fn the_callers_own_policies_count() {
    let closed = "
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: closed, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
    - toEndpoints: [{matchLabels: {app: nothing}}]
";
    assert_eq!(
        holds(closed, "nothing from shop/web reaches shop/db"),
        Holds::Proven
    );
    assert_eq!(
        holds(closed, "nothing from shop/web reaches world"),
        Holds::Proven
    );
    assert_eq!(
        holds(closed, "nothing from shop/db reaches world"),
        Holds::Refuted
    );
    // Another pod of the namespace is not held back.
    assert_eq!(
        holds(closed, "nothing from shop/* reaches shop/db"),
        Holds::Refuted
    );
}

#[test]
fn sentences_that_say_nothing_are_refused() {
    for wrong in [
        "shop/web reaches shop/db",
        "nothing reaches shop/db",
        "shop/web reached shop/db:80",
        "nothing from a b reaches shop/db",
        "nothing from shop/a/b reaches shop/db",
        "nothing from shop/app= , reaches x",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn errors_of_the_file_have_its_line() {
    for (text, wanted) in [
        ("assertion: []", "a.yaml:1: unknown key 'assertion'"),
        (
            "assertions:\n  - nothing from world reaches a/b\n  - nonsense\n",
            "a.yaml:3:",
        ),
        (
            "assertions:\n  - assert: a/b reaches c/d:1\n    nam: x\n",
            "a.yaml:3: unknown key 'assertions.nam'",
        ),
    ] {
        let error = read("a.yaml", text).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{error}");
    }
}
