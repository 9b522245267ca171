//! Objects that are not in force, or not as written.
//!
//! Owns what the agent rejects, what no API server stores, kinds Cilium does not enforce,
//! and what is left over of templates.

use std::collections::HashMap;
use std::sync::Arc;

use super::checks;
use super::finding::{Check, LintFinding, Severity};
use super::report::{Report, World};
use crate::manifest::{Document, LoadError, Node, Place, ReadError};
use crate::policy::admission::{AdmissionOutcome, admit, pruned};
use crate::policy::options::OptionName;
use crate::policy::read::ReadGroup;
use crate::policy::set::{ObjectKind, Rejection};

/// Kinds that hold rules, by any project.
const POLICY_KINDS: [&str; 7] = [
    "CiliumNetworkPolicy",
    "CiliumClusterwideNetworkPolicy",
    "CiliumCIDRGroup",
    "NetworkPolicy",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "ClusterNetworkPolicy",
];

/// What could not be read and names a policy, and objects that contradict each other.
pub(super) fn unread(error: &LoadError, found: &mut Vec<LintFinding>) {
    match error {
        LoadError::Read(error) => unreadable(error, found),
        LoadError::Conflict {
            object,
            first,
            second,
        } => conflict(object, first, second, found),
        LoadError::Io { .. } | LoadError::TooLarge { .. } | LoadError::NotUtf8 { .. } => {}
    }
}

/// Whoever applies both keeps the last; other files may be for other clusters.
fn conflict(
    object: &str,
    first: &(Arc<str>, Place),
    second: &(Arc<str>, Place),
    found: &mut Vec<LintFinding>,
) {
    let kind = object.split('/').next().unwrap_or_default();
    if !POLICY_KINDS.contains(&kind) {
        return;
    }
    let same_file = first.0 == second.0;
    found.push(LintFinding {
        check: &checks::DUPLICATE_OBJECT,
        severity: if same_file {
            Severity::Warning
        } else {
            Severity::Info
        },
        file: Arc::clone(&second.0),
        at: second.1,
        object: object.into(),
        field: String::new(),
        message: format!(
            "{}:{} defines the same object differently: only the last one applied is in force, and only the first is looked at here",
            first.0, first.1
        ),
        mend: "give one of them another name, or lint one cluster's files at a time".to_owned(),
        suppressed: None,
    });
}

/// A document that cannot be read and names a policy.
fn unreadable(error: &ReadError, found: &mut Vec<LintFinding>) {
    let lost = error
        .lost_kinds
        .iter()
        .find(|kind| POLICY_KINDS.contains(&&***kind));
    let Some(kind) = lost else { return };
    let mend = match &error.placeholder {
        Some(left) => format!(
            "lint what the templates are rendered to; '{}' is left over",
            left.text
        ),
        None => "mend the YAML: a document that is not readable is not applied".to_owned(),
    };
    let severity = if error.placeholder.is_some() {
        Severity::Warning
    } else {
        Severity::Error
    };
    found.push(LintFinding {
        check: &checks::UNREADABLE,
        severity,
        file: Arc::clone(&error.file),
        at: error.at,
        object: Arc::default(),
        field: String::new(),
        message: format!("a document with a {kind} is not readable: {}", error.kind),
        mend,
        suppressed: None,
    });
}

/// Kinds that hold rules and mean nothing to Cilium.
pub(super) fn foreign(document: &Document, found: &mut Vec<LintFinding>) {
    let (Some(version), Some(kind)) = (document.api_version(), document.kind()) else {
        return;
    };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let (check, message, mend) = match (group, kind) {
        ("policy.networking.k8s.io", "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy") => (
            &checks::UNSUPPORTED_KIND,
            format!("Cilium does not enforce {kind}: no rule of it takes part in a verdict"),
            "write it as a CiliumClusterwideNetworkPolicy; there are no priorities, a deny wins",
        ),
        ("policy.networking.k8s.io", "ClusterNetworkPolicy") => (
            &checks::UNSUPPORTED_KIND,
            "Cilium 1.19 does not enforce ClusterNetworkPolicy".to_owned(),
            "write it as a CiliumClusterwideNetworkPolicy, or wait for Cilium 1.20 and its option",
        ),
        (
            "" | "policy" | "networking.k8s.io",
            "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy",
        )
        | ("cilium.io", "NetworkPolicy")
        | ("" | "policy", "NetworkPolicy") => (
            &checks::NOT_SERVED,
            format!("there is no {kind} in '{version}'"),
            if kind == "NetworkPolicy" {
                "write 'apiVersion: networking.k8s.io/v1'"
            } else {
                "write 'apiVersion: cilium.io/v2'"
            },
        ),
        _ => return,
    };
    let name = document.name().unwrap_or_default();
    let namespace = document.scope.namespace().unwrap_or_default();
    found.push(LintFinding {
        check,
        severity: check.severity,
        file: Arc::clone(&document.file),
        at: place(&document.root, &["metadata", "name"]).unwrap_or(document.at()),
        object: format!("{kind}/{namespace}/{name}").into(),
        field: "kind".to_owned(),
        message,
        mend: mend.to_owned(),
        suppressed: None,
    });
}

/// A CIDR group that cannot be used, or not as written.
pub(super) fn group(document: &Document, group: &ReadGroup, found: &mut Vec<LintFinding>) {
    let mut say = |check: &'static Check, at, field: &str, message, mend: &str| {
        found.push(LintFinding {
            check,
            severity: check.severity,
            file: Arc::clone(&document.file),
            at,
            object: format!("CiliumCIDRGroup//{}", group.name).into(),
            field: field.to_owned(),
            message,
            mend: mend.to_owned(),
            suppressed: None,
        });
    };
    if let Err(rejection) = &group.group {
        say(
            &checks::REJECTED,
            rejection.at,
            &rejection.field,
            format!("Cilium rejects the group: {}", rejection.message),
            "write a list of prefixes under 'externalCIDRs'",
        );
    }
    for warning in &group.warnings {
        say(
            &checks::UNKNOWN_FIELD,
            warning.at,
            &warning.field,
            format!("'{}': {}", warning.field, warning.message),
            "write it as the group has it, or remove it",
        );
    }
}

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

/// The same object twice in one file: whoever applies it keeps the last.
pub(super) fn duplicates(world: &World<'_>, found: &mut Vec<LintFinding>) {
    let mut seen = HashMap::new();
    for (index, object) in world.objects.iter().enumerate() {
        let name = &object.policy.id.name;
        if name.is_empty() || object.templated {
            continue;
        }
        let Some(first) = seen.insert((object.file, &object.name), index) else {
            continue;
        };
        let first = &world.objects[first];
        let mut report = Report {
            world,
            object,
            found,
        };
        let (kind, at) = (object.policy.id.kind.name(), first.policy.at);
        report.add(
            &checks::DUPLICATE_OBJECT,
            object.policy.at,
            "metadata.name",
            format!(
                "another {kind} '{name}' stands at {at}: only the last one applied is in force"
            ),
            "give one of them another name, or bring both together under 'specs'",
        );
    }
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
fn place(root: &Node, path: &[&str]) -> Option<Place> {
    path.iter()
        .try_fold(root, |node, key| node.get(key))
        .map(|node| node.at)
}
