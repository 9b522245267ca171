//! Fields that do not exist.
//!
//! Owns what is left of an object when they are dropped. `kubectl` refuses such an object;
//! most other clients ask the API server to drop what it does not know, without a word.

use super::checks;
use super::finding::Severity;
use super::report::Report;
use crate::policy::read::{Body, NetworkPolicy};
use crate::policy::set::{ObjectKind, Warning};

/// What one finds in Cilium's policies only.
const CILIUM_FIELDS: [&str; 26] = [
    "specs",
    "endpointSelector",
    "nodeSelector",
    "ingressDeny",
    "egressDeny",
    "enableDefaultDeny",
    "description",
    "fromEndpoints",
    "fromNodes",
    "fromCIDR",
    "fromCIDRSet",
    "fromEntities",
    "fromGroups",
    "toEndpoints",
    "toNodes",
    "toCIDR",
    "toCIDRSet",
    "toEntities",
    "toGroups",
    "toServices",
    "toFQDNs",
    "toPorts",
    "icmps",
    "authentication",
    "labels",
    "log",
];

/// Other fields there are, for guesses.
const OTHERS: [&str; 12] = [
    "matchLabels",
    "matchExpressions",
    "values",
    "operator",
    "matchName",
    "matchPattern",
    "endPort",
    "protocol",
    "ports",
    "cidrGroupRef",
    "serverNames",
    "headerMatches",
];

/// What is written where Cilium has another field.
const MISTAKEN: [(&str, &str); 10] = [
    ("auth", "'authentication'"),
    (
        "podSelector",
        "'endpointSelector', or 'fromEndpoints' and 'toEndpoints' for peers",
    ),
    (
        "namespaceSelector",
        "the label 'k8s:io.kubernetes.pod.namespace' in 'matchLabels' of the peer",
    ),
    ("ipBlock", "'fromCIDRSet' or 'toCIDRSet'"),
    ("from", "'fromEndpoints'"),
    ("to", "'toEndpoints'"),
    ("ports", "'toPorts: [{ports: [...]}]'"),
    (
        "policyTypes",
        "nothing: a direction is denied by default as soon as it has a list with an element",
    ),
    ("toFQDN", "'toFQDNs'"),
    ("http", "'rules: {http: [...]}' beside 'ports'"),
];

/// Checks an object for fields nobody knows.
pub(super) fn object(report: &mut Report<'_, '_>) {
    let object = report.object;
    let warnings = &object.policy.warnings;
    if object.policy.id.kind == ObjectKind::NetworkPolicy {
        let (cilium, others): (Vec<_>, Vec<_>) = warnings
            .iter()
            .partition(|warning| CILIUM_FIELDS.contains(&last(&warning.field)));
        if let Some(first) = cilium.first() {
            in_network_policy(report, first, &cilium);
        }
        for warning in others {
            unknown(report, warning);
        }
        return;
    }
    for warning in warnings {
        if is_layer7_of_deny(&warning.field) {
            report.add(
                &checks::L7_DENY,
                warning.at,
                &warning.field,
                "deny rules have no layer 7: the field is dropped and the whole port is denied",
                "allow what may pass by layer 7 rules of an allow, and deny nothing on this port",
            );
        } else {
            unknown(report, warning);
        }
    }
}

fn in_network_policy(report: &mut Report<'_, '_>, first: &Warning, all: &[&Warning]) {
    let names = list(all.iter().map(|warning| last(&warning.field)));
    let left = match &report.object.policy.body {
        Ok(Body::Kubernetes(policy)) => left_of(policy),
        _ => "nothing that can be read".to_owned(),
    };
    report.add(
        &checks::CILIUM_FIELDS,
        first.at,
        &first.field,
        format!("a NetworkPolicy of Kubernetes has no {names}: the API server drops {} and stores {left}",
            if all.len() == 1 { "it" } else { "them" }),
        "write 'apiVersion: cilium.io/v2' and 'kind: CiliumNetworkPolicy', or Kubernetes' own fields",
    );
}

