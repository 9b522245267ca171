//! `metadata`, as the API server checks it for every kind.
//!
//! Owns its fields, their types, and the syntax of names, labels and annotations.

use super::schema::{Field, Object, Report, Shape, field, object};
use crate::manifest::Node;
use crate::policy::read::Path;
use crate::policy::validate::{is_dns_subdomain, is_qualified_name, label_value};

const TEXT: Shape = Shape::Text(&[]);
const TEXTS: Shape = Shape::Map(&TEXT);
const NUMBER: Shape = Shape::Integer(i64::MIN, i64::MAX);
const FIELDS: &[Field] = &[
    field("name", &TEXT),
    field("generateName", &TEXT),
    field("namespace", &TEXT),
    field("selfLink", &TEXT),
    field("uid", &TEXT),
    field("resourceVersion", &TEXT),
    field("generation", &NUMBER),
    field("creationTimestamp", &TEXT),
    field("deletionTimestamp", &TEXT),
    field("deletionGracePeriodSeconds", &NUMBER),
    field("labels", &TEXTS),
    field("annotations", &TEXTS),
    field("ownerReferences", &Shape::Any),
    field("finalizers", &Shape::List(&TEXT, 0, usize::MAX)),
    field("managedFields", &Shape::Any),
];
const OBJECT: Object = object(FIELDS);

/// The shape of `metadata`.
pub(super) const META: Shape = Shape::Object(&OBJECT);

/// Notes fields of the wrong type.
pub(super) fn types(node: &Node, report: &mut Report) {
    let root = Path::Root;
    if let Some(node) = node.get("metadata") {
        META.types(node, &root.field("metadata"), report);
    }
}

/// Notes names, labels and annotations that are not valid.
pub(super) fn values(node: &Node, report: &mut Report) {
    let root = Path::Root;
    let path = root.field("metadata");
    let meta = node.get("metadata");
    let text = |name: &str| {
        let node = meta.and_then(|meta| meta.get(name))?;
        Some((node.as_str().filter(|text| !text.is_empty())?, node.at))
    };
    match (text("name"), text("generateName")) {
        (Some((name, at)), _) if !is_dns_subdomain(name) => {
            report.add(
                &path.field("name"),
                at,
                format!("'{name}' is no lower-case DNS name"),
            );
        }
        (None, None) => report.add(&path.field("name"), node.at, "missing"),
        _ => {}
    }
    let pairs = |name: &str| {
        let map = meta.and_then(|meta| meta.get(name)).and_then(Node::as_map);
        map.into_iter().flat_map(|map| &map.entries)
    };
    for (key, value) in pairs("labels") {
        let path = path.field("labels");
        if !is_qualified_name(&key.name) {
            report.add(&path, key.at, format!("'{}' is no label key", key.name));
        }
        if let Some(text) = value.as_str()
            && let Some(reason) = label_value(text)
        {
            report.add(
                &path,
                value.at,
                format!("'{text}' is no label value: {reason}"),
            );
        }
    }
    for (key, _) in pairs("annotations") {
        if !is_qualified_name(&key.name.to_ascii_lowercase()) {
            let message = format!("'{}' is no annotation key", key.name);
            report.add(&path.field("annotations"), key.at, message);
        }
    }
}
