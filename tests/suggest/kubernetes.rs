//! NetworkPolicies narrowed by `policy tighten`, on the samples.

use std::fs;

use crate::support::flowwatch;

/// What people write first.
const LOOSE: &str = "\
# The database's own; keep this line.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: database
  namespace: payments
spec:
  podSelector:
    matchLabels:
      app: database
  policyTypes: [Ingress]
  ingress:
  - from:
    # anybody here, for now
    - podSelector: {}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: payments, namespace: payments}
spec:
  podSelector: {matchLabels: {app: payments}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - namespaceSelector: {} # whoever it is
    - podSelector: {matchLabels: {app: probe}}
    ports:
    - port: 8000
      endPort: 8999 # a range
    - port: 9090
  egress:
  - ports:
    - protocol: TCP
    - port: 53
      protocol: UDP
    - port: 53
";

const TIGHT: &str = "\
# The database's own; keep this line.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: database
  namespace: payments
spec:
  podSelector:
    matchLabels:
      app: database
  policyTypes: [Ingress]
  ingress:
  - from:
    # anybody here, for now
    - podSelector:
        matchLabels:
          app: payments
    ports:
    - port: 5432
      protocol: TCP
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: payments, namespace: payments}
spec:
  podSelector: {matchLabels: {app: payments}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    # whoever it is
    - podSelector:
        matchLabels:
          app: probe
    - podSelector:
        matchLabels:
          app: checkout
      namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: shop
    ports:
    # a range
    - port: 8080
      protocol: TCP
    - port: 9090
";

/// Scenario: everybody of the own namespace, everybody at all beside somebody who is named, a
/// range of ports, every port of a protocol.
/// Guarantees: peers and ports become those that were used, in Kubernetes' own form; comments
/// and what is named stay; a second run changes nothing.
#[test]
fn network_policies_are_narrowed_in_their_own_form() {
    let folder = tempfile::tempdir().unwrap();
    super::some(folder.path());
    let file = folder.path().join("payments.yaml");
    fs::write(&file, LOOSE).unwrap();
    let tighten = || {
        flowwatch()
            .args("policy tighten --flows samples/shop.jsonl.gz --write")
            .path(folder.path())
            .run()
            .exit(0)
    };
    tighten();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(TIGHT), "{text}");
    tighten();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

/// Guarantees: what Kubernetes has no form for is left as it is, with the reason.
#[test]
fn what_a_network_policy_cannot_name_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    super::some(folder.path());
    let file = folder.path().join("checkout.yaml");
    let text = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: checkout-out, namespace: shop}
spec:
  podSelector: {matchLabels: {app: checkout}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0}
    ports:
    - port: 443
";
    fs::write(&file, text).unwrap();
    fs::remove_file(folder.path().join("shop.yaml")).unwrap();
    flowwatch()
        .args("policy tighten --flows samples/shop.jsonl.gz --write")
        .path(folder.path())
        .run()
        .stderr_contains("which no NetworkPolicy can name");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}
