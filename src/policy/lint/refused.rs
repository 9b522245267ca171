//! Objects that are not in force, or not as written.
//!
//! Owns what the agent rejects, what no API server stores, and what is left over of
//! templates.

use super::checks;
use super::finding::Severity;
use super::report::Report;
use crate::manifest::{Document, Node, Place};
use crate::policy::admission::{AdmissionOutcome, admit, pruned};
use crate::policy::options::OptionName;
use crate::policy::set::{ObjectKind, Rejection};

/// What can be said of an object as a whole.
pub(super) fn object(report: &mut Report<'_, '_>) {
    version(report);
    let refused = not_stored(report);
    if let Some(rejection) = report.object.entries.as_ref().err()
        && !refused
    {
        rejected(report, rejection);
    }
    if report.is_clusterwide()
        && let Some(at) = place(report.object.root, &["metadata", "namespace"])
    {
        report.add(
            &checks::NAMESPACE_IN_CLUSTERWIDE,
            at,
            "metadata.namespace",
            "a CiliumClusterwideNetworkPolicy is in no namespace: it selects endpoints of all of them",
            "remove the namespace, or make it a CiliumNetworkPolicy",
        );
    }
}

/// Templates that are left over, once for each document.
pub(super) fn placeholder(report: &mut Report<'_, '_>, document: &Document) {
    let Some(left) = &document.placeholder else {
        return;
    };
    report.add(
        &checks::PLACEHOLDER,
        left.at,
        "",
        format!(
            "'{}' is left over, so the object cannot be judged as it will be",
            left.text
        ),
        "lint the manifests as they are applied, after substitution",
    );
}

fn version(report: &mut Report<'_, '_>) {
    let root = report.object.root;
    let written = root.get("apiVersion").and_then(Node::as_str);
    let served = match report.object.policy.id.kind {
        ObjectKind::NetworkPolicy => "networking.k8s.io/v1",
        _ => "cilium.io/v2",
    };
    if let Some(written) = written
        && written != served
    {
        let at = place(root, &["apiVersion"]).unwrap_or_default();
        let message = format!("'{written}' has no such object: the API server refuses it");
        let mend = format!("write 'apiVersion: {served}'");
        report.add(&checks::NOT_SERVED, at, "apiVersion", message, mend);
    }
}

/// What the API server refuses even of a client that lets it drop unknown fields; whether
/// it does. The agent never sees such an object.
fn not_stored(report: &mut Report<'_, '_>) -> bool {
    if report.object.templated {
        return false;
    }
    let Some(admission) = admit(&pruned(report.object.root)) else {
        return false;
    };
    if !matches!(
        admission.outcome,
        AdmissionOutcome::Invalid | AdmissionOutcome::Malformed
    ) {
        return false;
    }
    let Some(cause) = admission.causes.first() else {
        return false;
    };
    // What another check says of the same field says more, and that it is refused.
    let own = report.found.iter().rev();
    let mut own = own.take_while(|finding| finding.object == report.object.name);
    let said = own.any(|finding| {
        finding.severity == Severity::Error
            && finding.file == *report.object.file
            && !finding.field.is_empty()
            && cause.field.starts_with(&finding.field)
            && finding.check.id.starts_with("networkpolicy-")
    });
    if said {
        return true;
    }
    // So does the agent's reason, where it would reject it for the same.
    let rejection = report.object.entries.as_ref().err();
    let why = rejection.filter(|rejection| rejection.field.starts_with(&cause.field));
    let (field, at, text) = match why {
        Some(rejection) => (&rejection.field, rejection.at, &rejection.message),
        None => (&cause.field, cause.at, &cause.message),
    };
    let others = admission.causes.len() - 1;
    let more = match others {
        0 => String::new(),
        1 => ", and one thing more".to_owned(),
        _ => format!(", and {others} things more"),
    };
    report.add(
        &checks::REFUSED,
        at,
        field,
        format!("the API server refuses the object: {text}{more}"),
        why.map_or(
            "write the value as the resource's definition has it",
            mend_of,
        ),
    );
    true
}

fn rejected(report: &mut Report<'_, '_>, rejection: &Rejection) {
    let text = &rejection.message;
    if report.object.templated && (text.contains("${") || text.contains("{{")) {
        return;
    }
    let option = match rejection.class {
        "nodes_disabled" => Some((
            OptionName::NodeSelectorLabels,
            "enable-node-selector-labels",
        )),
        "port_empty" => Some((
            OptionName::ExtendedIpProtocols,
            "enable-extended-ip-protocols",
        )),
        _ => None,
    };
    if let Some((option, name)) = option
        && !report.options().given.contains(&option)
    {
        report.add(
            &checks::NEEDS_OPTION,
            rejection.at,
            &rejection.field,
            format!("Cilium rejects the whole object unless the agents have '{name}': {text}"),
            format!("set '{name}: \"true\"' in cilium-config, and give that file to this command"),
        );
        return;
    }
    report.add(
        &checks::REJECTED,
        rejection.at,
        &rejection.field,
        format!("Cilium rejects the whole object, none of its rules is enforced: {text}"),
        mend_of(rejection),
    );
}

fn mend_of(rejection: &Rejection) -> &'static str {
    if rejection.field.contains("Requires") {
        return "remove it: it is gone since Cilium 1.19; ask for the labels in each selector of the peers";
    }
    match rejection.class {
        "panic" => "mend the value; the API server refuses most of these",
        "empty_policy" => "write the rule under 'spec'",
        "no_name" => "give the object a name",
        "no_direction" => {
            "give it an element; to deny a direction, write the list with one empty element, 'ingress: [{}]'"
        }
        "no_selector" => "add 'endpointSelector'; '{}' selects every pod of the namespace",
        "both_selectors" => "make two rules of it, under 'specs'",
        "node_selector_in_cnp" => "make it a CiliumClusterwideNetworkPolicy",
        "icmp_with_ports" => "make two elements of it",
        "peer_with_ports" | "peer_kinds_combined" => {
            "write each kind of peers as an element of its own, with the same ports"
        }
        "unsupported_entity" => {
            "use one of all, world, cluster, host, remote-node, kube-apiserver, ingress, health, init, unmanaged"
        }
        "cidr_choice" => "keep one of the three",
        "cidr_except_outside" => "remove the exception, or widen the prefix",
        "cidr_invalid" => "write address and length, such as 10.0.0.0/8",
        "too_many_ports" => "use 'endPort', or several entries of 'toPorts'",
        "port_invalid" => "write a number up to 65535 or a name of at most 15 characters",
        "protocol_invalid" => "use TCP, UDP, SCTP or ANY; ICMP has its own field 'icmps'",
        "l7_not_tcp" => "add 'protocol: TCP' to each port",
        "l7_multiple" => "write each protocol as an entry of 'toPorts' of its own",
        "l7_port_zero" => "name the ports the rules are for",
        "dns_ingress" => "DNS rules are for the pods that ask: move them to egress",
        "fqdn_both" => "make two entries of it",
        "fqdn_chars" => {
            "write a pattern under 'matchPattern'; a name has letters, digits, '-', '_' and '.'"
        }
        "regex" => "write a regular expression of RE2: '.*' for anything",
        "selector" => "write keys and values as Kubernetes has them",
        "decode" | "yaml" => {
            "write the value with the type the field has; quote texts that look like something else"
        }
        _ => "change the field, or remove it",
    }
}

/// Where the value at a path of keys is written.
pub(super) fn place(root: &Node, path: &[&str]) -> Option<Place> {
    path.iter()
        .try_fold(root, |node, key| node.get(key))
        .map(|node| node.at)
}
