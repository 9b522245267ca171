//! NetworkPolicy, as the API server checks it.
//!
//! Owns its fields and the rules that are built into the server.

use super::meta::META;
use super::schema::{Object, Report, Shape, field, object};
use super::text;
use crate::manifest::{Node, Number, Value};
use crate::policy::cidr;
use crate::policy::read::Path;
use crate::policy::validate::{is_qualified_name, label_value};

/// The whole object.
pub(super) static POLICY: Shape = Shape::Object(&OBJECT);

static OBJECT: Object = object(&[
    field("apiVersion", &TEXT),
    field("kind", &TEXT),
    field("metadata", &META),
    field("spec", &Shape::Object(&SPEC)),
]);
static TEXT: Shape = Shape::Text(&[]);
static TEXTS: Shape = Shape::List(&TEXT, 0, usize::MAX);
static SPEC: Object = object(&[
    field("podSelector", &SELECTOR),
    field(
        "ingress",
        &Shape::List(&Shape::Object(&INGRESS), 0, usize::MAX),
    ),
    field(
        "egress",
        &Shape::List(&Shape::Object(&EGRESS), 0, usize::MAX),
    ),
    field("policyTypes", &TEXTS),
]);
static INGRESS: Object = object(&[field("ports", &PORTS), field("from", &PEERS)]);
static EGRESS: Object = object(&[field("ports", &PORTS), field("to", &PEERS)]);
static PORTS: Shape = Shape::List(&Shape::Object(&PORT), 0, usize::MAX);
static PORT: Object = object(&[
    field("protocol", &TEXT),
    field("port", &Shape::IntOrText(&[])),
    field("endPort", &Shape::Integer(i32::MIN as i64, i32::MAX as i64)),
]);
static PEERS: Shape = Shape::List(&Shape::Object(&PEER), 0, usize::MAX);
static PEER: Object = object(&[
    field("podSelector", &SELECTOR),
    field("namespaceSelector", &SELECTOR),
    field("ipBlock", &Shape::Object(&BLOCK)),
]);
static BLOCK: Object = object(&[field("cidr", &TEXT), field("except", &TEXTS)]);
static SELECTOR: Shape = Shape::Object(&object(&[
    field("matchLabels", &Shape::Map(&TEXT)),
    field(
        "matchExpressions",
        &Shape::List(&Shape::Object(&EXPRESSION), 0, usize::MAX),
    ),
]));
static EXPRESSION: Object = object(&[
    field("key", &TEXT),
    field("operator", &TEXT),
    field("values", &TEXTS),
]);

/// Notes values that are not valid; types have been checked.
pub(super) fn validate(node: &Node, report: &mut Report) {
    let root = Path::Root;
    let path = root.field("spec");
    let Some(spec) = node.get("spec") else {
        return;
    };
    selector(spec.get("podSelector"), &path.field("podSelector"), report);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        let field = path.field(list);
        for (index, rule) in items(spec, list) {
            let path = field.item(index);
            let ports = path.field("ports");
            for (index, item) in items(rule, "ports") {
                port(item, &ports.item(index), report);
            }
            let field = path.field(peers);
            for (index, item) in items(rule, peers) {
                peer(item, &field.item(index), report);
            }
        }
    }
    let field = path.field("policyTypes");
    let types: Vec<_> = items(spec, "policyTypes").collect();
    if types.len() > 2 {
        report.add(&field, types[2].1.at, "more than two types");
        return;
    }
    for (index, node) in types {
        if !matches!(node.as_str(), Some("Ingress" | "Egress")) {
            report.add(&field.item(index), node.at, "neither Ingress nor Egress");
        }
    }
}

fn items<'n>(node: &'n Node, name: &str) -> impl Iterator<Item = (usize, &'n Node)> {
    let list = node.get(name).and_then(Node::as_list).unwrap_or_default();
    list.iter().enumerate()
}

fn port(node: &Node, path: &Path<'_>, report: &mut Report) {
    let present = |name: &str| node.get(name).filter(|node| !node.is_null());
    let number = |node: &Node| match node.value {
        Value::Number(Number::Int(number)) => Some(number),
        _ => None,
    };
    let in_range = |number: i64| (1..=65535).contains(&number);
    if let Some(protocol) = present("protocol")
        && !matches!(protocol.as_str(), Some("TCP" | "UDP" | "SCTP"))
    {
        report.add(
            &path.field("protocol"),
            protocol.at,
            "none of TCP, UDP and SCTP",
        );
    }
    let end = present("endPort");
    let field = path.field("endPort");
    let Some(port) = present("port") else {
        if let Some(end) = end {
            report.add(&field, end.at, "needs 'port'");
        }
        return;
    };
    let Some(first) = number(port) else {
        if let Some(end) = end {
            report.add(&field, end.at, "needs a port that is a number");
        }
        if !port.as_str().is_some_and(text::is_port_name) {
            report.add(
                &path.field("port"),
                port.at,
                "neither a number nor the name of a port",
            );
        }
        return;
    };
    if !in_range(first) {
        report.add(&path.field("port"), port.at, "not a number from 1 to 65535");
    }
    if let Some(end) = end
        && let Some(last) = number(end)
    {
        if last < first {
            report.add(&field, end.at, "below 'port'");
        }
        if !in_range(last) {
            report.add(&field, end.at, "not a number from 1 to 65535");
        }
    }
}