/// What the API server stores of a NetworkPolicy, in words.
fn left_of(policy: &NetworkPolicy) -> String {
    let subject = if policy.pods.labels.is_empty() && policy.pods.expressions.is_empty() {
        "every pod of the namespace"
    } else {
        "its pods"
    };
    let listed = |wanted: &str| policy.types.iter().any(|name| &**name == wanted);
    let direction = |name: &str, rules: &[crate::policy::read::KubernetesRule], isolated: bool| {
        let open = rules
            .iter()
            .any(|rule| rule.peers.is_empty() && rule.ports.is_empty());
        let half_open = rules.iter().any(|rule| rule.peers.is_empty());
        if open {
            Some(format!("allows all {name}"))
        } else if half_open {
            Some(format!("allows {name} of everybody on its ports"))
        } else if rules.is_empty() && isolated {
            Some(format!("denies all {name}"))
        } else {
            None
        }
    };
    let ingress = direction(
        "ingress",
        &policy.ingress,
        listed("Ingress") || !listed("Egress"),
    );
    let egress = direction("egress", &policy.egress, listed("Egress"));
    let effects: Vec<String> = ingress.into_iter().chain(egress).collect();
    if effects.is_empty() {
        "what is left of it".to_owned()
    } else {
        format!(
            "a policy that selects {subject} and {}",
            effects.join(" and ")
        )
    }
}

fn unknown(report: &mut Report<'_, '_>, warning: &Warning) {
    let name = last(&warning.field);
    let above = warning
        .field
        .strip_suffix(name)
        .unwrap_or_default()
        .trim_end_matches('.');
    let in_rules = above.starts_with("spec");
    let where_to = if above.is_empty() {
        "the object"
    } else {
        above
    };
    let message =
        format!("there is no field '{name}' in {where_to}: it is dropped and has no effect");
    let mistaken = MISTAKEN.iter().find(|(wrong, _)| *wrong == name);
    let mend = match (mistaken, similar(name)) {
        (Some((_, right)), _) if report.object.policy.id.kind != ObjectKind::NetworkPolicy => {
            format!("Cilium has {right}")
        }
        _ if above.is_empty() && CILIUM_FIELDS.contains(&name) => {
            "it belongs under 'spec'".to_owned()
        }
        (_, Some(similar)) => format!("'{similar}' may be meant"),
        _ => "remove it, or write what it was to do with fields that exist".to_owned(),
    };
    let severity = if in_rules {
        Severity::Warning
    } else {
        Severity::Info
    };
    report.add_as(
        &checks::UNKNOWN_FIELD,
        severity,
        warning.at,
        &warning.field,
        message,
        mend,
    );
}

fn is_layer7_of_deny(field: &str) -> bool {
    (field.contains(".ingressDeny[") || field.contains(".egressDeny["))
        && field.contains(".toPorts[")
        && last(field) == "rules"
}

fn last(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or(field)
}

/// `a`, `a and b`, `a, b and c`, each once.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut once: Vec<String> = Vec::new();
    for name in names {
        let name = format!("'{name}'");
        if !once.contains(&name) {
            once.push(name);
        }
    }
    match once.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A field that differs by little.
fn similar(name: &str) -> Option<&'static str> {
    CILIUM_FIELDS
        .into_iter()
        .chain(OTHERS)
        .filter(|known| *known != name && known.len().abs_diff(name.len()) <= 2)
        .map(|known| {
            (
                distance(&known.to_ascii_lowercase(), &name.to_ascii_lowercase()),
                known,
            )
        })
        .filter(|(distance, known)| *distance <= 2 && known.len() > 3)
        .min()
        .map(|(_, known)| known)
}

/// Edits between two short texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(40).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_nearly_right_is_recognised() {
        assert_eq!(similar("fromEndpoint"), Some("fromEndpoints"));
        assert_eq!(similar("toFqdns"), Some("toFQDNs"));
        assert_eq!(similar("spectacles"), None);
    }

    #[test]
    fn names_are_listed_once() {
        assert_eq!(list(["a", "b", "a", "c"].into_iter()), "'a', 'b' and 'c'");
        assert_eq!(list(["a"].into_iter()), "'a'");
    }
}
