//! `toServices`.
//!
//! Owns references that find no Service, which with ports is everybody.

use super::checks;
use super::finding::Severity;
use super::report::{Part, Report};
use crate::policy::entry::Section;
use crate::policy::read::{Path, Selector, Text};

/// Checks the Services of an element.
pub(super) fn element(report: &mut Report<'_, '_>, part: Part<'_>) {
    if part.section != Section::Egress {
        return;
    }
    let list = part.path.field("toServices");
    for (index, reference) in part.element.services.iter().flatten().enumerate() {
        let path = list.item(index);
        match (&reference.labelled, &reference.named) {
            (Some((selector, namespace)), _) => {
                let path = path.field("k8sServiceSelector");
                labelled(report, part, selector, namespace, &path);
            }
            (None, Some((name, namespace))) => {
                let path = path.field("k8sService");
                named(report, part, name, namespace, &path);
            }
            (None, None) => {}
        }
    }
}

fn named(
    report: &mut Report<'_, '_>,
    part: Part<'_>,
    name: &Text,
    namespace: &Text,
    path: &Path<'_>,
) {
    if &**name == "kubernetes" && matches!(&**namespace, "" | "default") {
        report.add(
            &checks::SERVICE_KUBERNETES,
            name.at,
            path,
            "the Service 'kubernetes' stands for addresses of nodes as a rule, which are matched by no prefix",
            "use 'toEntities: [kube-apiserver]'",
        );
        return;
    }
    let services = &report.world.cluster.inventory_services;
    let of_namespace = services
        .iter()
        .any(|service| namespace.is_empty() || *service.namespace == **namespace);
    let found = services.iter().any(|service| {
        *service.name == **name
            && (namespace.is_empty()
                || service.namespace.is_empty()
                || *service.namespace == **namespace)
    });
    if !of_namespace || found || report.object.templated {
        return;
    }
    let (severity, effect) = missing(part);
    report.add_as(
        &checks::SERVICE_MISSING,
        severity,
        name.at,
        path,
        format!("there is no Service '{}': {effect}", &**name),
        "mend name and namespace",
    );
}

fn labelled(
    report: &mut Report<'_, '_>,
    part: Part<'_>,
    selector: &Selector,
    namespace: &Text,
    path: &Path<'_>,
) {
    let keys = selector.labels.iter().map(|(key, _)| key);
    let expressions = selector.expressions.iter();
    let mut keys = keys.chain(
        expressions
            .filter(|expression| !super::keys::is_negative(&expression.operator))
            .map(|expression| &expression.key),
    );
    let path = path.field("selector");
    if let Some(key) = keys.find(|key| key.contains('.')) {
        let (_, effect) = missing(part);
        report.add(
            &checks::SERVICE_DOTTED,
            key.at,
            path,
            format!("what stands before the first dot of '{}' is taken for a source, and no Service is found: {effect}", &**key),
            "name the Service with 'k8sService', or give it a label without a dot",
        );
        return;
    }
    let services = &report.world.cluster.inventory_services;
    let inside: Vec<_> = services
        .iter()
        .filter(|service| namespace.is_empty() || *service.namespace == **namespace)
        .collect();
    let found = inside.iter().any(|service| {
        selector.labels.iter().all(|(key, value)| {
            service
                .labels
                .iter()
                .any(|(name, own)| **name == **key && **own == **value)
        })
    });
    if inside.is_empty() || found || report.object.templated {
        return;
    }
    let (severity, effect) = missing(part);
    report.add_as(
        &checks::SERVICE_MISSING,
        severity,
        selector.at,
        path,
        format!("no Service has these labels: {effect}"),
        "compare the labels with those of the Service, not of its pods",
    );
}

/// What a reference that finds nothing means.
fn missing(part: Part<'_>) -> (Severity, &'static str) {
    if part.element.ports.is_empty() && part.element.icmps.is_empty() {
        (Severity::Warning, "nobody is selected")
    } else {
        (Severity::Error, "everybody is allowed on the ports")
    }
}
