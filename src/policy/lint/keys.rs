//! Keys of label selectors.
//!
//! Owns what a key must be so that any label can have it: its source, and whether the agent
//! keeps such labels at all. The agent warns of none of these.

use super::checks;
use super::report::Report;
use super::selectors::{CLUSTER, NAMESPACE, NAMESPACE_LABELS};
use crate::inventory::identity_relevant;
use crate::policy::read::{Path, Selector, Text};

/// Sources that labels have, and `any`.
const SOURCES: [&str; 13] = [
    "any",
    "k8s",
    "reserved",
    "cidr",
    "cidrgroup",
    "fqdn",
    "node",
    "container",
    "cni",
    "unspec",
    "directory",
    "gen",
    "cilium-generated",
];

/// Whom a selector is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Endpoints,
    Nodes,
}

/// Checks the keys of a selector of Cilium's policies.
pub(super) fn cilium(
    report: &mut Report<'_, '_>,
    selector: &Selector,
    path: &Path<'_>,
    whom: Whom,
) {
    each(selector, path, |key, operator, path| {
        let (source, name) = split(key);
        if let Some(source) = source
            && !SOURCES.contains(&source)
        {
            wrong_source(report, key, (source, name), operator, path);
        } else if let Some(rest) = dotted(key) {
            report.add(
                &checks::KEY_DOTTED,
                key.at,
                path,
                format!(
                    "'{}' is a label of this whole name, of any source: {}",
                    &**key,
                    effect(operator)
                ),
                format!("write 'k8s:{rest}', with a colon after the source"),
            );
        } else if let Some(source) = source
            && ["cidr", "cidrgroup", "fqdn"].contains(&source)
            && whom == Whom::Endpoints
            && !keys(selector).any(is_reserved)
            && !is_negative(operator)
        {
            report.add(
                &checks::KEY_OF_ADDRESS,
                key.at,
                path,
                format!("'{}' is a label of addresses outside the cluster, and endpoints are asked for a namespace besides: nothing is selected", &**key),
                "use 'fromCIDR' and 'toCIDR', 'cidrGroupRef' or 'toFQDNs'",
            );
        } else if matches!(source, None | Some("any" | "k8s")) {
            identity(report, key, name, operator, path, whom);
        }
    });
}

/// Checks the keys of a selector of pods in a NetworkPolicy.
pub(super) fn kubernetes(report: &mut Report<'_, '_>, selector: &Selector, path: &Path<'_>) {
    each(selector, path, |key, operator, path| {
        identity(report, key, key, operator, path, Whom::Endpoints);
    });
}

/// Whether a key asks for a source that no label has.
pub(super) fn is_dead(key: &str) -> bool {
    let (source, _) = split(key);
    source.is_some_and(|source| !SOURCES.contains(&source)) || dotted(key).is_some()
}

/// Source and name of a key as written.
pub(super) fn split(key: &str) -> (Option<&str>, &str) {
    match key.split_once(':') {
        Some(("", name)) => (None, name),
        Some((source, name)) => (Some(source), name),
        None => (None, key),
    }
}

/// All keys of a selector.
pub(super) fn keys(selector: &Selector) -> impl Iterator<Item = &str> {
    let labels = selector.labels.iter().map(|(key, _)| &**key);
    labels.chain(
        selector
            .expressions
            .iter()
            .map(|expression| &*expression.key),
    )
}

/// Whether a key has the source of Cilium's own labels.
pub(super) fn is_reserved(key: &str) -> bool {
    key.starts_with("reserved:") || key.starts_with("reserved.") || key.starts_with('$')
}

/// Whether an operator is true of what lacks the label.
pub(super) fn is_negative(operator: &str) -> bool {
    matches!(operator, "NotIn" | "DoesNotExist")
}

fn each(selector: &Selector, path: &Path<'_>, mut check: impl FnMut(&Text, &str, &Path<'_>)) {
    let labels = path.field("matchLabels");
    for (key, _) in &selector.labels {
        check(key, "In", &labels.field(key));
    }
    let list = path.field("matchExpressions");
    for (index, expression) in selector.expressions.iter().enumerate() {
        let item = list.item(index);
        check(&expression.key, &expression.operator, &item.field("key"));
    }
}

fn wrong_source(
    report: &mut Report<'_, '_>,
    key: &Text,
    (source, name): (&str, &str),
    operator: &str,
    path: &Path<'_>,
) {
    let mend = if name.contains('/') || source == "io" {
        format!("write '{source}.{name}': what stands before a colon is the source of the label")
    } else {
        format!("write 'k8s:{name}' or '{name}'")
    };
    report.add(
        &checks::KEY_SOURCE,
        key.at,
        path,
        format!(
            "'{}' asks for a label of the source '{source}', which no label has: {}",
            &**key,
            effect(operator)
        ),
        mend,
    );
}

fn identity(
    report: &mut Report<'_, '_>,
    key: &Text,
    name: &str,
    operator: &str,
    path: &Path<'_>,
    whom: Whom,
) {
    let config = &report.world.cluster.inventory.cilium_config;
    let filtered = config
        .iter()
        .any(|(option, value)| &**option == "labels" && !value.is_empty());
    if identity_relevant(name) || filtered {
        return;
    }
    if name == "kubernetes.io/metadata.name" && whom == Whom::Endpoints {
        report.add(
            &checks::KEY_OF_NAMESPACE,
            key.at,
            path,
            format!(
                "'{name}' is a label of namespaces, and no pod has it: {}",
                effect(operator)
            ),
            format!("ask for '{NAMESPACE}', the namespace a pod is in"),
        );
        return;
    }
    report.add(
        &checks::KEY_NOT_IDENTITY,
        key.at,
        path,
        format!(
            "the agents leave '{name}' out of identities unless they are told otherwise: {}",
            effect(operator)
        ),
        "select by a label of your own, or set the agents' option 'labels'",
    );
}

/// What follows where no endpoint has the label.
fn effect(operator: &str) -> &'static str {
    if is_negative(operator) {
        "the condition holds for everybody"
    } else {
        "nothing is selected"
    }
}

/// The key that was meant, where a source is followed by a dot. What has a domain before a
/// slash is a name, unless that domain is one that is never written with a source.
fn dotted(key: &str) -> Option<&str> {
    if key.contains(':') {
        return None;
    }
    let rest = key
        .strip_prefix("k8s.")
        .or_else(|| key.strip_prefix("any."))
        .or_else(|| key.strip_prefix("container."))?;
    let known = [NAMESPACE, CLUSTER, NAMESPACE_LABELS, "app.kubernetes.io/"];
    let meant = !key.contains('/') || known.iter().any(|known| rest.starts_with(known));
    meant.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_begins_like_a_source_is_a_name() {
        assert_eq!(dotted("k8s.app"), Some("app"));
        assert_eq!(
            dotted("k8s.io.kubernetes.pod.namespace"),
            Some("io.kubernetes.pod.namespace")
        );
        assert_eq!(dotted("k8s.v1.cni.cncf.io/networks"), None);
        assert_eq!(dotted("k8s:app"), None);
        assert_eq!(dotted("k8s-app"), None);
    }
}
