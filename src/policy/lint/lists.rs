//! Lists with items that add nothing.
//!
//! Owns what is included in what, and what is written twice.

use super::checks;
use super::report::{Part, Report};
use crate::manifest::{Node, Value};
use crate::policy::read::Path;

/// Items of a list that are compared with each other.
const COMPARED: usize = 200;

/// Checks the entities of an element.
pub(super) fn entities(report: &mut Report<'_, '_>, part: Part<'_>) {
    let Some(list) = &part.element.entities else {
        return;
    };
    let has = |wanted: &str| list.iter().any(|name| &**name == wanted);
    let field = part.peer_field("Entities");
    let path = part.path.field(&field);
    let mut included: Vec<(usize, &str)> = Vec::new();
    for (index, name) in list.iter().enumerate() {
        let includer = match &**name {
            "none" => {
                report.add(
                    &checks::ENTITY_NONE,
                    name.at,
                    path.item(index),
                    "nobody is 'none'",
                    "name the entity that is meant",
                );
                continue;
            }
            "all" => None,
            _ if has("all") => Some("all"),
            "host" | "remote-node" | "init" | "ingress" | "health" | "unmanaged"
            | "kube-apiserver"
                if has("cluster") =>
            {
                Some("cluster")
            }
            "world-ipv4" | "world-ipv6" if has("world") => Some("world"),
            _ => None,
        };
        included.extend(includer.map(|includer| (index, includer)));
    }
    let Some((first, includer)) = included.first().copied() else {
        return;
    };
    let names: Vec<String> = included
        .iter()
        .map(|(index, _)| format!("'{}'", &*list[*index]))
        .collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    report.add(
        &checks::ENTITY_REDUNDANT,
        list[first].at,
        path.item(first),
        format!("{} {verb} part of '{includer}'", names.join(", ")),
        format!("keep '{includer}' alone, or the narrower ones without it"),
    );
}

/// Checks a list for items that say the same.
pub(super) fn duplicates(report: &mut Report<'_, '_>, list: &[Node], path: &Path<'_>) {
    let list = &list[..list.len().min(COMPARED)];
    for (index, item) in list.iter().enumerate() {
        let first = list[..index].iter().find(|other| same(other, item));
        if let Some(first) = first {
            report.add(
                &checks::DUPLICATE_ELEMENT,
                item.at,
                path.item(index),
                format!("the same is written at {} already", first.at),
                "remove one of them, or mend what was to be different",
            );
        }
    }
}

/// Whether two values say the same, wherever each is written.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.entries.len() == b.entries.len()
                && a.entries
                    .iter()
                    .all(|(key, value)| b.get(&key.name).is_some_and(|other| same(value, other)))
        }
        (a, b) => a == b,
    }
}