fn peer(node: &Node, path: &Path<'_>, report: &mut Report) {
    let present = |name: &str| node.get(name).filter(|node| !node.is_null());
    let (pods, namespaces) = (present("podSelector"), present("namespaceSelector"));
    selector(pods, &path.field("podSelector"), report);
    selector(namespaces, &path.field("namespaceSelector"), report);
    let selects = pods.is_some() || namespaces.is_some();
    match present("ipBlock") {
        None if !selects => report.add(path, node.at, "selects no peer"),
        None => {}
        Some(node) => {
            block(node, &path.field("ipBlock"), report);
            if selects {
                report.add(path, node.at, "'ipBlock' and selectors exclude each other");
            }
        }
    }
}

fn block(node: &Node, path: &Path<'_>, report: &mut Report) {
    let field = path.field("cidr");
    let written = node.get("cidr").and_then(Node::as_str).unwrap_or_default();
    if written.is_empty() {
        report.add(&field, node.at, "missing");
        return;
    }
    let Ok(prefix) = cidr::prefix(&plain(written)) else {
        report.add(&field, node.at, format!("'{written}' is no prefix"));
        return;
    };
    let field = path.field("except");
    for (index, node) in items(node, "except") {
        let written = node.as_str().unwrap_or_default();
        let message = match cidr::prefix(&plain(written)) {
            Err(_) => format!("'{written}' is no prefix"),
            Ok(except)
                if prefix.trunc().contains(&except.addr())
                    && prefix.prefix_len() < except.prefix_len() =>
            {
                continue;
            }
            Ok(_) => format!("'{written}' is not a smaller part of 'cidr'"),
        };
        report.add(&field.item(index), node.at, message);
    }
}

/// Zeros before a number are taken as nothing here, as in old releases.
fn plain(written: &str) -> String {
    let (address, length) = written.split_once('/').unwrap_or((written, ""));
    if address.contains(':') || !address.contains('.') {
        return written.to_owned();
    }
    let octets = address.split('.').map(|octet| {
        let stripped = octet.trim_start_matches('0');
        if stripped.is_empty() && !octet.is_empty() {
            "0"
        } else {
            stripped
        }
    });
    format!("{}/{length}", octets.collect::<Vec<_>>().join("."))
}

fn selector(node: Option<&Node>, path: &Path<'_>, report: &mut Report) {
    let Some(node) = node else {
        return;
    };
    let field = path.field("matchLabels");
    let map = node.get("matchLabels").and_then(Node::as_map);
    for (key, value) in map.into_iter().flat_map(|map| &map.entries) {
        if !is_qualified_name(&key.name) {
            report.add(&field, key.at, format!("'{}' is no label key", key.name));
        }
        let text = value.as_str().unwrap_or_default();
        if let Some(reason) = label_value(text) {
            report.add(
                &field,
                value.at,
                format!("'{text}' is no label value: {reason}"),
            );
        }
    }
    let field = path.field("matchExpressions");
    for (index, node) in items(node, "matchExpressions") {
        expression(node, &field.item(index), report);
    }
}

fn expression(node: &Node, path: &Path<'_>, report: &mut Report) {
    let text = |name: &str| node.get(name).and_then(Node::as_str).unwrap_or_default();
    let values: Vec<_> = items(node, "values").collect();
    match text("operator") {
        "In" | "NotIn" if values.is_empty() => {
            report.add(&path.field("values"), node.at, "missing for this operator");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            report.add(&path.field("values"), node.at, "not for this operator");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            report.add(
                &path.field("operator"),
                node.at,
                format!("'{other}' is no operator"),
            );
        }
    }
    let key = text("key");
    if !is_qualified_name(key) {
        report.add(
            &path.field("key"),
            node.at,
            format!("'{key}' is no label key"),
        );
    }
    let field = path.field("values");
    for (index, node) in values {
        let value = node.as_str().unwrap_or_default();
        if let Some(reason) = label_value(value) {
            let message = format!("'{value}' is no label value: {reason}");
            report.add(&field.item(index), node.at, message);
        }
    }
}
