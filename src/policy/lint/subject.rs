//! Whom a rule is about.
//!
//! Owns subjects that are nobody, fewer or more than they seem.

use super::checks;
use super::finding::Severity;
use super::keys::{self, is_negative, is_reserved, split};
use super::report::{Report, sections};
use super::selectors::{NAMESPACE, Selected};
use crate::policy::convert::subject_selector;
use crate::policy::options::OptionName;
use crate::policy::read::{Path, Rule, Selector, Text};
use crate::policy::selector::LabelSelector;

/// Checks the subject of one of Cilium's rules.
pub(super) fn rule(report: &mut Report<'_, '_>, rule: &Rule, path: &Path<'_>) {
    if let Some(nodes) = &rule.nodes {
        let path = path.field("nodeSelector");
        keys::cilium(report, nodes, &path, keys::Whom::Nodes);
        host_firewall(report, nodes, &path);
    }
    let Some(written) = &rule.endpoints else {
        return;
    };
    let path = path.field("endpointSelector");
    keys::cilium(report, written, &path, keys::Whom::Endpoints);
    if namespace(report, written, &path) {
        return;
    }
    if report.is_clusterwide() {
        reserved(report, rule, written, &path);
    }
    let selector = subject_selector(written, &report.object.policy.id.namespace);
    inventory(report, &selector, written, &path);
}

/// Checks a subject against the pods that are known; it is one of Kubernetes too.
pub(super) fn inventory(
    report: &mut Report<'_, '_>,
    selector: &LabelSelector,
    written: &Selector,
    path: &Path<'_>,
) {
    let mut keys = keys::keys(written);
    let cluster = &report.world.cluster;
    let known = match report.object.namespace {
        Some(namespace) => cluster.knows_pods_of(namespace),
        None => report.is_clusterwide() && cluster.knows_pods(),
    };
    if report.object.templated || keys.any(|key| keys::is_dead(key) || is_reserved(key)) {
        return;
    }
    let selected: Vec<_> = cluster.selected(selector).collect();
    let host: Vec<_> = selected
        .iter()
        .filter(|(pod, selected)| *selected == Selected::Yes && pod.workload.spec.host_network)
        .collect();
    if selected.is_empty() {
        // An empty selector is there for pods to come.
        if known && !(written.labels.is_empty() && written.expressions.is_empty()) {
            report.add(
                &checks::SUBJECT_NOTHING,
                written.at,
                path,
                "none of the pods that are known is selected: the rule applies to nobody",
                "compare the labels with those of the pods' template",
            );
        }
    } else if let Some((pod, _)) = host.first()
        && !(written.labels.is_empty() && written.expressions.is_empty())
    {
        let all = host.len() == selected.len();
        let name = pod.name();
        report.add_as(
            &checks::SUBJECT_HOST_NETWORK,
            if all { Severity::Warning } else { Severity::Info },
            written.at,
            path,
            format!("the pods of {name} are on the node's network: no policy for pods applies to them"),
            "use a CiliumClusterwideNetworkPolicy with 'nodeSelector' and the host firewall, or leave the pod's network to it",
        );
    }
}

/// Another namespace than the policy's; whether that was said.
fn namespace(report: &mut Report<'_, '_>, written: &Selector, path: &Path<'_>) -> bool {
    let Some(own) = report.object.namespace else {
        return false;
    };
    let labels = path.field("matchLabels");
    for (key, value) in &written.labels {
        let (source, name) = split(key);
        if name != NAMESPACE || &**value == own || value.contains("${") {
            continue;
        }
        let message = if source == Some("k8s") {
            format!(
                "the policy is in '{own}', and its subjects are always there: '{}' is overwritten, pods of '{own}' are selected",
                &**value
            )
        } else {
            format!(
                "the policy is in '{own}', and its subjects are always there: no pod is in '{}' as well, nobody is selected",
                &**value
            )
        };
        other_namespace(report, key, &labels.field(key), message, value);
        return true;
    }
    let list = path.field("matchExpressions");
    for (index, expression) in written.expressions.iter().enumerate() {
        let (_, name) = split(&expression.key);
        let listed = expression.values.iter().any(|value| &**value == own);
        if name == NAMESPACE && &*expression.operator == "In" && !listed {
            let message = format!(
                "the policy is in '{own}', and its subjects are always there: nobody is selected"
            );
            let path = list.item(index);
            other_namespace(report, &expression.key, &path, message, "the other");
            return true;
        }
    }
    false
}

fn other_namespace(
    report: &mut Report<'_, '_>,
    key: &Text,
    path: &Path<'_>,
    message: String,
    wanted: &str,
) {
    let mend =
        format!("put the policy into '{wanted}', or make it a CiliumClusterwideNetworkPolicy");
    report.add(
        &checks::SUBJECT_OTHER_NAMESPACE,
        key.at,
        path,
        message,
        mend,
    );
}

/// A cluster-wide subject without a positive condition takes in Cilium's own endpoints.
fn reserved(report: &mut Report<'_, '_>, rule: &Rule, written: &Selector, path: &Path<'_>) {
    let positive = !written.labels.is_empty()
        || written
            .expressions
            .iter()
            .any(|expression| !is_negative(&expression.operator));
    let excluded = written
        .expressions
        .iter()
        .any(|expression| is_reserved(&expression.key));
    let denies = sections(rule).into_iter().any(|(section, _, list)| {
        use crate::policy::entry::Section;
        let deny = match section {
            Section::Ingress | Section::IngressDeny => rule.default_deny_ingress,
            _ => rule.default_deny_egress,
        };
        !list.is_empty() && deny != Some(false)
    });
    if positive || excluded || !denies {
        return;
    }
    report.add(
        &checks::SUBJECT_RESERVED,
        written.at,
        path,
        "Cilium's health, ingress and init endpoints are selected too, and what is not allowed is denied to them",
        "ask for 'io.kubernetes.pod.namespace' with the operator Exists to select pods only",
    );
}

fn host_firewall(report: &mut Report<'_, '_>, written: &Selector, path: &Path<'_>) {
    let options = report.options();
    if options.host_firewall {
        return;
    }
    let given = options.given.contains(&OptionName::HostFirewall);
    let (severity, message) = if given {
        (
            Severity::Warning,
            "the agents have the host firewall off: policies for nodes are not enforced",
        )
    } else {
        (
            Severity::Info,
            "policies for nodes are enforced only with the host firewall, which is off by default",
        )
    };
    report.add_as(
        &checks::HOST_FIREWALL,
        severity,
        written.at,
        path,
        message,
        "set 'enable-host-firewall: \"true\"' in cilium-config, and give that file to this command",
    );
}
