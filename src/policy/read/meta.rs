//! `metadata`: the name of an object and its labels.
//!
//! Owns which of its fields matter and what type the others have.

use super::decode::{Decoder, Pair, Text, present};
use super::path::Path;
use crate::manifest::{Map, Place};

/// What is read of `metadata`.
#[derive(Clone, Debug, Default)]
pub(super) struct Meta {
    pub(super) name: Text,
    pub(super) namespace: Text,
    pub(super) labels: Vec<Pair>,
}

const TEXTS: &[&str] = &[
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "creationTimestamp",
];
const OTHERS: &[&str] = &[
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "managedFields",
];

/// Reads the `metadata` of an object.
pub(super) fn meta(d: &mut Decoder, map: &Map, path: &Path<'_>) -> Meta {
    let Some(node) = present(map, "metadata") else {
        return Meta::default();
    };
    let path = path.field("metadata");
    let known = [TEXTS, OTHERS].concat();
    let Some(map) = d.object(node, &path, &known) else {
        return Meta::default();
    };
    for name in TEXTS {
        d.text(map, name, &path);
    }
    d.pairs(map, "annotations", &path);
    d.texts(map, "finalizers", &path);
    d.integer::<i64>(map, "generation", &path);
    d.list(map, "ownerReferences", &path, |d, node, path| {
        d.any_object(node, path);
    });
    Meta {
        name: d.text(map, "name", &path),
        namespace: d.text(map, "namespace", &path),
        labels: d.pairs(map, "labels", &path),
    }
}

/// Where the name is written, or else the object.
pub(super) fn place(meta: &Meta, object: Place) -> Place {
    if meta.name.at == Place::default() {
        object
    } else {
        meta.name.at
    }
}
