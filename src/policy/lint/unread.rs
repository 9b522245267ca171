//! What is no policy in force for reasons that are not its own: a document that is not
//! readable, a kind that Cilium does not enforce, another object of the same name.
//!
//! Owns these. What is wrong inside an object is others'.

use std::collections::HashMap;
use std::sync::Arc;

use super::checks;
use super::finding::{Check, LintFinding, Severity};
use super::refused::place;
use super::report::{Report, World};
use crate::manifest::{Document, LoadError, Place, ReadError};
use crate::policy::read::ReadGroup;
use crate::policy::set::ObjectKind;

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
            "{}:{} defines the same object differently: only the last one applied is in force",
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
        | ("" | "policy" | "cilium.io", "NetworkPolicy") => (
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

/// The same object twice in one file: whoever applies it keeps the last.
pub(super) fn duplicates(world: &World<'_>, found: &mut Vec<LintFinding>) {
    let mut seen = HashMap::new();
    for (index, object) in world.objects.iter().enumerate() {
        let name = &object.policy.id.name;
        // Loading says so itself where it knows the namespace.
        let clusterwide = ObjectKind::CiliumClusterwideNetworkPolicy;
        let known = object.namespace.is_some() || object.policy.id.kind == clusterwide;
        if name.is_empty() || object.templated || known {
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
