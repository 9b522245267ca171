//! What makes rules broad.

use super::*;
use crate::manifest;
use crate::policy::Options;
use crate::review::usage::tests::{given, one_connection};

fn whys(element: &str) -> (Vec<Breadth>, bool) {
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: x}}\nspec:\n  endpointSelector: {{}}\n  egress:\n  - {element}\n"
    );
    let documents = manifest::read(&text, "p.yaml".into()).documents;
    let set = PolicySet::build(&documents, &[], &[], &Options::default());
    assert_eq!(set.entries.len(), 1, "{:?}", set.objects);
    let rules = written(&set, &documents);
    let thresholds = BroadThresholds::default();
    (
        breadth(&set, &rules[0], thresholds),
        is_gap(&set, &rules[0], thresholds),
    )
}

#[test]
fn each_way_to_be_broad_is_told_with_its_line() {
    let line = 7;
    let text = str::to_owned;
    for (element, wanted, gap) in [
        (
            "{toEntities: [all]}",
            vec![Breadth::Peers(text("all"), line), Breadth::AnyPort],
            true,
        ),
        (
            "{toEntities: [cluster], toPorts: [{ports: [{port: '443'}]}]}",
            vec![Breadth::Peers(text("cluster"), line)],
            false,
        ),
        (
            "{toEndpoints: [{}], toPorts: [{ports: [{port: '443'}]}]}",
            vec![Breadth::Peers(text("{}"), line)],
            false,
        ),
        (
            "{toCIDR: [10.0.0.0/8], toPorts: [{ports: [{port: '443'}]}]}",
            vec![Breadth::Prefix(text("10.0.0.0/8"), line, 24)],
            false,
        ),
        (
            "{toCIDR: [10.1.0.0/16], toPorts: [{ports: [{port: '443'}]}]}",
            vec![],
            false,
        ),
        (
            "{toFQDNs: [{matchPattern: '*.example.com'}], toPorts: [{ports: [{port: '443'}]}]}",
            vec![Breadth::Names(text("*.example.com"), line)],
            false,
        ),
        (
            "{toFQDNs: [{matchName: a.example.com}], toPorts: [{ports: [{port: '443'}]}]}",
            vec![],
            false,
        ),
        (
            "{toPorts: [{ports: [{port: '443', protocol: TCP}]}]}",
            vec![Breadth::Anybody],
            false,
        ),
        (
            "{toEndpoints: [{matchLabels: {app: a}}], toPorts: [{ports: [{port: '1024', endPort: 65535, protocol: TCP}]}]}",
            vec![Breadth::Ports(text("1024-65535/TCP"), line, 64_512)],
            false,
        ),
        (
            "{toEndpoints: [{matchLabels: {app: a}}], toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}, {path: '/a'}]}}]}",
            vec![Breadth::Requests(text("GET"), line)],
            false,
        ),
    ] {
        assert_eq!(whys(element), (wanted, gap), "{element}");
    }
}

#[test]
fn what_denies_or_only_cuts_off_is_not_broad() {
    let (why, gap) = whys("{}");
    assert_eq!((why, gap), (Vec::new(), false));
}

/// Scenario: a connection that passes with an authenticated session, by a rule for everybody.
/// Guarantees: it used the rule; a gap it is not, since the session was asked for.
#[test]
fn what_passes_with_authentication_used_the_rule() {
    let policies = given(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: x}\nspec:\n  endpointSelector: {}\n  egress:\n  - toEntities: [all]\n    authentication: {mode: required}\n",
    );
    let usage = one_connection(&policies, Verdict::AuthRequired);
    let limits = Limits {
        least_seen: 0.0,
        filtered: false,
        least_window: 0,
    };
    let broad = Broad::of(usage, &policies, BroadThresholds::default(), limits);
    let rule = &broad.rules[0];
    assert!(rule.gap);
    assert_eq!((rule.edges.len(), rule.only, rule.only_broad), (1, 1, 0));
}
